/* rnn_f32: ONNX RNN, h = F(p + q) with p and q of float_rnn.h. */
#include "runtime/kernels/float_rnn.h"
#include "runtime/kernels/kernels.h"

#include <assert.h>
#include <string.h>

mrt_status mrt_rnn_f32_check(const mrt_call *call, size_t *out_scratch, mrt_error *err) {
    mrt_rnn_job j;
    return mrt_rnn_resolve(call, 1, 1, &j, out_scratch, err);
}

static void step_row(void *context, int64_t n) {
    const mrt_rnn_job *j = context;
    const int64_t size = j->hidden;
    const int64_t t = mrt_rnn_position(j, n);
    if (t >= 0) {
        float *gate = j->gate + n * size;
        mrt_rnn_add(j->projected + mrt_rnn_row(j, t, n) * size, size, gate);
        mrt_rnn_activate(j, j->direction, gate, size);
        memcpy(j->h + n * size, gate, (size_t)size * sizeof(float));
    }
    mrt_rnn_emit(j, n, t);
}

void mrt_rnn_f32_run(const mrt_call *call) {
    mrt_rnn_job j;
    size_t scratch;
    const mrt_status status = mrt_rnn_resolve(call, 1, 1, &j, &scratch, NULL);
    assert(status == MRT_OK);
    (void)status;
    for (int d = 0; d < (int)j.directions; d++) {
        mrt_rnn_begin(&j, d);
        mrt_rnn_project(&j);
        for (j.step = 0; j.step < j.steps; j.step++) {
            mrt_rnn_recur(&j, j.h, 0, j.hidden);
            mrt_parallel_for(call->pool, j.batch, step_row, &j);
        }
        mrt_rnn_end(&j);
    }
}
