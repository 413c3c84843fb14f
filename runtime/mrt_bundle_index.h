/* A bundle's table of contents as plain C structs, between the plan and the FlatBuffer: the writer
 * fills it and builds the buffer, the reader fills it from a buffer. Also the file's constants.
 * Not a public header. */
#ifndef MRT_BUNDLE_INDEX_H
#define MRT_BUNDLE_INDEX_H

#ifdef __cplusplus
extern "C" {
#endif

#include "runtime/mrt_bundle.h"

/* Fixed header of the file; all numbers little-endian. */
#define MRT_BUNDLE_MAGIC "\x8aMICA\r\n\x1a"
#define MRT_BUNDLE_PAGE 4096 /* alignment of sections */
typedef struct mrt_bundle_header {
    uint8_t magic[8];
    uint32_t format;
    uint32_t header_bytes; /* 64 */
    uint64_t file_bytes;
    uint64_t index_offset; /* the FlatBuffer, a multiple of 64, up to the end of the file */
    uint64_t index_bytes;
    mrt_bundle_hash hash;  /* XXH3-128 of this header with zeros here, then of the FlatBuffer */
    uint64_t reserved;     /* 0 */
} mrt_bundle_header;

typedef struct mrt_index_tensor {
    const char *name;
    uint8_t dtype, kind, bits;
    int32_t alias_of;
    mrt_shape shape;
    double scale;
    int32_t zero_point;
    int32_t section; /* of constants with bytes, else -1 */
    uint64_t offset, bytes; /* as stored: of packed constants half as many as elements */
} mrt_index_tensor;

typedef struct mrt_index_step {
    uint16_t kernel;
    const uint64_t *params;
    uint32_t n_params;
    const int32_t *in, *out;
    uint32_t n_in, n_out;
    const char *op;
} mrt_index_step;

#define MRT_GOLDEN_BLOCKS 64
typedef struct mrt_index_result {
    int32_t tensor;
    mrt_bundle_hash hash;
    uint64_t blocks[MRT_GOLDEN_BLOCKS];
    uint32_t n_blocks;
} mrt_index_result;

typedef struct mrt_bundle_index {
    mrt_bundle_info info;
    const mrt_index_tensor *tensors;
    uint32_t n_tensors;
    const mrt_index_step *steps;
    uint32_t n_steps;
    const int32_t *inputs, *outputs;
    uint32_t n_inputs, n_outputs, n_preprocess;
    const mrt_live_symbol *symbols;
    const mrt_live_term *terms;
    uint32_t n_symbols, n_terms;
    int32_t golden_section;
    const uint64_t *golden_offsets; /* n_golden, one per input */
    uint32_t n_golden;
    const mrt_index_result *results;
    uint32_t n_results;
} mrt_bundle_index;

/* Limit on tables in the FlatBuffer: tensors, steps, results, ops and so on together. */
#define MRT_BUNDLE_MAX_TABLES 1000000

/* Memory for the reader; returns zeroed bytes or NULL. */
typedef void *mrt_index_alloc_fn(void *owner, size_t count, size_t size);

/* Verifies the FlatBuffer (16-byte aligned) and copies it out. Strings and tensor ids point into
 * `data`. MRT_CORRUPT or MRT_NO_MEMORY. (mrt_bundle_fb.cpp) */
mrt_status mrt_bundle_fb_read(const uint8_t *data, size_t bytes, mrt_index_alloc_fn *alloc,
                              void *owner, mrt_bundle_index *out, mrt_error *err);

/* Hash of the header (as if its hash were zero) and the FlatBuffer. */
mrt_bundle_hash mrt_bundle_index_hash(const mrt_bundle_header *header, const void *index);
mrt_bundle_hash mrt_bundle_hash_bytes(const void *data, size_t bytes);
/* Hashes of a tensor's bytes, whole and by blocks. */
void mrt_bundle_hash_tensor(const mrt_tensor *tensor, mrt_index_result *out);
/* Elements per block of a tensor with `count` elements, at least 1. */
int64_t mrt_bundle_block(int64_t count);

#ifdef __cplusplus
}
#endif

#endif
