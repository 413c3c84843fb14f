/* Writes a plan as a bundle (.bmodel); runtime/mrt_bundle.h reads it, docs/bundle_format.md
 * describes it. The same description gives the same bytes: there are no dates or paths in a bundle,
 * and nothing depends on the number of threads. */
#ifndef MICA_BACKENDS_BUNDLE_WRITER_H
#define MICA_BACKENDS_BUNDLE_WRITER_H

#include "runtime/mrt_bundle.h"
#include "utils/status.h"

/* Everything is borrowed and may be NULL or empty unless said otherwise. */
typedef struct mica_bundle_desc {
    const char *name;                       /* of the model */
    const char *processor;                  /* as in dialects/processors.def */
    const char *producer;                   /* tool and version */
    const mrt_plan *plan;                   /* required; finalized */
    const mrt_bundle_op *ops;               /* n_ops rows, no NULL strings */
    uint32_t n_ops;
    const mrt_bundle_attribute *attributes; /* n_attributes rows, no NULL strings */
    uint32_t n_attributes;
    const char *const *preprocess;          /* one per plan input, each may be NULL */
    const void *const *golden_inputs;       /* one per plan input, bytes as the tensor */
    mrt_pool *pool;                         /* for the golden run */
} mica_bundle_desc;

/* Writes the file; it appears under its name only when complete. With golden inputs the plan is run
 * once (in an executor of its own) to record the hashes of all results. Fails when the file cannot
 * be written, when memory is short, or when the table of contents would pass the limits of the
 * format: 2 GB, one million tensors, steps and ops together. */
MICA_MUST_CHECK mica_status mica_bundle_write(const mica_bundle_desc *desc, const char *path,
                                              mica_error *err);

#endif
