/* Double precision to single, before calibration and lowering: targets have no f64, and only f32
 * values are calibrated and quantized. Integer arithmetic of shapes is not touched. */
#include <string.h>

#include "dialects/op_util.h"
#include "dialects/top/top.h"
#include "ir/builder.h"
#include "ir/pass.h"
#include "ir/weights.h"
#include "passes/top/optimize.h"

mica_pass_fn mica_pass_top_narrow_f64;

static bool is_f64(const mica_value *value) {
    return mica_type_is_float(mica_type_element(value->type), MICA_F64);
}

static void narrow_type(mica_context *context, mica_value *value) {
    value->type = mica_type_with_element(value->type, mica_type_f32(context));
}

static mica_status narrow_weight(mica_module *module, const mica_op *op) {
    const mica_value *value = mica_op_result(op, 0);
    const mica_ndarray *array = mica_weight_data(value);
    if (array == NULL || strcmp(array->descr, "<f8") != 0) {
        return mica_op_error(op, "needs constant '%s' of f64, which is not among the weights",
                             mica_value_name(value));
    }
    const int64_t count = mica_ndarray_count(array);
    float *data = mica_alloc((size_t)count * sizeof *data + 1);
    const double *from = array->data;
    for (int64_t i = 0; i < count; ++i) {
        data[i] = (float)from[i];
    }
    int64_t dims[MICA_MAX_RANK];
    const int rank = array->rank;
    memcpy(dims, array->dims, sizeof dims[0] * (size_t)rank);
    mica_weights_set(module->weights, mica_value_name(value), "<f4", rank, dims, data, true);
    mica_free(data);
    return MICA_OK;
}

/* Attributes that name an element type. */
static void narrow_attr(mica_op *op, const char *name) {
    if (mica_op_attr(op, name) != NULL && strcmp(mica_op_str(op, name), "f64") == 0) {
        mica_op_set_str(op, name, "f32");
    }
}

static mica_status narrow_op(mica_module *module, mica_op *op) {
    bool wide = false;
    for (uint32_t i = 0; i < op->n_operands && !wide; ++i) {
        wide = is_f64(mica_op_operand(op, i));
    }
    for (uint32_t i = 0; i < op->n_results && !wide; ++i) {
        wide = is_f64(mica_op_result(op, i));
    }
    if (!wide) {
        return MICA_OK;
    }
    if (mica_op_is(op, "top.BitCast")) {
        return mica_op_error(op, "reads or makes the bits of f64, which is computed in f32 here");
    }
    if (mica_op_is(op, "top.Weight")) {
        MICA_TRY(narrow_weight(module, op));
    } else if (mica_op_is(op, "top.DtypeCast")) {
        narrow_attr(op, "to");
    } else if (mica_op_is(op, "top.ConstantFill")) {
        narrow_attr(op, "dtype");
    }
    return MICA_OK;
}

mica_status mica_top_narrow_f64(mica_module *module) {
    mica_op *func = mica_module_func(module, "main");
    const mica_block *body = func != NULL ? mica_func_body(func) : NULL;
    if (body == NULL) {
        return MICA_OK; /* whoever needs the function says so */
    }
    for (mica_op *op = body->first; op != NULL; op = op->next) {
        MICA_TRY(narrow_op(module, op));
    }
    bool any = false;
    for (uint32_t i = 0; i < body->n_args; ++i) {
        if (is_f64(body->args[i])) {
            narrow_type(module->context, body->args[i]);
            any = true;
        }
    }
    for (mica_op *op = body->first; op != NULL; op = op->next) {
        for (uint32_t i = 0; i < op->n_results; ++i) {
            if (is_f64(&op->results[i])) {
                narrow_type(module->context, &op->results[i]);
                any = true;
            }
        }
    }
    if (any) {
        mica_func_update_type(func);
    }
    return MICA_OK;
}

mica_status mica_pass_top_narrow_f64(mica_module *module, const mica_pass_options *options) {
    (void)options;
    return mica_top_narrow_f64(module);
}
