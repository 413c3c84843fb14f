/* Channels-last convolution: what is worked out once per plan, and used by every run.
 *
 * x is uint8, int8 that is never negative, or float [batch, spatial.., channels]; y the same, or float
 * behind integers (`real`). Padding
 * of integers is written out into a copy of x with the zero point [pad-zero-point]; without padding x
 * itself is read. Tiles that take long runs and many rows at once may read gathered windows instead.
 * Floats are copied window by window (nhwc_rows_f32.c) or, depthwise, not at all. A line is a row of
 * output positions whose windows lie at one distance; a window is a list of runs of consecutive bytes. */
#ifndef MRT_NHWC_CONV_H
#define MRT_NHWC_CONV_H

#include "runtime/kernels/int_conv_plan.h"
#include "runtime/kernels/tile_f32.h"

typedef struct mrt_nhwc_conv {
    mrt_conv_plan plan;
    int32_t most;                      /* largest element of x, of integers: 127 or 255 */
    const mrt_tile_isa *isa;           /* of integers, else NULL */
    const mrt_tile_f32_isa *float_isa; /* of floats, else NULL */
    size_t x_element, element, y_element; /* bytes of an element of x; of the array that windows read; of y */
    int64_t pitch[3];          /* spatial sizes of the array that windows are read from */
    int64_t first;             /* element of that array where the first window begins */
    int64_t y_first;           /* element of y for the first position */
    int64_t a_step;            /* elements of that array between windows of neighbouring positions */
    int64_t y_step, y_row, y_plane; /* elements between neighbouring positions of y */
    bool copies;               /* that array is a copy in scratch, else x */
    bool widens;               /* and holds int16 */
    bool gathers;              /* and holds whole windows one after the other, of `line` positions */
    size_t copy_bytes;         /* of one image, slack included */
    int64_t images;            /* 1 when all images are one line */
    int64_t lines, line;       /* per image (gathered: at a time): number, positions each */
    int64_t line_piece, lines_piece, blocks_piece; /* what a task takes */
    int64_t runs, quads;       /* quads per run, of integers */
    int64_t length;            /* elements per run, filled up to whole quads */
    int64_t blocks;            /* of MRT_TILE_BLOCK columns per group; depthwise: of channels */
    size_t block_bytes;
    int64_t columns;           /* per group in the arrays below, filled up to whole blocks */
    const int64_t *run;        /* [runs], with proofs [runs * quads], depthwise: [taps filled up] */
    const int32_t *base, *multiplier, *shift; /* [group][columns]; NULL for floats */
    const float *bias;         /* [group][columns]; NULL for integers */
    const void *w;             /* [group][blocks] */
    int32_t zero_point, low, high; /* of y */
    bool narrow;               /* see mrt_tile_end */
    bool real;                 /* y is float, of integers [conv-real, matmul-real]: */
    const double *scale;       /* [group][columns] instead of multiplier and shift */
    mrt_real_range range;
    float float_low, float_high;
    bool winograd;             /* nhwc_winograd_f32.c: [16 points][blocks] of weights, a run per window */
} mrt_nhwc_conv;

/* Constants in their plain form. */
typedef struct mrt_nhwc_constants {
    const void *weights;                      /* int8 or float [out channels][group_in][taps] */
    bool weights_across;                      /* floats are [group_in][out channels], one tap */
    const int32_t *base, *multiplier, *shift; /* [out channels], of integers */
    const double *scale;                      /* instead of multiplier and shift when `real` */
    const float *bias;                        /* of floats, may be NULL */
} mrt_nhwc_constants;

/* Checks a call on stored tensors and fills plan and most. */
mrt_status mrt_nhwc_plan(const mrt_call *call, bool transposed, mrt_nhwc_conv *c, mrt_error *err);
/* Rows times one matrix b (in[1], trans_b: its rows are columns of the product). */
typedef struct mrt_nhwc_product {
    int64_t rows, depth, columns;
} mrt_nhwc_product;
mrt_nhwc_product mrt_nhwc_product_of(const mrt_call *call, bool trans_b);
/* The plan of such a product: a 1x1 convolution of one line of rows. */
mrt_conv_plan mrt_nhwc_product_plan(const mrt_nhwc_product *s);
/* True when int32 sums hold [acc-bound]. */
bool mrt_nhwc_sums_fit(const mrt_conv_plan *p, const mrt_tensor *bias);
/* Works out everything between `plan` and the constants; false when sizes overflow. `gathers` says
 * whether windows may be gathered. */
bool mrt_nhwc_geometry(mrt_nhwc_conv *c, bool is_float);
/* The same tensor with its channels at axis 1, where checks of convolutions want them. */
mrt_tensor mrt_nhwc_channels_first(const mrt_tensor *t);
/* Writes the struct and its packed constants (NULL: only asks) and returns the bytes. */
size_t mrt_nhwc_pack(const mrt_nhwc_conv *c, const mrt_nhwc_constants *from, mrt_pool *pool,
                     void *packed);

/* The end of the columns from `at` on. */
mrt_tile_end mrt_nhwc_end(const mrt_nhwc_conv *c, int64_t at);
/* Element offset from the start of an image of line `line`. */
int64_t mrt_nhwc_line(const mrt_nhwc_conv *c, int64_t line);
/* Tiles of one image: A from its first window, y from its first position. */
void mrt_nhwc_tiles_run(const mrt_nhwc_conv *c, const void *a, void *y, mrt_pool *pool);
void mrt_nhwc_depthwise_run(const mrt_nhwc_conv *c, const mrt_call *call);
void mrt_nhwc_depthwise_f32_run(const mrt_nhwc_conv *c, const mrt_call *call);
/* The array that windows of image n are read from, copied if needed with padding of zero_point (0 for
 * floats). */
const void *mrt_nhwc_source(const mrt_nhwc_conv *c, const mrt_call *call, int64_t n,
                            uint8_t zero_point);
/* Image n of a convolution whose windows are gathered. */
void mrt_nhwc_gather_run(const mrt_nhwc_conv *c, const mrt_call *call, int64_t n,
                         uint8_t zero_point);
/* A convolution without depthwise groups, of integers. */
void mrt_nhwc_conv_run(const mrt_nhwc_conv *c, const mrt_call *call, uint8_t zero_point);

/* The same of floats, of whole batches; add: as y, added before the clamp, or NULL. Up to 60 bytes behind x
 * are read and dropped. */
void mrt_nhwc_rows_f32(const mrt_nhwc_conv *c, const float *x, const float *add, float *y,
                       mrt_pool *pool);

/* The same by tiles of 2x2 outputs, where it fits; scratch bytes of a run, packing of a block of all
 * points. */
enum { MRT_WINOGRAD_POINTS = 16 };
bool mrt_winograd_fits(const mrt_conv_plan *p);
size_t mrt_winograd_scratch(const mrt_nhwc_conv *c);
void mrt_winograd_pack(const mrt_nhwc_conv *c, const float *weights, int64_t block, char *out);
void mrt_winograd_run(const mrt_nhwc_conv *c, const mrt_call *call, const float *add);

#endif
