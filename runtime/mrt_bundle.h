/* Bundles: compiled models in one file (.bmodel). docs/bundle_format.md describes the bytes.
 *
 * Opening maps the file read-only, checks every byte it uses and rebuilds the plan, so that a
 * bundle that opened can be executed; constants are read from the mapping itself. A bundle is
 * immutable and may be shared by threads. Never rewrite a file in place while it is open;
 * replace it. */
#ifndef MRT_BUNDLE_H
#define MRT_BUNDLE_H

#include "runtime/mrt_plan.h"

/* Newest format that this runtime reads; it reads all older ones. */
#define MRT_BUNDLE_FORMAT 3

/* Flags of open. */
enum {
    MRT_BUNDLE_TRUST_HASHES = 1, /* do not read the whole file to prove its hashes */
    MRT_BUNDLE_KEEP_ALL = 2,     /* plan with keep_all, to read every tensor after a run */
};

typedef struct mrt_bundle mrt_bundle;

/* XXH3-128. */
typedef struct mrt_bundle_hash {
    uint64_t low, high;
} mrt_bundle_hash;

typedef struct mrt_bundle_section {
    const char *name;
    uint64_t offset, bytes; /* in the file */
    mrt_bundle_hash hash;
} mrt_bundle_section;

/* An op of the model before lowering, and the precision it was given. */
typedef struct mrt_bundle_op {
    const char *name, *type, *mode;
} mrt_bundle_op;

typedef struct mrt_bundle_attribute {
    const char *key, *value;
} mrt_bundle_attribute;

/* What a bundle says about itself. All pointers live as long as the bundle; no string is NULL. */
typedef struct mrt_bundle_info {
    uint32_t format;
    const char *producer, *processor, *name;
    const mrt_bundle_section *sections;
    uint32_t n_sections;
    const mrt_bundle_op *ops;
    uint32_t n_ops;
    const mrt_bundle_attribute *attributes;
    uint32_t n_attributes;
    const char *const *preprocess; /* one text per input of the plan, "" when there is none */
    uint64_t file_bytes;
    uint64_t planned_arena_bytes; /* of the producer's plan */
    bool has_golden;
} mrt_bundle_info;

/* Opens a bundle. Errors: MRT_IO, MRT_CORRUPT, MRT_VERSION (newer format or unknown kernel),
 * MRT_INVALID (a plan that finalize refuses), MRT_NO_MEMORY. The caller closes *out_bundle. */
mrt_status mrt_bundle_open(const char *path, uint32_t flags, mrt_bundle **out_bundle,
                           mrt_error *err);
/* The same from memory, borrowed until close; copied when it is not 64-byte aligned. */
mrt_status mrt_bundle_open_memory(const void *data, size_t bytes, uint32_t flags,
                                  mrt_bundle **out_bundle, mrt_error *err);
/* NULL is allowed. Executors of the bundle's plan must be destroyed before. */
void mrt_bundle_close(mrt_bundle *bundle);

/* The finalized plan: tensors, steps, inputs, outputs. Borrowed. */
const mrt_plan *mrt_bundle_plan(const mrt_bundle *bundle);
const mrt_bundle_info *mrt_bundle_get_info(const mrt_bundle *bundle);
/* Value of an attribute, or NULL. */
const char *mrt_bundle_find_attribute(const mrt_bundle *bundle, const char *key);

/* Bytes of the golden input for plan->inputs[input] (as many as the tensor has), or NULL. */
const void *mrt_bundle_golden_input(const mrt_bundle *bundle, int32_t input);

/* Outcome of mrt_bundle_verify. */
typedef struct mrt_bundle_report {
    bool equal;
    int32_t checked;          /* tensors whose bytes were hashed */
    int32_t different;        /* of these, how many differ */
    int32_t tensor;           /* the first that differs, in order of steps; -1 */
    int32_t step;             /* the step that wrote it; -1 */
    const char *name, *op;    /* their names, "" when equal */
    int64_t first, last;      /* the first difference is one of the elements [first, last) */
} mrt_bundle_report;

/* Runs the golden input and compares every step output with the hashes recorded by the producer.
 * MRT_OK: it ran, see the report. MRT_UNSUPPORTED: the bundle has no golden input. Also errors of
 * mrt_exec_create. `pool` may be NULL. */
mrt_status mrt_bundle_verify(const mrt_bundle *bundle, mrt_pool *pool,
                             mrt_bundle_report *out_report, mrt_error *err);

#endif
