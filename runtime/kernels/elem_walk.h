/* Broadcast iteration: the one loop generator of binary and where.
 *
 * Numpy broadcasting of up to three dense inputs to one dense output is reduced to few axes by
 * joining neighbours, then cut into tiles of whole rows (or of pieces of one long row). In a block
 * every operand has a row stride and a column stride of 0 or 1, so that a kernel needs only the
 * loops "vector op vector", "vector op scalar" and "scalar op vector". */
#ifndef MRT_ELEM_WALK_H
#define MRT_ELEM_WALK_H

#include "runtime/mrt_tensor.h"
#include "runtime/mrt_status.h"

#define MRT_WALK_IN 3

typedef struct mrt_walk {
    int n_in;
    int outer;                                    /* axes before rows and columns */
    int64_t dims[MRT_MAX_RANK];                   /* of the outer axes */
    int64_t stride[MRT_WALK_IN][MRT_MAX_RANK];    /* of the outer axes, elements */
    int64_t lines;                                /* all rows: outer entries * rows */
    int64_t rows, cols;
    int64_t row_stride[MRT_WALK_IN];              /* elements */
    int64_t col_stride[MRT_WALK_IN];              /* 0 or 1 */
    int64_t tiles;
    int64_t lines_per_tile;                       /* when rows are short */
    int64_t tiles_per_line;                       /* when rows are long */
} mrt_walk;

/* A block of a tile: `rows` rows of `cols` elements, dense in the output from element `out` on. */
typedef struct mrt_walk_block {
    int64_t out;
    int64_t in[MRT_WALK_IN];
    int64_t rows, cols;
} mrt_walk_block;

typedef void mrt_walk_fn(void *context, const mrt_walk *walk, const mrt_walk_block *block);

/* Checks that every input broadcasts to y and that y is not larger than their broadcast. */
mrt_status mrt_walk_check(const mrt_tensor *y, const mrt_tensor *const *in, int n_in,
                          mrt_error *err);

/* Plans the iteration over y; the operands have been checked. tiles is 0 when y is empty. */
void mrt_walk_init(mrt_walk *walk, const mrt_shape *y, const mrt_tensor *const *in, int n_in);

/* Calls fn for the blocks of one tile. */
void mrt_walk_tile(const mrt_walk *walk, int64_t tile, mrt_walk_fn *fn, void *context);

#endif
