/* where: y = condition ? a : b with numpy broadcasting, any type. */
#include "runtime/kernels/elem_util.h"
#include "runtime/kernels/elem_walk.h"

mrt_status mrt_where_check(const mrt_call *call, size_t *out_scratch, mrt_error *err) {
    const mrt_tensor *in[3] = {mrt_in(call, 0), mrt_in(call, 1), mrt_in(call, 2)};
    const mrt_tensor *y = mrt_out(call, 0);
    MRT_TRY(mrt_walk_check(y, in, 3, err));
    MRT_TRY(mrt_check_dtype(in[0], "condition", MRT_BOOL, err));
    MRT_TRY(mrt_elem_check_known(y, "y", err));
    MRT_TRY(mrt_check_same_dtype(in[1], "x", y, "y", err));
    MRT_TRY(mrt_check_same_dtype(in[2], "z", y, "y", err));
    *out_scratch = 0;
    return MRT_OK;
}

typedef struct where_job {
    mrt_walk walk;
    const mrt_tensor *condition, *a, *b, *y;
} where_job;

/* Along a row every operand moves by 1 or stays; the common forms have their own loops. */
#define WHERE(T)                                                                                   \
    MRT_CLONES static void where_##T(const uint8_t *c, const void *pa, const void *pb, void *py,   \
                                     const mrt_walk *w, const mrt_walk_block *block) {             \
        const T *a = pa, *b = pb;                                                                  \
        T *restrict y = py;                                                                        \
        const int64_t cs = w->col_stride[0], as = w->col_stride[1], bs = w->col_stride[2];         \
        for (int64_t r = 0; r < block->rows; r++) {                                                \
            const T a0 = *a, b0 = *b;                                                              \
            if (cs && as && bs) {                                                                  \
                for (int64_t i = 0; i < block->cols; i++) {                                        \
                    y[i] = c[i] ? a[i] : b[i];                                                     \
                }                                                                                  \
            } else if (cs && as) {                                                                 \
                for (int64_t i = 0; i < block->cols; i++) {                                        \
                    y[i] = c[i] ? a[i] : b0;                                                       \
                }                                                                                  \
            } else if (cs && bs) {                                                                 \
                for (int64_t i = 0; i < block->cols; i++) {                                        \
                    y[i] = c[i] ? a0 : b[i];                                                       \
                }                                                                                  \
            } else if (cs) {                                                                       \
                for (int64_t i = 0; i < block->cols; i++) {                                        \
                    y[i] = c[i] ? a0 : b0;                                                         \
                }                                                                                  \
            } else {                                                                               \
                const T *from = *c ? a : b;                                                        \
                const int64_t step = *c ? as : bs;                                                 \
                for (int64_t i = 0; i < block->cols; i++) {                                        \
                    y[i] = from[i * step];                                                         \
                }                                                                                  \
            }                                                                                      \
            c += w->row_stride[0];                                                                 \
            a += w->row_stride[1];                                                                 \
            b += w->row_stride[2];                                                                 \
            y += block->cols;                                                                      \
        }                                                                                          \
    }
WHERE(uint8_t)
WHERE(uint16_t)
WHERE(uint32_t)
WHERE(uint64_t)

static void where_block(void *context, const mrt_walk *walk, const mrt_walk_block *block) {
    const where_job *j = context;
    const uint8_t *c = mrt_elem_at(j->condition, block->in[0]);
    const void *a = mrt_elem_at(j->a, block->in[1]), *b = mrt_elem_at(j->b, block->in[2]);
    void *y = mrt_elem_at(j->y, block->out);
    switch (mrt_dtype_bytes(j->y->dtype)) {
    case 1:
        where_uint8_t(c, a, b, y, walk, block);
        return;
    case 2:
        where_uint16_t(c, a, b, y, walk, block);
        return;
    case 4:
        where_uint32_t(c, a, b, y, walk, block);
        return;
    default:
        where_uint64_t(c, a, b, y, walk, block);
    }
}

static void where_tile(void *context, int64_t tile) {
    const where_job *j = context;
    mrt_walk_tile(&j->walk, tile, where_block, context);
}

void mrt_where_run(const mrt_call *call) {
    where_job j = {.condition = call->in[0], .a = call->in[1], .b = call->in[2],
                   .y = call->out[0]};
    mrt_walk_init(&j.walk, &j.y->shape, call->in, 3);
    mrt_parallel_for(call->pool, j.walk.tiles, where_tile, &j);
}
