/* Naive double-precision layers for the tests of learning, by their definitions. */
#ifndef MICA_TEST_REF_LEARN_H
#define MICA_TEST_REF_LEARN_H

#include <stdint.h>

typedef struct ref_conv {
    int channels, rows, groups, in[2], out[2], kernel[2], strides[2], pads[2];
} ref_conv;

/* w: [rows][channels / groups][kernel] */
void ref_learn_conv(const ref_conv *c, const double *x, const double *w, const double *bias, double *y);
/* x: [positions][per], w: [rows][per] */
void ref_learn_matmul(int positions, int per, int rows, const double *x, const double *w, const double *bias, double *y);
/* Windows of a plane; average of the elements inside. */
void ref_learn_pool(int max, const int in[2], const int out[2], const int kernel[2], const int strides[2],
                    const int pads[2], const double *x, double *y);
void ref_learn_norm(int n, double epsilon, const double *gamma, const double *beta, const double *x, double *y);
double ref_learn_gelu(double x);

#endif
