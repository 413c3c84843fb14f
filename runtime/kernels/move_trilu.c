/* trilu: keeps the upper (flag 1: column >= row + k) or lower (column <= row + k) triangle of every
 * matrix, zero elsewhere; k is the `axis` parameter. */
#include "runtime/kernels/move_util.h"

mrt_status mrt_trilu_check(const mrt_call *call, size_t *out_scratch, mrt_error *err) {
    MRT_TRY(mrt_move_check_pair(call, err));
    MRT_TRY(mrt_check_rank(call->in[0], "x", 2, MRT_MAX_RANK, err));
    *out_scratch = 0;
    return mrt_check_same_shape(call->out[0], "y", call->in[0], "x", err);
}

typedef struct trilu_job {
    const char *x;
    char *y;
    int64_t h, w, k, elem, lines, lines_per_tile;
    bool upper;
} trilu_job;

static void trilu_tile(void *context, int64_t tile) {
    const trilu_job *j = context;
    const int64_t end = mrt_min64((tile + 1) * j->lines_per_tile, j->lines);
    for (int64_t line = tile * j->lines_per_tile; line < end; line++) {
        const int64_t border = line % j->h + j->k + (j->upper ? 0 : 1);
        const int64_t cut = mrt_min64(mrt_max64(border, 0), j->w) * j->elem;
        const int64_t row = j->w * j->elem;
        const int64_t first = j->upper ? cut : 0, last = j->upper ? row : cut;
        char *y = j->y + line * row;
        memset(y, 0, (size_t)first);
        memcpy(y + first, j->x + line * row + first, (size_t)(last - first));
        memset(y + last, 0, (size_t)(row - last));
    }
}

void mrt_trilu_run(const mrt_call *call) {
    const mrt_axis_params *p = call->params;
    const mrt_tensor *x = call->in[0];
    const int64_t count = mrt_shape_count(&x->shape);
    if (count == 0) {
        return;
    }
    const int64_t limit = INT64_MAX / 4;
    trilu_job j = {.x = x->data, .y = call->out[0]->data, .h = x->shape.dims[x->shape.rank - 2],
                   .w = x->shape.dims[x->shape.rank - 1], .elem = mrt_move_elem(x),
                   .k = mrt_max64(mrt_min64(p->axis, limit), -limit), .upper = p->flag != 0};
    j.lines = count / j.w;
    j.lines_per_tile = mrt_max64(1, 16384 / j.w);
    mrt_parallel_for(call->pool, mrt_div_up(j.lines, j.lines_per_tile), trilu_tile, &j);
}
