/* Constants of the top dialect. */
#include "dialects/op_util.h"
#include "dialects/top/top.h"
#include "runtime/mrt_small.h"
#include "utils/half.h"

#include <string.h>

/* --- making constants ------------------------------------------------------------------------- */

/* The name, or the first of name_1, name_2, ... that no weight has. */
static const char *free_name(mica_module *module, const char *name) {
    const char *candidate = name[0] ? name : "const";
    for (int i = 1; mica_weights_get(module->weights, candidate); i++) {
        candidate = mica_arena_printf(module->arena, "%s_%d", name[0] ? name : "const", i);
    }
    return candidate;
}

static mica_value *add_weight(mica_builder *builder, const char *name, mica_type element, int rank,
                              const int64_t *dims, const void *data, bool copy) {
    mica_module *module = builder->module;
    const char *unique = free_name(module, name);
    const char *descr = mica_descr_of_dtype(mica_dtype_of(element));
    mica_weights_set(module->weights, unique, descr, rank, dims, data, copy);
    const mica_type type = mica_type_tensor(module->context, rank, dims, element, NULL);
    const mica_op_state state = {.name = "top.Weight",
                                 .loc = mica_loc_name(module->context, unique, NULL),
                                 .results = &type,
                                 .n_results = 1};
    return mica_op_result(mica_build(builder, &state), 0);
}

mica_value *mica_top_weight(mica_builder *builder, const char *name, mica_type element, int rank,
                            const int64_t *dims, const void *data) {
    return add_weight(builder, name, element, rank, dims, data, true);
}

mica_value *mica_top_weight_borrow(mica_builder *builder, const char *name, mica_type element,
                                   int rank, const int64_t *dims, const void *data) {
    return add_weight(builder, name, element, rank, dims, data, false);
}

/* Entry block of the function that the builder works in; the builder's block outside of one. */
static mica_block *function_block(const mica_builder *builder) {
    mica_block *block = builder->block;
    for (const mica_block *at = block; at && at->region && at->region->parent;
         at = at->region->parent->block) {
        if (mica_op_is(at->region->parent, "func.func")) {
            return at->region->first;
        }
    }
    return block;
}

mica_value *mica_top_none(mica_builder *builder) {
    mica_block *block = function_block(builder);
    for (mica_op *op = block->first; op; op = op->next) {
        if (!mica_op_is(op, "top.None")) {
            continue;
        }
        if (op != block->first) {
            mica_op_move_before(op, block->first);
        }
        return mica_op_result(op, 0);
    }
    mica_builder at = *builder;
    at.block = block;
    at.before = block->first;
    mica_context *context = builder->module->context;
    const mica_type none = mica_type_none(context);
    const mica_op_state state = {
        .name = "top.None", .loc = mica_loc_unknown(context), .results = &none, .n_results = 1};
    return mica_op_result(mica_build(&at, &state), 0);
}

/* --- reading constants ------------------------------------------------------------------------ */

bool mica_is_weight(const mica_value *value) {
    return value && value->def && mica_op_is(value->def, "top.Weight");
}

const mica_ndarray *mica_weight_data(const mica_value *value) {
    if (!mica_is_weight(value)) {
        return NULL;
    }
    const mica_module *module = mica_op_module(value->def);
    return module ? mica_weights_get(module->weights, mica_value_name(value)) : NULL;
}

/* Array, type and element count of a constant; false when it cannot be read. */
static bool constant_array(const mica_value *value, const mica_ndarray **out_array,
                           mrt_dtype *out_dtype, int64_t *out_count) {
    const mica_ndarray *array = mica_weight_data(value);
    if (!array) {
        return false;
    }
    *out_array = array;
    *out_dtype = mica_dtype_of(mica_type_element(value->type));
    *out_count = mica_ndarray_count(array);
    return strcmp(mica_descr_of_dtype(*out_dtype), array->descr) == 0;
}

static double element_f64(const void *data, mrt_dtype dtype, int64_t i) {
    if (mrt_dtype_is_small_float(dtype)) {
        float value;
        mrt_small_to_f32(dtype, (const uint8_t *)data + i, &value, 1);
        return (double)value;
    }
    switch (mrt_small_base(dtype)) {
    case MRT_F32:
        return ((const float *)data)[i];
    case MRT_F64:
        return ((const double *)data)[i];
    case MRT_F16:
        return mica_f16_to_f32(((const uint16_t *)data)[i]);
    case MRT_BF16:
        return mica_bf16_to_f32(((const uint16_t *)data)[i]);
    case MRT_I8:
        return ((const int8_t *)data)[i];
    case MRT_U8:
    case MRT_BOOL:
        return ((const uint8_t *)data)[i];
    case MRT_I16:
        return ((const int16_t *)data)[i];
    case MRT_U16:
        return ((const uint16_t *)data)[i];
    case MRT_I32:
        return ((const int32_t *)data)[i];
    case MRT_U32:
        return ((const uint32_t *)data)[i];
    case MRT_I64:
        return (double)((const int64_t *)data)[i];
    case MRT_U64:
        return (double)((const uint64_t *)data)[i];
    default:
        return 0;
    }
}

const double *mica_weight_f64(const mica_value *value, int64_t *out_count) {
    const mica_ndarray *array;
    mrt_dtype dtype;
    int64_t count;
    if (!constant_array(value, &array, &dtype, &count)) {
        return NULL;
    }
    double *values = mica_arena_array(mica_op_module(value->def)->arena, (size_t)count,
                                      sizeof values[0]);
    for (int64_t i = 0; i < count; i++) {
        values[i] = element_f64(array->data, dtype, i);
    }
    *out_count = count;
    return values;
}

const int64_t *mica_weight_i64(const mica_value *value, int64_t *out_count) {
    const mica_ndarray *array;
    mrt_dtype dtype;
    int64_t count;
    if (!constant_array(value, &array, &dtype, &count)) {
        return NULL;
    }
    if (dtype == MRT_BF16 || mrt_dtype_is_small_float(dtype)) {
        return NULL;
    }
    int64_t *values =
        mica_arena_array(mica_op_module(value->def)->arena, (size_t)count, sizeof values[0]);
    if (!mica_ndarray_to_i64(array, values)) {
        return NULL;
    }
    *out_count = count;
    return values;
}

bool mica_weight_scalar(const mica_value *value, double *out) {
    const mica_ndarray *array;
    mrt_dtype dtype;
    int64_t count;
    if (!constant_array(value, &array, &dtype, &count) || count != 1) {
        return false;
    }
    *out = element_f64(array->data, dtype, 0);
    return true;
}
