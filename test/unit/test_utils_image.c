/* Images: decoding, damaged files, resizing against the written rule, crop and pad. */
#include "test/unit/check_main.h"
#include "test/unit/test_utils_dir.h"
#include "utils/arena.h"
#include "utils/image.h"
#include "utils/prng.h"

#include <check.h>
#include <math.h>
#include <stdbool.h>

#include <jpeglib.h>
#include <png.h>

static mica_error err;

/* A smooth picture, so that JPEG keeps it. */
static mica_image gradient(int w, int h, int c) {
    mica_image m = {w, h, c, mica_alloc((size_t)(w * h * c))};
    for (int y = 0; y < h; y++) {
        for (int x = 0; x < w; x++) {
            for (int k = 0; k < c; k++) {
                m.data[(y * w + x) * c + k] =
                    (uint8_t)(k == 0 ? 255 * x / w : k == 1 ? 255 * y / h : 128);
            }
        }
    }
    return m;
}

static mica_image noise(int w, int h, int c, uint64_t seed) {
    mica_image m = {w, h, c, mica_alloc((size_t)(w * h * c))};
    mica_prng prng;
    mica_prng_seed(&prng, seed);
    for (int i = 0; i < w * h * c; i++) {
        m.data[i] = (uint8_t)mica_prng_below(&prng, 256);
    }
    return m;
}

static unsigned char *encode_jpeg(const mica_image *m, bool progressive, unsigned long *size) {
    struct jpeg_compress_struct info;
    struct jpeg_error_mgr errors;
    unsigned char *out = NULL;
    info.err = jpeg_std_error(&errors);
    jpeg_create_compress(&info);
    jpeg_mem_dest(&info, &out, size);
    info.image_width = (JDIMENSION)m->width;
    info.image_height = (JDIMENSION)m->height;
    info.input_components = m->channels;
    info.in_color_space = m->channels == 1 ? JCS_GRAYSCALE : m->channels == 3 ? JCS_RGB : JCS_CMYK;
    jpeg_set_defaults(&info);
    jpeg_set_quality(&info, 95, TRUE);
    if (progressive) {
        jpeg_simple_progression(&info);
    }
    jpeg_start_compress(&info, TRUE);
    while (info.next_scanline < info.image_height) {
        JSAMPROW row = m->data + info.next_scanline * (size_t)(m->width * m->channels);
        jpeg_write_scanlines(&info, &row, 1);
    }
    jpeg_finish_compress(&info);
    jpeg_destroy_compress(&info);
    return out;
}

static unsigned char *encode_png(const mica_image *m, png_uint_32 format, size_t *size) {
    png_image image = {.version = PNG_IMAGE_VERSION,
                       .width = (png_uint_32)m->width,
                       .height = (png_uint_32)m->height,
                       .format = format};
    unsigned char *out = malloc(1 << 20);
    *size = 1 << 20;
    ck_assert(png_image_write_to_memory(&image, out, size, 0, m->data, 0, NULL));
    return out;
}

START_TEST(jpeg_kinds) {
    for (int kind = 0; kind < 4; kind++) { /* gray, RGB, progressive RGB, CMYK */
        int channels = kind == 0 ? 1 : kind == 3 ? 4 : 3;
        mica_image m = gradient(45, 33, channels), got;
        if (kind == 3) { /* libjpeg writes the Adobe marker: values are complements, K = 255 */
            for (int i = 0; i < 45 * 33; i++) {
                m.data[4 * i + 3] = 255;
            }
        }
        unsigned long size = 0;
        unsigned char *bytes = encode_jpeg(&m, kind == 2, &size);
        const char *path = scratch_write("a.png", bytes, size); /* content counts, not the name */
        ck_assert_msg(mica_image_read(path, &got, &err) == MICA_OK, "%s", err.text);
        ck_assert(got.width == 45 && got.height == 33 && got.channels == (kind == 0 ? 1 : 3));
        int worst = 0;
        for (int i = 0; i < 45 * 33; i++) {
            for (int k = 0; k < got.channels; k++) {
                int d = abs(got.data[i * got.channels + k] - m.data[i * channels + k]);
                worst = d > worst ? d : worst;
            }
        }
        ck_assert_int_le(worst, 12);
        free(bytes);
        mica_image_free(&m);
        mica_image_free(&got);
        mica_image_free(&got);
    }
}
END_TEST

START_TEST(png_kinds) {
    static const png_uint_32 formats[] = {PNG_FORMAT_GRAY, PNG_FORMAT_GA, PNG_FORMAT_RGB,
                                          PNG_FORMAT_RGBA};
    for (int c = 1; c <= 4; c++) {
        mica_image m = noise(19, 7, c, 5), got;
        size_t size;
        unsigned char *bytes = encode_png(&m, formats[c - 1], &size);
        ck_assert_int_eq(mica_image_read(scratch_write("a", bytes, size), &got, &err), MICA_OK);
        int keep = c < 3 ? 1 : 3;
        ck_assert(got.width == 19 && got.height == 7 && got.channels == keep);
        for (int i = 0; i < 19 * 7; i++) {
            ck_assert_mem_eq(got.data + i * keep, m.data + i * c, (size_t)keep);
        }
        free(bytes);
        mica_image_free(&m);
        mica_image_free(&got);
    }
}
END_TEST

START_TEST(every_prefix_is_refused) {
    mica_image m = noise(9, 8, 3, 1), got;
    unsigned long jpeg_size[2] = {0, 0};
    size_t png_size;
    unsigned char *files[3] = {encode_jpeg(&m, false, &jpeg_size[0]),
                               encode_jpeg(&m, true, &jpeg_size[1]),
                               encode_png(&m, PNG_FORMAT_RGB, &png_size)};
    size_t sizes[3] = {jpeg_size[0], jpeg_size[1], png_size};
    for (int i = 0; i < 3; i++) {
        for (size_t cut = 0; cut < sizes[i]; cut++) {
            const char *path = scratch_write("cut", files[i], cut);
            ck_assert_msg(mica_image_read(path, &got, &err) == MICA_FAIL, "%d %zu", i, cut);
            ck_assert_ptr_nonnull(strstr(err.text, "cannot read image '"));
        }
        free(files[i]);
    }
    mica_image_free(&m);
}
END_TEST

START_TEST(flipped_bytes_do_no_harm) {
    mica_image m = noise(9, 8, 3, 1), got;
    unsigned long jpeg_size = 0;
    size_t sizes[2];
    unsigned char *files[2] = {encode_jpeg(&m, true, &jpeg_size),
                               encode_png(&m, PNG_FORMAT_RGB, &sizes[1])};
    sizes[0] = jpeg_size;
    for (int i = 0; i < 2; i++) {
        for (size_t at = 0; at < sizes[i]; at++) {
            files[i][at] ^= 0xff;
            if (mica_image_read(scratch_write("flip", files[i], sizes[i]), &got, &err) == MICA_OK) {
                mica_image_free(&got);
            }
            files[i][at] ^= 0xff;
        }
        free(files[i]);
    }
    mica_image_free(&m);
}
END_TEST

START_TEST(hostile_sizes) {
    mica_image m = noise(9, 8, 3, 1), got;
    unsigned long size = 0;
    unsigned char *bytes = encode_jpeg(&m, false, &size);
    unsigned char *frame = memmem(bytes, size, "\xff\xc0", 2);
    memcpy(frame + 5, "\xff\xff\xff\xff", 4);
    ck_assert_int_eq(mica_image_read(scratch_write("big", bytes, size), &got, &err), MICA_FAIL);
    ck_assert_ptr_nonnull(strstr(err.text, "65500"));
    memcpy(frame + 5, "\x80\x00\x80\x00", 4);
    ck_assert_int_eq(mica_image_read(scratch_write("big", bytes, size), &got, &err), MICA_FAIL);
    ck_assert_ptr_nonnull(strstr(err.text, "32768 x 32768 pixels is above the limit of 100 mil"));
    memcpy(frame + 5, "\x20\x00\x20\x00", 4);
    ck_assert_int_eq(mica_image_read(scratch_write("big", bytes, size), &got, &err), MICA_FAIL);
    ck_assert_ptr_nonnull(strstr(err.text, "cannot hold the declared 8192 x 8192 pixels"));
    free(bytes);
    ck_assert_int_eq(mica_image_read(scratch_write("t", "GIF89a", 6), &got, &err), MICA_FAIL);
    ck_assert_ptr_nonnull(strstr(err.text, "neither a JPEG nor a PNG file"));
    ck_assert_int_eq(mica_image_read("/no/file", &got, &err), MICA_FAIL);
    ck_assert_str_eq(err.text, "cannot open '/no/file': No such file or directory");
    mica_image_free(&m);
}
END_TEST

/* The rule of utils/image.h for one output value, written a second time. */
static int rule(const mica_image *s, int w, int h, int x, int y, int c) {
    double kx = 1.0 / ((double)w / s->width), ky = 1.0 / ((double)h / s->height);
    float px = (float)((x + 0.5) * kx - 0.5), py = (float)((y + 0.5) * ky - 0.5);
    int sx = (int)floor(px), sy = (int)floor(py);
    float fx = px - (float)sx, fy = py - (float)sy;
    if (px < 0) {
        sx = 0;
        fx = 0;
    } else if (sx >= s->width - 1) {
        sx = s->width - 1;
        fx = 0;
    }
    long wx = lrintf(fx * 2048), vx = lrintf((1 - fx) * 2048);
    long wy = lrintf(fy * 2048), vy = lrintf((1 - fy) * 2048);
    long t[2];
    for (int i = 0; i < 2; i++) {
        int row = sy + i < 0 ? 0 : sy + i >= s->height ? s->height - 1 : sy + i;
        int next = sx + 1 < s->width ? sx + 1 : sx;
        t[i] = s->data[(row * s->width + sx) * s->channels + c] * vx +
               s->data[(row * s->width + next) * s->channels + c] * wx;
    }
    return (int)((((t[0] >> 4) * vy >> 16) + ((t[1] >> 4) * wy >> 16) + 2) >> 2);
}

START_TEST(resize_rule) {
    static const int sizes[][4] = {{20, 20, 10, 10}, {33, 50, 101, 77}, {101, 77, 33, 50},
                                   {7, 5, 3, 9},     {3, 3, 100, 90},   {1, 1, 5, 4},
                                   {40, 30, 1, 1},   {64, 48, 64, 48},  {2, 9, 9, 2}};
    for (size_t i = 0; i < MICA_COUNT(sizes); i++) {
        const int *z = sizes[i];
        mica_image s = noise(z[0], z[1], i % 2 == 0 ? 3 : 1, i), d;
        ck_assert_int_eq(mica_image_resize_bilinear(&s, z[2], z[3], &d, &err), MICA_OK);
        ck_assert(d.width == z[2] && d.height == z[3] && d.channels == s.channels);
        for (int k = 0; k < d.width * d.height * d.channels; k++) {
            int c = k % d.channels, x = k / d.channels % d.width, y = k / d.channels / d.width;
            int want = rule(&s, z[2], z[3], x, y, c);
            if (d.data[k] != want) {
                ck_abort_msg("case %zu, (%d, %d, %d): %d, not %d", i, x, y, c, d.data[k], want);
            }
        }
        if (i == 7) { /* the same size is the identity */
            ck_assert_mem_eq(s.data, d.data, (size_t)(s.width * s.height * s.channels));
        }
        mica_image_free(&s);
        mica_image_free(&d);
    }
}
END_TEST

/* Values worked out by hand, apart from the two programs above. */
START_TEST(resize_known_values) {
    mica_image s = {2, 1, 1, (uint8_t[]){0, 200}}, d;
    ck_assert_int_eq(mica_image_resize_bilinear(&s, 4, 1, &d, &err), MICA_OK);
    ck_assert_mem_eq(d.data, ((const uint8_t[]){0, 50, 150, 200}), 4);
    mica_image_free(&d);
    s = (mica_image){2, 2, 1, (uint8_t[]){10, 20, 30, 41}};
    ck_assert_int_eq(mica_image_resize_bilinear(&s, 1, 1, &d, &err), MICA_OK);
    ck_assert_int_eq(d.data[0], 25); /* (101 + 2) / 4 */
    mica_image_free(&d);
    s = (mica_image){1, 1, 1, (uint8_t[]){255}};
    ck_assert_int_eq(mica_image_resize_bilinear(&s, 3, 3, &d, &err), MICA_OK);
    for (int i = 0; i < 9; i++) {
        ck_assert_int_eq(d.data[i], 255);
    }
    mica_image_free(&d);
    ck_assert_int_eq(mica_image_resize_bilinear(&s, 0, 3, &d, &err), MICA_FAIL);
    ck_assert_int_eq(mica_image_resize_bilinear(&s, 20000, 20000, &d, &err), MICA_FAIL);
    ck_assert_str_eq(err.text, "cannot make an image of 20000 x 20000 pixels");
}
END_TEST

START_TEST(crop_and_pad) {
    mica_image s = noise(6, 5, 3, 2), d, e;
    ck_assert_int_eq(mica_image_pad(&s, 1, 2, 3, 4, 114, &d, &err), MICA_OK);
    ck_assert(d.width == 13 && d.height == 8);
    ck_assert_int_eq(d.data[0], 114);
    ck_assert_int_eq(d.data[13 * 8 * 3 - 1], 114);
    ck_assert_int_eq(mica_image_crop(&d, 3, 1, 6, 5, &e, &err), MICA_OK);
    ck_assert_mem_eq(e.data, s.data, 6 * 5 * 3);
    mica_image_free(&d);
    mica_image_free(&e);
    ck_assert_int_eq(mica_image_crop(&s, 3, 1, 4, 4, &e, &err), MICA_FAIL);
    ck_assert_str_eq(err.text, "cannot crop 4 x 4 pixels at (3, 1) from 6 x 5");
    ck_assert_int_eq(mica_image_crop(&s, -1, 1, 2, 2, &e, &err), MICA_FAIL);
    ck_assert_int_eq(mica_image_crop(&s, 0, 0, INT32_MAX, 1, &e, &err), MICA_FAIL);
    ck_assert_int_eq(mica_image_pad(&s, -1, 0, 0, 0, 0, &d, &err), MICA_FAIL);
    ck_assert_int_eq(mica_image_pad(&s, INT32_MAX, INT32_MAX, 0, 0, 0, &d, &err), MICA_FAIL);
    mica_image_free(&s);
}
END_TEST

int main(void) {
    scratch_make();
    Suite *suite = suite_create("utils_image");
    TCase *tests = tcase_create("image");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, jpeg_kinds);
    tcase_add_test(tests, png_kinds);
    tcase_add_test(tests, every_prefix_is_refused);
    tcase_add_test(tests, flipped_bytes_do_no_harm);
    tcase_add_test(tests, hostile_sizes);
    tcase_add_test(tests, resize_rule);
    tcase_add_test(tests, resize_known_values);
    tcase_add_test(tests, crop_and_pad);
    suite_add_tcase(suite, tests);
    const int status = check_run(suite);
    scratch_remove();
    return status;
}
