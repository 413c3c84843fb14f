/* softmax_int (rule softmax-int): softmax of bytes along the last axis by a table of exponentials.
 *
 * Sums are exact and products stay below 2^53, so neither the order nor the vector width matters. */
#include "runtime/kernels/int_softmax.h"
#include "runtime/kernels/int_util.h"
#include "runtime/kernels/kernels.h"
#include "runtime/mrt_clones.h"
#include "runtime/mrt_params.h"

enum { TILE = 4096 }; /* elements */

typedef struct softmax_job {
    mrt_softmax_rows rows;
    const uint8_t *x;
    uint8_t *y;
    int64_t count, per_tile; /* rows */
    mrt_softmax_rows_fn *run;
} softmax_job;

static mrt_status check_table(const mrt_tensor *table, mrt_error *err) {
    MRT_TRY(mrt_check_dtype(table, "table", MRT_I32, err));
    MRT_TRY(mrt_check_shape1(table, "table", 32, err));
    const int32_t *values = table->data;
    const int32_t one = 1 << MRT_SOFTMAX_BITS;
    if (values == NULL || values[0] != one || values[16] != one) {
        return mrt_fail(err, MRT_INVALID, "operand 'table': expected a constant, elements 0 and 16 %d",
                        one);
    }
    for (int i = 0; i < 32; ++i) {
        if (values[i] < 0 || values[i] > one) {
            return mrt_fail(err, MRT_INVALID, "operand 'table': expected 0 to %d, got %d at %d", one,
                            values[i], i);
        }
    }
    return MRT_OK;
}

mrt_status mrt_softmax_int_check(const mrt_call *call, size_t *out_scratch, mrt_error *err) {
    const mrt_softmax_int_params *p = call->params;
    const mrt_tensor *x = mrt_in(call, 0);
    const mrt_tensor *y = mrt_out(call, 0);
    MRT_TRY(mrt_check_dtype2(x, "x", MRT_I8, MRT_U8, err));
    MRT_TRY(mrt_check_rank(x, "x", 1, MRT_MAX_RANK, err));
    MRT_TRY(mrt_check_dtype2(y, "y", MRT_I8, MRT_U8, err));
    MRT_TRY(mrt_check_same_shape(y, "y", x, "x", err));
    MRT_TRY(check_table(mrt_in(call, 1), err));
    MRT_TRY(mrt_check_param(p->multiplier, "multiplier", 0, INT32_MAX, err));
    MRT_TRY(mrt_check_param(p->shift, "shift", MRT_SOFTMAX_BITS + 1, MRT_MAX_SHIFT, err));
    *out_scratch = 0;
    return mrt_int_check_zero_point(p->zero_point_out, "zero_point_out", y, err);
}

MRT_CLONES static uint8_t largest(const uint8_t *x, int64_t n, uint8_t flip) {
    uint8_t m = 0;
    for (int64_t i = 0; i < n; ++i) {
        const uint8_t v = x[i] ^ flip;
        m = v > m ? v : m;
    }
    return m;
}

/* e[i] = table[largest - x[i]] for at most MRT_SOFTMAX_CHUNK elements; returns their sum. */
MRT_CLONES static uint32_t look_up(const uint32_t *restrict table, const uint8_t *restrict x,
                                   int64_t n, uint8_t flip, int32_t m, uint32_t *restrict e) {
    uint32_t sum = 0;
    for (int64_t i = 0; i < n; ++i) {
        e[i] = table[m - (x[i] ^ flip)];
        sum += e[i];
    }
    return sum;
}

/* The shift leaves at most 2^30. */
MRT_CLONES static void finish(const mrt_softmax_rows *s, const uint32_t *restrict e,
                              uint32_t factor, int64_t n, uint8_t *restrict y) {
    const int32_t shift = s->shift, zero_point = s->zero_point, high = s->high;
    const uint64_t half = (uint64_t)1 << (shift - 1);
    for (int64_t i = 0; i < n; ++i) {
        const int32_t v = (int32_t)(((uint64_t)e[i] * factor + half) >> shift) + zero_point;
        y[i] = (uint8_t)(v < high ? v : high);
    }
}

static void run_row(const mrt_softmax_rows *s, const uint8_t *x, uint8_t *y) {
    uint32_t e[MRT_SOFTMAX_CHUNK];
    const int32_t m = largest(x, s->size, s->flip);
    uint64_t sum = 0;
    for (int64_t i = 0; i < s->size; i += MRT_SOFTMAX_CHUNK) {
        const int64_t n = mrt_min64(MRT_SOFTMAX_CHUNK, s->size - i);
        sum += look_up(s->every, x + i, n, s->flip, m, e);
    }
    const uint32_t factor = mrt_softmax_factor(s, sum);
    for (int64_t i = 0; i < s->size; i += MRT_SOFTMAX_CHUNK) {
        const int64_t n = mrt_min64(MRT_SOFTMAX_CHUNK, s->size - i);
        if (s->size > MRT_SOFTMAX_CHUNK) {
            look_up(s->every, x + i, n, s->flip, m, e);
        }
        finish(s, e, factor, n, y + i);
    }
}

void mrt_softmax_rows_plain(const mrt_softmax_rows *s, const uint8_t *x, uint8_t *y, int64_t rows) {
    for (int64_t r = 0; r < rows; ++r) {
        run_row(s, x + r * s->size, y + r * s->size);
    }
}

static void row_tile(void *context, int64_t tile) {
    const softmax_job *j = context;
    const int64_t end = mrt_min64(j->count, (tile + 1) * j->per_tile);
    const int64_t first = tile * j->per_tile;
    j->run(&j->rows, j->x + first * j->rows.size, j->y + first * j->rows.size, end - first);
}

MRT_CLONES static void fill_every(const uint32_t *table, uint32_t *every) {
    for (int i = 0; i < 256; ++i) {
        const uint64_t product = (uint64_t)table[i % 16] * table[16 + i / 16];
        every[i] = (uint32_t)((product + (1 << (MRT_SOFTMAX_BITS - 1))) >> MRT_SOFTMAX_BITS);
    }
}

void mrt_softmax_int_run(const mrt_call *call) {
    const mrt_softmax_int_params *p = call->params;
    const mrt_tensor *x = call->in[0], *y = call->out[0];
    int64_t low = 0, high = 0;
    uint32_t every[256];
    fill_every(call->in[1]->data, every);
    mrt_int_range(y->dtype, &low, &high);
    softmax_job j = {.x = x->data,
                     .y = y->data,
                     .count = mrt_shape_range(&x->shape, 0, x->shape.rank - 1),
                     .run = mrt_softmax_rows_plain,
                     .rows = {.table = call->in[1]->data,
                              .every = every,
                              .size = x->shape.dims[x->shape.rank - 1],
                              .flip = x->dtype == MRT_I8 ? 0x80 : 0,
                              .multiplier = (uint64_t)p->multiplier,
                              .shift = (int32_t)p->shift,
                              .zero_point = (int32_t)p->zero_point_out,
                              .high = (int32_t)high}};
#ifdef MRT_TILE_X86
    if ((mrt_tile_isa_select()->features & MRT_TILE_AVX512) != 0) {
        j.run = mrt_softmax_rows_avx512;
    }
#endif
    if (j.count * j.rows.size == 0) {
        return;
    }
    j.per_tile = mrt_max64(1, TILE / j.rows.size);
    mrt_parallel_for(call->pool, mrt_div_up(j.count, j.per_tile), row_tile, &j);
}
