/* Oracles of the integer rules of docs/quant_spec.md.
 *
 * Written from the rules alone, with 128-bit integers and plain loops over int32 arrays; they never
 * call the code under test. Quantized values are held as int32 with their zero points in the
 * structs. */
#ifndef REF_INT_H
#define REF_INT_H

#include <stdint.h>

/* round-half-up, round-half-away, round-half-even of v / 2^shift. */
int64_t ref_int_half_up(int64_t v, int shift);
int64_t ref_int_half_away(int64_t v, int shift);
int64_t ref_int_half_even(int64_t v, int shift);
/* requant-multiplier-shift */
int64_t ref_int_requant(int64_t acc, int64_t multiplier, int shift);
/* floor(num / den + 1/2), den > 0 */
int64_t ref_int_ratio(int64_t value, int64_t multiplier, int64_t factor, int64_t divisor, int shift);
/* quantize; NaN gives the zero point */
int32_t ref_int_quantize(double x, double scale, int32_t zero_point, int32_t low, int32_t high);

typedef struct ref_int_end {
    const int32_t *bias, *multiplier, *shift; /* per channel or column; bias may be NULL */
    int per_channel;                          /* 0: one multiplier and shift */
    int32_t zero_point, low, high;
} ref_int_end;

int32_t ref_int_finish(const ref_int_end *end, int64_t acc, int64_t channel);

/* conv-int and deconv-int; spatial axes D, H, W (1 where unused). For deconv w is [C][OC/g][k]. */
typedef struct ref_int_conv {
    int64_t n, c, oc, group;
    int64_t in[3], out[3], kernel[3], stride[3], dilation[3], pad[3];
    int32_t zero_point_in;
    const int32_t *x, *w;
    ref_int_end end;
} ref_int_conv;
void ref_int_conv_run(const ref_int_conv *r, int32_t *y);
void ref_int_deconv_run(const ref_int_conv *r, int32_t *y);
/* conv-real: the same sums times scale[output channel]; a clamp to [0, limit] with relu, limit < 0: none. */
typedef struct ref_int_real {
    const double *scale;
    int relu;
    double limit;
} ref_int_real;
float ref_int_real_finish(const ref_int_real *real, int64_t acc, int64_t channel);
void ref_int_conv_real(const ref_int_conv *r, const ref_int_real *real, float *y);
void ref_int_deconv_real(const ref_int_conv *r, const ref_int_real *real, float *y);

/* matmul-int over [batch] with per-operand batch strides in elements (0 broadcasts). */
typedef struct ref_int_matmul {
    int64_t batch, m, k, n, batch_a, batch_b;
    int trans_a, trans_b;
    int32_t zero_point_a, zero_point_b;
    const int32_t *a, *b;
    ref_int_end end;
} ref_int_matmul;
void ref_int_matmul_run(const ref_int_matmul *r, int32_t *y);
/* matmul-real: the same sums times scale[column] (or scale[0]). */
void ref_int_matmul_real(const ref_int_matmul *r, const double *scale, int per_column, float *y);

/* avgpool-int of one plane. */
typedef struct ref_int_pool {
    int64_t in[3], out[3], kernel[3], stride[3], dilation[3], pad[3], pad_end[3];
    int include_pad;
    int64_t multiplier;
    int shift;
    int32_t zero_point_in, zero_point_out, low, high;
    const int32_t *x;
} ref_int_pool;
void ref_int_pool_run(const ref_int_pool *r, int32_t *y);

/* resize-linear-int of one [in_h][in_w] plane with half-pixel (0) or align-corners (1) coordinates. */
void ref_int_resize(const int32_t *x, int64_t in_h, int64_t in_w, int64_t out_h, int64_t out_w,
                    int align_corners, int32_t *y);

/* softmax-int of one row; table[32] as the rule has it. */
void ref_int_softmax(const int32_t *x, int64_t size, const int32_t *table, int64_t multiplier,
                     int shift, int32_t zero_point, int32_t high, int32_t *y);

#endif
