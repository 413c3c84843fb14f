/* Signal processing and linear algebra as products with constant matrices. */
#include "frontends/onnx/onnx_internal.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* --- discrete Fourier transform -------------------------------------------------------------- */
/* One transform along an axis: `points` values of `parts` numbers (1 real, 2 complex) become `bins`
 * complex ones, or real ones when the input is half of a symmetric spectrum. */
typedef struct transform {
    int64_t points, bins, length;
    int parts;
    bool inverse, to_real;
} transform;

/* Matrix [points * parts, bins * (2 or 1)] of the transform. */
static mica_value *dft_matrix(mica_onnx_node *node, const transform *t) {
    const double turn = 6.283185307179586476925;
    const int out = t->to_real ? 1 : 2;
    const int64_t dims[] = {t->points * t->parts, t->bins * out};
    int64_t count = 0;
    if (__builtin_mul_overflow(dims[0], dims[1], &count)) {
        count = INT64_MAX;
    }
    float *data = mica_onnx_buffer(node, MRT_F32, count);
    const double sign = t->inverse ? 1.0 : -1.0;
    const double scale = t->inverse ? 1.0 / (double)t->length : 1.0;
    for (int64_t i = 0; i < t->points && data != NULL; i++) {
        /* Half of a spectrum: every bin but the first and the middle one stands for two. */
        const bool twice = t->to_real && i != 0 && 2 * i != t->length;
        const double weight = twice ? 2.0 * scale : scale;
        for (int64_t k = 0; k < t->bins; k++) {
            const double angle = turn * (double)(i * k % t->length) / (double)t->length;
            const double re = weight * cos(angle), im = weight * sign * sin(angle);
            float *row = data + i * t->parts * dims[1] + k * out;
            row[0] = (float)re;
            if (out == 2) {
                row[1] = (float)im;
            }
            if (t->parts == 2) {
                row[dims[1]] = (float)-im;
            }
            if (t->parts == 2 && out == 2) {
                row[dims[1] + 1] = (float)re;
            }
        }
    }
    const mrt_shape shape = {.rank = 2, .dims = {dims[0], dims[1]}};
    return node->failed ? NULL : mica_onnx_weight_borrow(node, "matrix", MRT_F32, &shape, data);
}

/* x [..., points, parts] -> [..., bins, 2 or 1] */
static mica_value *apply(mica_onnx_node *node, const char *suffix, mica_value *x,
                         const transform *t) {
    mrt_shape shape = mica_onnx_shape(x);
    mica_value *matrix = dft_matrix(node, t);
    if (node->failed) {
        return NULL;
    }
    shape.rank--;
    shape.dims[shape.rank - 1] = t->points * t->parts;
    mica_value *operands[] = {mica_onnx_reshape(node, "rows", x, shape.rank, shape.dims), matrix,
                              NULL};
    mica_op *op = mica_onnx_op(node, "top.MatMul", "product", operands, 3, 1);
    mica_value *y = mica_onnx_done(node, op);
    shape.dims[shape.rank - 1] = t->bins;
    shape.dims[shape.rank++] = t->to_real ? 1 : 2;
    return mica_onnx_reshape(node, suffix, y, shape.rank, shape.dims);
}

/* Cuts or fills up with zeros so that the last axis but one has `length` elements. */
static mica_value *fit_length(mica_onnx_node *node, mica_value *x, int64_t length) {
    const mrt_shape shape = mica_onnx_shape(x);
    const int at = shape.rank - 2;
    int64_t paddings[2 * MRT_MAX_RANK] = {0};
    if (node->failed || shape.dims[at] == length) {
        return x;
    }
    paddings[shape.rank + at] = length - shape.dims[at];
    mica_op *op = mica_onnx_op(node, "top.Pad", "fitted", &x, 1, 1);
    mica_op_set_i64s(op, "paddings", paddings, 2 * (size_t)shape.rank);
    return mica_onnx_done(node, op);
}

mica_status mica_onnx_convert_dft(mica_onnx_node *node) {
    mica_value *x = mica_onnx_in(node, 0);
    const mrt_shape shape = mica_onnx_shape(x);
    const int64_t given = node->opset < 20 ? mica_onnx_attr_i(node, "axis", 1)
                                           : mica_onnx_const_i64(node, 2, -2);
    const bool inverse = mica_onnx_attr_bool(node, "inverse", false);
    const bool onesided = mica_onnx_attr_bool(node, "onesided", false);
    const int axis = mica_onnx_axis(node, given, shape.rank);
    int64_t length = mica_onnx_const_i64(node, 1, inverse && onesided ? 2 * (shape.dims[axis] - 1)
                                                                      : shape.dims[axis]);
    MICA_TRY(mica_onnx_finish(node));
    const int last = shape.rank - 1;
    if (shape.rank < 2 || axis == last || shape.dims[last] < 1 || shape.dims[last] > 2 ||
        length < 1 || length > INT32_MAX) {
        return mica_onnx_error(node, "expected an axis before the last, 1 or 2 elements on the "
                                     "last, and a length of 1 or more");
    }
    transform t = {.points = length, .bins = length, .length = length, .inverse = inverse,
                   .parts = (int)shape.dims[last], .to_real = inverse && onesided};
    if (onesided) {
        *(inverse ? &t.points : &t.bins) = length / 2 + 1;
    }
    int64_t order[MRT_MAX_RANK];
    for (int i = 0; i < shape.rank; i++) { /* swapping is its own inverse */
        order[i] = i == axis ? last - 1 : i == last - 1 ? axis : i;
    }
    x = mica_onnx_permute(node, "axis_last", x, order);
    x = fit_length(node, x, t.points);
    const bool moved = axis != last - 1;
    mica_value *y = apply(node, moved ? "spectrum" : NULL, x, &t);
    return mica_onnx_alias(node, 0, mica_onnx_permute(node, NULL, y, order));
}

mica_status mica_onnx_convert_stft(mica_onnx_node *node) {
    mica_value *x = mica_onnx_in(node, 0), *window = mica_onnx_in(node, 2);
    const mrt_shape shape = mica_onnx_shape(x), taps = mica_onnx_shape(window);
    const int64_t step = mica_onnx_const_i64(node, 1, 0);
    const int64_t length = mica_onnx_const_i64(node, 3, taps.rank == 1 ? taps.dims[0] : 0);
    const bool onesided = mica_onnx_attr_bool(node, "onesided", true);
    MICA_TRY(mica_onnx_finish(node));
    if (shape.rank != 3 || shape.dims[2] < 1 || shape.dims[2] > 2 || step < 1 || length < 1 ||
        length > shape.dims[1] || (window != NULL && (taps.rank != 1 || taps.dims[0] != length))) {
        return mica_onnx_error(node, "expected a signal [batch, length, 1 or 2] and frames of a "
                                     "length within it");
    }
    const int64_t dims[] = {(shape.dims[1] - length) / step + 1, length};
    int64_t *indices = dims[0] <= INT32_MAX && length <= INT32_MAX
                           ? mica_onnx_buffer(node, MRT_I64, dims[0] * dims[1]) : NULL;
    for (int64_t i = 0; i < dims[0] && indices != NULL; i++) {
        for (int64_t k = 0; k < length; k++) {
            indices[i * length + k] = i * step + k;
        }
    }
    if (indices == NULL) {
        return node->failed ? MICA_FAIL : mica_onnx_error(node, "the signal is too long");
    }
    x = mica_onnx_gather(node, "top.Gather", "frames", x,
                         mica_onnx_weight(node, "places", MRT_I64, 2, dims, indices), 1);
    if (window != NULL) {
        const int64_t column[] = {length, 1};
        window = mica_onnx_reshape(node, "window", window, 2, column);
        x = mica_onnx_binary(node, "top.Mul", "windowed", x, window);
    }
    const transform t = {.points = length, .bins = onesided ? length / 2 + 1 : length,
                         .length = length, .parts = (int)shape.dims[2]};
    return mica_onnx_alias(node, 0, apply(node, NULL, x, &t));
}

/* --- mel filter bank: triangles between neighbouring points on the mel scale ----------------- */
mica_status mica_onnx_convert_mel_weight_matrix(mica_onnx_node *node) {
    const int64_t n = mica_onnx_const_i64(node, 0, 0), length = mica_onnx_const_i64(node, 1, 0);
    const double rate = mica_onnx_const_f64(node, 2, 0.0);
    const double low = 2595.0 * log10(1.0 + mica_onnx_const_f64(node, 3, 0.0) / 700.0);
    const double high = 2595.0 * log10(1.0 + mica_onnx_const_f64(node, 4, 0.0) / 700.0);
    const int64_t wanted = mica_onnx_attr_i(node, "output_datatype", 1);
    MICA_TRY(mica_onnx_finish(node));
    if (n < 1 || n > 65536 || length < 1 || length > ((int64_t)1 << 24) || !(rate > 0.0) ||
        !(high >= low) || mica_onnx_computed(mica_onnx_dtype((int32_t)wanted)) != MRT_F32) {
        return mica_onnx_error(node, "expected at least one bin, one point, a positive rate, "
                                     "ordered edges and a float type");
    }
    const int64_t dims[] = {length / 2 + 1, n};
    int64_t *edge = mica_onnx_buffer(node, MRT_I64, n + 2);
    float *data = mica_onnx_buffer(node, MRT_F32, dims[0] * n);
    MICA_TRY(mica_onnx_finish(node));
    for (int64_t i = 0; i < n + 2; i++) {
        const double mel = low + (high - low) / (double)(n + 2) * (double)i;
        const double hertz = 700.0 * (pow(10.0, mel / 2595.0) - 1.0);
        const double bin = floor((double)(length + 1) * hertz / rate);
        edge[i] = bin < 0.0 ? 0 : bin > (double)(dims[0] - 1) ? dims[0] - 1 : (int64_t)bin;
    }
    for (int64_t i = 0; i < n; i++) {
        const int64_t from = edge[i], peak = edge[i + 1], to = edge[i + 2];
        for (int64_t j = from; j <= peak; j++) {
            data[j * n + i] = peak == from ? 1.0f : (float)(j - from) / (float)(peak - from);
        }
        for (int64_t j = peak; j < to; j++) {
            data[j * n + i] = (float)(to - j) / (float)(to - peak);
        }
    }
    return mica_onnx_alias(node, 0, mica_onnx_weight(node, NULL, MRT_F32, 2, dims, data));
}

/* --- determinants of small matrices ---------------------------------------------------------- */
enum { MAX_DETERMINANT = 4 };

static mica_value *entry(mica_onnx_node *node, mica_value *x, int row, int col) {
    const mrt_shape shape = mica_onnx_shape(x);
    int64_t offset[MRT_MAX_RANK] = {0}, steps[MRT_MAX_RANK], ends[MRT_MAX_RANK];
    for (int i = 0; i < shape.rank; i++) {
        steps[i] = 1;
        ends[i] = shape.dims[i];
    }
    offset[shape.rank - 2] = row;
    ends[shape.rank - 2] = row + 1;
    offset[shape.rank - 1] = col;
    ends[shape.rank - 1] = col + 1;
    mica_value *one = mica_onnx_slice(node, "entry", x, offset, steps, ends);
    return mica_onnx_reshape(node, "scalar", one, shape.rank - 2, shape.dims);
}

/* Of the rows from `row` on and the columns in the set: expansion along the first row. */
static mica_value *determinant(mica_onnx_node *node, mica_value *x, int n, int row, uint32_t cols) {
    mica_value *sum = NULL;
    bool minus = false;
    for (int col = 0; col < n && !node->failed; col++) {
        if ((cols >> col & 1) == 0) {
            continue;
        }
        mica_value *term = entry(node, x, row, col);
        if (row + 1 < n) {
            mica_value *minor = determinant(node, x, n, row + 1, cols & ~(1u << col));
            term = mica_onnx_binary(node, "top.Mul", "term", term, minor);
        }
        const bool done = row == 0 && (cols >> col) == 1;
        sum = sum == NULL ? term
                          : mica_onnx_binary(node, minus ? "top.Sub" : "top.Add",
                                             done ? NULL : "sum", sum, term);
        minus = !minus;
    }
    return sum;
}

mica_status mica_onnx_convert_det(mica_onnx_node *node) {
    mica_value *x = mica_onnx_in(node, 0);
    const mrt_shape shape = mica_onnx_shape(x);
    MICA_TRY(mica_onnx_finish(node));
    const int64_t n = shape.rank >= 2 ? shape.dims[shape.rank - 1] : 0;
    if (n < 1 || n > MAX_DETERMINANT || shape.dims[shape.rank - 2] != n) {
        return mica_onnx_error(node, "expected square matrices of size 1..%d", MAX_DETERMINANT);
    }
    return mica_onnx_alias(node, 0, determinant(node, x, (int)n, 0, (1u << n) - 1));
}
