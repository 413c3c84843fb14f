/* Oracles of matmul, softmax, norms and recurrent steps by definition, in double, one output
 * element at a time. */
#ifndef REF_FLOAT_NN_H
#define REF_FLOAT_NN_H

#include <stdbool.h>
#include <stdint.h>

/* y[b0, b1, m, n] = alpha * sum a * b + beta * bias. Sizes of a and b batch axes may be 1. bias has
 * shape [bias[0], .., bias[3]], each 1 or the size of y; NULL data for none. written: the dot
 * product rounded to float product by product, then alpha and bias, or NULL. */
typedef struct ref_matmul {
    int64_t batch[2], a_batch[2], b_batch[2], m, n, k, bias_dims[4];
    bool trans_a, trans_b;
    double alpha, beta;
} ref_matmul;
void ref_matmul_run(const ref_matmul *g, const float *a, const float *b, const float *bias,
                    double *y, float *y_written);

/* x[outer, size, inner] */
void ref_softmax_run(int64_t outer, int64_t size, int64_t inner, bool log, const float *x,
                     double *y);

/* x[rows, size]: y = (x - mean) / sqrt(var + eps) * scale + bias; scale, bias, out pointers may be
 * NULL. rms: mean taken as 0. */
void ref_layer_norm_run(int64_t rows, int64_t size, double epsilon, bool rms, const float *x,
                        const float *scale, const float *bias, double *y, double *mean,
                        double *inv);

/* x[n, c, inner] with statistics per (n, group). */
void ref_group_norm_run(int64_t n, int64_t c, int64_t inner, int64_t groups, double epsilon,
                        const float *x, const float *scale, const float *bias, double *y);

void ref_lrn_run(int64_t n, int64_t c, int64_t inner, int64_t size, double alpha, double beta,
                 double bias, const float *x, double *y);

/* Recurrent kernels, ONNX operators LSTM, GRU, RNN with the default activations. Layout 0 shapes:
 * x[T,N,I] w[D,G*H,I] r[D,G*H,H] b[D,2*G*H] lens[N] h0,c0[D,N,H] p[D,3H], y[T,D,N,H] yh,yc[D,N,H].
 * Optional operands are NULL. kind: 'l', 'g', 'r'. */
typedef struct ref_rnn {
    char kind;
    int64_t steps, batch, input, hidden, directions;
    bool reverse; /* with one direction */
    bool linear_before_reset, input_forget;
    double clip; /* 0: none */
    const float *x, *w, *r, *b, *h0, *c0, *p;
    const int32_t *lens;
} ref_rnn;
void ref_rnn_run(const ref_rnn *g, double *y, double *yh, double *yc);

#endif
