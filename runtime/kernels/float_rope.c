/* rope_f32: pairs (a, b) of the last axis turn by an angle: a * cos + (-b) * sin and b * cos + a * sin,
 * every operation rounded, in this order.
 *
 * A pair is two neighbours (flag 1) or elements k and k + n / 2 (flag 0). cos and sin broadcast over
 * all axes but the last, which has n elements, one for each result, or n / 2, one for each pair. */
#include "runtime/kernels/float_util.h"
#include "runtime/kernels/kernels.h"
#include "runtime/mrt_clones.h"
#include "runtime/mrt_math.h"

#define TILE_ROWS 64

typedef struct rope_job {
    const mrt_call *call;
    int64_t rows, pairs;
    bool neighbours, shared; /* one angle for both of a pair */
} rope_job;

mrt_status mrt_rope_f32_check(const mrt_call *call, size_t *out_scratch, mrt_error *err) {
    static const char *const names[] = {"x", "cos", "sin"};
    const mrt_axis_params *p = call->params;
    for (int i = 0; i < 3; i++) {
        MRT_TRY(mrt_check_dtype(mrt_in(call, i), names[i], MRT_F32, err));
    }
    MRT_TRY(mrt_check_dtype(mrt_out(call, 0), "y", MRT_F32, err));
    MRT_TRY(mrt_check_rank(mrt_in(call, 0), "x", 1, MRT_MAX_RANK, err));
    MRT_TRY(mrt_check_same_shape(mrt_out(call, 0), "y", mrt_in(call, 0), "x", err));
    MRT_TRY(mrt_check_param(p->flag, "flag", 0, 1, err));
    const mrt_shape *x = &mrt_in(call, 0)->shape;
    const mrt_shape *angle = &mrt_in(call, 1)->shape;
    MRT_TRY(mrt_check_same_shape(mrt_in(call, 2), "sin", mrt_in(call, 1), "cos", err));
    MRT_TRY(mrt_check_rank(mrt_in(call, 1), "cos", 1, x->rank, err));
    const int64_t n = x->dims[x->rank - 1];
    if (n % 2 != 0) {
        return mrt_fail(err, MRT_INVALID, "x has %lld elements in its last axis, expected an even number", (long long)n);
    }
    for (int i = 1; i <= angle->rank; i++) {
        const int64_t d = angle->dims[angle->rank - i];
        const int64_t of_x = x->dims[x->rank - i];
        if (d != of_x && d != (i == 1 ? n / 2 : 1)) {
            return mrt_fail(err, MRT_INVALID, "cos has %lld elements in axis %d, expected %lld", (long long)d,
                            angle->rank - i, (long long)of_x);
        }
    }
    *out_scratch = 0;
    return MRT_OK;
}

/* x and y advance by xs per pair, cos and sin by cs; 0: the first of each pair, 1: the second. */
static inline void turn(const float *x0, const float *x1, int64_t xs, const float *c0, const float *c1,
                        const float *s0, const float *s1, int64_t cs, int64_t n, float *y0, float *y1) {
    MRT_IVDEP for (int64_t k = 0; k < n; k++) {
        const float a = x0[k * xs];
        const float b = x1[k * xs];
        const float ac = a * c0[k * cs];
        const float bs = -b * s0[k * cs];
        const float bc = b * c1[k * cs];
        const float as = a * s1[k * cs];
        y0[k * xs] = ac + bs;
        y1[k * xs] = bc + as;
    }
}

MRT_CLONES static void turn_row(const rope_job *j, const float *x, const float *c, const float *s, float *y) {
    const int64_t n = j->pairs;
    if (!j->neighbours) {
        const int64_t second = j->shared ? 0 : n;
        turn(x, x + n, 1, c, c + second, s, s + second, 1, n, y, y + n);
    } else if (j->shared) {
        turn(x, x + 1, 2, c, c, s, s, 1, n, y, y + 1);
    } else {
        turn(x, x + 1, 2, c, c + 1, s, s + 1, 2, n, y, y + 1);
    }
}

/* Row of cos and sin that belongs to row `row` of x. */
static int64_t angle_row(const mrt_shape *x, const mrt_shape *angle, int64_t row) {
    int64_t at = 0;
    int64_t step = 1;
    for (int i = 2; i <= angle->rank; i++) {
        const int64_t of_x = x->dims[x->rank - i];
        if (angle->dims[angle->rank - i] != 1) {
            at += row % of_x * step;
            step *= of_x;
        }
        row /= of_x;
    }
    return at;
}

static void run_tile(void *context, int64_t tile) {
    const rope_job *j = context;
    const mrt_shape *x = &j->call->in[0]->shape;
    const mrt_shape *angle = &j->call->in[1]->shape;
    const int64_t end = mrt_min64(j->rows, (tile + 1) * TILE_ROWS);
    for (int64_t row = tile * TILE_ROWS; row < end; row++) {
        const int64_t at = angle_row(x, angle, row) * (j->shared ? j->pairs : 2 * j->pairs);
        turn_row(j, (const float *)j->call->in[0]->data + row * 2 * j->pairs,
                 (const float *)j->call->in[1]->data + at, (const float *)j->call->in[2]->data + at,
                 (float *)j->call->out[0]->data + row * 2 * j->pairs);
    }
}

void mrt_rope_f32_run(const mrt_call *call) {
    const mrt_axis_params *p = call->params;
    const mrt_shape *x = &call->in[0]->shape;
    const mrt_shape *angle = &call->in[1]->shape;
    const int64_t n = x->dims[x->rank - 1];
    rope_job j = {.call = call,
                  .rows = mrt_shape_range(x, 0, x->rank - 1),
                  .pairs = n / 2,
                  .neighbours = p->flag != 0,
                  .shared = angle->dims[angle->rank - 1] != n};
    if (n > 0) {
        mrt_parallel_for(call->pool, mrt_div_up(j.rows, TILE_ROWS), run_tile, &j);
    }
}
