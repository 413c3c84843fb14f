/* com.microsoft: products with weights of few bits. The weights are constants, so they are unpacked
 * while importing: the same numbers, and everything that is known about float weights applies. */
#include "frontends/onnx/onnx_internal.h"

#include <inttypes.h>
#include <string.h>

/* Rows of `k` numbers in blocks of `block`; each block has a scale and a zero point. */
typedef struct packed {
    const uint8_t *data;
    const double *scales, *zeros; /* zeros: NULL, or unpacked */
    const int64_t *groups;        /* block of each column, or NULL: in order */
    int64_t n, k, block, blocks;  /* blocks per row */
    int bits;
} packed;

/* Bytes of an u8 constant of `count` elements. */
static const uint8_t *bytes_of(mica_onnx_node *node, size_t i, const char *name, int64_t count) {
    mica_value *value = mica_onnx_in(node, i);
    const mica_ndarray *array = value != NULL ? mica_weight_data(value) : NULL;
    const mrt_shape shape = mica_onnx_shape(value);
    if (node->failed || array == NULL) {
        if (!node->failed) {
            mica_onnx_error(node, "input %zu (%s) must be known at import; it depends on the data "
                                  "of a graph input", i, name);
        }
        return NULL;
    }
    if (mica_onnx_type(value) != MRT_U8 || mrt_shape_count(&shape) != count) {
        mica_onnx_error(node, "input %zu (%s) is %s, expected %" PRId64 " elements of u8", i, name,
                        mica_type_text(value->type), count);
        return NULL;
    }
    return array->data;
}

static const double *numbers_of(mica_onnx_node *node, size_t i, const char *name, int64_t count) {
    int64_t n = 0;
    const double *data = mica_onnx_const_f64s(node, i, &n);
    if (!node->failed && n != count) {
        mica_onnx_error(node, "input %zu (%s) has %" PRId64 " elements, expected %" PRId64, i, name,
                        n, count);
    }
    return node->failed ? NULL : data;
}

/* Element i of a row of packed numbers, the first one in the lowest bits. */
static unsigned take(const uint8_t *row, int64_t i, int bits) {
    const int64_t bit = i * bits;
    return (unsigned)(row[bit / 8] >> bit % 8) & ((1u << bits) - 1);
}

/* Zero points are packed like the weights, or floats. */
static const double *zero_points(mica_onnx_node *node, size_t i, const packed *p) {
    mica_value *value = mica_onnx_in(node, i);
    const int64_t count = p->n * p->blocks, row = (p->blocks * p->bits + 7) / 8;
    if (value == NULL || node->failed) {
        return NULL;
    }
    if (mica_onnx_is_float(value)) {
        return numbers_of(node, i, "zero_points", count);
    }
    const uint8_t *data = bytes_of(node, i, "zero_points", p->n * row);
    double *out = mica_onnx_buffer(node, MRT_F64, count);
    for (int64_t k = 0; k < count && data != NULL && out != NULL; k++) {
        out[k] = take(data + k / p->blocks * row, k % p->blocks, p->bits);
    }
    return data != NULL ? out : NULL;
}

static void unpack_row(const packed *p, int64_t row, float *out) {
    const int64_t bytes = p->block * p->bits / 8;
    const double middle = (double)(1 << (p->bits - 1));
    for (int64_t k = 0; k < p->k; k++) {
        const int64_t block = k / p->block;
        const uint8_t *data = p->data + (row * p->blocks + block) * bytes;
        const int64_t at = row * p->blocks + (p->groups != NULL ? p->groups[k] : block);
        const double zero = p->zeros != NULL ? p->zeros[at] : middle;
        const float steps = (float)take(data, k % p->block, p->bits) - (float)zero;
        out[k] = steps * (float)p->scales[at];
    }
}

/* Block of each column; the list may cover the padding of the last block too. */
static mica_status read_groups(mica_onnx_node *node, size_t i, packed *p) {
    int64_t n = 0;
    if (mica_onnx_in_name(node, i)[0] == '\0') {
        return mica_onnx_finish(node);
    }
    p->groups = mica_onnx_const_i64s(node, i, &n);
    if (!node->failed && n != p->k && n != p->blocks * p->block) {
        return mica_onnx_error(node, "input %zu (g_idx) has %" PRId64 " elements, expected %" PRId64,
                               i, n, p->k);
    }
    for (int64_t k = 0; k < p->k && !node->failed; k++) {
        if (p->groups[k] < 0 || p->groups[k] >= p->blocks) {
            return mica_onnx_error(node, "input %zu (g_idx) holds %" PRId64 ", expected 0..%" PRId64,
                                   i, p->groups[k], p->blocks - 1);
        }
    }
    return mica_onnx_finish(node);
}

static mica_status read_sizes(mica_onnx_node *node, packed *p) {
    static const int64_t limit = (int64_t)1 << 30;
    p->n = mica_onnx_attr_i(node, "N", 0);
    p->k = mica_onnx_attr_i(node, "K", 0);
    p->block = mica_onnx_attr_i(node, "block_size", 0);
    const int64_t bits = mica_onnx_attr_i(node, "bits", 4);
    MICA_TRY(mica_onnx_finish(node));
    if (p->n < 1 || p->k < 1 || p->n > limit || p->k > limit) {
        return mica_onnx_error(node, "attributes N and K have values %" PRId64 " and %" PRId64
                                     ", expected 1 or more", p->n, p->k);
    }
    if (bits != 2 && bits != 4 && bits != 8) {
        return mica_onnx_error(node, "attribute 'bits' has value %" PRId64 ", expected 2, 4 or 8",
                               bits);
    }
    if (p->block < 16 || p->block > limit || (p->block & (p->block - 1)) != 0) {
        return mica_onnx_error(node, "attribute 'block_size' has value %" PRId64
                                     ", expected a power of two from 16 on", p->block);
    }
    p->bits = (int)bits;
    p->blocks = (p->k + p->block - 1) / p->block;
    return MICA_OK;
}

mica_status mica_onnx_convert_matmul_nbits(mica_onnx_node *node) {
    packed p = {0};
    MICA_TRY(read_sizes(node, &p));
    /* How exact the kernel's sums have to be at least: ours are those of floats. */
    mica_onnx_attr_i(node, "accuracy_level", 0);
    if (mica_onnx_attr_i(node, "weight_prepacked", 0) != 0) {
        return mica_onnx_error(node, "attribute 'weight_prepacked' is not 0: the weights are in the "
                                     "order of one kind of device");
    }
    const mrt_shape shape = {.rank = 2, .dims = {p.n, p.k}};
    int64_t bytes = 0;
    if (!mrt_shape_bytes(&shape, MRT_F32, &bytes)) {
        return mica_onnx_error(node, "its weights are too large");
    }
    p.data = bytes_of(node, 1, "B", p.n * p.blocks * (p.block * p.bits / 8));
    p.scales = numbers_of(node, 2, "scales", p.n * p.blocks);
    MICA_TRY(mica_onnx_finish(node));
    p.zeros = zero_points(node, 3, &p);
    MICA_TRY(read_groups(node, 4, &p));
    float *data = mica_onnx_buffer(node, MRT_F32, p.n * p.k);
    for (int64_t row = 0; row < p.n && data != NULL; row++) {
        unpack_row(&p, row, data + row * p.k);
    }
    mica_value *operands[] = {mica_onnx_in(node, 0),
                              mica_onnx_weight_borrow(node, "weights", MRT_F32, &shape, data),
                              mica_onnx_in(node, 5)};
    mica_op *op = mica_onnx_op(node, "top.MatMul", NULL, operands, 3, 1);
    MICA_TRY(mica_onnx_finish(node));
    mica_op_set_bool(op, "right_transpose", true);
    return mica_onnx_alias(node, 0, mica_onnx_done(node, op));
}
