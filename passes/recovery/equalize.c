/* Channel equalization between layers: convolutions, depthwise ones included, make channels of very
 * different size, and the smallest get few of the 256 steps. Tensors that are tied together (by Add,
 * activations, pools) form a set with one factor per channel: all layers that make them are divided by
 * it, all that read them multiplied. Weights have a scale per row, so dividing rows costs nothing; the
 * readers' columns may, and the search weighs both.
 *
 * Rule for caps (ReLU6): a cap is one number for all channels, so that a scaled channel would be cut at
 * another value. A set with a capped tensor is left alone. Scaling only channels that stay below the cap on
 * the samples was tried and changes the network on others, by more than equalization gains. */
#include <math.h>
#include <string.h>

#include "dialects/top/top.h"
#include "passes/recovery/factors.h"
#include "utils/arena.h"

typedef struct node {
    mica_value *value;
    const mica_layer *maker; /* layer that makes the value, or NULL */
    int64_t parent;
    bool closed;             /* cannot be scaled */
    mica_channels channels;
} node;

typedef struct graph {
    node *nodes; /* one per op, at op->order */
    int64_t count;
    const mica_layers *layers;
} graph;

static int64_t root_of(graph *g, int64_t i) {
    while (g->nodes[i].parent != i) {
        g->nodes[i].parent = g->nodes[g->nodes[i].parent].parent;
        i = g->nodes[i].parent;
    }
    return i;
}

static void join(graph *g, int64_t a, int64_t b) {
    a = root_of(g, a);
    b = root_of(g, b);
    const int64_t low = a < b ? a : b;
    const int64_t high = a < b ? b : a;
    g->nodes[high].parent = low;
    g->nodes[low].closed = g->nodes[low].closed || g->nodes[high].closed;
}

static int64_t index_of(const mica_value *value) {
    return value->def != NULL && value->index == 0 ? (int64_t)value->def->order : -1;
}

static void close_value(graph *g, const mica_value *value) {
    const int64_t i = index_of(value);
    if (i >= 0) {
        g->nodes[root_of(g, i)].closed = true;
    }
}

static void close_all(graph *g, const mica_op *op) {
    for (uint32_t i = 0; i < op->n_operands; ++i) {
        close_value(g, mica_op_operand(op, i));
    }
    if (op->n_results > 0) {
        close_value(g, &op->results[0]);
    }
}

static const mica_layer *layer_of(const mica_layers *layers, const mica_op *op) {
    for (size_t i = 0; i < layers->count; ++i) {
        const mica_layer *l = &layers->list[i];
        if (l->op == op) {
            const mica_value *bias = mica_op_present(op, 2);
            return l->is_conv && mica_value_has_one_use(mica_op_operand(op, 1)) &&
                           (bias == NULL || mica_value_has_one_use(bias))
                       ? l
                       : NULL;
        }
    }
    return NULL;
}

/* Ops that give s * f(x) for s * x, channel by channel, but for a cap. */
static bool keeps_factors(const mica_op *op) {
    static const char *const names[] = {"top.Relu", "top.MaxPool", "top.AvgPool", "top.LeakyRelu"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; ++i) {
        if (mica_op_is(op, names[i])) {
            return op->n_results == 1;
        }
    }
    return false;
}

static bool same_dims(mica_type a, mica_type b) {
    return a->rank == b->rank && a->rank == 4 &&
           memcmp(a->dims, b->dims, (size_t)a->rank * sizeof a->dims[0]) == 0;
}

static bool is_capped(const mica_op *op) {
    const bool fused = mica_op_has_trait(op, MICA_CAN_FUSE_RELU) && mica_op_bool(op, "do_relu");
    return (fused || mica_op_is(op, "top.Relu")) && mica_op_f64(op, "relu_limit") >= 0.0;
}

/* What one op ties together. */
static void visit(graph *g, mica_op *op) {
    const mica_layer *l = layer_of(g->layers, op);
    node *n = &g->nodes[op->order];
    if (l != NULL) {
        n->maker = l;
        n->closed = n->closed || is_capped(op);
        return; /* reads its input by columns */
    }
    const mica_value *x = op->n_operands > 0 ? mica_op_operand(op, 0) : NULL;
    if (keeps_factors(op) && x->type->rank == 4 && index_of(x) >= 0) {
        n->closed = n->closed || is_capped(op);
        join(g, index_of(x), (int64_t)op->order);
        return;
    }
    const mica_value *y = op->n_operands == 2 ? mica_op_operand(op, 1) : NULL;
    if (mica_op_is(op, "top.Add") && y != NULL && same_dims(x->type, op->results[0].type) &&
        same_dims(y->type, x->type) && index_of(x) >= 0 && index_of(y) >= 0) {
        n->closed = n->closed || is_capped(op);
        join(g, index_of(x), (int64_t)op->order);
        join(g, index_of(y), (int64_t)op->order);
        return;
    }
    close_all(g, op);
}

static void build(graph *g, mica_module *module) {
    mica_block *body = mica_func_body(mica_module_func(module, "main"));
    g->count = 0;
    for (mica_op *op = body->first; op != NULL; op = op->next) {
        op->order = (uint32_t)g->count++;
    }
    g->nodes = mica_alloc((size_t)(g->count + 1) * sizeof *g->nodes);
    memset(g->nodes, 0, (size_t)(g->count + 1) * sizeof *g->nodes);
    for (mica_op *op = body->first; op != NULL; op = op->next) {
        node *n = &g->nodes[op->order];
        n->parent = (int64_t)op->order;
        n->value = op->n_results == 1 ? &op->results[0] : NULL;
        n->closed = n->value == NULL;
    }
    for (mica_op *op = body->first; op != NULL; op = op->next) {
        visit(g, op);
    }
}

/* Measures every value of the sets that may be scaled. */
static mica_status measure(graph *g, mica_module *module, const mica_recovery_job *job, mica_error *err) {
    mica_channels *all = mica_alloc((size_t)(g->count + 1) * sizeof *all);
    size_t n = 0;
    for (int64_t i = 0; i < g->count; ++i) {
        node *at = &g->nodes[i];
        if (!g->nodes[root_of(g, i)].closed && at->value->type->rank == 4 && at->value->type->dims[1] > 1) {
            mica_channels_init(&at->channels, at->value, 1);
            all[n++] = at->channels;
        }
    }
    const mica_status status = n > 0 ? mica_channels_measure(module, job, all, n, err) : MICA_OK;
    mica_free(all);
    return status;
}

/* Readers and ranges of the set of `root`; false: nothing reads it. */
static bool describe(graph *g, int64_t root, mica_factors *f, mica_reader *readers, double *range) {
    f->count = g->nodes[root].channels.count;
    for (int64_t c = 0; c < f->count; ++c) {
        range[c] = 0.0;
    }
    for (int64_t i = root; i < g->count; ++i) {
        const node *n = &g->nodes[i];
        if (root_of(g, i) != root) {
            continue;
        }
        if (n->channels.count != f->count) {
            return false;
        }
        for (int64_t c = 0; c < f->count; ++c) {
            range[c] = fmax(range[c], fmax(n->channels.high[c], -n->channels.low[c]));
        }
        for (const mica_use *use = n->value->first_use; use != NULL; use = use->next) {
            const mica_layer *l = layer_of(g->layers, use->user);
            if (l != NULL && use->user->operands[0].value == n->value) {
                readers[f->n_readers++] = (mica_reader){l, &n->channels};
            }
        }
    }
    f->readers = readers;
    f->range = range;
    return f->n_readers > 0;
}

/* Factors of one set, NULL: left alone. */
static double *choose(graph *g, int64_t root, bool asymmetric) {
    const int64_t count = g->nodes[root].channels.count;
    mica_reader *readers = mica_alloc((g->layers->count + 1) * sizeof *readers);
    double *range = mica_alloc((size_t)(count + 1) * sizeof *range);
    double *s = mica_alloc((size_t)(count + 1) * sizeof *s);
    mica_factors f = {.asymmetric = asymmetric};
    double exponent = -1.0;
    const bool gains = describe(g, root, &f, readers, range) &&
                       mica_factors_search(&f, s, &exponent) > 1.02;
    mica_free(readers);
    mica_free(range);
    if (!gains) {
        mica_free(s);
        return NULL;
    }
    return s;
}

static void apply(graph *g, mica_module *module, const mica_recovery_job *job, int64_t root, const double *s,
                  size_t *changed) {
    for (int64_t i = root; i < g->count; ++i) {
        const node *n = &g->nodes[i];
        if (root_of(g, i) != root) {
            continue;
        }
        mica_moves_add(job, mica_value_name(n->value), &n->channels, s);
        if (n->maker != NULL) {
            mica_scale_rows(module, n->maker, s);
            *changed += 1;
        }
        for (const mica_use *use = n->value->first_use; use != NULL; use = use->next) {
            const mica_layer *l = layer_of(g->layers, use->user);
            if (l != NULL && use->user->operands[0].value == n->value) {
                mica_scale_reader(module, l, s);
            }
        }
    }
}

mica_status mica_step_equalize(mica_module *module, const mica_recovery_job *job, size_t *changed,
                               mica_error *err) {
    graph g = {.layers = job->layers};
    build(&g, module);
    const mica_status status = measure(&g, module, job, err);
    /* All factors before any change: the layers' filters are still the old ones. */
    double **factors = mica_alloc((size_t)(g.count + 1) * sizeof *factors);
    for (int64_t i = 0; i < g.count; ++i) {
        const bool is_set = status == MICA_OK && root_of(&g, i) == i && g.nodes[i].channels.count > 1;
        factors[i] = is_set ? choose(&g, i, job->options->asymmetric) : NULL;
    }
    for (int64_t i = 0; i < g.count; ++i) {
        if (factors[i] != NULL) {
            apply(&g, module, job, i, factors[i], changed);
        }
    }
    for (int64_t i = 0; i < g.count; ++i) {
        mica_free(factors[i]);
        mica_channels_free(&g.nodes[i].channels);
    }
    mica_free(factors);
    mica_free(g.nodes);
    return status;
}
