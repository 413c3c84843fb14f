/* Building of the FlatBuffer behind a C interface. */
#ifndef MICA_BACKENDS_BUNDLE_FB_H
#define MICA_BACKENDS_BUNDLE_FB_H

#ifdef __cplusplus
extern "C" {
#endif

#include "runtime/mrt_bundle_index.h"

/* *out_data is to be freed with free(). MRT_INVALID: over the limits of the format; MRT_NO_MEMORY.
 * Never throws. */
mrt_status mica_bundle_fb_build(const mrt_bundle_index *index, uint8_t **out_data,
                                size_t *out_bytes, mrt_error *err);

#ifdef __cplusplus
}
#endif

#endif
