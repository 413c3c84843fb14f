/* Rule float-dot: matrix product in a written order of operations.
 *
 * Sums run over k one product at a time, so vectors go along the columns: a tile of rows x lanes of
 * the result stays in registers while k advances. The depth is cut into slices, between which the
 * tile rests in c; that changes no bit. Tile sizes differ between instruction sets, results do
 * not, since no element of the result ever meets another. */
#include "runtime/kernels/float_gemm.h"

#include <string.h>

#define DEPTH 128      /* k slice: a panel of b stays in the first-level cache */
#define MAX_LANES 32   /* columns of the widest panel */
#define PACK_ROWS 12   /* fewer rows than this read b in place */

/* c[rows, lanes] (+)= a * panel over `depth` steps of k. */
typedef struct tile_args {
    const float *a;
    int64_t a_row, a_k;
    const float *panel;
    int64_t panel_k;
    float *c;
    int64_t ldc, depth;
    bool first; /* start from 0, not from c */
} tile_args;
typedef void tile_fn(const tile_args *t);

#define TILE(name, target, bytes, rows, vectors)                                                   \
    target static void name(const tile_args *t) {                                                  \
        typedef float vec __attribute__((vector_size(bytes)));                                     \
        vec acc[rows][vectors];                                                                    \
        const int lanes = bytes / (int)sizeof(float);                                              \
        for (int r = 0; r < rows; r++) {                                                           \
            for (int v = 0; v < vectors; v++) {                                                    \
                acc[r][v] = (vec){0};                                                              \
                if (!t->first) {                                                                   \
                    memcpy(&acc[r][v], t->c + r * t->ldc + v * lanes, sizeof(vec));                \
                }                                                                                  \
            }                                                                                      \
        }                                                                                          \
        const float *a = t->a;                                                                     \
        const float *panel = t->panel;                                                             \
        for (int64_t k = 0; k < t->depth; k++, a += t->a_k, panel += t->panel_k) {                 \
            vec b[vectors];                                                                        \
            memcpy(b, panel, sizeof b);                                                            \
            _Pragma("GCC unroll 8") for (int r = 0; r < rows; r++) {                               \
                const float s = a[r * t->a_row];                                                   \
                _Pragma("GCC unroll 8") for (int v = 0; v < vectors; v++) {                        \
                    acc[r][v] = acc[r][v] + s * b[v];                                              \
                }                                                                                  \
            }                                                                                      \
        }                                                                                          \
        for (int r = 0; r < rows; r++) {                                                           \
            memcpy(t->c + r * t->ldc, acc[r], sizeof acc[r]);                                      \
        }                                                                                          \
    }

/* One instruction set: a wide tile, a narrow one for the remaining rows, the panel width. */
typedef struct tile_set {
    tile_fn *wide, *single;
    int rows, lanes;
} tile_set;

TILE(tile_16, , 16, 4, 2)
TILE(single_16, , 16, 1, 2)
static const tile_set portable = {tile_16, single_16, 4, 8};

#if defined(__x86_64__)
TILE(tile_32, __attribute__((target("avx2"))), 32, 6, 2)
TILE(single_32, __attribute__((target("avx2"))), 32, 1, 2)
TILE(tile_64, __attribute__((target("avx512f"))), 64, 8, 2)
TILE(single_64, __attribute__((target("avx512f"))), 64, 1, 2)
static const tile_set avx2 = {tile_32, single_32, 6, 16};
static const tile_set avx512 = {tile_64, single_64, 8, 32};

static const tile_set *choose(int bytes) {
    if (bytes >= 64 && __builtin_cpu_supports("avx512f")) {
        return &avx512;
    }
    return bytes >= 32 && __builtin_cpu_supports("avx2") ? &avx2 : &portable;
}
#else
static const tile_set *choose(int bytes) {
    (void)bytes;
    return &portable;
}
#endif

/* Copies b[k0..k0+depth, n0..n0+cols] into rows of `lanes` floats, zeros behind the last column. */
static void pack_panel(const mrt_gemm *g, int64_t k0, int64_t depth, int64_t n0, int cols,
                       int lanes, float *panel) {
    if (!g->trans_b) {
        for (int64_t k = 0; k < depth; k++) {
            memcpy(panel + k * lanes, g->b + (k0 + k) * g->ldb + n0, (size_t)cols * sizeof(float));
            memset(panel + k * lanes + cols, 0, (size_t)(lanes - cols) * sizeof(float));
        }
        return;
    }
    memset(panel, 0, (size_t)(depth * lanes) * sizeof(float));
    for (int j = 0; j < cols; j++) {
        const float *row = g->b + (n0 + j) * g->ldb + k0;
        for (int64_t k = 0; k < depth; k++) {
            panel[k * lanes + j] = row[k];
        }
    }
}

/* All rows of one panel. A panel with fewer columns than lanes works on a tile of its own. */
static void panel_rows(const mrt_gemm *g, const tile_set *set, tile_args t, int64_t n0, int cols) {
    float edge[8 * MAX_LANES];
    const float *a = t.a;
    for (int64_t m = 0; m < g->m;) {
        const int rows = g->m - m >= set->rows ? set->rows : 1;
        float *c = g->c + m * g->ldc + n0;
        t.a = a + m * t.a_row;
        t.c = cols == set->lanes ? c : edge;
        t.ldc = cols == set->lanes ? g->ldc : set->lanes;
        for (int r = 0; t.c == edge && r < rows; r++) {
            memset(edge + r * set->lanes, 0, (size_t)set->lanes * sizeof(float));
            if (!t.first) {
                memcpy(edge + r * set->lanes, c + r * g->ldc, (size_t)cols * sizeof(float));
            }
        }
        (rows == 1 ? set->single : set->wide)(&t);
        for (int r = 0; t.c == edge && r < rows; r++) {
            memcpy(c + r * g->ldc, edge + r * set->lanes, (size_t)cols * sizeof(float));
        }
        m += rows;
    }
}

void mrt_gemm_written(const mrt_gemm *g) { mrt_gemm_written_width(g, 64); }

void mrt_gemm_written_width(const mrt_gemm *g, int bytes) {
    const tile_set *set = choose(bytes);
    _Alignas(64) float panel[DEPTH * MAX_LANES];
    for (int64_t m = 0; g->k <= 0 && m < g->m; m++) {
        memset(g->c + m * g->ldc, 0, (size_t)g->n * sizeof(float));
    }
    for (int64_t k0 = 0; k0 < g->k; k0 += DEPTH) {
        const int64_t depth = g->k - k0 < DEPTH ? g->k - k0 : DEPTH;
        for (int64_t n0 = 0; n0 < g->n; n0 += set->lanes) {
            const int cols = g->n - n0 < set->lanes ? (int)(g->n - n0) : set->lanes;
            tile_args t = {.a_row = g->trans_a ? 1 : g->lda,
                           .a_k = g->trans_a ? g->lda : 1,
                           .panel = panel,
                           .panel_k = set->lanes,
                           .depth = depth,
                           .first = k0 == 0};
            t.a = g->a + k0 * t.a_k;
            if (g->trans_b || cols < set->lanes || g->m >= PACK_ROWS) {
                pack_panel(g, k0, depth, n0, cols, set->lanes, panel);
            } else {
                t.panel = g->b + k0 * g->ldb + n0;
                t.panel_k = g->ldb;
            }
            panel_rows(g, set, t, n0, cols);
        }
    }
}
