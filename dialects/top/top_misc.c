/* None, Weight and Input. */
#include "dialects/hooks.h"
#include "dialects/op_util.h"
#include "ir/weights.h"

#include <string.h>

mica_status mica_infer_none(const mica_op *op, mica_type *out_results) {
    out_results[0] = mica_type_none(mica_op_context(op));
    return MICA_OK;
}

/* The array, if the weights are loaded, must be what the type says. */
mica_status mica_verify_weight(const mica_op *op) {
    const mica_value *result = mica_op_result(op, 0);
    mica_shape shape;
    if (!mica_shape_of(result, &shape)) {
        return mica_op_error(op, "expects a static tensor type, got %s",
                             mica_type_text(result->type));
    }
    const mrt_dtype dtype = mica_dtype_of(mica_type_element(result->type));
    const mica_module *module = mica_op_module(op);
    const char *name = mica_value_name(result);
    if (name[0] == '\0') {
        return mica_op_error(op, "expects a location with a name");
    }
    const mica_ndarray *array = module ? mica_weights_get(module->weights, name) : NULL;
    if (!array) {
        return MICA_OK;
    }
    if (dtype == MRT_DTYPE_NONE || strcmp(mica_descr_of_dtype(dtype), array->descr) != 0) {
        return mica_op_error(op, "has type %s, but the weights hold '%s' as %s",
                             mica_type_text(result->type), name, array->descr);
    }
    if (mica_ndarray_count(array) != mica_dims_product(&shape, 0, shape.rank)) {
        return mica_op_error(op, "has type %s, but the weights hold '%s' with %" PRId64
                             " elements", mica_type_text(result->type), name,
                             mica_ndarray_count(array));
    }
    return MICA_OK;
}

/* The planner has made the tensor when it saw the block argument; any other Input is a name for
 * what is there already: preprocessing happens outside of plans. */
mica_status mica_plan_input(const mica_op *op, mica_planner *planner) {
    return mica_planner_is_known(planner, mica_op_result(op, 0)) ? MICA_OK
                                                                 : mica_planner_alias(planner, op);
}
