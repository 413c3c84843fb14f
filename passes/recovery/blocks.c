#include "passes/recovery/blocks.h"

#include <string.h>

#include "dialects/top/top.h"
#include "passes/lowering/lowering.h"
#include "passes/recovery/cross.h"
#include "utils/arena.h"

/* The only value that is alive at a place, if it is real; else NULL. */
static const mica_value *only_alive(const mica_prefix *p, size_t place) {
    const mica_value *value = NULL;
    return mica_prefix_alive(p, place, &value, 1) == 1 && mica_type_is_float(mica_type_element(value->type), MICA_F32)
               ? value
               : NULL;
}

static bool joins(const mica_op *op) {
    return mica_op_is(op, "top.Add") && !mica_is_weight(mica_op_operand(op, 0)) && !mica_is_weight(mica_op_operand(op, 1));
}

mica_block_range *mica_blocks_find(const mica_prefix *p, const mica_layers *layers, size_t *count) {
    mica_block_range *list = mica_alloc((p->n_ops + 1) * sizeof *list);
    mica_block_range now = {.input = only_alive(p, 0)};
    bool ends = false;
    *count = 0;
    for (size_t at = 1; at <= p->n_ops; ++at) {
        now.layers += mica_same_layer(layers, p->ops[at - 1]) != NULL;
        ends = ends || joins(p->ops[at - 1]) || now.layers >= MICA_BLOCK_LAYERS;
        const mica_value *value = only_alive(p, at);
        if (value == NULL || (!ends && at < p->n_ops)) {
            continue;
        }
        now.last = at;
        now.output = value;
        if (now.layers > 0 && now.input != NULL) {
            list[(*count)++] = now;
        }
        now = (mica_block_range){.first = at, .input = value};
        ends = false;
    }
    return list;
}

/* --- graph -------------------------------------------------------------------------------------- */

typedef struct builder {
    const mica_prefix *p;
    const mica_layers *layers;
    mica_learn *g;
    const mica_value **values; /* per tensor: the value that it stands for */
    const mica_op *op;
} builder;

static int64_t count_of(const mica_value *value) {
    int64_t n = 1;
    for (int i = 0; i < value->type->rank; ++i) {
        n *= value->type->dims[i];
    }
    return n;
}

static int add_tensor(builder *b, const mica_value *value, int64_t count) {
    b->g->counts[b->g->n_tensors] = count;
    b->values[b->g->n_tensors] = value;
    return b->g->n_tensors++;
}

/* The newest tensor of a value, or -1. */
static int find_tensor(const builder *b, const mica_value *value) {
    for (int i = b->g->n_tensors - 1; i >= 0; --i) {
        if (b->values[i] == value) {
            return i;
        }
    }
    return -1;
}

static mica_learn_node *add_node(builder *b, mica_learn_kind kind, int in, const mica_value *result) {
    mica_learn_node *n = &b->g->nodes[b->g->n_nodes++];
    *n = (mica_learn_node){.kind = kind, .in = {in, in}, .limit = -1.0, .out = add_tensor(b, result, count_of(result))};
    return n;
}

/* In W8A8 results are real, only what layers read is rounded. */
static bool is_quantized(const builder *b) { return b->p->job->options->mode != MICA_MODE_W8A8; }

/* The tensor that an op other than a layer reads: rounded in INT8; in W8A8 what a layer reads is rounded for it alone. */
static int real_tensor(const builder *b, const mica_value *value) {
    const int newest = find_tensor(b, value);
    int first = 0;
    while (first < newest && b->values[first] != value) {
        first++;
    }
    return is_quantized(b) ? newest : first;
}

/* Rounds the newest tensor of a value to its grid (for a layer: that of the layer), once. */
static int rounded(builder *b, const mica_value *value, const mica_layer *reader) {
    const int at = find_tensor(b, value);
    const mica_levels grid = mica_prefix_grid(b->p, value, reader);
    bool done = at < 0 || !(grid.scale > 0.0F);
    for (int i = 0; i < b->g->n_nodes && !done; ++i) {
        const mica_learn_node *n = &b->g->nodes[i];
        done = n->kind == MICA_LEARN_ROUND && n->out == at && n->grid.scale == grid.scale;
    }
    if (done) {
        return at;
    }
    const int64_t count = count_of(value);
    mica_learn_node *n = &b->g->nodes[b->g->n_nodes++];
    *n = (mica_learn_node){.kind = MICA_LEARN_ROUND, .in = {at, at}, .limit = -1.0, .grid = grid};
    const bool as_all = is_quantized(b) && mica_prefix_grid(b->p, value, NULL).scale == grid.scale;
    n->out = add_tensor(b, as_all ? value : NULL, count); /* else for this reader alone */
    return n->out;
}

static void clamp_of(const mica_op *op, mica_learn_node *n) {
    n->relu = mica_op_bool(op, "do_relu");
    n->limit = n->relu ? mica_op_f64(op, "relu_limit") : -1.0;
}

/* The constants may be newer than the list of layers. */
static void store_weights(mica_learn_layer *to, const mica_layer *l) {
    const float *filter = mica_weight_data(mica_op_operand(l->op, 1))->data;
    *to = (mica_learn_layer){.layer = l, .weights = mica_alloc((size_t)(l->rows * l->per + 1) * sizeof(float)),
                             .bias = l->bias != NULL ? mica_alloc((size_t)(l->rows + 1) * sizeof(float)) : NULL};
    for (int64_t o = 0; o < l->rows; ++o) {
        for (int64_t k = 0; k < l->per; ++k) {
            to->weights[o * l->per + k] = filter[o * l->row_step + k * l->step];
        }
    }
    if (l->bias != NULL) {
        memcpy(to->bias, mica_weight_data(mica_op_present(l->op, 2))->data, (size_t)l->rows * sizeof *l->bias);
    }
}

static bool build_layer(builder *b) {
    const mica_layer *l = mica_same_layer(b->layers, b->op);
    if (l == NULL || !mica_layer_is_own(l) || (l->is_conv && l->in_dims[0] != 1) ||
        (!l->is_conv && mica_op_bool(b->op, "left_transpose"))) {
        return false;
    }
    const int in = rounded(b, mica_op_operand(b->op, 0), l);
    mica_learn_node *n = add_node(b, MICA_LEARN_LAYER, in, &b->op->results[0]);
    n->layer = b->g->n_layers++;
    store_weights(&b->g->layers[n->layer], l);
    clamp_of(b->op, n);
    return in >= 0;
}

static bool build_add(builder *b) {
    const mica_value *lhs = mica_op_operand(b->op, 0);
    const mica_value *rhs = mica_op_operand(b->op, 1);
    const int x = real_tensor(b, lhs);
    const int y = real_tensor(b, rhs);
    if (x < 0 || y < 0 || count_of(lhs) != count_of(rhs) || count_of(lhs) != count_of(&b->op->results[0])) {
        return false;
    }
    mica_learn_node *n = add_node(b, MICA_LEARN_ADD, x, &b->op->results[0]);
    n->in[1] = y;
    clamp_of(b->op, n);
    return true;
}

static bool build_relu(builder *b) {
    mica_learn_node *n = add_node(b, MICA_LEARN_ACTIVATE, real_tensor(b, mica_op_operand(b->op, 0)), &b->op->results[0]);
    n->limit = mica_op_f64(b->op, "relu_limit");
    return n->in[0] >= 0;
}

static bool build_leaky(builder *b) {
    mica_learn_node *n = add_node(b, MICA_LEARN_ACTIVATE, real_tensor(b, mica_op_operand(b->op, 0)), &b->op->results[0]);
    n->slope = mica_op_f64(b->op, "alpha");
    return n->in[0] >= 0;
}

static bool build_pool(builder *b) {
    const mica_value *x = mica_op_operand(b->op, 0);
    const mica_value *y = &b->op->results[0];
    size_t kernel = 0;
    size_t n = 0;
    const int64_t *window = mica_op_i64s(b->op, "kernel_shape", &kernel);
    if (x->type->rank != 4 || kernel != 2 || mica_op_bool(b->op, "ceil_mode")) {
        return false;
    }
    const bool average = mica_op_is(b->op, "top.AvgPool");
    mica_learn_node *node = add_node(b, average ? MICA_LEARN_AVERAGE : MICA_LEARN_MAX, real_tensor(b, x), y);
    mica_learn_pool *p = &node->pool;
    *p = (mica_learn_pool){.planes = x->type->dims[0] * x->type->dims[1], .count_pad = mica_op_bool(b->op, "count_include_pad")};
    const int64_t *strides = mica_op_i64s(b->op, "strides", &n);
    const int64_t *pads = mica_op_i64s(b->op, "pads", &n);
    size_t dilated = 0;
    const int64_t *dilations = mica_op_i64s(b->op, "dilations", &dilated);
    bool plain = true;
    for (int i = 0; i < 2; ++i) {
        p->in[i] = x->type->dims[2 + i];
        p->out[i] = y->type->dims[2 + i];
        p->kernel[i] = window[i];
        p->strides[i] = strides != NULL ? strides[i] : 1;
        p->pads[i] = pads != NULL ? pads[i] : 0;
        plain = plain && (dilations == NULL || dilations[i] == 1) &&
                (p->out[i] - 1) * p->strides[i] - p->pads[i] < p->in[i] && p->pads[i] < p->kernel[i];
    }
    clamp_of(b->op, node);
    return plain && node->in[0] >= 0;
}

static bool build_gelu(builder *b) {
    return add_node(b, MICA_LEARN_GELU, real_tensor(b, mica_op_operand(b->op, 0)), &b->op->results[0])->in[0] >= 0;
}

static const float *constant(const mica_op *op, uint32_t i, int64_t n, bool *ok) {
    const mica_value *value = i < op->n_operands ? mica_op_present(op, i) : NULL;
    const mica_ndarray *data = value != NULL ? mica_weight_data(value) : NULL;
    *ok = *ok && (value == NULL || (data != NULL && strcmp(data->descr, "<f4") == 0 && mica_ndarray_count(data) == n));
    return data != NULL ? data->data : NULL;
}

static bool build_norm(builder *b) {
    const mica_value *x = mica_op_operand(b->op, 0);
    const int64_t axis = mica_op_i64(b->op, "axis");
    mica_learn_node *n = add_node(b, MICA_LEARN_NORM, real_tensor(b, x), &b->op->results[0]);
    bool ok = n->in[0] >= 0 && (axis == -1 || axis == x->type->rank - 1) && x->type->rank > 0;
    n->inner = ok ? x->type->dims[x->type->rank - 1] : 1;
    n->epsilon = mica_op_f64(b->op, "eps");
    n->gamma = constant(b->op, 1, n->inner, &ok);
    n->beta = constant(b->op, 2, n->inner, &ok);
    return ok;
}

static bool build_copy(builder *b) {
    return add_node(b, MICA_LEARN_COPY, real_tensor(b, mica_op_operand(b->op, 0)), &b->op->results[0])->in[0] >= 0;
}

static const struct {
    const char *name;
    bool (*build)(builder *b);
} BUILD[] = {{"top.Conv", build_layer},   {"top.MatMul", build_layer}, {"top.Add", build_add},
             {"top.Relu", build_relu},    {"top.LeakyRelu", build_leaky}, {"top.AvgPool", build_pool},
             {"top.MaxPool", build_pool}, {"top.GELU", build_gelu},    {"top.LayerNorm", build_norm},
             {"top.Reshape", build_copy}};

static bool build_op(builder *b) {
    for (size_t i = 0; i < sizeof BUILD / sizeof BUILD[0]; ++i) {
        if (mica_op_is(b->op, BUILD[i].name)) {
            return b->op->n_results == 1 && BUILD[i].build(b);
        }
    }
    return false;
}

bool mica_block_graph(const mica_prefix *p, const mica_block_range *block, const mica_layers *layers, mica_learn *out,
                      const char **out_why) {
    const size_t ops = block->last - block->first;
    const size_t most = 3 * ops + 3; /* an op, its input rounded, its result rounded */
    *out = (mica_learn){.nodes = mica_alloc(most * sizeof *out->nodes), .counts = mica_alloc(most * sizeof *out->counts),
                        .layers = mica_alloc((block->layers + 1) * sizeof *out->layers)};
    builder b = {.p = p, .layers = layers, .g = out, .values = mica_alloc(most * sizeof(mica_value *))};
    add_tensor(&b, block->input, count_of(block->input));
    bool ok = true;
    for (size_t i = block->first; i < block->last && ok; ++i) {
        b.op = p->ops[i];
        ok = build_op(&b);
        if (ok && i + 1 < block->last && is_quantized(&b) && !mica_lower_follows(b.op)) {
            (void)rounded(&b, &b.op->results[0], NULL);
        }
    }
    mica_free(b.values);
    if (!ok) {
        *out_why = mica_value_name(&b.op->results[0]);
        mica_learn_free(out);
    }
    return ok;
}
