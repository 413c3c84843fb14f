/* Image preprocessing as the attributes of top.Input describe it.
 *
 * Steps: decode; to the pixel format; resize to resize_dims (whole image, or keeping the aspect ratio
 * with letterbox or short-side scaling); centre crop to the network's height and width; then
 * y = (x - mean) * scale per channel in f32, in the channel format. */
#ifndef MICA_PREPROCESS_H
#define MICA_PREPROCESS_H

#include "ir/op.h"
#include "utils/image.h"
#include "utils/status.h"

typedef struct mica_preprocess {
    int channels, height, width;       /* of the network input */
    int resize_height, resize_width;
    bool is_nhwc, is_bgr, keep_aspect_ratio, short_side, pad_center;
    uint8_t pad_value;
    float mean[4], scale[4];
} mica_preprocess;

/* Reads the attributes of a top.Input op; fails when its shape is no image of batch 1. */
mica_status mica_preprocess_of(const mica_op *input, mica_preprocess *out, mica_error *err);
/* Text form "resize 256x256, crop 224x224, rgb, mean .., scale .." for reports and bundles. */
const char *mica_preprocess_text(const mica_preprocess *p, mica_arena *arena);
/* Decodes `path` and writes channels * height * width floats. */
mica_status mica_preprocess_image(const mica_preprocess *p, const char *path, float *out,
                                  mica_error *err);

#endif
