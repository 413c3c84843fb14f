/* Reductions, arg, top-k, cumulative sum: checks, shapes and plans. */
#include "dialects/top/top_reduce.h"

#include "dialects/hooks.h"
#include "dialects/plan_util.h"

#include <string.h>

/* Attribute text and runtime code of every mode. */
static const struct {
    const char *name;
    int code;
} modes[] = {
    {"ReduceSum", MRT_REDUCE_SUM},        {"ReduceMean", MRT_REDUCE_MEAN},
    {"ReduceMax", MRT_REDUCE_MAX},        {"ReduceMin", MRT_REDUCE_MIN},
    {"ReduceProd", MRT_REDUCE_PROD},      {"ReduceL1", MRT_REDUCE_L1},
    {"ReduceL2", MRT_REDUCE_L2},          {"ReduceSumSquare", MRT_REDUCE_SUM_SQUARE},
    {"ReduceLogSum", MRT_REDUCE_LOG_SUM}, {"ReduceLogSumExp", MRT_REDUCE_LOG_SUM_EXP},
};

static int mode_code(const mica_op *op) {
    const char *mode = mica_op_str(op, "mode");
    for (size_t i = 0; i < MICA_COUNT(modes); i++) {
        if (strcmp(modes[i].name, mode) == 0) {
            return modes[i].code;
        }
    }
    return -1;
}

/* Bit set of the axes. */
static mica_status read_axes(const mica_op *op, int rank, int64_t *out) {
    size_t count;
    const int64_t *axes = mica_op_i64s(op, "axes", &count);
    int64_t set = 0;
    for (size_t i = 0; i < count; i++) {
        int axis;
        MICA_TRY(mica_op_axis(op, "axes", axes[i], rank, &axis));
        if (set & ((int64_t)1 << axis)) {
            return mica_op_error(op, "names axis %d twice in attribute 'axes'", axis);
        }
        set |= (int64_t)1 << axis;
    }
    *out = set;
    return MICA_OK;
}

mica_status mica_verify_reduce(const mica_op *op) {
    mica_shape x;
    int64_t set;
    if (mode_code(op) < 0) {
        return mica_op_error(op, "has unknown mode \"%s\"", mica_op_str(op, "mode"));
    }
    return mica_operand_shape(op, 0, &x) ? read_axes(op, x.rank, &set) : MICA_OK;
}

mica_status mica_infer_reduce(const mica_op *op, mica_type *out_results) {
    mica_shape x, y = {0};
    int64_t set;
    if (!mica_operand_shape(op, 0, &x)) {
        return mica_infer_unranked(op, out_results);
    }
    MICA_TRY(read_axes(op, x.rank, &set));
    const bool keep = mica_op_bool(op, "keepdims");
    for (int i = 0; i < x.rank; i++) {
        const bool reduced = (set >> i) & 1;
        if (!reduced || keep) {
            y.dims[y.rank++] = reduced ? 1 : x.dims[i];
        }
    }
    return mica_infer_shape_result(op, &y, mica_result_element(op, mica_op_operand(op, 0)),
                                   out_results);
}

void mica_reduce_params(const mica_op *op, mrt_reduce_params *out) {
    mica_shape x = {0};
    *out = (mrt_reduce_params){.mode = mode_code(op)};
    if (!mica_operand_shape(op, 0, &x) || read_axes(op, x.rank, &out->axes) != MICA_OK) {
        out->mode = -1; /* cannot happen after verification; the kernel refuses it */
    }
}

mica_status mica_plan_reduce(const mica_op *op, mica_planner *planner) {
    mrt_reduce_params params;
    mica_reduce_params(op, &params);
    /* Max and min of one quantization are those of the integers. */
    if (params.mode == MRT_REDUCE_MAX || params.mode == MRT_REDUCE_MIN) {
        MICA_TRY(mica_plan_same_quant(planner, op, 0, 1));
    } else {
        MICA_TRY(mica_plan_no_quant(planner, op));
    }
    return mica_planner_step(planner, op, MRT_K_reduce, &params);
}

/* --- arg -------------------------------------------------------------------------------------- */

mica_status mica_infer_arg(const mica_op *op, mica_type *out_results) {
    mica_shape x, y = {0};
    int axis;
    mica_context *context = mica_op_context(op);
    const mica_type element = mica_type_i64(context);
    if (!mica_operand_shape(op, 0, &x)) {
        out_results[0] = mica_type_tensor(context, -1, NULL, element, NULL);
        return MICA_OK;
    }
    MICA_TRY(mica_op_axis(op, "axis", mica_op_i64(op, "axis"), x.rank, &axis));
    if (x.dims[axis] < 1) {
        return mica_op_error(op, "cannot search axis %d of shape %s, which has no elements", axis,
                             mica_shape_text(&x).text);
    }
    const bool keep = mica_op_bool(op, "keepdims");
    for (int i = 0; i < x.rank; i++) {
        if (i != axis || keep) {
            y.dims[y.rank++] = i == axis ? 1 : x.dims[i];
        }
    }
    return mica_infer_shape_result(op, &y, element, out_results);
}

mica_status mica_plan_arg(const mica_op *op, mica_planner *planner) {
    const mrt_axis_params params = {.axis = mica_op_axis_of(op),
                                    .flag = strcmp(mica_op_str(op, "mode"), "ArgMin") == 0,
                                    .flag2 = mica_op_bool(op, "select_last_index")};
    return mica_planner_step(planner, op, MRT_K_arg, &params);
}

/* --- top-k ------------------------------------------------------------------------------------ */

mica_status mica_infer_topk(const mica_op *op, mica_type *out_results) {
    mica_shape x;
    int axis;
    mica_context *context = mica_op_context(op);
    const mica_type index = mica_type_i64(context);
    if (!mica_operand_shape(op, 0, &x)) {
        MICA_TRY(mica_infer_unranked(op, out_results));
        out_results[1] = mica_type_tensor(context, -1, NULL, index, NULL);
        return MICA_OK;
    }
    MICA_TRY(mica_op_axis(op, "axis", mica_op_i64(op, "axis"), x.rank, &axis));
    const int64_t k = mica_op_i64(op, "k");
    if (k < 0 || k > x.dims[axis]) {
        return mica_op_error(op, "expects attribute 'k' from 0 to %" PRId64 ", got %" PRId64,
                             x.dims[axis], k);
    }
    x.dims[axis] = k;
    const mica_type element = mica_result_element(op, mica_op_operand(op, 0));
    MICA_TRY(mica_infer_shape_result(op, &x, element, out_results));
    return mica_infer_shape_result(op, &x, index, out_results + 1);
}

mica_status mica_plan_topk(const mica_op *op, mica_planner *planner) {
    MICA_TRY(mica_plan_same_quant(planner, op, 0, 1));
    const mrt_topk_params params = {.axis = mica_op_axis_of(op),
                                    .largest = mica_op_bool(op, "largest"),
                                    .sorted = mica_op_bool(op, "sorted")};
    return mica_planner_step(planner, op, MRT_K_topk, &params);
}

/* --- cumulative sum --------------------------------------------------------------------------- */

mica_status mica_plan_cumsum(const mica_op *op, mica_planner *planner) {
    MICA_TRY(mica_plan_no_quant(planner, op));
    const mrt_axis_params params = {.axis = mica_op_axis_of(op),
                                    .flag = (mica_op_bool(op, "exclusive") ? 1 : 0) |
                                            (strstr(op->name, "CumProd") != NULL ? 2 : 0),
                                    .flag2 = mica_op_bool(op, "reverse")};
    return mica_planner_step(planner, op, MRT_K_cumsum, &params);
}
