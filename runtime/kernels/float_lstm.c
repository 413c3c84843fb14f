/* lstm_f32: ONNX LSTM; gates i, o, f, c.
 *
 * Per element, each operation rounded to float, a = p + q of float_rnn.h:
 *     i = F(a_i + P_i*C)   f = F(a_f + P_f*C), or 1 - i when coupled   g = G(a_c)
 *     C = f*C + i*g        o = F(a_o + P_o*C)                            h = o * H(C)
 * Clipping applies to what goes into F and G, not H, as onnxruntime does. */
#include "runtime/kernels/float_rnn.h"
#include "runtime/kernels/kernels.h"
#include "runtime/mrt_clones.h"

#include <assert.h>
#include <string.h>

mrt_status mrt_lstm_f32_check(const mrt_call *call, size_t *out_scratch, mrt_error *err) {
    mrt_rnn_job j;
    return mrt_rnn_resolve(call, 4, 3, &j, out_scratch, err);
}

/* y[i] += a[i] * b[i] */
MRT_CLONES static void add_product(const float *a, const float *b, int64_t n, float *y) {
    for (int64_t i = 0; i < n; i++) {
        y[i] = y[i] + a[i] * b[i];
    }
}
/* c[i] = f[i]*c[i] + in[i]*g[i] */
MRT_CLONES static void update_cell(const float *in, const float *f, const float *g, int64_t n,
                                   float *c) {
    for (int64_t i = 0; i < n; i++) {
        c[i] = f[i] * c[i] + in[i] * g[i];
    }
}
MRT_CLONES static void complement(const float *x, int64_t n, float *y) {
    for (int64_t i = 0; i < n; i++) {
        y[i] = 1.0f - x[i];
    }
}
MRT_CLONES static void multiply(const float *a, const float *b, int64_t n, float *y) {
    for (int64_t i = 0; i < n; i++) {
        y[i] = a[i] * b[i];
    }
}

static void step_row(void *context, int64_t n) {
    const mrt_rnn_job *j = context;
    const int64_t size = j->hidden;
    const int64_t t = mrt_rnn_position(j, n);
    if (t >= 0) {
        const int first = j->direction * 3; /* activations F, G, H */
        const mrt_tensor *peephole = mrt_in(j->call, 7);
        const float *p =
            peephole ? (const float *)peephole->data + j->direction * 3 * size : NULL;
        float *in = j->gate + n * 4 * size;
        float *o = in + size, *f = o + size, *g = f + size;
        float *c = j->c + n * size;
        float *cell = j->extra + n * size;
        mrt_rnn_add(j->projected + mrt_rnn_row(j, t, n) * 4 * size, 4 * size, in);
        if (p) {
            add_product(p, c, size, in);
            add_product(p + 2 * size, c, size, f);
        }
        mrt_rnn_activate(j, first, in, size);
        if (j->params->input_forget) {
            complement(in, size, f);
        } else {
            mrt_rnn_activate(j, first, f, size);
        }
        mrt_rnn_activate(j, first + 1, g, size);
        update_cell(in, f, g, size, c);
        if (p) {
            add_product(p + size, c, size, o);
        }
        mrt_rnn_activate(j, first, o, size);
        memcpy(cell, c, (size_t)size * sizeof(float));
        mrt_rnn_activate_plain(j, first + 2, cell, size);
        multiply(o, cell, size, j->h + n * size);
    }
    mrt_rnn_emit(j, n, t);
}

void mrt_lstm_f32_run(const mrt_call *call) {
    mrt_rnn_job j;
    size_t scratch;
    const mrt_status status = mrt_rnn_resolve(call, 4, 3, &j, &scratch, NULL);
    assert(status == MRT_OK);
    (void)status;
    for (int d = 0; d < (int)j.directions; d++) {
        mrt_rnn_begin(&j, d);
        mrt_rnn_project(&j);
        for (j.step = 0; j.step < j.steps; j.step++) {
            mrt_rnn_recur(&j, j.h, 0, 4 * j.hidden);
            mrt_parallel_for(call->pool, j.batch, step_row, &j);
        }
        mrt_rnn_end(&j);
    }
}
