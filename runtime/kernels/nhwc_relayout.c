/* relayout: between row-major [N, C, spatial] of int8 or uint8 and channels-last uint8, or of plain int8
 * or float on both sides (mrt_layout.h). */
#include "runtime/kernels/kernel_util.h"
#include "runtime/kernels/kernels.h"
#include "runtime/kernels/move_transpose.h"
#include "runtime/mrt_clones.h"

#include <string.h>

enum {
    TILE = 64,        /* positions, and channels, that are transposed in one piece */
    PLAIN_TILE = 4096 /* positions that need no buffer */
};

typedef struct relayout_job {
    const uint8_t *x;
    uint8_t *y;
    int64_t element; /* bytes */
    int64_t channels, positions, tile, tiles; /* positions of a tile, tiles per image */
    uint8_t flip;
    bool to_last, is_plain;
} relayout_job;

static mrt_status check_form(const mrt_tensor *first, const mrt_tensor *last, mrt_error *err) {
    const int32_t rank = first->shape.rank;
    if (last->dtype == MRT_F32) {
        MRT_TRY(mrt_check_dtype(first, "row-major", MRT_F32, err));
    } else if (last->dtype == MRT_I8) {
        MRT_TRY(mrt_check_dtype(first, "row-major", MRT_I8, err));
    } else {
        MRT_TRY(mrt_check_dtype2(first, "row-major", MRT_I8, MRT_U8, err));
        MRT_TRY(mrt_check_dtype(last, "channels-last", MRT_U8, err));
    }
    MRT_TRY(mrt_check_rank(last, "channels-last", rank, rank, err));
    if (rank < 3) {
        return mrt_check_same_shape(last, "channels-last", first, "row-major", err);
    }
    MRT_TRY(mrt_check_dim(last, "channels-last", 0, first->shape.dims[0], err));
    MRT_TRY(mrt_check_dim(last, "channels-last", rank - 1, first->shape.dims[1], err));
    for (int i = 2; i < rank; ++i) {
        MRT_TRY(mrt_check_dim(last, "channels-last", i - 1, first->shape.dims[i], err));
    }
    return MRT_OK;
}

mrt_status mrt_relayout_check(const mrt_call *call, size_t *out_scratch, mrt_error *err) {
    const mrt_axis_params *p = call->params;
    const mrt_tensor *x = mrt_in(call, 0);
    const mrt_tensor *y = mrt_out(call, 0);
    MRT_TRY(mrt_check_present(x, "x", err));
    MRT_TRY(mrt_check_present(y, "y", err));
    MRT_TRY(p->flag ? check_form(x, y, err) : check_form(y, x, err));
    *out_scratch = 0;
    return MRT_OK;
}

/* y[j][i] = x[i][j] ^ flip of one tile, through a buffer that stays in the first cache. */
MRT_CLONES
static void transpose_tile(uint8_t *restrict y, const uint8_t *restrict x, int64_t rows,
                           int64_t columns, int64_t x_stride, int64_t y_stride, uint8_t flip) {
    uint8_t tile[TILE * TILE];
    for (int64_t i = 0; i < rows; ++i) {
        for (int64_t j = 0; j < columns; ++j) {
            tile[j * TILE + i] = x[i * x_stride + j] ^ flip;
        }
    }
    for (int64_t j = 0; j < columns; ++j) {
        memcpy(y + j * y_stride, tile + j * TILE, (size_t)rows);
    }
}

/* Pictures have one channel or three. */
MRT_CLONES
static void weave_3(uint8_t *restrict y, const uint8_t *restrict a, const uint8_t *restrict b,
                    const uint8_t *restrict c, int64_t count, uint8_t flip) {
    for (int64_t i = 0; i < count; ++i) {
        y[3 * i] = a[i] ^ flip;
        y[3 * i + 1] = b[i] ^ flip;
        y[3 * i + 2] = c[i] ^ flip;
    }
}
MRT_CLONES
static void flip_copy(uint8_t *restrict y, const uint8_t *restrict x, int64_t count, uint8_t flip) {
    for (int64_t i = 0; i < count; ++i) {
        y[i] = x[i] ^ flip;
    }
}

/* Positions [from, from + count) of an image of floats. */
static void run_floats(const relayout_job *job, int64_t image, int64_t from, int64_t count) {
    const int64_t unit = sizeof(float);
    const char *x = (const char *)job->x + image * unit;
    char *y = (char *)job->y + image * unit;
    const int64_t pixel = job->channels * unit, plane = job->positions * unit;
    if (job->to_last) {
        mrt_transpose_plane(y + from * pixel, x + from * unit, count, job->channels, pixel, plane,
                            unit);
    } else {
        mrt_transpose_plane(y + from * unit, x + from * pixel, job->channels, count, plane, pixel,
                            unit);
    }
}

static void run_plain(const relayout_job *job, int64_t image, int64_t from, int64_t count) {
    const uint8_t *x = job->x + image + from;
    if (job->channels == 1) {
        flip_copy(job->y + image + from, x, count, job->flip);
        return;
    }
    weave_3(job->y + image + 3 * from, x, x + job->positions, x + 2 * job->positions, count,
            job->flip);
}

static void run_tile(void *context, int64_t index) {
    const relayout_job *job = context;
    const int64_t rows = job->to_last ? job->channels : job->positions;
    const int64_t columns = job->to_last ? job->positions : job->channels;
    const int64_t image = index / job->tiles * job->channels * job->positions;
    const int64_t from = index % job->tiles * job->tile; /* of the positions */
    const int64_t count = mrt_min64(job->tile, job->positions - from);
    if (job->element == sizeof(float)) {
        run_floats(job, image, from, count);
        return;
    }
    if (job->is_plain) {
        run_plain(job, image, from, count);
        return;
    }
    for (int64_t c = 0; c < job->channels; c += TILE) {
        const int64_t part = mrt_min64(TILE, job->channels - c);
        const int64_t i0 = job->to_last ? c : from;
        const int64_t j0 = job->to_last ? from : c;
        transpose_tile(job->y + image + j0 * rows + i0, job->x + image + i0 * columns + j0,
                       job->to_last ? part : count, job->to_last ? count : part, columns, rows,
                       job->flip);
    }
}

void mrt_relayout_run(const mrt_call *call) {
    const mrt_axis_params *p = call->params;
    const mrt_tensor *first = p->flag ? call->in[0] : call->out[0];
    relayout_job job = {.x = call->in[0]->data, .y = call->out[0]->data, .to_last = p->flag != 0};
    const int64_t count = mrt_shape_count(&first->shape);
    job.element = (int64_t)mrt_dtype_bytes(first->dtype);
    job.flip = call->in[0]->dtype != call->out[0]->dtype ? 0x80 : 0;
    job.channels = first->shape.rank >= 3 ? first->shape.dims[1] : 1;
    if (count == 0) {
        return;
    }
    const int64_t images = first->shape.rank >= 3 ? first->shape.dims[0] : 1;
    job.positions = count / images / job.channels;
    job.is_plain = job.element == 1 && (job.channels == 1 || (job.channels == 3 && job.to_last));
    job.tile = job.is_plain ? PLAIN_TILE : TILE;
    job.tiles = mrt_div_up(job.positions, job.tile);
    mrt_parallel_for(call->pool, images * job.tiles, run_tile, &job);
}
