/* Joining and cutting: Concat, Slice, Split, Pad. */
#include "dialects/hooks.h"
#include "dialects/plan_util.h"
#include "utils/checked.h"

static mica_type element_of_input(const mica_op *op) {
    return mica_result_element(op, mica_op_operand(op, 0));
}

/* --- Concat ----------------------------------------------------------------------------------- */

/* Shape of the result; *out_known false when an operand's shape is unknown. */
static mica_status concat_shape(const mica_op *op, mica_shape *out, bool *out_known) {
    mica_shape y, x;
    int axis = 0;
    *out_known = false;
    if (op->n_operands == 0) {
        return mica_op_error(op, "expects at least one operand");
    }
    if (!mica_operand_shape(op, 0, &y)) {
        return MICA_OK;
    }
    MICA_TRY(mica_op_axis(op, "axis", mica_op_i64(op, "axis"), y.rank, &axis));
    for (uint32_t i = 1; i < op->n_operands; i++) {
        if (!mica_operand_shape(op, i, &x)) {
            return MICA_OK;
        }
        mica_shape aligned = x;
        if (x.rank == y.rank) {
            aligned.dims[axis] = y.dims[axis];
        }
        if (!mica_shapes_equal(&aligned, &y)) {
            return mica_op_error(op, "expects operands that differ along axis %d only, got %s and "
                                 "%s as operand %u", axis, mica_shape_text(&y).text,
                                 mica_shape_text(&x).text, i);
        }
        if (!mica_add_ok(y.dims[axis], x.dims[axis], &y.dims[axis])) {
            return mica_op_error(op, "has too many elements along axis %d", axis);
        }
    }
    *out = y;
    *out_known = true;
    return MICA_OK;
}

mica_status mica_verify_concat(const mica_op *op) {
    mica_shape y;
    bool known;
    return concat_shape(op, &y, &known);
}

mica_status mica_infer_concat(const mica_op *op, mica_type *out_results) {
    mica_shape y;
    bool known;
    MICA_TRY(concat_shape(op, &y, &known));
    return known ? mica_infer_shape_result(op, &y, element_of_input(op), out_results)
                 : mica_infer_unranked(op, out_results);
}

mica_status mica_plan_concat(const mica_op *op, mica_planner *planner) {
    MICA_TRY(mica_plan_same_quant(planner, op, 0, op->n_operands));
    const mrt_axis_params params = {.axis = mica_op_axis_of(op)};
    return mica_plan_with_relu(planner, op, MRT_K_concat, &params);
}

/* --- Slice ------------------------------------------------------------------------------------ */

typedef struct slice_axis {
    int64_t start, step, count;
} slice_axis;

/* One axis of `dim` elements. Bounds beyond the ends are clamped. A negative offset counts from the
 * end; so does a negative end with a positive step, while with a negative step it means "before the
 * first element". */
static slice_axis slice_range(int64_t dim, int64_t offset, int64_t end, int64_t step) {
    offset = offset < 0 ? offset + dim : offset;
    slice_axis s = {.step = step};
    if (step > 0) {
        end = end < 0 ? end + dim : end;
        end = end < 0 ? 0 : (end > dim ? dim : end);
        s.start = offset < 0 ? 0 : (offset > dim ? dim : offset);
        s.count = end > s.start ? (end - s.start - 1) / step + 1 : 0;
        return s;
    }
    end = end < -1 ? -1 : (end > dim - 1 ? dim - 1 : end);
    s.start = offset < -1 ? -1 : (offset > dim - 1 ? dim - 1 : offset);
    /* Unsigned, because the negative of the smallest step does not fit. */
    s.count = s.start > end ? (int64_t)((uint64_t)(s.start - end - 1) / (-(uint64_t)step)) + 1 : 0;
    if (s.count == 0) {
        s.start = 0;
    }
    return s;
}

mica_status mica_verify_slice(const mica_op *op) {
    mica_shape x;
    if (mica_operand_shape(op, 0, &x)) {
        MICA_TRY(mica_op_list(op, "offset", (size_t)x.rank));
        MICA_TRY(mica_op_list(op, "steps", (size_t)x.rank));
        MICA_TRY(mica_op_list(op, "ends", (size_t)x.rank));
    }
    size_t count;
    const int64_t *steps = mica_op_i64s(op, "steps", &count);
    for (size_t i = 0; i < count; i++) {
        if (steps[i] == 0) {
            return mica_op_error(op, "expects steps other than 0 in attribute 'steps'");
        }
    }
    return MICA_OK;
}

static void read_slice(const mica_op *op, const mica_shape *x, slice_axis *out) {
    for (int i = 0; i < x->rank; i++) {
        out[i] = slice_range(x->dims[i], mica_op_i64_at(op, "offset", (size_t)i, 0),
                             mica_op_i64_at(op, "ends", (size_t)i, 0),
                             mica_op_i64_at(op, "steps", (size_t)i, 1));
    }
}

mica_status mica_infer_slice(const mica_op *op, mica_type *out_results) {
    mica_shape x;
    MICA_TRY(mica_verify_slice(op));
    if (!mica_operand_shape(op, 0, &x)) {
        return mica_infer_unranked(op, out_results);
    }
    slice_axis axes[MICA_MAX_RANK];
    read_slice(op, &x, axes);
    for (int i = 0; i < x.rank; i++) {
        x.dims[i] = axes[i].count;
    }
    return mica_infer_shape_result(op, &x, element_of_input(op), out_results);
}

mica_status mica_plan_slice(const mica_op *op, mica_planner *planner) {
    mica_shape x = {0};
    mica_operand_shape(op, 0, &x);
    slice_axis axes[MICA_MAX_RANK];
    read_slice(op, &x, axes);
    mrt_slice_params params = {{0}, {0}};
    for (int i = 0; i < MRT_MAX_RANK; i++) {
        params.start[i] = i < x.rank ? axes[i].start : 0;
        params.step[i] = i < x.rank ? axes[i].step : 1;
    }
    const bool live = mica_planner_sizes_itself(planner, op);
    return mica_plan_move(planner, op, live ? MRT_K_slice_live : MRT_K_slice, &params);
}

/* --- Split ------------------------------------------------------------------------------------ */

mica_status mica_verify_split(const mica_op *op) {
    mica_shape x;
    int axis;
    MICA_TRY(mica_op_list(op, "split_size", op->n_results));
    if (!mica_operand_shape(op, 0, &x)) {
        return MICA_OK;
    }
    MICA_TRY(mica_op_axis(op, "axis", mica_op_i64(op, "axis"), x.rank, &axis));
    int64_t sum = 0;
    for (uint32_t i = 0; i < op->n_results; i++) {
        const int64_t size = mica_op_i64_at(op, "split_size", i, 0);
        if (size < 0 || !mica_add_ok(sum, size, &sum)) {
            return mica_op_error(op, "expects sizes of at least 0 in attribute 'split_size', got %"
                                 PRId64, size);
        }
    }
    if (sum != x.dims[axis]) {
        return mica_op_error(op, "expects attribute 'split_size' to sum to %" PRId64
                             " along axis %d, got %" PRId64, x.dims[axis], axis, sum);
    }
    return MICA_OK;
}

mica_status mica_infer_split(const mica_op *op, mica_type *out_results) {
    mica_shape x;
    MICA_TRY(mica_verify_split(op));
    if (!mica_operand_shape(op, 0, &x)) {
        return mica_infer_unranked(op, out_results);
    }
    const int axis = mica_op_axis_of(op);
    for (uint32_t i = 0; i < op->n_results; i++) {
        x.dims[axis] = mica_op_i64_at(op, "split_size", i, 0);
        MICA_TRY(mica_infer_shape_result(op, &x, element_of_input(op), out_results + i));
    }
    return MICA_OK;
}

/* One slice per result. */
mica_status mica_plan_split(const mica_op *op, mica_planner *planner) {
    MICA_TRY(mica_plan_same_quant(planner, op, 0, 1));
    const int32_t in = mica_planner_value(planner, mica_op_operand(op, 0));
    const int axis = mica_op_axis_of(op);
    mrt_slice_params params = {{0}, {1, 1, 1, 1, 1, 1, 1, 1}};
    for (uint32_t i = 0; i < op->n_results; i++) {
        const int32_t out = mica_planner_value(planner, mica_op_result(op, i));
        MICA_TRY(mica_planner_step_ids(planner, op, MRT_K_slice, &params, &in, 1, &out, 1));
        params.start[axis] += mica_op_i64_at(op, "split_size", i, 0);
    }
    return MICA_OK;
}

/* --- Pad -------------------------------------------------------------------------------------- */

static const char pad_modes[] = "constant|reflect|edge|wrap"; /* in the order of MRT_PAD_* */

mica_status mica_verify_pad(const mica_op *op) {
    mica_shape x;
    if (!mica_operand_shape(op, 0, &x)) {
        return MICA_OK;
    }
    MICA_TRY(mica_op_list(op, "paddings", 2 * (size_t)x.rank));
    const int mode = mica_choice_index(pad_modes, mica_op_str(op, "mode"));
    for (int i = 0; i < x.rank; i++) {
        const int64_t begin = mica_op_i64_at(op, "paddings", (size_t)i, 0);
        const int64_t end = mica_op_i64_at(op, "paddings", (size_t)(x.rank + i), 0);
        int64_t size;
        if (!mica_add_ok(x.dims[i], begin, &size) || !mica_add_ok(size, end, &size) || size < 0) {
            return mica_op_error(op, "cannot pad axis %d of %" PRId64 " elements by %" PRId64
                                 " and %" PRId64, i, x.dims[i], begin, end);
        }
        const bool grows = begin > 0 || end > 0;
        if (mode != MRT_PAD_CONSTANT && x.dims[i] == 0 && grows) {
            return mica_op_error(op, "cannot pad axis %d without elements by mode \"%s\"", i,
                                 mica_op_str(op, "mode"));
        }
    }
    return MICA_OK;
}

mica_status mica_infer_pad(const mica_op *op, mica_type *out_results) {
    mica_shape x;
    MICA_TRY(mica_verify_pad(op));
    if (!mica_operand_shape(op, 0, &x)) {
        return mica_infer_unranked(op, out_results);
    }
    for (int i = 0; i < x.rank; i++) {
        x.dims[i] += mica_op_i64_at(op, "paddings", (size_t)i, 0) +
                     mica_op_i64_at(op, "paddings", (size_t)(x.rank + i), 0);
    }
    return mica_infer_shape_result(op, &x, element_of_input(op), out_results);
}

mica_status mica_plan_pad(const mica_op *op, mica_planner *planner) {
    mica_shape x = {0};
    mica_operand_shape(op, 0, &x);
    mrt_pad_params params = {.mode = mica_choice_index(pad_modes, mica_op_str(op, "mode")),
                             .value = mica_op_f64(op, "val")};
    for (int i = 0; i < x.rank; i++) {
        params.begin[i] = mica_op_i64_at(op, "paddings", (size_t)i, 0);
        params.end[i] = mica_op_i64_at(op, "paddings", (size_t)(x.rank + i), 0);
    }
    mica_quant quant;
    if (mica_quant_of(mica_op_result(op, 0), &quant)) {
        params.value = mica_quantize(&quant, params.value);
    }
    return mica_plan_move(planner, op, MRT_K_pad, &params);
}
