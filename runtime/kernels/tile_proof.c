/* Proofs of packed weights: see tile_proof.h. */
#include "runtime/kernels/tile_proof.h"

#include "runtime/mrt_clones.h"

#include <string.h>

enum { QUAD_BYTES = 4 * MRT_TILE_BLOCK, MOST_BYTE = 255 };

static const int8_t nothing[QUAD_BYTES];

MRT_INLINE int16_t above(int16_t a, int16_t b) { return a > b ? a : b; }
MRT_INLINE int16_t up(int8_t a) { return a > 0 ? a : 0; }
MRT_INLINE int16_t down(int8_t a) { return (int16_t)(a < 0 ? -a : 0); }

/* Largest sum of weights of one sign in the pairs of w and v; v may be zeros. */
MRT_CLONES
static int16_t largest_sum(const int8_t *restrict w, const int8_t *restrict v) {
    int16_t most = 0;
    for (int i = 0; i < QUAD_BYTES; i += 2) {
        const int16_t ups = (int16_t)(up(w[i]) + up(w[i + 1]) + up(v[i]) + up(v[i + 1]));
        const int16_t downs =
            (int16_t)(down(w[i]) + down(w[i + 1]) + down(v[i]) + down(v[i + 1]));
        most = above(most, above(ups, downs));
    }
    return most;
}

static bool exceeds(int32_t most, const int8_t *w) {
    return most * above((int16_t)(up(w[0]) + up(w[1])), (int16_t)(down(w[0]) + down(w[1]))) >
           INT16_MAX;
}

/* Turns a weight of a pair beyond the bound; what the pair needs. */
static uint8_t turn(int8_t *w, uint8_t *mask, int32_t *base) {
    const int i = w[1] == INT8_MIN ? 0 : 1;
    if (w[i] == INT8_MIN) {
        return MRT_NEED_WIDE;
    }
    *base += MOST_BYTE * w[i];
    w[i] = (int8_t)-w[i];
    mask[i] = UINT8_MAX;
    return MRT_NEED_TURNED;
}

static uint8_t turn_quad(int32_t most, int8_t *w, uint8_t *mask, int32_t *base) {
    uint8_t need = 0;
    for (int i = 0; i < QUAD_BYTES; i += 2) {
        if (exceeds(most, w + i)) {
            need |= turn(w + i, mask + i, base + i / 4);
        }
    }
    return need;
}

static void swap(uint8_t *a, uint8_t *b) {
    const uint8_t kept = *a;
    *a = *b;
    *b = kept;
}

/* Neighbours among the exact quads that may be added up go to the front, in pairs. */
static void join_quads(int32_t bound, const int8_t *w, mrt_tile_lists *lists) {
    uint8_t *quad = lists->quad;
    const int count = lists->exact;
    int joined = 0; /* quads; those from here to i stay alone */
    for (int i = 0; i + 1 < count; ++i) {
        if (largest_sum(w + quad[i] * QUAD_BYTES, w + quad[i + 1] * QUAD_BYTES) > bound) {
            continue;
        }
        if (i - joined == 1) { /* one alone, then the pair: it goes behind */
            swap(&quad[joined], &quad[i]);
            swap(&quad[i], &quad[i + 1]);
        } else {
            swap(&quad[joined], &quad[i]);
            swap(&quad[joined + 1], &quad[i + 1]);
        }
        joined += 2;
        ++i;
    }
    lists->joined = (uint8_t)(joined / 2);
    lists->exact = (uint8_t)(count - joined);
}

/* Quads that are still beyond the bound go to the end of the turned ones. */
static void part_wide(int32_t bound, const int8_t *w, mrt_tile_lists *lists) {
    uint8_t *quad = lists->quad + lists->exact;
    for (int i = 0; i < lists->turned;) {
        if (largest_sum(w + quad[i] * QUAD_BYTES, nothing) > bound) {
            swap(&quad[i], &quad[--lists->turned]);
            ++lists->wide;
        } else {
            ++i;
        }
    }
}

/* One part; returns the end of its masks. */
static uint8_t *prove_part(int32_t most, int8_t *w, int quads, uint8_t *masks,
                           mrt_tile_lists *lists, int32_t *base) {
    const int32_t bound = INT16_MAX / most;
    int8_t kept[MRT_TILE_PART * QUAD_BYTES];
    uint8_t mask[MRT_TILE_PART * QUAD_BYTES] = {0};
    uint8_t needs = 0;
    for (int q = 0; q < quads; ++q) {
        int8_t *at = w + q * QUAD_BYTES;
        if (largest_sum(at, nothing) <= bound) {
            lists->quad[lists->exact++] = (uint8_t)q;
        } else {
            needs |= turn_quad(most, at, mask + q * QUAD_BYTES, base);
            lists->quad[quads - ++lists->turned] = (uint8_t)q;
        }
    }
    const int first = lists->exact;
    if ((needs & MRT_NEED_WIDE) != 0) {
        part_wide(bound, w, lists);
    }
    join_quads(bound, w, lists);
    memcpy(kept, w, (size_t)quads * QUAD_BYTES);
    for (int i = 0; i < quads; ++i) {
        memcpy(w + i * QUAD_BYTES, kept + lists->quad[i] * QUAD_BYTES, QUAD_BYTES);
    }
    for (int i = first; i < quads; ++i, masks += QUAD_BYTES) {
        memcpy(masks, mask + lists->quad[i] * QUAD_BYTES, QUAD_BYTES);
    }
    return masks;
}

void mrt_tile_prove(int32_t most, int8_t *w, int64_t quads, uint8_t *masks, mrt_tile_lists *lists,
                    int32_t *base) {
    for (int64_t q = 0; q < quads; q += MRT_TILE_PART, ++lists) {
        const int64_t rest = quads - q;
        *lists = (mrt_tile_lists){0};
        masks = prove_part(most, w + q * QUAD_BYTES,
                           rest < MRT_TILE_PART ? (int)rest : MRT_TILE_PART, masks, lists, base);
    }
}

void mrt_tile_prove_depthwise(int32_t most, int8_t *w, int64_t groups, uint8_t *masks,
                              uint8_t *needs, int32_t *base) {
    for (int64_t g = 0; g < groups; ++g) {
        needs[g] = 0;
        for (int64_t c = 0; c < MRT_DEPTHWISE_BLOCK; ++c) {
            for (int64_t t = 4 * g; t < 4 * g + 4; t += 2) {
                const size_t at = mrt_tile_depthwise_byte(t, c);
                if (exceeds(most, w + at)) {
                    needs[g] |= turn(w + at, masks + at, base + c);
                }
            }
        }
    }
}
