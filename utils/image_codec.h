/* The decoders behind mica_image_read. Internal to utils. Messages do not name the path. */
#ifndef MICA_UTILS_IMAGE_CODEC_H
#define MICA_UTILS_IMAGE_CODEC_H

#include "utils/image.h"

#include <stddef.h>
#include <stdint.h>

MICA_MUST_CHECK mica_status mica_jpeg_decode(const uint8_t *bytes, size_t size, mica_image *out,
                                             mica_error *err);
MICA_MUST_CHECK mica_status mica_png_decode(const uint8_t *bytes, size_t size, mica_image *out,
                                            mica_error *err);

/* Checks what a file header declares before pixels are allocated: at least 1 x 1, at most
 * MICA_IMAGE_MAX_PIXELS, and no more than `size` bytes of file can possibly hold. */
MICA_MUST_CHECK mica_status mica_image_check_size(uint64_t width, uint64_t height, size_t size,
                                                  mica_error *err);

#endif
