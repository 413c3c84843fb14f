#include "runtime/mrt_bundle_index.h"

#define XXH_INLINE_ALL /* a streaming state on the stack */
#include <xxhash.h>

#include <stddef.h>
#include <string.h>

_Static_assert(sizeof(mrt_bundle_header) == 64, "the header is 64 bytes");
_Static_assert(offsetof(mrt_bundle_header, hash) == 40, "the header has no gaps");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "bundles are used as they lie in memory");

static mrt_bundle_hash from_xxh(XXH128_hash_t hash) {
    return (mrt_bundle_hash){hash.low64, hash.high64};
}

mrt_bundle_hash mrt_bundle_hash_bytes(const void *data, size_t bytes) {
    return from_xxh(XXH3_128bits(data, bytes));
}

mrt_bundle_hash mrt_bundle_index_hash(const mrt_bundle_header *header, const void *index) {
    mrt_bundle_header cleared = *header;
    cleared.hash = (mrt_bundle_hash){0, 0};
    XXH3_state_t state;
    XXH3_INITSTATE(&state);
    XXH3_128bits_reset(&state);
    XXH3_128bits_update(&state, &cleared, sizeof cleared);
    XXH3_128bits_update(&state, index, header->index_bytes);
    return from_xxh(XXH3_128bits_digest(&state));
}

int64_t mrt_bundle_block(int64_t count) {
    const int64_t block = (count + MRT_GOLDEN_BLOCKS - 1) / MRT_GOLDEN_BLOCKS;
    return block > 0 ? block : 1;
}

void mrt_bundle_hash_tensor(const mrt_tensor *tensor, mrt_index_result *out) {
    const int64_t count = mrt_shape_count(&tensor->shape), block = mrt_bundle_block(count);
    const size_t size = mrt_dtype_bytes(tensor->dtype);
    const uint8_t *data = tensor->data;
    out->hash = mrt_bundle_hash_bytes(data, (size_t)count * size);
    out->n_blocks = 0;
    for (int64_t first = 0; first < count; first += block) {
        const int64_t n = count - first < block ? count - first : block;
        out->blocks[out->n_blocks++] =
            XXH3_64bits(data + (size_t)first * size, (size_t)n * size);
    }
}
