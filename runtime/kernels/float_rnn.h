/* What lstm_f32, gru_f32 and rnn_f32 share. Gates of all kernels: [gates * hidden] per batch row,
 * gate by gate as ONNX orders them.
 *
 * Order of operations per gate element: p = (x . w) + (wb + rb); q = h . r; then p + q, each step
 * rounded to float, dot products by float_order. Everything after that is said in each kernel. */
#ifndef MRT_FLOAT_RNN_H
#define MRT_FLOAT_RNN_H

#include "runtime/kernels/float_util.h"

typedef struct mrt_rnn_job {
    const mrt_call *call;
    const mrt_rnn_params *params;
    int64_t steps, batch, input, hidden, directions, gates;
    int direction;      /* the one that runs now */
    bool reverse;       /* it runs from the last element of each sequence to the first */
    int64_t step;       /* of the direction, 0 .. steps - 1 */
    const int32_t *lens; /* per batch row, NULL: all are `steps` */
    const float *w, *r;  /* of this direction */
    /* Scratch. */
    float *bias;      /* [gates * hidden], what is added to x . w */
    float *projected; /* [rows of x, gates * hidden] */
    float *gate;      /* [batch, gates * hidden] */
    float *h, *c;     /* [batch, hidden], states */
    float *extra;     /* [batch, hidden] */
} mrt_rnn_job;

/* Validates shapes and parameters; fills the sizes and says how much scratch is needed.
 * activations: per direction. */
mrt_status mrt_rnn_resolve(const mrt_call *call, int gates, int activations, mrt_rnn_job *j,
                           size_t *out_scratch, mrt_error *err);

/* Sets the pointers of direction `direction`: weights, scratch, bias = wb + rb (0 without b),
 * states from the initial ones or 0. */
void mrt_rnn_begin(mrt_rnn_job *j, int direction);
/* projected = x . w + bias for all rows. */
void mrt_rnn_project(mrt_rnn_job *j);
/* gate[:, first..last) = src . r, columns in elements; src is [batch, hidden]. */
void mrt_rnn_recur(mrt_rnn_job *j, const float *src, int64_t first, int64_t last);
/* Position t of batch row n in this step, or -1 when its sequence is over. */
int64_t mrt_rnn_position(const mrt_rnn_job *j, int64_t n);
/* Row of x (and of projected) for position t of batch row n. */
int64_t mrt_rnn_row(const mrt_rnn_job *j, int64_t t, int64_t n);
/* Writes h of batch row n into output y at position t; zeros at t = step when the sequence is
 * over (t = -1). */
void mrt_rnn_emit(const mrt_rnn_job *j, int64_t n, int64_t t);
/* Writes the final states into outputs 1 and 2; 0 for a sequence of length 0. */
void mrt_rnn_end(const mrt_rnn_job *j);

/* Operand b of this direction, [2, gates * hidden], or NULL. */
const float *mrt_rnn_b(const mrt_rnn_job *j);
/* x[i] = activation[index] of clip(x[i]), or of x[i] as it is. */
void mrt_rnn_activate(const mrt_rnn_job *j, int index, float *x, int64_t n);
void mrt_rnn_activate_plain(const mrt_rnn_job *j, int index, float *x, int64_t n);
/* y[i] += x[i] */
void mrt_rnn_add(const float *x, int64_t n, float *y);

#endif
