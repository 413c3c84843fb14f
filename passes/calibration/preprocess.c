#include "passes/calibration/preprocess.h"

#include <math.h>
#include <string.h>

#include "utils/arena.h"
#include "utils/strbuf.h"

enum { MAX_SIDE = 65535 }; /* pixels; the largest JPEG */

/* Values of a per-channel attribute: one for all channels, or one each. */
static mica_status channel_values(const mica_op *op, const char *name, int channels, float fallback,
                                  float out[4], mica_error *err) {
    size_t n = 0;
    const double *values = mica_op_f64s(op, name, &n);
    if (n > 1 && n < (size_t)channels) {
        return mica_fail(err, "input '%s': %s has %zu values for %d channels",
                         mica_loc_get_name(op->loc), name, n, channels);
    }
    for (int c = 0; c < channels; ++c) {
        out[c] = n == 0 ? fallback : (float)values[n == 1 ? 0 : c];
    }
    return MICA_OK;
}

mica_status mica_preprocess_of(const mica_op *input, mica_preprocess *out, mica_error *err) {
    const mica_type type = input->results[0].type;
    const char *name = mica_loc_get_name(input->loc);
    const bool is_nhwc = strcmp(mica_op_str(input, "channel_format"), "nhwc") == 0;
    if (type->rank != 4 || !mica_type_is_static(type) || type->dims[0] != 1) {
        return mica_fail(err, "input '%s' has type %s: an image needs 4 axes and batch 1", name,
                         mica_type_text(type));
    }
    const int64_t channels = type->dims[is_nhwc ? 3 : 1];
    if (channels != 1 && channels != 3) {
        return mica_fail(err, "input '%s' has %lld channels: an image gives 1 or 3 (channel format %s)",
                         name, (long long)channels, is_nhwc ? "nhwc" : "nchw");
    }
    const char *pixel = mica_op_str(input, "pixel_format");
    *out = (mica_preprocess){
        .channels = (int)channels,
        .height = (int)type->dims[is_nhwc ? 1 : 2],
        .width = (int)type->dims[is_nhwc ? 2 : 3],
        .is_nhwc = is_nhwc,
        .is_bgr = strcmp(pixel, "bgr") == 0,
        .keep_aspect_ratio = mica_op_bool(input, "keep_aspect_ratio"),
        .short_side = strcmp(mica_op_str(input, "keep_ratio_mode"), "short_side_scale") == 0,
        .pad_center = strcmp(mica_op_str(input, "pad_type"), "center") == 0,
        .pad_value = (uint8_t)mica_op_i64(input, "pad_value"),
    };
    if (strcmp(pixel, "gray") == 0 && channels != 1) {
        return mica_fail(err, "input '%s' has 3 channels, but its pixel format is gray", name);
    }
    const int64_t pad_value = mica_op_i64(input, "pad_value");
    if (pad_value < 0 || pad_value > 255) {
        return mica_fail(err, "input '%s': pad_value %lld is no pixel value (0 to 255)", name,
                         (long long)pad_value);
    }
    size_t n = 0;
    const int64_t *dims = mica_op_i64s(input, "resize_dims", &n);
    if (n != 0 && (n != 2 || dims[0] > MAX_SIDE || dims[1] > MAX_SIDE)) {
        return mica_fail(err, "input '%s': resize_dims are height and width, at most %d", name, MAX_SIDE);
    }
    out->resize_height = n == 2 ? (int)dims[0] : out->height;
    out->resize_width = n == 2 ? (int)dims[1] : out->width;
    if (out->resize_height < out->height || out->resize_width < out->width) {
        return mica_fail(err, "input '%s': resize_dims %dx%d are smaller than the network's %dx%d", name,
                         out->resize_height, out->resize_width, out->height, out->width);
    }
    MICA_TRY(channel_values(input, "mean", out->channels, 0.0f, out->mean, err));
    return channel_values(input, "scale", out->channels, 1.0f, out->scale, err);
}

const char *mica_preprocess_text(const mica_preprocess *p, mica_arena *arena) {
    mica_strbuf text = {0};
    mica_strbuf_printf(&text, "resize %dx%d", p->resize_height, p->resize_width);
    if (p->keep_aspect_ratio) {
        mica_strbuf_printf(&text, " %s", p->short_side ? "short side" : "letterbox");
    }
    mica_strbuf_printf(&text, ", crop %dx%d, %s, %s, mean", p->height, p->width,
                       p->channels == 1 ? "gray" : (p->is_bgr ? "bgr" : "rgb"),
                       p->is_nhwc ? "nhwc" : "nchw");
    for (int c = 0; c < p->channels; ++c) {
        mica_strbuf_printf(&text, " %.9g", (double)p->mean[c]);
    }
    mica_strbuf_append(&text, ", scale");
    for (int c = 0; c < p->channels; ++c) {
        mica_strbuf_printf(&text, " %.9g", (double)p->scale[c]);
    }
    const char *copy = mica_arena_strdup(arena, mica_strbuf_text(&text));
    mica_strbuf_free(&text);
    return copy;
}

/* Replaces *image by `made`. */
static void take(mica_image *image, mica_image *made) {
    mica_image_free(image);
    *image = *made;
    *made = (mica_image){0};
}

static mica_status resize_to(mica_image *image, int width, int height, mica_error *err) {
    if (image->width == width && image->height == height) {
        return MICA_OK;
    }
    mica_image made = {0};
    MICA_TRY(mica_image_resize_bilinear(image, width, height, &made, err));
    take(image, &made);
    return MICA_OK;
}

static mica_status centre_crop(mica_image *image, int width, int height, mica_error *err) {
    if (image->width == width && image->height == height) {
        return MICA_OK;
    }
    mica_image made = {0};
    MICA_TRY(mica_image_crop(image, (image->width - width) / 2, (image->height - height) / 2, width,
                             height, &made, err));
    take(image, &made);
    return MICA_OK;
}

/* Keeps the ratio: the whole picture inside a frame (letterbox), or the frame filled and the rest cut
 * off (short side). */
static mica_status resize_keeping_ratio(const mica_preprocess *p, mica_image *image,
                                        mica_error *err) {
    const double by_width = (double)p->resize_width / image->width;
    const double by_height = (double)p->resize_height / image->height;
    const double ratio = p->short_side ? fmax(by_width, by_height) : fmin(by_width, by_height);
    int width = (int)(image->width * ratio + 0.5);
    int height = (int)(image->height * ratio + 0.5);
    if (p->short_side) {
        width = width < p->resize_width ? p->resize_width : width;
        height = height < p->resize_height ? p->resize_height : height;
        MICA_TRY(resize_to(image, width, height, err));
        return centre_crop(image, p->resize_width, p->resize_height, err);
    }
    width = width < 1 ? 1 : (width > p->resize_width ? p->resize_width : width);
    height = height < 1 ? 1 : (height > p->resize_height ? p->resize_height : height);
    MICA_TRY(resize_to(image, width, height, err));
    const int left = p->pad_center ? (p->resize_width - width) / 2 : 0;
    const int top = p->pad_center ? (p->resize_height - height) / 2 : 0;
    mica_image made = {0};
    MICA_TRY(mica_image_pad(image, top, p->resize_height - height - top, left,
                            p->resize_width - width - left, p->pad_value, &made, err));
    take(image, &made);
    return MICA_OK;
}

/* Luma in 14-bit fixed point, as OpenCV converts RGB to gray. */
static int gray_of(const uint8_t *rgb) {
    return (rgb[0] * 4899 + rgb[1] * 9617 + rgb[2] * 1868 + 8192) >> 14;
}

static void normalize(const mica_preprocess *p, const mica_image *image, float *out) {
    const int64_t area = (int64_t)p->height * p->width;
    for (int64_t i = 0; i < area; ++i) {
        const uint8_t *pixel = image->data + i * image->channels;
        for (int c = 0; c < p->channels; ++c) {
            int v = pixel[0];
            if (image->channels == 3) {
                v = p->channels == 1 ? gray_of(pixel) : pixel[p->is_bgr ? 2 - c : c];
            }
            out[p->is_nhwc ? i * p->channels + c : c * area + i] = ((float)v - p->mean[c]) * p->scale[c];
        }
    }
}

mica_status mica_preprocess_image(const mica_preprocess *p, const char *path, float *out,
                                  mica_error *err) {
    mica_image image = {0};
    MICA_TRY(mica_image_read(path, &image, err));
    mica_status status = p->keep_aspect_ratio
                             ? resize_keeping_ratio(p, &image, err)
                             : resize_to(&image, p->resize_width, p->resize_height, err);
    if (status == MICA_OK) {
        status = centre_crop(&image, p->width, p->height, err);
    }
    if (status == MICA_OK) {
        normalize(p, &image, out);
    }
    mica_image_free(&image);
    return status;
}
