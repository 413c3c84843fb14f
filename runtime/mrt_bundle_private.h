/* Inner parts of an open bundle, shared by mrt_bundle*.c. */
#ifndef MRT_BUNDLE_PRIVATE_H
#define MRT_BUNDLE_PRIVATE_H

#include "runtime/mrt_bundle_index.h"
#include "runtime/mrt_plan_private.h"

struct mrt_bundle {
    const uint8_t *data; /* the whole file */
    size_t bytes;
    bool mapped;
    void *copy; /* own memory behind data, or NULL */
    mrt_bump bump;
    mrt_bundle_index index;
    mrt_plan *plan;
    uint64_t unpacked; /* bytes of the file whose unpacked copies exist */
};

/* Header, hashes, sections, table of contents of bundle->data. */
mrt_status mrt_bundle_read_index(mrt_bundle *bundle, uint32_t flags, mrt_error *err);
/* The finalized plan, and the golden part against it. */
mrt_status mrt_bundle_build_plan(mrt_bundle *bundle, uint32_t flags, mrt_error *err);

#endif
