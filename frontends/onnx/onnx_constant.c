/* Operators that give constants. */
#include "frontends/onnx/onnx_internal.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* --- Constant -------------------------------------------------------------------------------- */
static mica_status from_tensor(mica_onnx_node *node, const Onnx__TensorProto *proto) {
    mica_error err = {0};
    mica_onnx_tensor t;
    if (mica_onnx_tensor_read(node->importer, proto, &t, &err) != MICA_OK) {
        return mica_onnx_error(node, "attribute 'value': %s", err.text);
    }
    return mica_onnx_alias(node, 0,
                           mica_onnx_weight_borrow(node, NULL, t.dtype, &t.shape, t.data));
}

static mica_status from_floats(mica_onnx_node *node, const char *name) {
    size_t n = 0;
    const double *values = mica_onnx_attr_floats(node, name, &n);
    float *data = mica_onnx_buffer(node, MRT_F32, (int64_t)n);
    for (size_t i = 0; i < n && data != NULL; i++) {
        data[i] = (float)values[i];
    }
    const int64_t count = (int64_t)n;
    return mica_onnx_alias(node, 0, mica_onnx_weight(node, NULL, MRT_F32, 1, &count, data));
}

mica_status mica_onnx_convert_constant(mica_onnx_node *node) {
    if (mica_onnx_has_attr(node, "value")) {
        const Onnx__TensorProto *proto = mica_onnx_attr_tensor(node, "value");
        return proto != NULL ? from_tensor(node, proto) : MICA_FAIL;
    }
    if (mica_onnx_has_attr(node, "value_float")) {
        const double value = mica_onnx_attr_f(node, "value_float", 0.0);
        return mica_onnx_alias(node, 0, mica_onnx_scalar(node, NULL, MRT_F32, value));
    }
    if (mica_onnx_has_attr(node, "value_int")) {
        const int64_t value = mica_onnx_attr_i(node, "value_int", 0);
        return mica_onnx_alias(node, 0, mica_onnx_weight(node, NULL, MRT_I64, 0, NULL, &value));
    }
    if (mica_onnx_has_attr(node, "value_floats")) {
        return from_floats(node, "value_floats");
    }
    if (mica_onnx_has_attr(node, "value_ints")) {
        size_t n = 0;
        const int64_t *values = mica_onnx_attr_ints(node, "value_ints", &n);
        return mica_onnx_alias(node, 0, mica_onnx_i64s(node, NULL, (int64_t)n, values));
    }
    return mica_onnx_error(node, "no attribute 'value', 'value_float', 'value_floats', 'value_int' "
                                 "or 'value_ints'; sparse and string values are not supported");
}

/* --- filled tensors -------------------------------------------------------------------------- */
mica_status mica_onnx_convert_constant_of_shape(mica_onnx_node *node) {
    int64_t rank = 0;
    const int64_t *dims = mica_onnx_const_i64s(node, 0, &rank);
    const Onnx__TensorProto *proto = mica_onnx_attr_tensor(node, "value");
    mica_onnx_tensor value = {.dtype = MRT_F32, .count = 1, .data = &(float){0.0f}};
    mica_error err = {0};
    if (proto != NULL && mica_onnx_tensor_read(node->importer, proto, &value, &err) != MICA_OK) {
        return mica_onnx_error(node, "attribute 'value': %s", err.text);
    }
    MICA_TRY(mica_onnx_finish(node));
    mrt_shape shape = {.rank = (int32_t)rank};
    int64_t bytes = 0;
    if (rank <= MRT_MAX_RANK) {
        memcpy(shape.dims, dims, (size_t)rank * sizeof *dims);
    }
    if (rank > MRT_MAX_RANK || value.count != 1 || !mrt_shape_bytes(&shape, value.dtype, &bytes)) {
        return mica_onnx_error(node, "expected a value of 1 element and a shape of at most %d "
                                     "dimensions, none negative", MRT_MAX_RANK);
    }
    const int64_t count = mrt_shape_count(&shape);
    const size_t item = mrt_dtype_bytes(value.dtype);
    uint8_t *data = mica_onnx_buffer(node, value.dtype, count);
    bool zero = true;
    for (size_t k = 0; k < item; k++) {
        zero = zero && ((const uint8_t *)value.data)[k] == 0;
    }
    const size_t total = data != NULL && !zero ? (size_t)count * item : 0;
    for (size_t done = 0; done < total;) { /* doubling: these may be the weights of a model */
        const size_t n = done == 0 ? item : done < total - done ? done : total - done;
        memcpy(data + done, done == 0 ? value.data : data, n);
        done += n;
    }
    return mica_onnx_alias(node, 0,
                           mica_onnx_weight_borrow(node, NULL, value.dtype, &shape, data));
}

mica_status mica_onnx_convert_eye_like(mica_onnx_node *node) {
    mica_value *x = mica_onnx_in(node, 0);
    const mrt_shape shape = mica_onnx_shape(x);
    const int64_t k = mica_onnx_attr_i(node, "k", 0);
    const int64_t wanted = mica_onnx_attr_i(node, "dtype", 0);
    const bool given = mica_onnx_has_attr(node, "dtype");
    const mrt_dtype type = given ? mica_onnx_computed(mica_onnx_dtype((int32_t)wanted))
                                 : mica_onnx_type(x);
    MICA_TRY(mica_onnx_finish(node));
    if (shape.rank != 2 || type == MRT_DTYPE_NONE) {
        return mica_onnx_error(node, "expected rank 2 and a numeric type, got rank %d", shape.rank);
    }
    const size_t item = mrt_dtype_bytes(type);
    uint8_t *data = mica_onnx_buffer(node, type, mrt_shape_count(&shape));
    for (int64_t i = 0; i < shape.dims[0] && data != NULL; i++) {
        int64_t column = 0;
        if (!__builtin_add_overflow(i, k, &column) && column >= 0 && column < shape.dims[1]) {
            mica_onnx_store(type, 1.0, data + (size_t)(i * shape.dims[1] + column) * item);
        }
    }
    return mica_onnx_alias(node, 0, mica_onnx_weight(node, NULL, type, 2, shape.dims, data));
}

/* --- shapes ---------------------------------------------------------------------------------- */
/* Dimensions [start, end) of a tensor; found at run time when one of them depends on data. */
static mica_value *dims_of(mica_onnx_node *node, const char *suffix, mica_value *x, int64_t start,
                           int64_t end) {
    const mrt_shape shape = mica_onnx_shape(x);
    bool known = true;
    for (int64_t i = start; i < end; i++) {
        known = known && shape.dims[i] >= 0;
    }
    if (known) {
        return mica_onnx_i64s(node, suffix, end - start, shape.dims + start);
    }
    mica_op *op = mica_onnx_op(node, "top.Shape", suffix, &x, 1, 1);
    if (op != NULL) {
        mica_op_set_i64(op, "start", start);
        mica_op_set_i64(op, "end", end);
    }
    return mica_onnx_done(node, op);
}

mica_status mica_onnx_convert_shape(mica_onnx_node *node) {
    const mrt_shape shape = mica_onnx_shape(mica_onnx_in(node, 0));
    int64_t start = mica_onnx_attr_i(node, "start", 0);
    int64_t end = mica_onnx_attr_i(node, "end", shape.rank);
    start += start < 0 ? shape.rank : 0;
    end += end < 0 ? shape.rank : 0;
    start = start < 0 ? 0 : start > shape.rank ? shape.rank : start;
    end = end < start ? start : end > shape.rank ? shape.rank : end;
    return mica_onnx_alias(node, 0, dims_of(node, NULL, mica_onnx_in(node, 0), start, end));
}

mica_status mica_onnx_convert_size(mica_onnx_node *node) {
    mica_value *x = mica_onnx_in(node, 0);
    const mrt_shape shape = mica_onnx_shape(x);
    if (mica_onnx_is_live(node, x)) {
        mica_value *dims = dims_of(node, "dims", x, 0, shape.rank);
        return mica_onnx_alias(node, 0,
                               mica_onnx_reduce(node, NULL, dims, "ReduceProd", 1, false));
    }
    const int64_t count = mrt_shape_count(&shape);
    return mica_onnx_alias(node, 0, mica_onnx_weight(node, NULL, MRT_I64, 0, NULL, &count));
}

mica_status mica_onnx_convert_range(mica_onnx_node *node) {
    mica_value *operands[3];
    for (size_t i = 0; i < 3; i++) {
        operands[i] = mica_onnx_in(node, i);
        if (i == 2 && operands[i] == NULL) { /* com.microsoft has a default */
            operands[i] = mica_onnx_scalar_like(node, "delta", operands[0], 1.0);
        }
        double value = 0.0;
        if (!node->failed && !mica_weight_scalar(operands[i], &value)) {
            return mica_onnx_error(node, "input %zu ('%s') must be a number known at import; it "
                                         "depends on the data of a graph input; cut the model with "
                                         "input_names or output_names", i, mica_onnx_in_name(node, i));
        }
        if (i == 2 && value == 0.0) {
            return mica_onnx_error(node, "delta is 0");
        }
    }
    mica_onnx_attr_i(node, "stash_type", 1); /* half types compute in f32 whatever it says */
    mica_op *op = mica_onnx_op(node, "top.Range", NULL, operands, 3, 1);
    return mica_onnx_alias(node, 0, mica_onnx_done(node, op));
}

/* --- windows of signal processing: a0 - a1 cos(2 pi i / n) + a2 cos(4 pi i / n) -------------- */
mica_status mica_onnx_convert_window(mica_onnx_node *node) {
    static const struct {
        const char *name;
        double a0, a1, a2;
    } kinds[] = {{"hann", 0.5, 0.5, 0.0},
                 {"hamming", 25.0 / 46.0, 21.0 / 46.0, 0.0},
                 {"blackman", 0.42, 0.5, 0.08}};
    const int64_t size = mica_onnx_const_i64(node, 0, 0);
    const int64_t wanted = mica_onnx_attr_i(node, "output_datatype", 1);
    const mrt_dtype type = mica_onnx_computed(mica_onnx_dtype((int32_t)wanted));
    const bool periodic = mica_onnx_attr_bool(node, "periodic", true);
    if (type == MRT_DTYPE_NONE) {
        return mica_onnx_error(node, "attribute 'output_datatype' has an unsupported value");
    }
    uint8_t *data = mica_onnx_buffer(node, type, size);
    const double n = (double)(periodic ? size : size - 1);
    for (size_t k = 0; k < MICA_COUNT(kinds) && data != NULL; k++) {
        if (strcmp(kinds[k].name, node->row->detail) != 0) {
            continue;
        }
        for (int64_t i = 0; i < size; i++) {
            const double t = n > 0.0 ? 6.283185307179586 * (double)i / n : 0.0;
            const double value = kinds[k].a0 - kinds[k].a1 * cos(t) + kinds[k].a2 * cos(2.0 * t);
            mica_onnx_store(type, value, data + (size_t)i * mrt_dtype_bytes(type));
        }
    }
    return mica_onnx_alias(node, 0, mica_onnx_weight(node, NULL, type, 1, &size, data));
}
