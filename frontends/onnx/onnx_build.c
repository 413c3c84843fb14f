/* Making top ops: names, type inference, folding, and the small ops that converters compose. */
#include "frontends/onnx/onnx_internal.h"

#include "runtime/mrt_small.h"
#include "utils/half.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* Constants larger than this are not computed while importing. */
static const int64_t FOLD_LIMIT = (int64_t)1 << 31;

/* --- names ----------------------------------------------------------------------------------- */
const char *mica_onnx_unique(mica_onnx_importer *im, const char *name) {
    const char *candidate = name;
    for (int i = 1; !mica_map_set(im->names, candidate, NULL); i++) {
        candidate = mica_arena_printf(im->arena, "%s_%d", name, i);
    }
    return candidate;
}

void mica_onnx_rename(mica_onnx_importer *im, mica_value *value, const char *name) {
    mica_op *op = value->def;
    const mica_loc loc = mica_loc_name(im->context, name, NULL);
    if (op->n_results == 1) {
        op->loc = loc;
        return;
    }
    mica_loc *parts = mica_arena_array(im->arena, op->n_results, sizeof *parts);
    for (uint32_t i = 0; i < op->n_results; i++) {
        const char *old = mica_loc_get_name_at(op->loc, i);
        parts[i] = i == value->index ? loc : mica_loc_name(im->context, old, NULL);
    }
    op->loc = mica_loc_fused(im->context, parts, op->n_results);
}

static const char *output_name(mica_onnx_node *node, size_t i, const char *suffix) {
    mica_onnx_importer *im = node->importer;
    const char *base = mica_onnx_out_name(node, i + (suffix == NULL ? node->primary : 0));
    if (suffix == NULL && base[0] != '\0') {
        if (im->scope->prefix[0] == '\0') {
            return base; /* unique: a model names every tensor once */
        }
        return mica_onnx_unique(im, mica_arena_printf(im->arena, "%s%s", im->scope->prefix, base));
    }
    const char *first = mica_onnx_has_out(node, 0) ? mica_onnx_out_name(node, 0) : node->name;
    const char *tail =
        suffix != NULL ? suffix : mica_arena_printf(im->arena, "output%zu", i);
    const char *name = mica_onnx_unique(
        im, mica_arena_printf(im->arena, "%s%s_%s", im->scope->prefix, first, tail));
    mica_map_set(im->helpers, name, NULL);
    return name;
}

void mica_onnx_bind(mica_onnx_node *node, size_t i, mica_value *value) {
    mica_onnx_importer *im = node->importer;
    if (node->failed || value == NULL || !mica_onnx_has_out(node, i)) {
        return;
    }
    if (value->def != NULL && !mica_is_weight(value) &&
        mica_map_remove(im->helpers, mica_value_name(value))) {
        node->primary = i;
        mica_onnx_rename(im, value, output_name(node, 0, NULL));
        node->primary = 0;
    }
    mica_onnx_define(im, mica_onnx_out_name(node, i), value);
}

void mica_onnx_bind_entry(mica_onnx_node *node, size_t i, mica_onnx_entry *entry) {
    if (entry != NULL && entry->value != NULL) {
        mica_onnx_bind(node, i, entry->value);
    } else if (entry != NULL && !node->failed && mica_onnx_has_out(node, i)) {
        mica_onnx_define_entry(node->importer, mica_onnx_out_name(node, i), entry);
    }
}

static mica_loc result_loc(mica_onnx_node *node, const char *suffix, size_t n_results) {
    mica_context *context = node->importer->context;
    if (n_results <= 1) {
        return mica_loc_name(context, output_name(node, 0, suffix), NULL);
    }
    mica_loc *parts = mica_arena_array(node->importer->arena, n_results, sizeof *parts);
    for (size_t i = 0; i < n_results; i++) {
        const char *name = suffix == NULL ? output_name(node, i, NULL)
                                          : output_name(node, 0, mica_arena_printf(
                                                node->importer->arena, "%s%zu", suffix, i));
        parts[i] = mica_loc_name(context, name, NULL);
    }
    return mica_loc_fused(context, parts, n_results);
}

/* --- ops ------------------------------------------------------------------------------------- */
mica_op *mica_onnx_op(mica_onnx_node *node, const char *op, const char *suffix,
                      mica_value *const *operands, size_t n_operands, size_t n_results) {
    if (node->failed) {
        return NULL;
    }
    mica_onnx_importer *im = node->importer;
    mica_value **all = mica_arena_array(im->arena, n_operands, sizeof *all);
    for (size_t i = 0; i < n_operands; i++) {
        all[i] = operands[i];
        if (all[i] == NULL) {
            all[i] = mica_top_none(&im->builder);
        }
    }
    return mica_build_op(&im->builder, op, result_loc(node, suffix, n_results), all, n_operands,
                         n_results);
}

static mica_status check_result(mica_onnx_node *node, const mica_op *op, size_t i,
                                int64_t *out_bytes) {
    const mica_value *result = mica_op_result(op, (uint32_t)i);
    if (mica_onnx_is_live(node, result)) {
        *out_bytes = FOLD_LIMIT; /* not to be folded; its bound was checked */
        return MICA_OK;
    }
    if (!mica_type_is_static(result->type)) {
        return mica_onnx_error(node, "the shape of '%s' depends on the data, which is not "
                                     "supported", mica_value_name(result));
    }
    const mrt_shape shape = mica_onnx_shape(result);
    if (!mrt_shape_bytes(&shape, mica_onnx_type(result), out_bytes)) {
        return mica_onnx_error(node, "result '%s' is too large", mica_value_name(result));
    }
    return MICA_OK;
}

/* Folding replaces the results by weights; a holder op sees by which. */
static bool fold(mica_onnx_node *node, mica_op *op, mica_value **results) {
    mica_onnx_importer *im = node->importer;
    const size_t n = op->n_results;
    for (size_t i = 0; i < n; i++) {
        results[i] = mica_op_result(op, (uint32_t)i);
    }
    mica_op *holder = mica_build_op(&im->builder, "onnx.hold", op->loc, results, n, 0);
    const mica_status status = mica_top_fold(im->module, op);
    for (size_t i = 0; i < n; i++) {
        results[i] = mica_op_operand(holder, (uint32_t)i);
    }
    mica_op_erase(holder);
    return status == MICA_OK;
}

mica_status mica_onnx_done_all(mica_onnx_node *node, mica_op *op, mica_value **out_results) {
    if (node->failed || op == NULL) {
        return MICA_FAIL;
    }
    const bool inferred = mica_live_infer(node->importer->live, op) == MICA_OK;
    if (!inferred || (op->info->verify != NULL && op->info->verify(op) != MICA_OK)) {
        node->failed = true;
        mica_emit(node->importer->context, MICA_NOTE, node->importer->loc,
                  "while importing node '%s' (%s, opset %d)", node->name,
                  mica_onnx_full_name(node->importer->arena, node->proto->domain,
                                      node->proto->op_type), node->version);
        return MICA_FAIL;
    }
    int64_t total = 0;
    for (size_t i = 0; i < op->n_results; i++) {
        int64_t bytes = 0;
        MICA_TRY(check_result(node, op, i, &bytes));
        total = bytes > FOLD_LIMIT ? FOLD_LIMIT + 1 : total + bytes;
        out_results[i] = mica_op_result(op, (uint32_t)i);
    }
    if (total <= FOLD_LIMIT && mica_top_can_fold(op)) {
        fold(node, op, out_results);
    }
    return MICA_OK;
}

mica_value *mica_onnx_done(mica_onnx_node *node, mica_op *op) {
    if (op == NULL || node->failed) {
        return NULL;
    }
    mica_value **results = mica_arena_array(node->importer->arena, op->n_results, sizeof *results);
    return mica_onnx_done_all(node, op, results) == MICA_OK ? results[0] : NULL;
}

mica_value *mica_onnx_unary(mica_onnx_node *node, const char *op, const char *suffix,
                            mica_value *x) {
    return mica_onnx_done(node, mica_onnx_op(node, op, suffix, &x, 1, 1));
}

mica_value *mica_onnx_binary(mica_onnx_node *node, const char *op, const char *suffix,
                             mica_value *a, mica_value *b) {
    mica_value *operands[] = {a, b};
    return mica_onnx_done(node, mica_onnx_op(node, op, suffix, operands, 2, 1));
}

mica_value *mica_onnx_where(mica_onnx_node *node, const char *suffix, mica_value *condition,
                            mica_value *a, mica_value *b) {
    mica_value *operands[] = {condition, a, b};
    return mica_onnx_done(node, mica_onnx_op(node, "top.Where", suffix, operands, 3, 1));
}

/* A reshaped constant shares the bytes of the model; those of a computed one, which the store owns
 * and forgets with its last user, are copied. */
static mica_value *reshape_weight(mica_onnx_node *node, const char *suffix, mica_value *x,
                                  const mrt_shape *shape) {
    const mica_ndarray *array = mica_weight_data(x);
    if (array == NULL) {
        return NULL;
    }
    const mrt_dtype type = mica_onnx_type(x);
    return mica_map_has(node->importer->borrowed, mica_value_name(x))
               ? mica_onnx_weight_borrow(node, suffix, type, shape, array->data)
               : mica_onnx_weight(node, suffix, type, shape->rank, shape->dims, array->data);
}

mica_value *mica_onnx_reshape(mica_onnx_node *node, const char *suffix, mica_value *x, int rank,
                              const int64_t *dims) {
    if (node->failed || x == NULL) {
        return NULL;
    }
    mrt_shape shape = {.rank = rank};
    if (rank < 0 || rank > MRT_MAX_RANK) {
        mica_onnx_error(node, "rank %d is not supported, at most %d", rank, MRT_MAX_RANK);
        return NULL;
    }
    memcpy(shape.dims, dims, (size_t)rank * sizeof *dims);
    const mrt_shape old = mica_onnx_shape(x);
    if (mica_onnx_is_live(node, x)) {
        return mica_onnx_live_reshape(node, suffix, x, rank, dims);
    }
    if (mrt_shape_equal(&shape, &old)) {
        return x;
    }
    int64_t bytes = 0;
    if (!mrt_shape_bytes(&shape, MRT_I64, &bytes) ||
        mrt_shape_count(&shape) != mrt_shape_count(&old)) {
        mica_onnx_error(node, "a tensor %s cannot be reshaped to %s", mica_type_text(x->type),
                        mica_type_text(mica_type_tensor(node->importer->context, rank, dims,
                                                        mica_type_element(x->type), NULL)));
        return NULL;
    }
    mica_value *constant = reshape_weight(node, suffix, x, &shape);
    if (constant != NULL) {
        return constant;
    }
    mica_op *op = mica_onnx_op(node, "top.Reshape", suffix, &x, 1, 1);
    mica_op_set_i64s(op, "shape", dims, (size_t)rank);
    return mica_onnx_done(node, op);
}

mica_value *mica_onnx_permute(mica_onnx_node *node, const char *suffix, mica_value *x,
                              const int64_t *order) {
    const mrt_shape shape = mica_onnx_shape(x);
    bool same = true;
    for (int i = 0; i < shape.rank; i++) {
        same = same && order[i] == i;
    }
    mica_op *op = same ? NULL : mica_onnx_op(node, "top.Permute", suffix, &x, 1, 1);
    if (op == NULL) {
        return node->failed ? NULL : x;
    }
    mica_op_set_i64s(op, "order", order, (size_t)shape.rank);
    return mica_onnx_done(node, op);
}

mica_value *mica_onnx_channels_first(mica_onnx_node *node, const char *suffix, mica_value *x) {
    const int rank = mica_onnx_shape(x).rank;
    int64_t order[MRT_MAX_RANK] = {0, rank - 1};
    for (int i = 2; i < rank; i++) {
        order[i] = i - 1;
    }
    return mica_onnx_permute(node, suffix, x, order);
}

mica_value *mica_onnx_channels_last(mica_onnx_node *node, const char *suffix, mica_value *x) {
    const int rank = mica_onnx_shape(x).rank;
    int64_t order[MRT_MAX_RANK] = {0};
    for (int i = 1; i < rank; i++) {
        order[i] = i + 1 < rank ? i + 1 : 1;
    }
    return mica_onnx_permute(node, suffix, x, order);
}

mica_value *mica_onnx_expand(mica_onnx_node *node, const char *suffix, mica_value *x, int rank,
                             const int64_t *dims) {
    mrt_shape shape = {.rank = rank};
    memcpy(shape.dims, dims, (size_t)rank * sizeof *dims);
    const mrt_shape old = mica_onnx_shape(x);
    mica_op *op = mrt_shape_equal(&shape, &old)
                      ? NULL
                      : mica_onnx_op(node, "top.Expand", suffix, &x, 1, 1);
    if (op == NULL) {
        return node->failed ? NULL : x;
    }
    mica_op_set_i64s(op, "shape", dims, (size_t)rank);
    return mica_onnx_done(node, op);
}

mica_value *mica_onnx_cast_by(mica_onnx_node *node, const char *suffix, mica_value *x, mrt_dtype to,
                              bool saturate, const char *round) {
    if (node->failed || x == NULL || mica_onnx_type(x) == to) {
        return node->failed ? NULL : x;
    }
    mica_op *op = mica_onnx_op(node, "top.DtypeCast", suffix, &x, 1, 1);
    mica_op_set_str(op, "to", mrt_dtype_name(to));
    if (!saturate) {
        mica_op_set_bool(op, "saturate", false);
    }
    if (to == MRT_F8E8M0FNU) {
        mica_op_set_str(op, "round_mode", round);
    }
    return mica_onnx_done(node, op);
}

mica_value *mica_onnx_cast(mica_onnx_node *node, const char *suffix, mica_value *x, mrt_dtype to) {
    return mica_onnx_cast_by(node, suffix, x, to, true, "up");
}

mica_value *mica_onnx_reduce(mica_onnx_node *node, const char *suffix, mica_value *x,
                             const char *mode, uint32_t axes, bool keepdims) {
    mica_op *op = mica_onnx_op(node, "top.Reduce", suffix, &x, 1, 1);
    if (op == NULL) {
        return NULL;
    }
    int64_t list[MRT_MAX_RANK];
    size_t n = 0;
    for (int i = 0; i < MRT_MAX_RANK; i++) {
        if ((axes >> i & 1) != 0) {
            list[n++] = i;
        }
    }
    mica_op_set_str(op, "mode", mode);
    mica_op_set_i64s(op, "axes", list, n);
    mica_op_set_bool(op, "keepdims", keepdims);
    return mica_onnx_done(node, op);
}

mica_value *mica_onnx_clip(mica_onnx_node *node, const char *suffix, mica_value *x,
                           const double *min, const double *max) {
    mica_op *op = mica_onnx_op(node, "top.Clip", suffix, &x, 1, 1);
    if (op == NULL) {
        return NULL;
    }
    if (min != NULL) {
        mica_op_set_f64(op, "min", *min);
    }
    if (max != NULL) {
        mica_op_set_f64(op, "max", *max);
    }
    return mica_onnx_done(node, op);
}

mica_value *mica_onnx_slice(mica_onnx_node *node, const char *suffix, mica_value *x,
                            const int64_t *offset, const int64_t *steps, const int64_t *ends) {
    const mrt_shape shape = mica_onnx_shape(x);
    bool whole = true;
    for (int i = 0; i < shape.rank; i++) {
        const int64_t end = shape.dims[i] < 0 ? INT64_MAX : shape.dims[i];
        whole = whole && offset[i] == 0 && steps[i] == 1 && ends[i] == end;
    }
    mica_op *op = whole ? NULL : mica_onnx_op(node, "top.Slice", suffix, &x, 1, 1);
    if (op == NULL) {
        return node->failed ? NULL : x;
    }
    mica_op_set_i64s(op, "offset", offset, (size_t)shape.rank);
    mica_op_set_i64s(op, "steps", steps, (size_t)shape.rank);
    mica_op_set_i64s(op, "ends", ends, (size_t)shape.rank);
    return mica_onnx_done(node, op);
}

mica_value *mica_onnx_last_axis(mica_onnx_node *node, const char *suffix, mica_value *x,
                                int64_t first, int64_t end, int64_t step) {
    const mrt_shape shape = mica_onnx_shape(x);
    if (node->failed || shape.rank == 0) {
        if (!node->failed) {
            mica_onnx_error(node, "a tensor of rank 0, expected 1 or more");
        }
        return NULL;
    }
    int64_t offset[MRT_MAX_RANK] = {0}, steps[MRT_MAX_RANK], ends[MRT_MAX_RANK];
    for (int i = 0; i < shape.rank; i++) {
        steps[i] = 1;
        ends[i] = shape.dims[i];
    }
    offset[shape.rank - 1] = first;
    ends[shape.rank - 1] = end;
    steps[shape.rank - 1] = step;
    return mica_onnx_slice(node, suffix, x, offset, steps, ends);
}

mica_value *mica_onnx_gather(mica_onnx_node *node, const char *op_name, const char *suffix,
                             mica_value *x, mica_value *indices, int axis) {
    mica_value *operands[] = {x, indices};
    mica_op *op = mica_onnx_op(node, op_name, suffix, operands, 2, 1);
    if (op == NULL) {
        return NULL;
    }
    mica_op_set_i64(op, "axis", axis);
    return mica_onnx_done(node, op);
}

mica_status mica_onnx_alias(mica_onnx_node *node, size_t i, mica_value *value) {
    mica_onnx_bind(node, i, value);
    return mica_onnx_finish(node);
}

/* --- constants ------------------------------------------------------------------------------- */
mica_value *mica_onnx_weight(mica_onnx_node *node, const char *suffix, mrt_dtype dtype, int rank,
                             const int64_t *dims, const void *data) {
    if (node->failed) {
        return NULL;
    }
    return mica_top_weight(&node->importer->builder, output_name(node, 0, suffix),
                           mica_type_of_dtype(node->importer->context, dtype), rank, dims, data);
}

mica_value *mica_onnx_borrow(mica_onnx_importer *im, const char *name, mrt_dtype dtype,
                             const mrt_shape *shape, const void *data) {
    mica_value *value =
        mica_top_weight_borrow(&im->builder, name, mica_type_of_dtype(im->context, dtype),
                               shape->rank, shape->dims, data);
    mica_map_set(im->borrowed, mica_value_name(value), NULL);
    return value;
}

mica_value *mica_onnx_weight_borrow(mica_onnx_node *node, const char *suffix, mrt_dtype dtype,
                                    const mrt_shape *shape, const void *data) {
    return node->failed ? NULL
                        : mica_onnx_borrow(node->importer, output_name(node, 0, suffix), dtype,
                                           shape, data);
}

mica_value *mica_onnx_i64s(mica_onnx_node *node, const char *suffix, int64_t count,
                           const int64_t *values) {
    return mica_onnx_weight(node, suffix, MRT_I64, 1, &count, values);
}

void mica_onnx_store(mrt_dtype dtype, double value, void *out) {
#define STORE(type, number)                                                                        \
    do {                                                                                           \
        const type stored_ = (type)(number);                                                       \
        memcpy(out, &stored_, sizeof stored_);                                                     \
    } while (0)
    switch (dtype) {
    case MRT_F32: STORE(float, value); break;
    case MRT_F64: STORE(double, value); break;
    case MRT_F16: STORE(uint16_t, mica_f32_to_f16((float)value)); break;
    case MRT_BF16: STORE(uint16_t, mica_f32_to_bf16((float)value)); break;
    case MRT_I8: STORE(int8_t, value); break;
    case MRT_U8: STORE(uint8_t, value); break;
    case MRT_I16: STORE(int16_t, value); break;
    case MRT_U16: STORE(uint16_t, value); break;
    case MRT_I32: STORE(int32_t, value); break;
    case MRT_U32: STORE(uint32_t, value); break;
    case MRT_I64: STORE(int64_t, value); break;
    case MRT_U64: STORE(uint64_t, value); break;
    case MRT_BOOL: STORE(uint8_t, value != 0.0); break;
    case MRT_DTYPE_NONE: break;
    default: mrt_small_store(dtype, value, out); break;
    }
#undef STORE
}

mica_value *mica_onnx_scalar(mica_onnx_node *node, const char *suffix, mrt_dtype dtype,
                             double value) {
    uint64_t bytes = 0;
    mica_onnx_store(dtype, value, &bytes);
    return mica_onnx_weight(node, suffix, dtype, 0, NULL, &bytes);
}

mica_value *mica_onnx_scalar_like(mica_onnx_node *node, const char *suffix, const mica_value *like,
                                  double value) {
    return mica_onnx_scalar(node, suffix, mica_onnx_type(like), value);
}

void *mica_onnx_buffer(mica_onnx_node *node, mrt_dtype dtype, int64_t count) {
    const int64_t item = (int64_t)mrt_dtype_bytes(dtype);
    if (!node->failed && (count < 0 || count > FOLD_LIMIT / (item > 0 ? item : 1))) {
        mica_onnx_error(node, "a constant of %" PRId64 " elements is too large", count);
    }
    return node->failed ? NULL
                        : mica_arena_array(node->importer->module->arena, (size_t)count,
                                           (size_t)item);
}
