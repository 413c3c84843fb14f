/* Oracle of the rules weight-int4 and input-int4 of docs/quant_spec.md, on top of ref_int.h. */
#ifndef REF_INT4_H
#define REF_INT4_H

#include <stdint.h>

/* Scale and zero point of a calibrated range in `bits`. */
typedef struct ref_int4_grid {
    double scale;
    int32_t zero, low, high;
} ref_int4_grid;

ref_int4_grid ref_int4_range(double min, double max, int bits, int asymmetric);
/* The range of 4 bits under a reader's threshold; 0: none. */
ref_int4_grid ref_int4_input(double min, double max, double threshold, int asymmetric);
/* q of `from` on the grid `to`. */
int32_t ref_int4_requantize(int32_t q, const ref_int4_grid *from, const ref_int4_grid *to);

/* One output: x[k] on the grid `in` times real weights of `bits`, requantized. relu: not below 0. */
int32_t ref_int4_product(const int32_t *x, const float *w, int64_t k, double bias, int bits, const ref_int4_grid *in,
                         const ref_int4_grid *out, int relu);

/* The same as a real number, not requantized. */
float ref_int4_real(const int32_t *x, const float *w, int64_t k, double bias, int bits, const ref_int4_grid *in);

#endif
