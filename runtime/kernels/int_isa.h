/* Inner loops of the integer kernels, one table row per instruction set.
 *
 * Every row computes the same integers for every input; tests compare each with "scalar". A row is
 * chosen at each call: the best one that the processor has, or the one that the environment
 * variable MICA_ISA names (scalar, avx2, avx512, vnni), when the processor has it.
 *
 * The matrix product works on panels of MRT_INT_COLUMNS columns. Depth is cut into quads: four
 * consecutive k, zero-filled at the end. A panel quad is one of
 *   MRT_PANEL_I16  int16 [2][MRT_INT_COLUMNS][2]  pairs of k next to each other, value b - sub
 *   MRT_PANEL_U8   uint8 [MRT_INT_COLUMNS][4]     value b + 128 for signed b, else b
 * and a row of the left operand is int16 [quads * 4] or int8 [quads * 4] to match. */
#ifndef MRT_INT_ISA_H
#define MRT_INT_ISA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MRT_INT_COLUMNS 32
/* Rows of the left operand per task: a multiple of every `rows` below. */
#define MRT_INT_ROWS 120
/* Most rows of one tile call. */
#define MRT_INT_TILE_ROWS 8
/* Depth of one panel in quads: int32 sums of 8192 * 255 * 255 are exact. */
#define MRT_INT_QUADS 2048

enum { MRT_PANEL_I16 = 0, MRT_PANEL_U8 = 1 };

/* End of a row with one multiplier: y = clamp(zero_point + requant(acc + base)), rule
 * requant-multiplier-shift. acc + base fits int32 by the caller's proof. */
typedef struct mrt_int_requant {
    int32_t base, multiplier, shift, zero_point, low, high;
} mrt_int_requant;

/* Depthwise row: acc[i] = sum over taps of weight[t] * x[offset[t] + i]. An odd number of taps is
 * filled up by one of weight 0 at a legal offset. */
typedef struct mrt_int_depthwise {
    const uint8_t *x; /* readable 64 bytes past the last element */
    bool is_signed;
    int taps; /* even */
    const int64_t *offset;
    const int16_t *weight; /* pairs, 4-byte aligned */
} mrt_int_depthwise;

/* Features that a row needs; checked with the processor and the operating system. */
enum { MRT_CPU_AVX2 = 1, MRT_CPU_AVX512 = 2, MRT_CPU_VNNI = 4 };

typedef struct mrt_int_isa {
    const char *name;
    uint32_t features;
    int layout; /* MRT_PANEL_* */
    int rows;   /* rows per tile call, divides MRT_INT_ROWS */
    /* One quad of a panel from four byte rows of MRT_INT_COLUMNS each. `sub` is used by
     * MRT_PANEL_I16 only. */
    void (*pack)(void *panel, const uint8_t *const row[4], bool is_signed, int32_t sub);
    /* c[rows][MRT_INT_COLUMNS] = a * panel; rows in 1..isa->rows; a_stride in bytes. */
    void (*tile)(const void *a, size_t a_stride, int rows, const void *panel, int64_t quads,
                 int32_t *c);
    void (*requant)(const mrt_int_requant *r, const int32_t *acc, uint8_t *y, int64_t count);
    /* Writes count rounded up to 16 sums. */
    void (*depthwise)(const mrt_int_depthwise *d, int32_t *acc, int64_t count);
} mrt_int_isa;

/* Row of this call; never NULL. */
const mrt_int_isa *mrt_int_isa_select(void);
/* Row i of the table, best first, NULL past the end; whether the processor has it. */
const mrt_int_isa *mrt_int_isa_at(int i);
bool mrt_int_isa_available(const mrt_int_isa *isa);

/* Portable loops: the reference of every row, and the tail of the vector rows. */
void mrt_int_scalar_pack(void *panel, const uint8_t *const row[4], bool is_signed, int32_t sub);
void mrt_int_scalar_tile(const void *a, size_t a_stride, int rows, const void *panel,
                         int64_t quads, int32_t *c);
void mrt_int_scalar_requant(const mrt_int_requant *r, const int32_t *acc, uint8_t *y,
                            int64_t count);
void mrt_int_scalar_depthwise(const mrt_int_depthwise *d, int32_t *acc, int64_t count);

#if defined(__x86_64__) && defined(__GNUC__)
#define MRT_INT_X86 1
extern const mrt_int_isa mrt_int_isa_avx2;
extern const mrt_int_isa mrt_int_isa_avx512;
extern const mrt_int_isa mrt_int_isa_vnni;
#endif

#endif
