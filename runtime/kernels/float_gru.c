/* gru_f32: ONNX GRU; gates z, r, h.
 *
 * Per element, each operation rounded to float, a = p + q of float_rnn.h:
 *     z = F(a_z)   r = F(a_r)
 *     g = G(x.wh + (wbh + rbh) + (r*h).rh)            linear_before_reset = 0
 *     g = G((x.wh + wbh) + r * (h.rh + rbh))          linear_before_reset = 1
 *     h = (1 - z)*g + z*h */
#include "runtime/kernels/float_rnn.h"
#include "runtime/kernels/kernels.h"
#include "runtime/mrt_clones.h"

#include <assert.h>

mrt_status mrt_gru_f32_check(const mrt_call *call, size_t *out_scratch, mrt_error *err) {
    mrt_rnn_job j;
    return mrt_rnn_resolve(call, 3, 2, &j, out_scratch, err);
}

MRT_CLONES static void multiply(const float *a, const float *b, int64_t n, float *y) {
    for (int64_t i = 0; i < n; i++) {
        y[i] = a[i] * b[i];
    }
}
/* y[i] = x[i] + r[i] * (y[i] + b[i]) */
MRT_CLONES static void reset_after(const float *x, const float *r, const float *b, int64_t n,
                                   float *y) {
    for (int64_t i = 0; i < n; i++) {
        y[i] = x[i] + r[i] * (b ? y[i] + b[i] : y[i]);
    }
}
MRT_CLONES static void blend(const float *z, const float *g, int64_t n, float *h) {
    for (int64_t i = 0; i < n; i++) {
        h[i] = (1.0f - z[i]) * g[i] + z[i] * h[i];
    }
}

/* Gates z and r; what the reset gate leaves of h goes to `extra`. */
static void gates_row(void *context, int64_t n) {
    const mrt_rnn_job *j = context;
    const int64_t size = j->hidden;
    const int64_t t = mrt_rnn_position(j, n);
    float *z = j->gate + n * 3 * size;
    if (t < 0) {
        return;
    }
    mrt_rnn_add(j->projected + mrt_rnn_row(j, t, n) * 3 * size, 2 * size, z);
    mrt_rnn_activate(j, j->direction * 2, z, 2 * size);
    multiply(z + size, j->h + n * size, size, j->extra + n * size);
}

static void state_row(void *context, int64_t n) {
    const mrt_rnn_job *j = context;
    const int64_t size = j->hidden;
    const int64_t t = mrt_rnn_position(j, n);
    if (t >= 0) {
        const float *projected = j->projected + mrt_rnn_row(j, t, n) * 3 * size + 2 * size;
        float *z = j->gate + n * 3 * size;
        float *g = z + 2 * size;
        if (j->params->linear_before_reset) {
            const float *b = mrt_rnn_b(j);
            reset_after(projected, z + size, b ? b + 5 * size : NULL, size, g);
        } else {
            mrt_rnn_add(projected, size, g);
        }
        mrt_rnn_activate(j, j->direction * 2 + 1, g, size);
        blend(z, g, size, j->h + n * size);
    }
    mrt_rnn_emit(j, n, t);
}

void mrt_gru_f32_run(const mrt_call *call) {
    mrt_rnn_job j;
    size_t scratch;
    const mrt_status status = mrt_rnn_resolve(call, 3, 2, &j, &scratch, NULL);
    assert(status == MRT_OK);
    (void)status;
    const int64_t size = j.hidden;
    const bool after = j.params->linear_before_reset != 0;
    for (int d = 0; d < (int)j.directions; d++) {
        mrt_rnn_begin(&j, d);
        const float *b = mrt_rnn_b(&j);
        for (int64_t i = 2 * size; after && b && i < 3 * size; i++) {
            j.bias[i] = b[i]; /* the recurrent bias comes before the reset */
        }
        mrt_rnn_project(&j);
        for (j.step = 0; j.step < j.steps; j.step++) {
            mrt_rnn_recur(&j, j.h, 0, after ? 3 * size : 2 * size);
            mrt_parallel_for(call->pool, j.batch, gates_row, &j);
            if (!after) {
                mrt_rnn_recur(&j, j.extra, 2 * size, 3 * size);
            }
            mrt_parallel_for(call->pool, j.batch, state_row, &j);
        }
        mrt_rnn_end(&j);
    }
}
