/* Inner loops of the channels-last integer kernels, one table row per instruction set.
 *
 * Every row computes the same integers for every input; tests compare each with "scalar". A row is
 * chosen once per plan: the best one that the processor has, or the one that the environment variable
 * MICA_ISA names (scalar, avx2, avx512, avxvnni, vnni, amx, neon, dotprod, i8mm) when the processor
 * has it.
 *
 * Sums are C[row][column] = sum over k of A[row][k] * W[k][column], A in uint8, W in int8. The depth is
 * cut into runs of consecutive k; a run is filled up with zero weights to a multiple of 4 (a quad), and
 * to a multiple of `unit` quads.
 * Columns come in blocks of MRT_TILE_BLOCK. A packed block holds, run after run,
 *   MRT_TILE_U8    int8  [quads][MRT_TILE_BLOCK][4]      A is read as bytes
 *   MRT_TILE_I16   int16 [2 * quads][MRT_TILE_BLOCK][2]  A is read as int16 (values 0..255)
 * Blocks of a row with proofs have lists before the weights and masks behind, see tile_proof.h; its
 * runs are single quads.
 * A rows lie a_stride bytes apart; what is read behind a run, where it is filled up, meets zero
 * weights. */
#ifndef MRT_TILE_ISA_H
#define MRT_TILE_ISA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MRT_TILE_BLOCK 16
/* Quads of a list of a row with proofs: with four counts they fill two cache lines. */
#define MRT_TILE_PART 124
/* Most blocks and rows of one tile call, and most quads of a unit, of any row of the table. */
#define MRT_TILE_BLOCKS 2
#define MRT_TILE_ROWS 32
#define MRT_TILE_UNIT 16
/* A row with `small` leaves work of fewer rows to it. */
#define MRT_TILE_LEAST_ROWS 16
/* Channels that one depthwise call works on; packed weights are filled up to a multiple. */
#define MRT_DEPTHWISE_BLOCK 64
/* Bytes that may be read behind the last element of A or of a depthwise input. */
#define MRT_TILE_SLACK 64

enum { MRT_TILE_U8 = 0, MRT_TILE_I16 = 1 };

typedef struct mrt_tile {
    const void *a;
    size_t a_stride;     /* bytes between rows */
    const int64_t *run;  /* offset of each run from a row's start, in elements of A */
    int64_t runs, quads; /* quads per run */
    const void *w;       /* packed blocks */
    size_t w_stride;     /* bytes between blocks */
    int32_t *c;          /* [rows][MRT_TILE_BLOCKS * MRT_TILE_BLOCK] */
} mrt_tile;

/* End of a row: y = clamp(zero_point + requant(c + base)) per column, rule requant-multiplier-shift.
 * c + base wraps in 32 bits and fits by the caller's proof. Arrays are filled up to whole blocks. */
typedef struct mrt_tile_end {
    const int32_t *base, *multiplier, *shift;
    int32_t zero_point, low, high;
    bool narrow; /* of every column: shift >= 32, and results before the clamp fit int32 */
    /* Not NULL: y is float, f32(clamp((c + base) * scale)) in double, rules conv-real and matmul-real. */
    const double *scale;
    double real_low, real_high;
} mrt_tile_end;

/* What an activation (MRT_ACT_*) leaves of a sum times its scale, in double. */
typedef struct mrt_real_range {
    double low, high;
} mrt_real_range;
mrt_real_range mrt_real_range_of(int64_t act, double limit);
static inline float mrt_real_value(int64_t sum, double scale, double low, double high) {
    const double v = (double)sum * scale;
    const double above = v < low ? low : v;
    return (float)(above > high ? high : above);
}

/* y = clamp(zero_point + half_up(a * multiplier_a + b * multiplier_b, shift)) [add-int]; |a|, |b| <=
 * 65025, the product of two bytes. */
typedef struct mrt_tile_sum {
    int32_t multiplier_a, multiplier_b, shift, zero_point, low, high;
} mrt_tile_sum;

/* The same for bytes a and b without their zero points, in 32 bits: with multipliers cut into
 * high * 2^16 + low, floor((H * 2^16 + L) / 2^s) = floor((H + floor(L / 2^16)) / 2^(s - 16)). Zero
 * points and rounding are in add_high, add_low; |H|, |L| < 2^25, |add_high| <= 2^30. */
typedef struct mrt_tile_add {
    int16_t high_a, low_a, high_b, low_b;
    int32_t add_high, add_low, shift, low, high;
    uint8_t flip_a, flip_b; /* what makes stored bytes those values: 0x80 for int8 */
} mrt_tile_add;

/* Depthwise sums of MRT_DEPTHWISE_BLOCK channels: acc[c] = sum over t of w[t][c] * x[tap[t] + c].
 * Taps come in groups of 4, filled up with zero weights and a legal offset; packed weights are
 *   int16 [groups * 2][MRT_DEPTHWISE_BLOCK][2] (MRT_TILE_I16) or
 *   int8  [groups][MRT_DEPTHWISE_BLOCK][4]     (MRT_TILE_U8), four channels out of each 16 in turn:
 * that is where byte unpacking leaves them. */
typedef struct mrt_tile_depthwise {
    const uint8_t *x;   /* at the block's first channel */
    const int64_t *tap; /* byte offsets */
    int groups;
    const void *w;
} mrt_tile_depthwise;

/* Features that a row needs; checked with the processor and the operating system. */
enum { MRT_TILE_AVX2 = 1, MRT_TILE_AVX512 = 2, MRT_TILE_VNNI = 4, MRT_TILE_AMX = 8,
       MRT_TILE_NEON = 16, MRT_TILE_DOTPROD = 32, MRT_TILE_I8MM = 64, MRT_TILE_AVX_VNNI = 128 };

typedef struct mrt_tile_isa {
    const char *name;
    uint32_t features;
    int layout;      /* MRT_TILE_U8 or MRT_TILE_I16 */
    int unit;        /* quads */
    /* The row for what this one's unit does not suit: short runs, few rows, depthwise; or NULL. */
    const struct mrt_tile_isa *small;
    bool proves;     /* blocks as in tile_proof.h; layout MRT_TILE_U8 */
    const struct mrt_tile_isa *bytes; /* row with proofs, for constant weights, or NULL */
    int blocks;      /* blocks of a tile call, at most MRT_TILE_BLOCKS */
    int heights[8];  /* row counts that tile takes, falling, ends with 1 and 0 */
    /* Around calls of tile on one thread; NULL when there is nothing to do. */
    void (*enter)(void);
    void (*leave)(void);
    void (*tile)(const mrt_tile *t, int rows, int blocks);
    /* rows of c against `columns` columns; y rows lie y_stride bytes apart. */
    void (*finish)(const mrt_tile_end *e, const int32_t *c, size_t c_stride, int rows, uint8_t *y,
                   size_t y_stride, int columns);
    void (*depthwise)(const mrt_tile_depthwise *d, int32_t *acc);
    void (*sum)(const mrt_tile_sum *s, const int32_t *a, const int32_t *b, uint8_t *y,
                int64_t count);
    void (*add)(const mrt_tile_add *t, const uint8_t *a, const uint8_t *b, uint8_t *y,
                int64_t count);
    /* y[i] = table[x[i]], 256 entries; y may be x. */
    void (*lut)(const uint8_t *table, const uint8_t *x, uint8_t *y, int64_t count);
} mrt_tile_isa;

/* Row i of the table, best first, NULL past the end; whether this processor has it. */
const mrt_tile_isa *mrt_tile_isa_at(int i);
bool mrt_tile_isa_available(const mrt_tile_isa *isa);
/* The row that MICA_ISA names, else the best available one; never NULL. */
const mrt_tile_isa *mrt_tile_isa_select(void);
/* That row if it takes int16, else the best available one that does. */
const mrt_tile_isa *mrt_tile_isa_words(void);
/* One quad of a block of int16: row i of it holds MRT_TILE_BLOCK bytes of k = i, stored value - sub. */
void mrt_tile_pack_words(int16_t *out, const uint8_t *const row[4], bool is_signed, int32_t sub);

/* Reference of every row. */
void mrt_tile_scalar(const mrt_tile *t, int rows, int blocks);
void mrt_tile_scalar_finish(const mrt_tile_end *e, const int32_t *c, size_t c_stride, int rows,
                            uint8_t *y, size_t y_stride, int columns);
void mrt_tile_scalar_depthwise(const mrt_tile_depthwise *d, int32_t *acc);
void mrt_tile_scalar_sum(const mrt_tile_sum *s, const int32_t *a, const int32_t *b, uint8_t *y,
                         int64_t count);
/* Zero points are those of the flipped bytes; false when 32 bits do not do. Flips are left alone. */
bool mrt_tile_add_init(const mrt_tile_sum *s, int32_t zero_a, int32_t zero_b, mrt_tile_add *out);
void mrt_tile_scalar_add(const mrt_tile_add *t, const uint8_t *a, const uint8_t *b, uint8_t *y,
                         int64_t count);
void mrt_tile_scalar_lut(const uint8_t *table, const uint8_t *x, uint8_t *y, int64_t count);

void mrt_tile_finish_real(const mrt_tile_end *e, const int32_t *c, size_t c_stride, int rows,
                          uint8_t *y, size_t y_stride, int columns);
static inline void mrt_tile_finish(const mrt_tile_isa *isa, const mrt_tile_end *e, const int32_t *c,
                                   size_t c_stride, int rows, uint8_t *y, size_t y_stride,
                                   int columns) {
    (e->scale ? mrt_tile_finish_real : isa->finish)(e, c, c_stride, rows, y, y_stride, columns);
}

static inline void mrt_tile_enter(const mrt_tile_isa *isa) {
    if (isa->enter) {
        isa->enter();
    }
}
static inline void mrt_tile_leave(const mrt_tile_isa *isa) {
    if (isa->leave) {
        isa->leave();
    }
}

/* Quads of a run of `depth`; bytes of an element of A; of lists before the weights of a block of
 * `quads` quads (or depthwise groups), and of the whole block with `weights` bytes of them. */
static inline int64_t mrt_tile_quads(const mrt_tile_isa *isa, int64_t depth) {
    return (depth + 4 * isa->unit - 1) / (4 * isa->unit) * isa->unit;
}
static inline size_t mrt_tile_element(const mrt_tile_isa *isa) {
    return isa->layout == MRT_TILE_I16 ? 2 : 1;
}
static inline size_t mrt_tile_head(const mrt_tile_isa *isa, int64_t quads) {
    const size_t parts = ((size_t)quads + MRT_TILE_PART - 1) / MRT_TILE_PART;
    return isa->proves ? parts * (MRT_TILE_PART + 4) : 0;
}
static inline size_t mrt_tile_with_head(const mrt_tile_isa *isa, int64_t quads, size_t weights) {
    return mrt_tile_head(isa, quads) + (isa->proves ? 2 * weights : weights);
}
static inline size_t mrt_tile_block_bytes(const mrt_tile_isa *isa, int64_t runs, int64_t quads) {
    const size_t weights = (size_t)(runs * quads) * 4 * MRT_TILE_BLOCK * mrt_tile_element(isa);
    return mrt_tile_with_head(isa, runs * quads, weights);
}
/* Index in packed depthwise weights of tap t and channel c of one block; for MRT_TILE_U8. */
static inline size_t mrt_tile_depthwise_byte(int64_t t, int64_t c) {
    const int64_t place = c % 16 / 4 * 16 + c / 16 * 4 + c % 4;
    return (size_t)(t / 4 * 4 * MRT_DEPTHWISE_BLOCK + place * 4 + t % 4);
}
static inline size_t mrt_tile_depthwise_index(const mrt_tile_isa *isa, int64_t t, int64_t c) {
    if (isa->layout == MRT_TILE_I16) {
        return (size_t)(t / 2 * 2 * MRT_DEPTHWISE_BLOCK + c * 2 + t % 2);
    }
    return mrt_tile_depthwise_byte(t, c);
}

/* Cuts `rows` rows into tiles: row `row` is next, *height, at first isa->heights, becomes the height of
 * its tile, and the result is where that begins. Rows that do not fill a tile are done by a lower one that
 * begins earlier and overlaps the one before: the same values are computed twice. */
static inline int64_t mrt_tile_next(const mrt_tile_isa *isa, const int **height, int64_t rows,
                                    int64_t row) {
    const int *h = *height;
    const int64_t rest = rows - row, least = isa->small ? MRT_TILE_LEAST_ROWS : 1;
    while (h[1] > 0 && h[0] > rest && (row == 0 || (h[1] >= rest && h[1] >= least))) {
        ++h;
    }
    *height = h;
    return h[0] > rest ? rows - h[0] : row; /* >= 0: it is not above the tile before */
}

/* For tests on any machine; see tile_isa_emulated.c. */
extern const mrt_tile_isa mrt_tile_isa_scalar_u8;
extern const mrt_tile_isa mrt_tile_isa_amx_emulated;

#if defined(__x86_64__) && defined(__GNUC__)
#define MRT_TILE_X86 1
extern const mrt_tile_isa mrt_tile_isa_avx2;
extern const mrt_tile_isa mrt_tile_isa_avx512;
extern const mrt_tile_isa mrt_tile_isa_vnni;
extern const mrt_tile_isa mrt_tile_isa_avxvnni;
extern const mrt_tile_isa mrt_tile_isa_avxvnni_evex; /* for tests */
extern const mrt_tile_isa mrt_tile_isa_amx;
/* What `bytes` names in the rows without VNNI. */
extern const mrt_tile_isa mrt_tile_isa_avx2_bytes;
extern const mrt_tile_isa mrt_tile_isa_avx512_bytes;
/* Entries of these rows. */
void mrt_tile_avx2_add(const mrt_tile_add *t, const uint8_t *a, const uint8_t *b, uint8_t *y,
                       int64_t count);
void mrt_tile_avx512_add(const mrt_tile_add *t, const uint8_t *a, const uint8_t *b, uint8_t *y,
                         int64_t count);
void mrt_tile_avx2_lut(const uint8_t *table, const uint8_t *x, uint8_t *y, int64_t count);
void mrt_tile_avx512_lut(const uint8_t *table, const uint8_t *x, uint8_t *y, int64_t count);
#endif

#if defined(__aarch64__) && defined(__GNUC__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define MRT_TILE_ARM 1
extern const mrt_tile_isa mrt_tile_isa_neon;
#if !defined(__clang__) || __clang_major__ >= 16 /* older ones want flags for the whole file */
#define MRT_TILE_ARM_DOT 1
extern const mrt_tile_isa mrt_tile_isa_dotprod;
extern const mrt_tile_isa mrt_tile_isa_i8mm;
#endif
#endif

#endif
