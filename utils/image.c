#include "utils/image.h"

#include "utils/arena.h"
#include "utils/file.h"
#include "utils/image_codec.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

/* More pixels per byte than either format reaches (PNG: 1032 bytes of 8 one-bit pixels). */
enum { MAX_PIXELS_PER_BYTE = 10000 };

mica_status mica_image_check_size(uint64_t width, uint64_t height, size_t size, mica_error *err) {
    if (width < 1 || height < 1 || width > INT32_MAX || height > INT32_MAX) {
        return mica_fail(err, "an image of %llu x %llu pixels is not possible",
                         (unsigned long long)width, (unsigned long long)height);
    }
    if (width * height > MICA_IMAGE_MAX_PIXELS) {
        return mica_fail(err, "an image of %llu x %llu pixels is above the limit of %d million",
                         (unsigned long long)width, (unsigned long long)height,
                         MICA_IMAGE_MAX_PIXELS / 1000000);
    }
    if (width * height / MAX_PIXELS_PER_BYTE > size) {
        return mica_fail(err, "%zu bytes cannot hold the declared %llu x %llu pixels", size,
                         (unsigned long long)width, (unsigned long long)height);
    }
    return MICA_OK;
}

void mica_image_free(mica_image *image) {
    mica_free(image->data);
    *image = (mica_image){0};
}

mica_status mica_image_read(const char *path, mica_image *out, mica_error *err) {
    static const uint8_t jpeg[3] = {0xff, 0xd8, 0xff};
    static const uint8_t png[8] = {0x89, 'P', 'N', 'G', 0x0d, 0x0a, 0x1a, 0x0a};
    mica_mapped file;
    MICA_TRY(mica_map_file(path, &file, err));
    mica_error why = {0};
    mica_status status;
    if (file.size >= sizeof jpeg && memcmp(file.data, jpeg, sizeof jpeg) == 0) {
        status = mica_jpeg_decode(file.data, file.size, out, &why);
    } else if (file.size >= sizeof png && memcmp(file.data, png, sizeof png) == 0) {
        status = mica_png_decode(file.data, file.size, out, &why);
    } else {
        status = mica_fail(&why, "neither a JPEG nor a PNG file");
    }
    mica_unmap_file(&file);
    if (status != MICA_OK) {
        return mica_fail(err, "cannot read image '%s': %s", path, why.text);
    }
    return MICA_OK;
}

static uint32_t big_endian(const uint8_t *p, int bytes) {
    uint32_t v = 0;
    for (int i = 0; i < bytes; ++i) {
        v = v << 8 | p[i];
    }
    return v;
}

/* The frame header is the first segment with a marker from C0 to CF, but for C4, C8 and CC. */
static const uint8_t *jpeg_frame(const uint8_t *bytes, size_t size) {
    enum { FRAME_BYTES = 9 };
    for (size_t at = 2; at + FRAME_BYTES < size && bytes[at] == 0xff;) {
        const uint8_t marker = bytes[at + 1];
        if (marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc) {
            return bytes + at + 5;
        }
        at += marker == 0xff ? 1 : 2 + big_endian(bytes + at + 2, 2);
    }
    return NULL;
}

bool mica_image_size(const char *path, int *out_width, int *out_height) {
    enum { PNG_BYTES = 24, MOST = 1 << 24 };
    mica_mapped file;
    mica_error none = {0};
    if (mica_map_file(path, &file, &none) != MICA_OK) {
        return false;
    }
    uint32_t width = 0;
    uint32_t height = 0;
    if (file.size >= PNG_BYTES && memcmp(file.data, "\x89PNG", 4) == 0) {
        width = big_endian(file.data + 16, 4);
        height = big_endian(file.data + 20, 4);
    } else if (file.size >= 4 && memcmp(file.data, "\xff\xd8\xff", 3) == 0) {
        const uint8_t *frame = jpeg_frame(file.data, file.size);
        width = frame != NULL ? big_endian(frame + 2, 2) : 0;
        height = frame != NULL ? big_endian(frame, 2) : 0;
    }
    mica_unmap_file(&file);
    *out_width = (int)(width < MOST ? width : 0);
    *out_height = (int)(height < MOST ? height : 0);
    return *out_width > 0 && *out_height > 0;
}

/* An image without defined content; w and h are checked by the caller's limits. */
static mica_status make(int64_t w, int64_t h, int channels, mica_image *out, mica_error *err) {
    if (w < 1 || h < 1 || w > INT32_MAX || h > INT32_MAX || w * h > MICA_IMAGE_MAX_PIXELS) {
        return mica_fail(err, "cannot make an image of %lld x %lld pixels", (long long)w,
                         (long long)h);
    }
    size_t bytes = (size_t)w * (size_t)h * (size_t)channels;
    *out = (mica_image){(int)w, (int)h, channels, mica_alloc_aligned(bytes, 64)};
    return MICA_OK;
}

/* Where target pixel i of an axis reads: pixels a and b with weights wa and wb, sum near 2048. */
typedef struct tap {
    int32_t a, b, wa, wb;
} tap;

static int clamp(int v, int n) { return v < 0 ? 0 : v < n ? v : n - 1; }

static tap *make_taps(int n, int m, bool clamp_weights) {
    tap *taps = mica_alloc((size_t)m * sizeof *taps);
    double k = 1.0 / ((double)m / (double)n);
    for (int i = 0; i < m; i++) {
        float p = (float)(((double)i + 0.5) * k - 0.5);
        int s = (int)floorf(p);
        float f = p - (float)s;
        if (clamp_weights && (s < 0 || s >= n - 1)) {
            s = clamp(s, n);
            f = 0;
        }
        taps[i] = (tap){clamp(s, n), clamp(s + 1, n), (int32_t)rintf((1.0f - f) * 2048.0f),
                        (int32_t)rintf(f * 2048.0f)};
    }
    return taps;
}

/* One source row, resized horizontally; at most 255 * 2048, or a little more. */
static void resize_row(const mica_image *src, int y, const tap *taps, int w, int32_t *out) {
    int c = src->channels;
    const uint8_t *row = src->data + (size_t)y * (size_t)src->width * (size_t)c;
    for (int x = 0; x < w; x++) {
        tap t = taps[x];
        for (int i = 0; i < c; i++) {
            *out++ = row[t.a * c + i] * t.wa + row[t.b * c + i] * t.wb;
        }
    }
}

mica_status mica_image_resize_bilinear(const mica_image *src, int w, int h, mica_image *dst,
                                       mica_error *err) {
    mica_image image;
    MICA_TRY(make(w, h, src->channels, &image, err));
    tap *across = make_taps(src->width, w, true), *down = make_taps(src->height, h, false);
    size_t n = (size_t)w * (size_t)src->channels;
    /* The two source rows in use, kept while target rows share them. */
    int32_t *rows[2] = {mica_alloc(n * sizeof(int32_t)), mica_alloc(n * sizeof(int32_t))};
    int held[2] = {-1, -1};
    for (int y = 0; y < h; y++) {
        tap t = down[y];
        if (held[1] == t.a) {
            int32_t *swap = rows[0];
            rows[0] = rows[1];
            rows[1] = swap;
            held[1] = held[0];
            held[0] = t.a;
        }
        if (held[0] != t.a) {
            resize_row(src, t.a, across, w, rows[0]);
            held[0] = t.a;
        }
        if (held[1] != t.b) {
            resize_row(src, t.b, across, w, rows[1]);
            held[1] = t.b;
        }
        uint8_t *out = image.data + (size_t)y * n;
        for (size_t i = 0; i < n; i++) {
            int32_t top = (rows[0][i] >> 4) * t.wa >> 16, low = (rows[1][i] >> 4) * t.wb >> 16;
            out[i] = (uint8_t)((top + low + 2) >> 2);
        }
    }
    mica_free(rows[0]);
    mica_free(rows[1]);
    mica_free(across);
    mica_free(down);
    *dst = image;
    return MICA_OK;
}

mica_status mica_image_crop(const mica_image *src, int x, int y, int w, int h, mica_image *dst,
                            mica_error *err) {
    if (x < 0 || y < 0 || w < 1 || h < 1 || w > src->width - x || h > src->height - y) {
        return mica_fail(err, "cannot crop %d x %d pixels at (%d, %d) from %d x %d", w, h, x, y,
                         src->width, src->height);
    }
    mica_image image;
    MICA_TRY(make(w, h, src->channels, &image, err));
    size_t c = (size_t)src->channels, n = (size_t)w * c, step = (size_t)src->width * c;
    for (int i = 0; i < h; i++) {
        memcpy(image.data + (size_t)i * n, src->data + (size_t)(y + i) * step + (size_t)x * c, n);
    }
    *dst = image;
    return MICA_OK;
}

mica_status mica_image_pad(const mica_image *src, int top, int bottom, int left, int right,
                           uint8_t value, mica_image *dst, mica_error *err) {
    if (top < 0 || bottom < 0 || left < 0 || right < 0) {
        return mica_fail(err, "cannot pad an image by a negative number of pixels");
    }
    mica_image image;
    MICA_TRY(make((int64_t)src->width + left + right, (int64_t)src->height + top + bottom,
                  src->channels, &image, err));
    size_t c = (size_t)src->channels, n = (size_t)src->width * c, step = (size_t)image.width * c;
    memset(image.data, value, step * (size_t)image.height);
    for (int i = 0; i < src->height; i++) {
        memcpy(image.data + (size_t)(top + i) * step + (size_t)left * c,
               src->data + (size_t)i * n, n);
    }
    *dst = image;
    return MICA_OK;
}
