#include "passes/search/family.h"

#include <string.h>

#include "dialects/top/top.h"
#include "passes/top/attention.h"
#include "utils/arena.h"

enum {
    RULE_ACTIVATIONS = 1,     /* SiLU, GELU */
    RULE_NORM = 2,            /* LayerNorm behind Add, and that Add */
    RULE_ADD = 4,             /* every Add */
    RULE_MATMUL_GELU = 8,     /* MatMul behind GELU */
    RULE_MATMUL_SOFTMAX = 16, /* MatMul behind Softmax */
    RULE_MATMUL_GATE = 32,    /* MatMul behind SiLU times something */
    RULE_PERMUTE_NORM = 64,   /* Permute in front of a Reshape to LayerNorm */
    RULE_DEPTH2SPACE = 128,
    RULE_ALL_BUT_PRODUCTS = 256, /* all but Conv, Scale, Reshape and MatMul behind LayerNorm or Reshape */
    RULE_HEAD = 512,          /* all that no Conv depends on, but Conv */
};

/* What tells the families apart. */
typedef struct parts {
    size_t attention, pyramids, gates, rank6, patches, convs, norms_after_add, embeddings, tokens;
    bool head_softmax; /* behind the last Conv */
    size_t outputs;
} parts;

/* --- looking at the graph --- */

/* Producer through ops that keep all values: Reshape, Permute, Slice, Squeeze, Unsqueeze. */
static const mica_op *behind_moves(const mica_value *value) {
    static const char *const moves[] = {"top.Reshape", "top.Permute", "top.Slice", "top.Squeeze", "top.Unsqueeze"};
    const mica_op *op = value->def;
    for (int depth = 0; op != NULL && depth < 8; ++depth) {
        bool moved = false;
        for (size_t i = 0; i < sizeof moves / sizeof moves[0]; ++i) {
            moved = moved || mica_op_is(op, moves[i]);
        }
        if (!moved) {
            return op;
        }
        op = mica_op_operand(op, 0)->def;
    }
    return op;
}

static bool is_gelu(const mica_op *op) {
    return mica_op_is(op, "top.GELU") || mica_op_is(op, "top.GELUTanh") || mica_op_is(op, "top.QuickGELU");
}

static bool reads(const mica_op *op, const char *type) {
    const mica_op *from = op->n_operands > 0 ? behind_moves(mica_op_operand(op, 0)) : NULL;
    return from != NULL && mica_op_is(from, type);
}

/* Pools one after the other, and a Concat of all of them. */
static bool is_pyramid(const mica_op *concat) {
    if (!mica_op_is(concat, "top.Concat") || concat->n_operands < 3) {
        return false;
    }
    size_t pools = 0;
    for (uint32_t i = 0; i < concat->n_operands; ++i) {
        const mica_op *from = mica_op_operand(concat, i)->def;
        pools += from != NULL && mica_op_is(from, "top.MaxPool");
    }
    return pools >= 3;
}

static bool is_gate(const mica_op *op) {
    for (uint32_t i = 0; mica_op_is(op, "top.Mul") && i < op->n_operands; ++i) {
        const mica_op *from = mica_op_operand(op, i)->def;
        if (from != NULL && mica_op_is(from, "top.SiLU")) {
            return true;
        }
    }
    return false;
}

/* A Conv whose windows do not overlap. */
static bool is_patch(const mica_op *op) {
    if (!mica_op_is(op, "top.Conv")) {
        return false;
    }
    size_t n = 0;
    size_t m = 0;
    const int64_t *kernel = mica_op_i64s(op, "kernel_shape", &n);
    const int64_t *strides = mica_op_i64s(op, "strides", &m);
    return n == 2 && m == 2 && kernel[0] >= 4 && kernel[0] == strides[0] && kernel[1] == strides[1];
}

/* Constants that a Concat puts in front of the patches: how many rows. */
static size_t token_rows(const mica_op *op) {
    size_t rows = 0;
    bool other = false;
    for (uint32_t i = 0; mica_op_is(op, "top.Concat") && i < op->n_operands; ++i) {
        const mica_value *value = mica_op_operand(op, i);
        const bool token = mica_is_weight(value) && value->type->rank == 3;
        rows += token ? (size_t)value->type->dims[1] : 0;
        other = other || !token;
    }
    return other ? rows : 0;
}

static bool is_embedding(const mica_op *op) {
    return mica_op_is(op, "top.Gather") && mica_is_weight(mica_op_operand(op, 0)) && op->results[0].type->rank >= 3;
}

/* Ops that a Conv depends on. */
static bool *mark_before_convs(const mica_block *body) {
    uint32_t n = 0;
    for (mica_op *op = body->first; op != NULL; op = op->next) {
        op->order = n++;
    }
    bool *marks = mica_alloc(n + 1);
    memset(marks, 0, n + 1);
    for (const mica_op *op = body->last; op != NULL; op = op->prev) {
        for (uint32_t r = 0; r < op->n_results; ++r) {
            for (const mica_use *use = op->results[r].first_use; use != NULL; use = use->next) {
                const bool inside = use->user->block == body;
                marks[op->order] = marks[op->order] || (inside && (marks[use->user->order] || mica_op_is(use->user, "top.Conv")));
            }
        }
    }
    return marks;
}

static parts look(mica_module *module, const bool *before_conv) {
    parts p = {.attention = mica_top_count_attention(module)};
    const mica_block *body = mica_func_body(mica_module_func(module, "main"));
    for (const mica_op *op = body->first; op != NULL; op = op->next) {
        p.pyramids += is_pyramid(op);
        p.gates += is_gate(op);
        p.rank6 += mica_op_is(op, "top.Permute") && op->results[0].type->rank >= 6;
        p.patches += is_patch(op);
        p.convs += mica_op_is(op, "top.Conv");
        p.norms_after_add += mica_op_is(op, "top.LayerNorm") && reads(op, "top.Add");
        p.embeddings += is_embedding(op);
        p.tokens += token_rows(op);
        p.head_softmax = p.head_softmax || (mica_op_is(op, "top.Softmax") && !before_conv[op->order]);
        p.outputs += op == body->last ? op->n_operands : 0;
    }
    return p;
}

/* --- families --- */

typedef bool matcher(const parts *p);

static bool family_is_yolo_dfl(const parts *p) { return p->pyramids > 0 && p->convs >= 4 && p->head_softmax; }
static bool family_is_yolo(const parts *p) { return p->pyramids > 0 && p->convs >= 4; }
static bool family_is_detr(const parts *p) { return p->attention >= 2 && p->convs >= 10 && p->outputs >= 2; }
static bool family_is_eva(const parts *p) { return p->attention > 0 && p->patches > 0 && p->gates > 0; }
static bool family_is_swin(const parts *p) { return p->attention > 0 && p->rank6 > 0 && p->patches > 0; }
static bool family_is_bert(const parts *p) {
    return p->attention > 0 && p->embeddings > 0 && p->norms_after_add > 0 && p->convs == 0;
}
static bool family_is_deit(const parts *p) { return p->attention > 0 && p->patches > 0 && p->tokens == 2; }
static bool family_is_vit(const parts *p) {
    return p->attention > 0 && p->patches > 0 && p->norms_after_add > 0 && p->convs < 10;
}

static const struct family {
    const char *name, *block;
    matcher *matches;
    unsigned rules;
} FAMILIES[] = {
#define FAMILY(name, block, match, rules) {#name, #block, family_is_##match, rules},
#include "passes/search/families.def"
};

/* --- rules --- */

static bool feeds_norm(const mica_op *op) {
    for (const mica_use *use = op->results[0].first_use; use != NULL; use = use->next) {
        if (mica_op_is(use->user, "top.LayerNorm")) {
            return true;
        }
    }
    return false;
}

static bool feeds_norm_by_reshape(const mica_op *op) {
    for (const mica_use *use = op->results[0].first_use; use != NULL; use = use->next) {
        if (mica_op_is(use->user, "top.Reshape") && feeds_norm(use->user)) {
            return true;
        }
    }
    return false;
}

static bool is_product(const mica_op *op) {
    return mica_op_is(op, "top.Conv") || mica_op_is(op, "top.Scale") || mica_op_is(op, "top.Reshape") ||
           (mica_op_is(op, "top.MatMul") && op->n_operands > 0 && mica_op_operand(op, 0)->def != NULL &&
            (mica_op_is(mica_op_operand(op, 0)->def, "top.LayerNorm") || mica_op_is(mica_op_operand(op, 0)->def, "top.Reshape")));
}

static bool is_float(const mica_op *op, unsigned rules, const bool *before_conv) {
    const bool matmul = mica_op_is(op, "top.MatMul");
    const mica_op *from = matmul ? behind_moves(mica_op_operand(op, 0)) : NULL;
    return ((rules & RULE_ACTIVATIONS) != 0 && (mica_op_is(op, "top.SiLU") || is_gelu(op))) ||
           ((rules & RULE_NORM) != 0 && mica_op_is(op, "top.LayerNorm") && reads(op, "top.Add")) ||
           ((rules & RULE_NORM) != 0 && mica_op_is(op, "top.Add") && feeds_norm(op)) ||
           ((rules & RULE_ADD) != 0 && mica_op_is(op, "top.Add")) ||
           ((rules & RULE_MATMUL_GELU) != 0 && matmul && from != NULL && is_gelu(from)) ||
           ((rules & RULE_MATMUL_SOFTMAX) != 0 && matmul && reads(op, "top.Softmax")) ||
           ((rules & RULE_MATMUL_GATE) != 0 && from != NULL && is_gate(from)) ||
           ((rules & RULE_PERMUTE_NORM) != 0 && mica_op_is(op, "top.Permute") && feeds_norm_by_reshape(op)) ||
           ((rules & RULE_DEPTH2SPACE) != 0 && mica_op_is(op, "top.Depth2Space")) ||
           ((rules & RULE_ALL_BUT_PRODUCTS) != 0 && !is_product(op)) ||
           ((rules & RULE_HEAD) != 0 && !before_conv[op->order] && !mica_op_is(op, "top.Conv"));
}

static bool has_row(const mica_op *op) {
    return op->n_results > 0 && !mica_op_has_trait(op, MICA_IS_CONSTANT) && !mica_op_is(op, "top.Input") &&
           !mica_op_is(op, "top.None");
}

static size_t count_of(const struct family *f, const parts *p) {
    return (f->rules & RULE_HEAD) != 0 ? p->pyramids : p->attention;
}

/* The kinds of the ops that were set, each once, in order. */
static void say_types(const mica_qtable *table, const mica_block *body, mica_strbuf *said) {
    const char *known[64];
    size_t n = 0;
    for (const mica_op *op = body->first; op != NULL; op = op->next) {
        mica_mode mode;
        bool found = !has_row(op) || !mica_qtable_get(table, mica_value_name(&op->results[0]), &mode);
        for (size_t i = 0; i < n; ++i) {
            found = found || strcmp(known[i], op->name) == 0;
        }
        if (!found && n < sizeof known / sizeof known[0]) {
            mica_strbuf_printf(said, "%s'%s'", n > 0 ? ", " : "", op->name);
            known[n++] = op->name;
        }
    }
}

void mica_family_table(mica_module *module, mica_mode mode, mica_qtable *table, const char **out_family,
                       mica_strbuf *said) {
    const mica_block *body = mica_func_body(mica_module_func(module, "main"));
    bool *before_conv = mark_before_convs(body);
    const parts p = look(module, before_conv);
    const struct family *family = NULL;
    *out_family = NULL;
    for (size_t i = 0; i < sizeof FAMILIES / sizeof FAMILIES[0] && family == NULL; ++i) {
        family = FAMILIES[i].matches(&p) ? &FAMILIES[i] : NULL;
    }
    for (const mica_op *op = body->first; op != NULL && family != NULL; op = op->next) {
        if (has_row(op) && is_float(op, family->rules, before_conv)) {
            mica_qtable_set(table, mica_value_name(&op->results[0]), mode);
        }
    }
    if (family != NULL) {
        *out_family = family->name;
        mica_strbuf_printf(said, "The [%s] pattern matches this model (Name: %s). Block count: %zu\n", family->name,
                           family->block, count_of(family, &p));
        mica_strbuf_printf(said, "The [%s] pattern keeps in %s: [", family->name, mica_mode_name(mode));
        say_types(table, body, said);
        mica_strbuf_append(said, "]\n");
    }
    mica_free(before_conv);
}
