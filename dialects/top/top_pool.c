/* Pools: checks and shapes of all forms, float plans. */
#include "dialects/top/top_pool.h"

#include "dialects/hooks.h"
#include "dialects/plan_util.h"
#include "dialects/top/window.h"
#include "dialects/tpu/requant.h"

#include <string.h>

static mica_status read_pool(const mica_op *op, mica_window *out) {
    MICA_TRY(mica_window_read(op, out));
    const size_t length = strlen(op->name);
    const char axes = op->name[length - 2];
    if (op->name[length - 1] == 'D' && axes - '0' != out->spatial) {
        return mica_op_error(op, "expects %c spatial axes, got %d", axes, out->spatial);
    }
    for (int i = 0; i < out->spatial; i++) {
        const int64_t reach = mica_window_reach(out, i);
        if (out->pad_begin[i] >= reach || out->pad_end[i] >= reach) {
            return mica_op_error(op, "expects pads smaller than the window of %" PRId64
                                 " elements on spatial axis %d, got %" PRId64 " and %" PRId64,
                                 reach, i, out->pad_begin[i], out->pad_end[i]);
        }
    }
    return MICA_OK;
}

mica_status mica_verify_pool(const mica_op *op) {
    mica_window window;
    MICA_TRY(read_pool(op, &window));
    const mica_attr mode = mica_op_attr(op, "pool_mode");
    const bool is_max = mica_op_is(op, "top.MaxPool") || (mode && strcmp(mica_op_str(op, "pool_mode"), "Max") == 0);
    if (op->n_results > (is_max ? 2 : 1)) {
        return mica_op_error(op, "has %u results, more than it can give", op->n_results);
    }
    if (op->n_results == 2 && mica_type_is_quant(mica_type_element(mica_op_result(op, 0)->type))) {
        return mica_op_error(op, "gives indices in its float form only");
    }
    if (mica_op_has_attr(op, "p") && mica_op_i64(op, "p") < 1) {
        return mica_op_error(op, "expects attribute 'p' of at least 1, got %" PRId64,
                             mica_op_i64(op, "p"));
    }
    return mode && strcmp(mica_op_str(op, "pool_mode"), "Avg") == 0 ? mica_requant_verify(op, 1)
                                                                    : MICA_OK;
}

mica_status mica_infer_pool(const mica_op *op, mica_type *out_results) {
    mica_window window;
    mica_shape x;
    MICA_TRY(mica_verify_pool(op));
    MICA_TRY(read_pool(op, &window));
    mica_context *context = mica_op_context(op);
    if (!mica_operand_shape(op, 0, &x)) {
        MICA_TRY(mica_infer_unranked(op, out_results));
        if (op->n_results > 1) {
            out_results[1] = mica_type_tensor(context, -1, NULL, mica_type_i64(context), NULL);
        }
        return MICA_OK;
    }
    mica_shape y = x;
    const bool ceil_mode = mica_op_bool(op, "ceil_mode");
    for (int i = 0; i < window.spatial; i++) {
        y.dims[2 + i] = mica_window_count(&window, i, x.dims[2 + i], ceil_mode);
        if (y.dims[2 + i] < 1) {
            return mica_op_error(op, "has a window of %" PRId64 " elements, larger than spatial "
                                 "axis %d with %" PRId64 " elements and pads %" PRId64 " and %"
                                 PRId64, mica_window_reach(&window, i), i, x.dims[2 + i],
                                 window.pad_begin[i], window.pad_end[i]);
        }
    }
    MICA_TRY(mica_infer_shape_result(op, &y, mica_result_element(op, mica_op_operand(op, 0)),
                                     out_results));
    return op->n_results < 2
               ? MICA_OK
               : mica_infer_shape_result(op, &y, mica_type_i64(context), out_results + 1);
}

void mica_pool_params(const mica_op *op, int64_t mode, mrt_pool_params *out) {
    mica_window window;
    *out = (mrt_pool_params){.mode = mode};
    if (mica_window_read(op, &window) != MICA_OK) {
        return; /* cannot happen after verification; spatial 0 is refused by the kernel */
    }
    out->spatial = window.spatial;
    memcpy(out->kernel, window.kernel, sizeof out->kernel);
    memcpy(out->stride, window.stride, sizeof out->stride);
    memcpy(out->dilation, window.dilation, sizeof out->dilation);
    memcpy(out->pad_begin, window.pad_begin, sizeof out->pad_begin);
    memcpy(out->pad_end, window.pad_end, sizeof out->pad_end);
    out->count_include_pad = mica_op_bool(op, "count_include_pad");
    out->lp = mode == MRT_POOL_LP ? mica_op_i64(op, "p") : 0;
    mica_plan_act(op, &out->act, &out->act_limit);
}

mica_status mica_plan_max_pool(const mica_op *op, mica_planner *planner) {
    mrt_pool_params params;
    mica_pool_params(op, MRT_POOL_MAX, &params);
    return mica_planner_step(planner, op, MRT_K_pool_max, &params);
}

mica_status mica_plan_avg_pool(const mica_op *op, mica_planner *planner) {
    mrt_pool_params params;
    mica_pool_params(op, MRT_POOL_AVG, &params);
    return mica_planner_step(planner, op, MRT_K_pool_f32, &params);
}

mica_status mica_plan_lp_pool(const mica_op *op, mica_planner *planner) {
    mrt_pool_params params;
    mica_pool_params(op, MRT_POOL_LP, &params);
    return mica_planner_step(planner, op, MRT_K_pool_f32, &params);
}
