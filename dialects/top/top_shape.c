/* Ops about shapes alone: Reshape, Permute, Expand, Tile, Shape, ConstantFill, Range. */
#include "dialects/hooks.h"
#include "dialects/plan_util.h"
#include "dialects/top/top.h"
#include "utils/checked.h"

#include <math.h>
#include <string.h>

/* An attribute of dimensions as a shape. */
static mica_status read_dims(const mica_op *op, const char *attr, mica_shape *out) {
    size_t count;
    const int64_t *dims = mica_op_i64s(op, attr, &count);
    if (count > MICA_MAX_RANK) {
        return mica_op_error(op, "expects at most %d values in attribute '%s', got %zu",
                             MICA_MAX_RANK, attr, count);
    }
    *out = (mica_shape){.rank = (int)count};
    if (count > 0) {
        memcpy(out->dims, dims, count * sizeof dims[0]);
    }
    return MICA_OK;
}

static mica_type element_of_input(const mica_op *op) {
    return mica_result_element(op, mica_op_operand(op, 0));
}

/* --- Reshape ---------------------------------------------------------------------------------- */

mica_status mica_verify_reshape(const mica_op *op) {
    mica_shape shape;
    MICA_TRY(read_dims(op, "shape", &shape));
    int unknown = 0;
    for (int i = 0; i < shape.rank; i++) {
        unknown += shape.dims[i] == -1;
        if (shape.dims[i] < -1) {
            return mica_op_error(op, "expects dimensions of at least -1 in attribute 'shape', got %s",
                                 mica_shape_text(&shape).text);
        }
    }
    if (unknown > 1) {
        return mica_op_error(op, "expects at most one -1 in attribute 'shape', got %s",
                             mica_shape_text(&shape).text);
    }
    return MICA_OK;
}

/* Replaces 0 and -1 of `shape`. */
static mica_status resolve_reshape(const mica_op *op, const mica_shape *x, mica_shape *shape) {
    const mica_shape wanted = *shape;
    const int64_t count = mica_dims_product(x, 0, x->rank);
    int64_t known = 1;
    int unknown = -1;
    for (int i = 0; i < shape->rank; i++) {
        if (shape->dims[i] == 0) {
            if (i >= x->rank) {
                return mica_op_error(op, "cannot copy dimension %d of input %s", i,
                                     mica_shape_text(x).text);
            }
            shape->dims[i] = x->dims[i];
        }
        if (shape->dims[i] == -1) {
            unknown = i;
        } else if (!mica_mul_ok(known, shape->dims[i], &known)) {
            return mica_op_error(op, "expects a shape of %" PRId64 " elements, got %s", count,
                                 mica_shape_text(&wanted).text);
        }
    }
    if (unknown >= 0) {
        const bool fits = known > 0 ? count % known == 0 : count == 0;
        shape->dims[unknown] = known > 0 && fits ? count / known : 0;
        if (fits) {
            return MICA_OK;
        }
    } else if (known == count) {
        return MICA_OK;
    }
    return mica_op_error(op, "cannot reshape %s of %" PRId64 " elements to %s",
                         mica_shape_text(x).text, count, mica_shape_text(&wanted).text);
}

mica_status mica_infer_reshape(const mica_op *op, mica_type *out_results) {
    mica_shape x, shape;
    MICA_TRY(mica_verify_reshape(op));
    MICA_TRY(read_dims(op, "shape", &shape));
    if (!mica_operand_shape(op, 0, &x)) {
        return mica_infer_unranked(op, out_results);
    }
    MICA_TRY(resolve_reshape(op, &x, &shape));
    return mica_infer_shape_result(op, &shape, element_of_input(op), out_results);
}

mica_status mica_plan_reshape(const mica_op *op, mica_planner *planner) {
    MICA_TRY(mica_plan_same_quant(planner, op, 0, 1));
    return mica_planner_alias(planner, op);
}

/* --- Permute ---------------------------------------------------------------------------------- */

mica_status mica_verify_permute(const mica_op *op) {
    mica_shape x, order;
    MICA_TRY(read_dims(op, "order", &order));
    if (mica_operand_shape(op, 0, &x)) {
        MICA_TRY(mica_op_list(op, "order", (size_t)x.rank));
    }
    unsigned seen = 0;
    for (int i = 0; i < order.rank; i++) {
        const int64_t axis = order.dims[i];
        if (axis < 0 || axis >= order.rank || (seen >> axis & 1)) {
            return mica_op_error(op, "expects a permutation of 0 to %d in attribute 'order', got %s",
                                 order.rank - 1, mica_shape_text(&order).text);
        }
        seen |= 1u << axis;
    }
    return MICA_OK;
}

mica_status mica_infer_permute(const mica_op *op, mica_type *out_results) {
    mica_shape x, order, y;
    MICA_TRY(mica_verify_permute(op));
    MICA_TRY(read_dims(op, "order", &order));
    if (!mica_operand_shape(op, 0, &x)) {
        return mica_infer_unranked(op, out_results);
    }
    y.rank = x.rank;
    for (int i = 0; i < x.rank; i++) {
        y.dims[i] = x.dims[order.dims[i]];
    }
    return mica_infer_shape_result(op, &y, element_of_input(op), out_results);
}

mica_status mica_plan_permute(const mica_op *op, mica_planner *planner) {
    mica_shape order;
    MICA_TRY(read_dims(op, "order", &order));
    mrt_permute_params params = {{0}};
    memcpy(params.order, order.dims, (size_t)order.rank * sizeof order.dims[0]);
    return mica_plan_move(planner, op, MRT_K_permute, &params);
}

/* --- Expand, Tile ----------------------------------------------------------------------------- */

mica_status mica_infer_expand(const mica_op *op, mica_type *out_results) {
    mica_shape x, shape, y;
    MICA_TRY(read_dims(op, "shape", &shape));
    if (!mica_operand_shape(op, 0, &x)) {
        return mica_infer_unranked(op, out_results);
    }
    if (!mica_shape_broadcast(&x, &shape, &y)) {
        return mica_op_error(op, "cannot broadcast shape %s with attribute 'shape' %s",
                             mica_shape_text(&x).text, mica_shape_text(&shape).text);
    }
    return mica_infer_shape_result(op, &y, element_of_input(op), out_results);
}

mica_status mica_plan_expand(const mica_op *op, mica_planner *planner) {
    return mica_plan_move(planner, op, MRT_K_expand, NULL);
}

mica_status mica_infer_tile(const mica_op *op, mica_type *out_results) {
    mica_shape x, tile;
    MICA_TRY(read_dims(op, "tile", &tile));
    if (!mica_operand_shape(op, 0, &x)) {
        return mica_infer_unranked(op, out_results);
    }
    MICA_TRY(mica_op_list(op, "tile", (size_t)x.rank));
    for (int i = 0; i < x.rank; i++) {
        if (tile.dims[i] < 0 || !mica_mul_ok(x.dims[i], tile.dims[i], &x.dims[i])) {
            return mica_op_error(op, "cannot repeat axis %d of shape %s %" PRId64 " times", i,
                                 mica_shape_text(&x).text, tile.dims[i]);
        }
    }
    return mica_infer_shape_result(op, &x, element_of_input(op), out_results);
}

mica_status mica_plan_tile(const mica_op *op, mica_planner *planner) {
    return mica_plan_move(planner, op, MRT_K_tile, NULL);
}

/* --- Shape, ConstantFill, Range --------------------------------------------------------------- */

/* A negative bound counts from the end; both are clamped: ONNX Shape-15. */
static int clamp_axis(int64_t axis, int rank) {
    axis = axis < 0 ? axis + rank : axis;
    return (int)(axis < 0 ? 0 : (axis > rank ? rank : axis));
}

void mica_shape_op_range(const mica_op *op, int rank, int *out_first, int *out_last) {
    *out_first = clamp_axis(mica_op_i64(op, "start"), rank);
    *out_last = mica_op_has_attr(op, "end") ? clamp_axis(mica_op_i64(op, "end"), rank) : rank;
    if (*out_last < *out_first) {
        *out_last = *out_first;
    }
}

mica_status mica_infer_shape(const mica_op *op, mica_type *out_results) {
    mica_context *context = mica_op_context(op);
    const mica_type x = mica_op_operand(op, 0)->type;
    if (!mica_type_is_tensor(x) || x->rank < 0) {
        out_results[0] = mica_type_tensor(context, -1, NULL, mica_type_i64(context), NULL);
        return MICA_OK;
    }
    int first, last;
    mica_shape_op_range(op, x->rank, &first, &last);
    const mica_shape y = {.rank = 1, .dims = {last - first}};
    return mica_infer_shape_result(op, &y, mica_type_i64(context), out_results);
}

mica_status mica_plan_shape(const mica_op *op, mica_planner *planner) {
    int first, last;
    mica_shape_op_range(op, mica_op_operand(op, 0)->type->rank, &first, &last);
    const mrt_axis_params params = {.axis = first};
    return mica_planner_step(planner, op, MRT_K_shape, &params);
}

mica_status mica_infer_constant_fill(const mica_op *op, mica_type *out_results) {
    mica_context *context = mica_op_context(op);
    const mrt_dtype dtype = mica_dtype_of_name(mica_op_str(op, "dtype"));
    if (dtype == MRT_DTYPE_NONE) {
        return mica_op_error(op, "expects an element type in attribute 'dtype', got \"%s\"",
                             mica_op_str(op, "dtype"));
    }
    int64_t count;
    const int64_t *dims = mica_weight_i64(mica_op_operand(op, 0), &count);
    if (!dims) {
        out_results[0] =
            mica_type_tensor(context, -1, NULL, mica_type_of_dtype(context, dtype), NULL);
        return MICA_OK;
    }
    if (count > MICA_MAX_RANK) {
        return mica_op_error(op, "expects at most %d dimensions, got %" PRId64, MICA_MAX_RANK,
                             count);
    }
    mica_shape y = {.rank = (int)count};
    memcpy(y.dims, dims, (size_t)count * sizeof dims[0]);
    return mica_infer_shape_result(op, &y, mica_type_of_dtype(context, dtype), out_results);
}

/* ceil((limit - start) / delta), at least 0; false when it is not a number that fits. */
static bool range_count(const mica_op *op, int64_t *out) {
    double v[3];
    int64_t i[3], n;
    bool integer = true;
    for (uint32_t k = 0; k < 3; k++) {
        const mica_value *operand = mica_op_operand(op, k);
        const mrt_dtype dtype = mica_dtype_of(mica_type_element(operand->type));
        const int64_t *exact = mica_weight_i64(operand, &n);
        integer = integer && !mrt_dtype_is_float(dtype) && exact && n == 1;
        i[k] = integer ? exact[0] : 0;
        if (!mica_weight_scalar(operand, &v[k])) {
            return false;
        }
        if (dtype == MRT_F32) {
            v[k] = (double)(float)v[k];
        }
    }
    int64_t distance;
    if (integer) {
        if (i[2] == 0 || !mica_sub_ok(i[1], i[0], &distance) || distance == INT64_MIN) {
            return false;
        }
        const bool forward = (distance > 0) == (i[2] > 0);
        *out = distance == 0 || !forward ? 0 : distance / i[2] + (distance % i[2] != 0);
        return true;
    }
    const double count = ceil((v[1] - v[0]) / v[2]);
    if (!(fabs(count) < 0x1p53)) {
        return false;
    }
    *out = count > 0 ? (int64_t)count : 0;
    return true;
}

mica_status mica_infer_range(const mica_op *op, mica_type *out_results) {
    for (uint32_t i = 0; i < 3; i++) {
        if (!mica_is_weight(mica_op_operand(op, i))) {
            return mica_infer_unranked(op, out_results);
        }
    }
    mica_shape y = {.rank = 1};
    if (!range_count(op, &y.dims[0])) {
        return mica_op_error(op, "expects one start, limit and nonzero delta that give a finite "
                             "number of elements");
    }
    return mica_infer_shape_result(op, &y, element_of_input(op), out_results);
}

mica_status mica_plan_range(const mica_op *op, mica_planner *planner) {
    MICA_TRY(mica_plan_no_quant(planner, op));
    return mica_planner_step(planner, op, MRT_K_range, NULL);
}
