/* Oracles of the sampling kernels by definition, in double, one output element at a time. */
#ifndef REF_FLOAT_SAMPLE_H
#define REF_FLOAT_SAMPLE_H

#include <stdbool.h>
#include <stdint.h>

/* x[n, c, size...] with `axes` spatial axes, grid[n, points, axes] -> y[n, c, points].
 * mode: 'n' nearest, 'l' linear, 'c' cubic; padding: 'z' zeros, 'b' border, 'r' reflection. */
typedef struct ref_sample {
    int64_t n, c, size[3], points;
    int axes;
    char mode, padding;
    bool align;
} ref_sample;
void ref_grid_sample_run(const ref_sample *g, const float *x, const float *grid, double *y);

/* x[n, c, h, w], rois[boxes, 4], index[boxes] -> y[boxes, c, out_h, out_w]. */
typedef struct ref_roi {
    int64_t n, c, h, w, boxes, out_h, out_w, ratio;
    bool max, half_pixel;
    float scale;
} ref_roi;
void ref_roi_align_run(const ref_roi *g, const float *x, const float *rois, const int64_t *index,
                       double *y);
/* rois[boxes, 5] */
void ref_roi_max_pool_run(const ref_roi *g, const float *x, const float *rois, double *y);

/* x[n, c, h, w] -> y[n, c * kernel, out_h, out_w]; mask may be NULL. */
typedef struct ref_deform {
    int64_t n, c, h, w, out_h, out_w, kernel[2], stride[2], dilation[2], pad[2], groups;
} ref_deform;
void ref_deform_run(const ref_deform *g, const float *x, const float *offset, const float *mask,
                    double *y);

#endif
