/* 8-bit images: reading JPEG and PNG, resizing, cropping, padding. */
#ifndef MICA_UTILS_IMAGE_H
#define MICA_UTILS_IMAGE_H

#include "utils/status.h"

#include <stdbool.h>
#include <stdint.h>

/* Pixels [height, width, channels] without row padding. */
typedef struct mica_image {
    int width, height; /* pixels */
    int channels;      /* 3 = R, G, B; 1 = gray */
    uint8_t *data;     /* owned */
} mica_image;

/* Largest image that is decoded or made, in pixels (width times height). */
#define MICA_IMAGE_MAX_PIXELS 100000000

/* Reads a JPEG or PNG file, recognized by content. Gray stays 1 channel, everything else becomes 3
 * (alpha is dropped, palettes expanded, 16 bits reduced to the upper 8, CMYK mixed). Gamma, colour
 * profiles and Exif orientation are not applied. Damaged, truncated or oversized files are errors.
 * The caller frees *out with mica_image_free(). */
MICA_MUST_CHECK mica_status mica_image_read(const char *path, mica_image *out, mica_error *err);
/* Size that the header of a JPEG or PNG file declares, without decoding; false when it has none. */
bool mica_image_size(const char *path, int *out_width, int *out_height);
/* Frees the pixels and zeroes the struct; a zeroed struct is allowed. */
void mica_image_free(mica_image *image);

/* Resizes to w x h (both >= 1) into a new image *dst.
 *
 * Rule (integer, identical on every machine; half-pixel centres, no antialiasing). Along an axis of
 * n source and m target pixels let k = 1 / (m / n) in f64. Target i reads source position
 *     p = (float)((i + 0.5) * k - 0.5),  s = floor(p),  f = p - s in f32,
 *     w1 = round_half_even(f * 2048),  w0 = round_half_even((1 - f) * 2048).
 * Horizontally p < 0 gives s = 0, f = 0, and s >= n - 1 gives s = n - 1, f = 0; vertically only the
 * row numbers s and s + 1 are clamped to [0, n - 1]. Rows first: T = S[s] * w0 + S[s + 1] * w1;
 * then columns: (((T0 >> 4) * w0 >> 16) + ((T1 >> 4) * w1 >> 16) + 2) >> 2.
 * The result equals that of the 8-bit INTER_LINEAR of OpenCV 4 and 5 to the bit. */
MICA_MUST_CHECK mica_status mica_image_resize_bilinear(const mica_image *src, int w, int h,
                                                       mica_image *dst, mica_error *err);
/* Copies the w x h rectangle whose upper left corner is (x, y); it must lie inside src. */
MICA_MUST_CHECK mica_status mica_image_crop(const mica_image *src, int x, int y, int w, int h,
                                            mica_image *dst, mica_error *err);
/* Adds borders (pixels, >= 0) filled with `value` in every channel. */
MICA_MUST_CHECK mica_status mica_image_pad(const mica_image *src, int top, int bottom, int left,
                                           int right, uint8_t value, mica_image *dst,
                                           mica_error *err);

#endif
