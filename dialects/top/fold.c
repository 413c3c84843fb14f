/* Constant folding of single top ops. */
#include "dialects/op_util.h"
#include "dialects/plan_impl.h"
#include "dialects/top/top.h"
#include "runtime/mrt_small.h"
#include "utils/half.h"

#include <math.h>
#include <string.h>

/* Constants made by folding ConstantFill stay below this. */
#define MAX_FILL_BYTES ((int64_t)256 << 20)

/* Puts a weight with the data of result `index` before the op and moves the result's uses to it. */
static void replace_result(mica_op *op, uint32_t index, const void *data) {
    mica_value *result = mica_op_result(op, index);
    if (!result->first_use) {
        return;
    }
    mica_builder builder = mica_builder_before(mica_op_module(op), op);
    const char *name = mica_value_name(result);
    mica_value *weight =
        mica_top_weight(&builder, name, mica_type_element(result->type), result->type->rank,
                        result->type->dims, data);
    if (op->n_results == 1 && strcmp(mica_value_name(weight), name) == 0) {
        weight->def->loc = op->loc;
    }
    mica_value_replace_uses(result, weight);
}

static void take_result(void *user, uint32_t index, const mrt_tensor *result) {
    replace_result(user, index, result->data);
}

/* --- ops without a kernel --------------------------------------------------------------------- */

static bool can_fold_shape(const mica_op *op) {
    mica_shape shape;
    return mica_operand_shape(op, 0, &shape) && mica_type_is_static(mica_op_result(op, 0)->type) &&
           mica_op_result(op, 0)->type->rank == 1;
}

static mica_status fold_shape(mica_op *op) {
    mica_shape shape;
    if (!can_fold_shape(op) || !mica_operand_shape(op, 0, &shape)) {
        return MICA_FAIL;
    }
    int first, last;
    mica_shape_op_range(op, shape.rank, &first, &last);
    if (mica_op_result(op, 0)->type->dims[0] != last - first) {
        return MICA_FAIL;
    }
    replace_result(op, 0, shape.dims + first);
    return MICA_OK;
}

static bool can_fold_fill(const mica_op *op) {
    const mica_value *result = mica_op_result(op, 0);
    mica_shape shape;
    if (!mica_is_weight(mica_op_operand(op, 0)) || !mica_shape_of(result, &shape)) {
        return false;
    }
    const mrt_dtype dtype = mica_dtype_of(mica_type_element(result->type));
    const int64_t count = mica_dims_product(&shape, 0, shape.rank);
    return dtype != MRT_DTYPE_NONE && count * (int64_t)mrt_dtype_bytes(dtype) <= MAX_FILL_BYTES;
}

/* Integers of the width and floats; out of range gives 0. */
static bool encode_value(double value, mrt_dtype dtype, uint8_t out[8]) {
    const size_t bytes = mrt_dtype_bytes(dtype);
    if (dtype == MRT_F32) {
        const float narrow = (float)value;
        memcpy(out, &narrow, sizeof narrow);
    } else if (dtype == MRT_F64) {
        memcpy(out, &value, sizeof value);
    } else if (dtype == MRT_BOOL) {
        out[0] = value != 0;
    } else if (!mrt_dtype_is_number(dtype)) {
        mrt_small_store(dtype, value, out);
    } else if (mrt_dtype_is_float(dtype)) {
        const float narrow = (float)value;
        const uint16_t half =
            dtype == MRT_F16 ? mica_f32_to_f16(narrow) : mica_f32_to_bf16(narrow);
        memcpy(out, &half, sizeof half);
    } else {
        if (!(fabs(value) < 0x1p63)) {
            return false;
        }
        const int64_t integer = (int64_t)value; /* little endian: the low bytes are the value */
        memcpy(out, &integer, bytes);
    }
    return true;
}

static mica_status fold_fill(mica_op *op) {
    if (!can_fold_fill(op)) {
        return MICA_FAIL;
    }
    const mica_type type = mica_op_result(op, 0)->type;
    const mrt_dtype dtype = mica_dtype_of(mica_type_element(type));
    const size_t item = mrt_dtype_bytes(dtype);
    const int64_t count = mica_type_count(type);
    uint8_t element[8] = {0};
    if (!encode_value(mica_op_f64(op, "value"), dtype, element)) {
        return MICA_FAIL;
    }
    uint8_t *data = mica_alloc((size_t)count * item);
    for (int64_t i = 0; i < count; i++) {
        memcpy(data + (size_t)i * item, element, item);
    }
    replace_result(op, 0, data);
    mica_free(data);
    return MICA_OK;
}

/* --- all ops ---------------------------------------------------------------------------------- */

bool mica_top_can_fold(const mica_op *op) {
    if (mica_op_is(op, "top.Shape")) {
        return can_fold_shape(op);
    }
    if (mica_op_is(op, "top.ConstantFill")) {
        return can_fold_fill(op);
    }
    if (!mica_plan_hook(op) || !mica_op_has_trait(op, MICA_PURE)) {
        return false;
    }
    for (uint32_t i = 0; i < op->n_operands; i++) {
        const mica_value *operand = mica_op_operand(op, i);
        if (!mica_type_is_none(operand->type) && !mica_is_weight(operand)) {
            return false;
        }
    }
    for (uint32_t i = 0; i < op->n_results; i++) {
        if (!mica_type_is_static(mica_op_result(op, i)->type)) {
            return false;
        }
    }
    return true;
}

mica_status mica_top_fold(mica_module *module, mica_op *op) {
    if (!mica_top_can_fold(op) || mica_op_module(op) != module) {
        return MICA_FAIL;
    }
    mica_status status;
    if (mica_op_is(op, "top.Shape")) {
        status = fold_shape(op);
    } else if (mica_op_is(op, "top.ConstantFill")) {
        status = fold_fill(op);
    } else {
        status = mica_eval_results(op, take_result, op);
    }
    if (status == MICA_OK) {
        mica_op_erase(op);
    }
    return status;
}
