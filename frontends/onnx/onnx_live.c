/* Sizes that depend on data: which operators take them, and reshapes of such tensors.
 *
 * Converters compute attributes from shapes. Those listed here do it in a way that is right for
 * every size; any other is not asked at all, so that no bound gets into a model as a size. */
#include "frontends/onnx/onnx_internal.h"

#include <inttypes.h>
#include <string.h>

/* ANY: any dimension of any input. BATCH: dimension 0 of input 0. */
typedef enum live_rule { ANY, BATCH } live_rule;

typedef struct live_row {
    const char *converter_of; /* an operator; the rule is for all that its converter serves */
    int since;
    live_rule rule;
} live_row;

static const live_row live_rows[] = {
    {"Abs", 1, ANY},         {"Gelu", 1, ANY},          {"IsNaN", 1, ANY},
    {"IsInf", 1, ANY},       {"Clip", 1, ANY},          {"Add", 7, ANY},
    {"BitShift", 1, ANY},    {"Mod", 1, ANY},           {"Pow", 7, ANY},
    {"Max", 8, ANY},         {"Mean", 8, ANY},          {"Where", 1, ANY},
    {"Identity", 1, ANY},    {"Dropout", 1, ANY},       {"Cast", 1, ANY},
    {"CastLike", 1, ANY},    {"Reshape", 5, ANY},       {"Flatten", 1, ANY},
    {"Squeeze", 1, ANY},     {"Unsqueeze", 1, ANY},     {"Transpose", 1, ANY},
    {"Concat", 4, ANY},      {"Split", 1, ANY},         {"Slice", 1, ANY},
    {"Pad", 1, ANY},         {"Expand", 1, ANY},        {"Tile", 6, ANY},
    {"Gather", 1, ANY},      {"GatherND", 1, ANY},      {"ScatterND", 1, ANY},
    {"OneHot", 1, ANY},      {"Trilu", 1, ANY},         {"Shape", 1, ANY},
    {"Size", 1, ANY},        {"ReduceSum", 1, ANY},     {"ArgMax", 1, ANY},
    {"TopK", 1, ANY},        {"CumSum", 1, ANY},        {"Softmax", 13, ANY},
    {"MatMul", 1, ANY},      {"Gemm", 1, ANY},          {"NonZero", 1, ANY},
    {"Compress", 1, ANY},    {"Unique", 1, ANY},        {"NonMaxSuppression", 1, ANY},
    {"RoiAlign", 1, ANY},    {"MaxRoiPool", 1, ANY},    {"Conv", 1, BATCH},
    {"ConvTranspose", 1, BATCH}, {"MaxPool", 1, BATCH}, {"AveragePool", 1, BATCH},
    {"GlobalAveragePool", 1, BATCH}, {"GlobalMaxPool", 1, BATCH},
    {"BatchNormalization", 7, BATCH},
};

static const live_row *find_rule(const mica_onnx_node *node) {
    for (size_t i = 0; i < MICA_COUNT(live_rows); i++) {
        const mica_onnx_row *row = mica_onnx_find_row("", live_rows[i].converter_of, NULL);
        if (row != NULL && row->convert == node->row->convert &&
            node->row->domain[0] == '\0' && node->opset >= live_rows[i].since) {
            return &live_rows[i];
        }
    }
    return NULL;
}

bool mica_onnx_is_live(const mica_onnx_node *node, const mica_value *value) {
    return mica_live_of(node->importer->live, value) != NULL;
}

static bool only_batch(const mica_live_shape *shape) {
    for (size_t i = 0; i < shape->n_terms; i++) {
        if (shape->terms[i].axis != 0) {
            return false;
        }
    }
    return true;
}

mica_status mica_onnx_check_live(mica_onnx_node *node) {
    mica_onnx_importer *im = node->importer;
    if (mica_live_symbol_count(im->live) == 0) {
        return MICA_OK;
    }
    for (size_t i = 0; i < mica_onnx_n_in(node); i++) {
        const char *name = mica_onnx_in_name(node, i);
        const mica_onnx_entry *entry =
            name[0] != '\0' ? mica_onnx_lookup(im->scope, name) : NULL;
        const mica_live_shape *shape =
            entry != NULL ? mica_live_of(im->live, entry->value) : NULL;
        const live_row *row = shape != NULL ? find_rule(node) : NULL;
        if (shape == NULL || (row != NULL && row->rule == ANY)) {
            continue;
        }
        const char *origin = mica_live_origin(im->live, shape);
        if (row == NULL) {
            return mica_onnx_error(node, "input %zu ('%s') has a size that depends on the data that "
                                         "%s finds, which this operator does not take; cut the "
                                         "model before it with output_names", i, name, origin);
        }
        if (i != 0 || !only_batch(shape)) {
            return mica_onnx_error(node, "input %zu ('%s') has a size that depends on the data that "
                                         "%s finds, on another axis than axis 0 of input 0; cut "
                                         "the model before it with output_names", i, name, origin);
        }
    }
    return MICA_OK;
}

/* --- reshape ---------------------------------------------------------------------------------- */

/* Makes all but one unknown dimension a copy of the operand's: those that are preceded by the same
 * dimensions as there. */
static bool settle(const mrt_shape *x, int rank, int64_t *dims) {
    int unknown = 0;
    for (int i = 0; i < rank; i++) {
        unknown += dims[i] == -1;
    }
    for (int i = 0; i < rank && i < x->rank && (dims[i] == x->dims[i] || dims[i] == 0); i++) {
        if (unknown > 1 && dims[i] == -1) {
            dims[i] = 0;
            unknown--;
        }
    }
    return unknown <= 1;
}

/* -1 where all unknown dimensions are copies is a number: the result must be right without any
 * element, too. */
static void compute_open(const mrt_shape *x, int rank, int64_t *dims) {
    int64_t have = 1, used = 1;
    int open = -1, unknown = 0, copied = 0;
    for (int i = 0; i < x->rank; i++) {
        unknown += x->dims[i] < 0;
        have *= x->dims[i] < 0 ? 1 : x->dims[i];
    }
    for (int i = 0; i < rank; i++) {
        const int64_t dim = dims[i] == 0 && i < x->rank ? x->dims[i] : dims[i];
        open = dims[i] == -1 ? i : open;
        copied += dims[i] == 0 && dim < 0;
        used *= dim < 0 ? 1 : dim;
    }
    if (open >= 0 && copied == unknown && used > 0 && have % used == 0) {
        dims[open] = have / used;
    }
}

mica_value *mica_onnx_live_reshape(mica_onnx_node *node, const char *suffix, mica_value *x,
                                   int rank, const int64_t *dims) {
    const mrt_shape shape = mica_onnx_shape(x);
    int64_t settled[MRT_MAX_RANK] = {0};
    memcpy(settled, dims, (size_t)rank * sizeof *dims);
    if (rank == shape.rank && memcmp(settled, shape.dims, (size_t)rank * sizeof *dims) == 0) {
        return x;
    }
    if (!settle(&shape, rank, settled)) {
        mica_onnx_error(node, "two sizes of input '%s' depend on data, at most one can be "
                              "reshaped", mica_value_name(x));
        return NULL;
    }
    compute_open(&shape, rank, settled);
    mica_op *op = mica_onnx_op(node, "top.Reshape", suffix, &x, 1, 1);
    if (op != NULL) {
        mica_op_set_i64s(op, "shape", settled, (size_t)rank);
    }
    return mica_onnx_done(node, op);
}
