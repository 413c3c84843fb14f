#include "passes/top/permute_rules.h"

#include <string.h>

/* --- orders ------------------------------------------------------------------------------------- */

bool mica_order_equal(const mica_axis_order *a, const mica_axis_order *b) {
    return a->rank == b->rank && memcmp(a->to, b->to, (size_t)a->rank * sizeof *a->to) == 0;
}

bool mica_order_is_identity(const mica_axis_order *order) {
    for (int i = 0; i < order->rank; ++i) {
        if (order->to[i] != i) {
            return false;
        }
    }
    return true;
}

mica_axis_order mica_order_inverse(const mica_axis_order *order) {
    mica_axis_order inverse = {.rank = order->rank};
    for (int i = 0; i < order->rank; ++i) {
        inverse.to[order->to[i]] = i;
    }
    return inverse;
}

bool mica_order_of_permute(const mica_op *permute, mica_axis_order *out) {
    size_t n = 0;
    if (!mica_op_is(permute, "top.Permute") || !mica_type_is_static(mica_op_operand(permute, 0)->type) ||
        !mica_type_is_static(permute->results[0].type)) {
        return false;
    }
    const int64_t *order = mica_op_i64s(permute, "order", &n);
    *out = (mica_axis_order){.rank = (int)n};
    memcpy(out->to, order, n * sizeof *order);
    return n > 0;
}

mica_type mica_order_type(mica_type y, const mica_axis_order *order) {
    int64_t dims[MICA_MAX_RANK];
    for (int i = 0; i < order->rank; ++i) {
        dims[order->to[i]] = y->dims[i];
    }
    return mica_type_tensor(y->context, y->rank, dims, y->element, y->encoding);
}

bool mica_order_is_reshape(mica_type y, const mica_axis_order *order) {
    int64_t last = -1;
    for (int i = 0; i < order->rank; ++i) {
        if (y->dims[i] == 1) {
            continue;
        }
        if (order->to[i] < last) {
            return false;
        }
        last = order->to[i];
    }
    return true;
}

/* --- rules -------------------------------------------------------------------------------------- */

typedef enum rule_kind {
    RULE_ANY,      /* attributes do not speak of axes */
    RULE_AXIS,     /* `axis` is one axis */
    RULE_LIST,     /* lists hold one number per axis */
    RULE_AXES,     /* `axes` is a set of axes, which may vanish */
    RULE_ARG,      /* `axis` may vanish */
    RULE_TRAILING, /* works on the axes from `axis` on, which must stay where they are */
    RULE_CHANNEL,  /* works on axis 1, whose place must stay, and that of the samples */
    RULE_EXPAND,   /* the list `shape` is that of the result */
} rule_kind;

typedef struct rule {
    const char *op;
    rule_kind kind;
    const char *lists[3]; /* LIST: attributes that are permuted; twice as long: both halves */
} rule;

/* All element-wise ops follow RULE_ANY without a row. */
static const rule rules[] = {
    {"top.DtypeCast", RULE_ANY, {NULL}},
    {"top.IsNaN", RULE_ANY, {NULL}},
    {"top.IsInf", RULE_ANY, {NULL}},
    {"top.Concat", RULE_AXIS, {NULL}},
    {"top.Split", RULE_AXIS, {NULL}},
    {"top.Softmax", RULE_AXIS, {NULL}},
    {"top.CumSum", RULE_AXIS, {NULL}},
    {"top.TopK", RULE_AXIS, {NULL}},
    {"top.Slice", RULE_LIST, {"offset", "steps", "ends"}},
    {"top.Pad", RULE_LIST, {"paddings"}},
    {"top.Tile", RULE_LIST, {"tile"}},
    {"top.Expand", RULE_EXPAND, {NULL}},
    {"top.Reduce", RULE_AXES, {NULL}},
    {"top.Arg", RULE_ARG, {NULL}},
    {"top.LayerNorm", RULE_TRAILING, {NULL}},
    {"top.RMSNorm", RULE_TRAILING, {NULL}},
    {"top.Scale", RULE_CHANNEL, {NULL}},
    {"top.BatchNorm", RULE_CHANNEL, {NULL}},
    {"top.InstanceNorm", RULE_CHANNEL, {NULL}},
    {"top.GroupNorm", RULE_CHANNEL, {NULL}},
};

static const rule any_rule = {NULL, RULE_ANY, {NULL}};

static const rule *find_rule(const mica_op *op) {
    if (mica_op_has_trait(op, MICA_ELEMENTWISE)) {
        return &any_rule;
    }
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; ++i) {
        if (mica_op_is(op, rules[i].op)) {
            return &rules[i];
        }
    }
    return NULL;
}

static int64_t axis_of(const mica_op *op) {
    const int64_t axis = mica_op_i64(op, "axis");
    return axis < 0 ? axis + mica_op_operand(op, 0)->type->rank : axis;
}

/* Axes of operand 0 that its result does not have. */
static uint32_t gone_axes(const mica_op *op, rule_kind kind) {
    uint32_t gone = 0;
    if ((kind != RULE_AXES && kind != RULE_ARG) || mica_op_bool(op, "keepdims")) {
        return 0;
    }
    if (kind == RULE_ARG) {
        return 1U << axis_of(op);
    }
    size_t n = 0;
    const int64_t *axes = mica_op_i64s(op, "axes", &n);
    for (size_t i = 0; i < n; ++i) {
        gone |= 1U << axes[i];
    }
    return gone;
}

static bool is_allowed(const mica_op *op, const rule *r, const mica_axis_order *order) {
    const int64_t first = r->kind == RULE_TRAILING ? axis_of(op) : 0;
    switch (r->kind) {
    case RULE_TRAILING:
        for (int i = (int)first; i < order->rank; ++i) {
            if (order->to[i] != i) {
                return false;
            }
        }
        return true;
    case RULE_CHANNEL:
        return order->rank >= 2 && order->to[0] == 0 && order->to[1] == 1;
    case RULE_EXPAND:
        return op->results[0].type->rank == order->rank;
    default:
        return true;
    }
}

static bool is_plain(const mica_op *op) {
    if (op->n_regions != 0 || op->n_operands < 1 || !mica_op_has_trait(op, MICA_PURE)) {
        return false;
    }
    for (uint32_t i = 0; i < op->n_operands; ++i) {
        if (!mica_type_is_none(mica_op_operand(op, i)->type) && !mica_type_is_static(mica_op_operand(op, i)->type)) {
            return false;
        }
    }
    for (uint32_t i = 0; i < op->n_results; ++i) {
        if (!mica_type_is_static(op->results[i].type)) {
            return false;
        }
    }
    return true;
}

/* Without the axes that are gone, the others counted anew. */
static mica_axis_order drop_axes(const mica_axis_order *order, uint32_t gone) {
    mica_axis_order out = {0};
    for (int i = 0; i < order->rank; ++i) {
        if ((gone >> i & 1U) != 0) {
            continue;
        }
        int64_t at = order->to[i];
        for (int k = 0; k < order->rank; ++k) {
            at -= (gone >> k & 1U) != 0 && order->to[k] < order->to[i];
        }
        out.to[out.rank++] = at;
    }
    return out;
}

bool mica_permute_rule(const mica_op *op, const mica_axis_order *order, mica_axis_order *out_result) {
    const rule *r = find_rule(op);
    if (r == NULL || !is_plain(op)) {
        return false;
    }
    /* An element-wise op that adds axes to operand 0 is led by another operand. */
    const bool leads = r->kind == RULE_ANY ? op->results[0].type->rank == order->rank
                                           : mica_op_operand(op, 0)->type->rank == order->rank;
    if (!leads || !is_allowed(op, r, order)) {
        return false;
    }
    *out_result = drop_axes(order, gone_axes(op, r->kind));
    return true;
}

bool mica_permute_rule_up(const mica_op *op, const mica_axis_order *result, mica_axis_order *out_order) {
    const rule *r = find_rule(op);
    mica_axis_order down;
    if (r == NULL || gone_axes(op, r->kind) != 0 || !mica_permute_rule(op, result, &down)) {
        return false;
    }
    *out_order = *result;
    return true;
}

mica_carry mica_permute_carry(const mica_op *op, uint32_t operand) {
    const rule *r = find_rule(op);
    const mica_type type = mica_op_operand(op, operand)->type;
    if (mica_type_is_none(type) || ((r->kind == RULE_TRAILING || r->kind == RULE_CHANNEL) && operand > 0)) {
        return MICA_CARRY_KEEP;
    }
    if (r->kind != RULE_ANY || type->rank == op->results[0].type->rank) {
        return MICA_CARRY_ORDER;
    }
    return mica_type_count(type) == 1 ? MICA_CARRY_KEEP : MICA_CARRY_ALIGN;
}

/* --- attributes ---------------------------------------------------------------------------------- */

static void set_list(mica_op *made, const mica_op *op, const char *name, const mica_axis_order *order) {
    size_t n = 0;
    int64_t list[2 * MICA_MAX_RANK];
    const int64_t *old = mica_op_i64s(op, name, &n);
    for (size_t i = 0; i < n && i < 2 * MICA_MAX_RANK; ++i) {
        const size_t half = i / (size_t)order->rank * (size_t)order->rank;
        list[half + (size_t)order->to[i - half]] = old[i];
    }
    mica_op_set_i64s(made, name, list, n);
}

static void set_axes(mica_op *made, const mica_op *op, const mica_axis_order *order) {
    size_t n = 0;
    const int64_t *old = mica_op_i64s(op, "axes", &n);
    uint32_t set = 0;
    for (size_t i = 0; i < n; ++i) {
        set |= 1U << order->to[old[i]];
    }
    int64_t axes[MICA_MAX_RANK];
    size_t count = 0;
    for (int i = 0; i < order->rank; ++i) {
        if ((set >> i & 1U) != 0) {
            axes[count++] = i;
        }
    }
    mica_op_set_i64s(made, "axes", axes, count);
}

void mica_permute_attrs(mica_op *made, const mica_op *op, const mica_axis_order *order) {
    const rule *r = find_rule(op);
    switch (r->kind) {
    case RULE_AXIS:
    case RULE_ARG:
        mica_op_set_i64(made, "axis", order->to[axis_of(op)]);
        break;
    case RULE_LIST:
        for (size_t i = 0; i < sizeof r->lists / sizeof r->lists[0] && r->lists[i] != NULL; ++i) {
            set_list(made, op, r->lists[i], order);
        }
        break;
    case RULE_AXES:
        set_axes(made, op, order);
        break;
    case RULE_EXPAND: {
        const mica_type type = mica_order_type(op->results[0].type, order);
        mica_op_set_i64s(made, "shape", type->dims, (size_t)type->rank);
        break;
    }
    default:
        break;
    }
}
