/* Types: uniqued on the context. */
#include "ir/type.h"

#include "ir/attr.h"
#include "ir/context_impl.h"
#include "ir/float_format.h"
#include "utils/checked.h"

#include <assert.h>
#include <string.h>

static mica_extent extent_of(const struct mica_type_storage *type) {
    mica_extent extent = {1, 1};
    const mica_type single[] = {type->element, type->storage};
    for (size_t i = 0; i < MICA_COUNT(single); i++) {
        if (single[i]) {
            mica_extent_add(&extent, single[i]->depth, single[i]->weight);
        }
    }
    for (size_t i = 0; i < type->n_inputs; i++) {
        mica_extent_add(&extent, type->inputs[i]->depth, type->inputs[i]->weight);
    }
    for (size_t i = 0; i < type->n_results; i++) {
        mica_extent_add(&extent, type->results[i]->depth, type->results[i]->weight);
    }
    if (type->encoding) {
        mica_extent_add(&extent, type->encoding->depth, type->encoding->weight);
    }
    mica_extent_add(&extent, 0, (uint32_t)type->n_scales);
    return extent;
}

/* Every kind of type goes through here; fields that a kind does not use are zero. */
static mica_type store(mica_context *context, struct mica_type_storage value) {
    size_t n_dims = value.rank > 0 ? (size_t)value.rank : 0;
    mica_key_begin(context, MICA_KEY_TYPE);
    mica_key_int(context, value.kind);
    mica_key_int(context, value.width);
    mica_key_int(context, value.sign);
    mica_key_int(context, value.float_kind);
    mica_key_pointer(context, value.element);
    mica_key_pointer(context, value.storage);
    mica_key_int(context, value.rank);
    mica_key_pointer(context, value.encoding);
    mica_key_int(context, (int64_t)value.n_inputs);
    mica_key_real(context, value.min);
    mica_key_real(context, value.max);
    mica_key_int(context, value.axis);
    mica_key_int(context, value.storage_min);
    mica_key_int(context, value.storage_max);
    mica_key_bytes(context, value.dims, n_dims * sizeof *value.dims);
    mica_key_bytes(context, value.inputs, value.n_inputs * sizeof *value.inputs);
    mica_key_bytes(context, value.results, value.n_results * sizeof *value.results);
    mica_key_bytes(context, value.scales, value.n_scales * sizeof *value.scales);
    mica_key_bytes(context, value.zero_points, value.n_scales * sizeof *value.zero_points);
    mica_type found = mica_key_find(context);
    if (found) {
        return found;
    }
    mica_arena *arena = context->arena;
    struct mica_type_storage *type = mica_arena_alloc(arena, sizeof *type);
    *type = value;
    type->context = context;
    type->dims = mica_arena_memdup(arena, value.dims, n_dims * sizeof *value.dims);
    type->inputs = mica_arena_memdup(arena, value.inputs, value.n_inputs * sizeof *value.inputs);
    type->results =
        mica_arena_memdup(arena, value.results, value.n_results * sizeof *value.results);
    type->scales = mica_arena_memdup(arena, value.scales, value.n_scales * sizeof *value.scales);
    type->zero_points =
        mica_arena_memdup(arena, value.zero_points, value.n_scales * sizeof *value.zero_points);
    mica_extent extent = extent_of(type);
    type->depth = extent.depth;
    type->weight = extent.weight;
    mica_key_store(context, type);
    return type;
}

mica_type mica_type_none(mica_context *context) {
    return store(context, (struct mica_type_storage){.kind = MICA_TYPE_NONE});
}

mica_type mica_type_index(mica_context *context) {
    return store(context, (struct mica_type_storage){.kind = MICA_TYPE_INDEX, .width = 64});
}

mica_type mica_type_integer(mica_context *context, int width, mica_sign sign) {
    assert(width >= 1 && width <= 64);
    return store(context, (struct mica_type_storage){
                              .kind = MICA_TYPE_INTEGER, .width = width, .sign = sign});
}

mica_type mica_type_float(mica_context *context, mica_float_kind kind) {
    return store(context, (struct mica_type_storage){.kind = MICA_TYPE_FLOAT,
                                                     .width = mica_float_width(kind),
                                                     .float_kind = kind});
}

mica_type mica_type_f32(mica_context *context) {
    return mica_type_float(context, MICA_F32);
}

mica_type mica_type_i64(mica_context *context) {
    return mica_type_integer(context, 64, MICA_SIGNLESS);
}

mica_type mica_type_tensor(mica_context *context, int rank, const int64_t *dims, mica_type element,
                           mica_attr encoding) {
    assert(rank >= -1 && rank <= MICA_MAX_RANK && element);
    int64_t copy[MICA_MAX_RANK];
    for (int i = 0; i < rank; i++) {
        copy[i] = dims[i] < 0 ? MICA_DYNAMIC : dims[i];
    }
    return store(context, (struct mica_type_storage){.kind = MICA_TYPE_TENSOR,
                                                     .element = element,
                                                     .rank = rank,
                                                     .dims = copy,
                                                     .encoding = encoding});
}

mica_type mica_type_function(mica_context *context, const mica_type *inputs, size_t n_inputs,
                             const mica_type *results, size_t n_results) {
    return store(context, (struct mica_type_storage){.kind = MICA_TYPE_FUNCTION,
                                                     .inputs = inputs,
                                                     .n_inputs = n_inputs,
                                                     .results = results,
                                                     .n_results = n_results});
}

/* --- quantized types -------------------------------------------------------------------------- */

mica_type mica_type_calibrated(mica_context *context, mica_type expressed, double min, double max) {
    /* Adding zero turns -0.0 into 0.0, so that equal ranges are one type. */
    return store(context, (struct mica_type_storage){.kind = MICA_TYPE_CALIBRATED,
                                                     .element = expressed,
                                                     .min = min + 0.0,
                                                     .max = max + 0.0});
}

void mica_type_integer_range(mica_type integer, int64_t *out_min, int64_t *out_max) {
    int width = integer->width;
    if (integer->sign == MICA_UNSIGNED) {
        *out_min = 0;
        *out_max = width >= 63 ? INT64_MAX : ((int64_t)1 << width) - 1;
    } else {
        *out_max = width >= 64 ? INT64_MAX : ((int64_t)1 << (width - 1)) - 1;
        *out_min = -*out_max - 1;
    }
}

/* Storage types are signed or unsigned: a signless integer counts as signed, as in MLIR's text. */
static mica_type storage_type(mica_context *context, mica_type storage) {
    assert(storage->kind == MICA_TYPE_INTEGER);
    mica_sign sign = storage->sign == MICA_UNSIGNED ? MICA_UNSIGNED : MICA_SIGNED;
    return mica_type_integer(context, storage->width, sign);
}

mica_type mica_type_uniform_ranged(mica_context *context, mica_type storage, mica_type expressed,
                                   int axis, const double *scales, const int64_t *zero_points,
                                   size_t n_scales, int64_t storage_min, int64_t storage_max) {
    return store(context, (struct mica_type_storage){
                              .kind = axis < 0 ? MICA_TYPE_UNIFORM : MICA_TYPE_UNIFORM_AXIS,
                              .element = expressed,
                              .storage = storage_type(context, storage),
                              .axis = axis < 0 ? 0 : axis,
                              .scales = scales,
                              .zero_points = zero_points,
                              .n_scales = n_scales,
                              .storage_min = storage_min,
                              .storage_max = storage_max});
}

mica_type mica_type_uniform(mica_context *context, mica_type storage, mica_type expressed,
                            double scale, int64_t zero_point) {
    int64_t min, max;
    mica_type_integer_range(storage, &min, &max);
    return mica_type_uniform_ranged(context, storage, expressed, -1, &scale, &zero_point, 1, min,
                                    max);
}

mica_type mica_type_uniform_axis(mica_context *context, mica_type storage, mica_type expressed,
                                 int axis, const double *scales, const int64_t *zero_points,
                                 size_t n_scales) {
    assert(axis >= 0);
    int64_t min, max;
    mica_type_integer_range(storage, &min, &max);
    int64_t *zeros = NULL;
    if (!zero_points) {
        zeros = mica_alloc(n_scales * sizeof *zeros);
        zero_points = zeros;
    }
    mica_type type = mica_type_uniform_ranged(context, storage, expressed, axis, scales,
                                              zero_points, n_scales, min, max);
    mica_free(zeros);
    return type;
}

/* --- questions -------------------------------------------------------------------------------- */

bool mica_type_is_tensor(mica_type type) {
    return type->kind == MICA_TYPE_TENSOR;
}

bool mica_type_is_none(mica_type type) {
    return type->kind == MICA_TYPE_NONE;
}

bool mica_type_is_static(mica_type type) {
    if (type->kind != MICA_TYPE_TENSOR || type->rank < 0) {
        return false;
    }
    for (int i = 0; i < type->rank; i++) {
        if (type->dims[i] < 0) {
            return false;
        }
    }
    return true;
}

int64_t mica_type_count(mica_type type) {
    assert(mica_type_is_static(type));
    int64_t count = 1;
    for (int i = 0; i < type->rank; i++) {
        if (type->dims[i] == 0) {
            return 0;
        }
        if (!mica_mul_ok(count, type->dims[i], &count)) {
            count = INT64_MAX;
        }
    }
    return count;
}

mica_type mica_type_with_element(mica_type tensor, mica_type element) {
    assert(tensor->kind == MICA_TYPE_TENSOR);
    return mica_type_tensor(tensor->context, tensor->rank, tensor->dims, element,
                            tensor->encoding);
}

mica_type mica_type_element(mica_type type) {
    return type->kind == MICA_TYPE_TENSOR ? type->element : type;
}

bool mica_type_is_float(mica_type element, mica_float_kind kind) {
    return element->kind == MICA_TYPE_FLOAT && element->float_kind == kind;
}

bool mica_type_is_quant(mica_type element) {
    return element->kind == MICA_TYPE_UNIFORM || element->kind == MICA_TYPE_UNIFORM_AXIS;
}

bool mica_type_is_calibrated(mica_type element) {
    return element->kind == MICA_TYPE_CALIBRATED;
}
