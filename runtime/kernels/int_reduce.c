/* reduce_int (rule reduce-int): sums over any set of axes, then one requantization. */
#include "runtime/kernels/int_gemm.h"
#include "runtime/kernels/int_sum.h"
#include "runtime/kernels/int_util.h"
#include "runtime/kernels/kernels.h"

/* Axes of one kind, from the last one out, neighbours merged. */
typedef struct axis_list {
    int count;
    int64_t dim[MRT_MAX_RANK], stride[MRT_MAX_RANK];
    int64_t elements;
} axis_list;

typedef struct reduce_plan {
    axis_list kept, summed;
} reduce_plan;

static void make_plan(const mrt_call *call, reduce_plan *plan) {
    const mrt_reduce_params *p = call->params;
    const mrt_shape *x = &call->in[0]->shape;
    const axis_list *last = NULL;
    int64_t stride = 1;
    *plan = (reduce_plan){.kept = {.elements = 1}, .summed = {.elements = 1}};
    for (int i = x->rank - 1; i >= 0; --i) {
        axis_list *list = (p->axes & ((int64_t)1 << i)) != 0 ? &plan->summed : &plan->kept;
        if (list == last) {
            list->dim[list->count - 1] *= x->dims[i];
        } else {
            list->dim[list->count] = x->dims[i];
            list->stride[list->count] = stride;
            list->count++;
        }
        list->elements *= x->dims[i];
        stride *= x->dims[i];
        last = list;
    }
}

/* Offset of element `index` of a list, skipping its first `from` axes. */
static int64_t list_offset(const axis_list *list, int from, int64_t index) {
    int64_t at = 0;
    for (int i = from; i < list->count; ++i) {
        at += index % list->dim[i] * list->stride[i];
        index /= list->dim[i];
    }
    return at;
}

mrt_status mrt_reduce_int_check(const mrt_call *call, size_t *out_scratch, mrt_error *err) {
    const mrt_reduce_params *p = call->params;
    const mrt_tensor *x = mrt_in(call, 0);
    const mrt_tensor *y = mrt_out(call, 0);
    MRT_TRY(mrt_check_param(p->mode, "mode", MRT_REDUCE_SUM, MRT_REDUCE_MEAN, err));
    MRT_TRY(mrt_check_dtype2(x, "x", MRT_I8, MRT_U8, err));
    MRT_TRY(mrt_check_rank(x, "x", 0, MRT_MAX_RANK, err));
    MRT_TRY(mrt_check_dtype2(y, "y", MRT_I8, MRT_U8, err));
    MRT_TRY(mrt_check_param(p->axes, "axes", 0, ((int64_t)1 << x->shape.rank) - 1, err));
    MRT_TRY(mrt_int_check_zero_point(p->zero_point_in, "zero_point_in", x, err));
    MRT_TRY(mrt_int_check_zero_point(p->zero_point_out, "zero_point_out", y, err));
    MRT_TRY(mrt_check_param(p->multiplier, "multiplier", INT32_MIN, INT32_MAX, err));
    MRT_TRY(mrt_check_param(p->shift, "shift", 0, MRT_MAX_SHIFT, err));
    mrt_shape with = {.rank = x->shape.rank};
    mrt_shape without = {0};
    for (int i = 0; i < x->shape.rank; ++i) {
        const bool summed = (p->axes >> i & 1) != 0;
        with.dims[i] = summed ? 1 : x->shape.dims[i];
        if (!summed) {
            without.dims[without.rank++] = x->shape.dims[i];
        }
    }
    if (!mrt_shape_equal(&y->shape, &with)) {
        MRT_TRY(mrt_check_shape(y, "y", &without, err));
    }
    *out_scratch = 0;
    return MRT_OK;
}

typedef struct reduce_job {
    reduce_plan plan;
    const mrt_call *call;
    int64_t low, high;
    bool is_signed;
} reduce_job;

/* Sum of all summed axes at x: an odometer over the outer ones, one run of the innermost. */
static int64_t sum_at(const reduce_job *job, const uint8_t *x) {
    const axis_list *list = &job->plan.summed;
    const int64_t inner = list->count > 0 ? list->dim[0] : 1;
    const int64_t step = list->count > 0 ? list->stride[0] : 1;
    const int64_t runs = inner > 0 ? list->elements / inner : 0;
    int64_t sum = 0;
    for (int64_t run = 0; run < runs; ++run) {
        sum += mrt_int_sum(x + list_offset(list, 1, run), inner, step, job->is_signed);
    }
    return sum;
}

static void run_lane(void *context, int64_t lane) {
    const reduce_job *job = context;
    const reduce_plan *plan = &job->plan;
    const mrt_reduce_params *p = job->call->params;
    const uint8_t *x = job->call->in[0]->data;
    uint8_t *y = job->call->out[0]->data;
    const int64_t end = mrt_int_lane_begin(plan->kept.elements, lane + 1);
    for (int64_t o = mrt_int_lane_begin(plan->kept.elements, lane); o < end; ++o) {
        const int64_t sum = sum_at(job, x + list_offset(&plan->kept, 0, o)) -
                            plan->summed.elements * p->zero_point_in;
        y[o] = (uint8_t)mrt_requant_clamp(sum, (int32_t)p->multiplier, (int32_t)p->shift,
                                          (int32_t)p->zero_point_out, (int32_t)job->low,
                                          (int32_t)job->high);
    }
}

void mrt_reduce_int_run(const mrt_call *call) {
    reduce_job job = {.call = call, .is_signed = call->in[0]->dtype == MRT_I8};
    make_plan(call, &job.plan);
    mrt_int_range(call->out[0]->dtype, &job.low, &job.high);
    mrt_parallel_for(call->pool, mrt_int_lanes(job.plan.kept.elements), run_lane, &job);
}
