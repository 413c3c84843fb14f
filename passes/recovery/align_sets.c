/* Which tensors share a factor. */
#include "passes/recovery/align_sets.h"

#include <string.h>

#include "dialects/top/top.h"
#include "passes/lowering/lowering.h"
#include "utils/arena.h"

int64_t mica_align_root(const mica_align_sets *sets, int64_t i) {
    while (sets->list[i].parent != i) {
        i = sets->list[i].parent;
    }
    return i;
}

int64_t mica_align_index(const mica_value *value) {
    return value->def != NULL && value->index == 0 ? (int64_t)value->def->order : -1;
}

static void join(mica_align_sets *sets, int64_t a, int64_t b) {
    a = mica_align_root(sets, a);
    b = mica_align_root(sets, b);
    const int64_t low = a < b ? a : b;
    const int64_t high = a < b ? b : a;
    sets->list[high].parent = low;
    sets->list[low].closed = sets->list[low].closed || sets->list[high].closed;
}

static void close_operand(mica_align_sets *sets, const mica_op *op, uint32_t i) {
    const int64_t at = mica_align_index(mica_op_operand(op, i));
    if (at >= 0) {
        sets->list[mica_align_root(sets, at)].closed = true;
    }
}

static void close_all(mica_align_sets *sets, const mica_op *op) {
    for (uint32_t i = 0; i < op->n_operands; ++i) {
        close_operand(sets, op, i);
    }
    sets->list[mica_align_root(sets, op->order)].closed = true;
}

/* The layer of an op whose constants nobody else uses. */
static const mica_layer *layer_of(const mica_layers *layers, const mica_op *op) {
    for (size_t i = 0; i < layers->count; ++i) {
        if (layers->list[i].op == op) {
            return mica_layer_is_own(&layers->list[i]) ? &layers->list[i] : NULL;
        }
    }
    return NULL;
}

static bool is_one_of(const mica_op *op, const char *const *names, size_t n) {
    for (size_t i = 0; i < n; ++i) {
        if (mica_op_is(op, names[i])) {
            return true;
        }
    }
    return false;
}
#define IS_ONE_OF(op, names) is_one_of(op, names, sizeof(names) / sizeof *(names))

/* f(s x) = s f(x) for s > 0, of the first operand. */
static bool keeps_factor(const mica_op *op) {
    static const char *const names[] = {"top.Relu",    "top.LeakyRelu", "top.MaxPool", "top.AvgPool", "top.Reshape",
                                        "top.Permute", "top.Slice",     "top.Tile",    "top.Expand"};
    return IS_ONE_OF(op, names) && op->n_results == 1;
}

/* The same of all operands together. */
static bool merges(const mica_op *op) {
    static const char *const names[] = {"top.Add", "top.Sub", "top.Concat"};
    if (!IS_ONE_OF(op, names)) {
        return false;
    }
    for (uint32_t i = 0; i < op->n_operands; ++i) {
        if (mica_align_index(mica_op_operand(op, i)) < 0 || mica_is_weight(mica_op_operand(op, i))) {
            return false;
        }
    }
    return true;
}

static void visit(mica_align_sets *sets, mica_op *op) {
    mica_tied *t = &sets->list[op->order];
    t->maker = layer_of(sets->layers, op);
    if (t->maker != NULL) {
        return; /* divides its input's factor away */
    }
    if (merges(op)) {
        t->merges = true;
        for (uint32_t i = 0; i < op->n_operands; ++i) {
            join(sets, (int64_t)op->order, mica_align_index(mica_op_operand(op, i)));
        }
        return;
    }
    if (keeps_factor(op) && mica_align_index(mica_op_operand(op, 0)) >= 0) {
        t->follows = mica_lower_follows(op) || mica_op_is(op, "top.MaxPool");
        join(sets, (int64_t)op->order, mica_align_index(mica_op_operand(op, 0)));
        return;
    }
    close_all(sets, op);
}

/* Elements that one result of a mean is made of. */
static double averaged(const mica_op *op) {
    size_t n = 0;
    double count = 1.0;
    const int64_t *kernel = mica_op_is(op, "top.AvgPool") ? mica_op_i64s(op, "kernel_shape", &n) : NULL;
    for (size_t i = 0; i < n; ++i) {
        count *= (double)kernel[i];
    }
    return count;
}

/* Noise in front of a mean counts less than noise behind it. */
static double weight_of(const mica_align_sets *sets, const mica_value *value) {
    double weight = 0.0;
    for (const mica_use *use = value->first_use; use != NULL; use = use->next) {
        const bool moved = keeps_factor(use->user) && use->user->block == value->def->block;
        const double here = moved ? sets->list[use->user->order].weight / averaged(use->user) : 1.0;
        weight = here > weight ? here : weight;
    }
    return weight;
}

/* True when a region of some op reads a result. */
static bool is_seen_inside(const mica_op *op) {
    for (uint32_t i = 0; i < op->n_results; ++i) {
        for (const mica_use *use = op->results[i].first_use; use != NULL; use = use->next) {
            if (use->user->block != op->block) {
                return true;
            }
        }
    }
    return false;
}

void mica_align_sets_find(mica_module *module, const mica_layers *layers, mica_align_sets *out) {
    mica_block *body = mica_func_body(mica_module_func(module, "main"));
    *out = (mica_align_sets){.layers = layers};
    for (mica_op *op = body->first; op != NULL; op = op->next) {
        op->order = (uint32_t)out->count++;
    }
    out->list = mica_alloc((size_t)(out->count + 1) * sizeof *out->list);
    memset(out->list, 0, (size_t)(out->count + 1) * sizeof *out->list);
    for (mica_op *op = body->first; op != NULL; op = op->next) {
        out->list[op->order] = (mica_tied){.op = op, .parent = (int64_t)op->order, .weight = 1.0};
    }
    for (mica_op *op = body->first; op != NULL; op = op->next) {
        visit(out, op);
    }
    for (mica_op *op = body->last; op != NULL; op = op->prev) {
        if (op->n_results > 0 && is_seen_inside(op)) {
            out->list[mica_align_root(out, op->order)].closed = true;
        }
        if (op->n_results == 1) {
            out->list[op->order].weight = weight_of(out, &op->results[0]);
        }
    }
}

void mica_align_sets_free(mica_align_sets *sets) {
    mica_free(sets->list);
    memset(sets, 0, sizeof *sets);
}
