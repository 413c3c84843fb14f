/* Permutes moved and cancelled.
 *
 * A Permute is looked at together with the ops around it that do not care about the order of axes
 * (permute_rules.h). Each of them can work on its tensors as they are or on permuted ones; a Permute is
 * needed wherever a tensor goes from one kind to the other. Which ops change is a minimum cut, whose
 * costs are the elements that Permutes move. The graph is changed only when the cut is cheaper than
 * what is there. So the permuted bytes fall with every rewrite, nothing ever adds to them, and
 * rewriting ends. Permutes that end up behind one another, at constants, at MatMuls or moving axes of
 * size 1 only are left to the patterns for those. */
#include <string.h>

#include "passes/top/pattern_util.h"
#include "passes/top/patterns.h"
#include "passes/top/permute_rules.h"
#include "utils/mincut.h"
#include "utils/vec.h"

enum {
    REGION_MAX = 384, /* ops that are looked at: bounds the time per Permute */
    PARTS_MAX = 64,   /* operands and results of one */
};

typedef enum part_role {
    PART_FIXED,  /* works on the tensors as they are */
    PART_MOVES,  /* may work on permuted ones */
    PART_ENTRY,  /* Permute that makes y of y' */
    PART_EXIT,   /* Permute that makes y' of y */
    PART_FREE,   /* another Permute: two are one, whichever tensor it takes */
} part_role;

/* An op of the region or beside it. */
typedef struct part {
    mica_op *op;
    part_role role;
    mica_axis_order order; /* MOVES: of operand 0 */
    size_t node;           /* MOVES, FREE: in the cut */
    mica_op *made;         /* MOVES: the op that takes its place */
} part;

/* A tensor y of the region: y = Permute(y', order). */
typedef struct tensor {
    mica_value *value;
    mica_axis_order order;
} tensor;

/* A Permute that is needed when `from` works on permuted tensors and `to` does not. */
typedef struct conversion {
    size_t from, to;
    bool exists; /* there is one now */
} conversion;

typedef struct region {
    mica_rewriter *rewriter;
    MICA_VEC(part) parts;
    MICA_VEC(tensor) tensors;
    MICA_VEC(uint32_t) first; /* per part: its first tensor plus 1, results follow; 0: none */
    MICA_VEC(size_t) queue;    /* tensors in the order in which they were found */
    mica_mincut *cut;
    MICA_VEC(conversion) conversions;
    bool waits; /* for Permutes that other patterns can merge */
} region;

/* The type with axes of size 1 in front. */
static mica_type aligned_type(mica_type type, int rank) {
    int64_t dims[MICA_MAX_RANK];
    const int more = rank - type->rank;
    for (int i = 0; i < rank; ++i) {
        dims[i] = i < more ? 1 : type->dims[i - more];
    }
    return mica_type_tensor(type->context, rank, dims, type->element, NULL);
}

/* A MatMul takes transposed matrices as well. */
static bool matmul_takes(const mica_use *use, const mica_axis_order *order) {
    const int n = order->rank;
    if (!mica_op_is(use->user, "top.MatMul") || use->index > 1 || n < 2 || order->to[n - 1] != n - 2 ||
        order->to[n - 2] != n - 1) {
        return false;
    }
    for (int i = 0; i + 2 < n; ++i) {
        if (order->to[i] != i) {
            return false;
        }
    }
    return true;
}

/* Its results are not used: it will be erased. */
static bool is_dead(const mica_op *op) {
    for (uint32_t i = 0; i < op->n_results; ++i) {
        if (op->results[i].first_use != NULL) {
            return false;
        }
    }
    return mica_op_has_trait(op, MICA_PURE);
}

/* --- members ------------------------------------------------------------------------------------- */

/* The op's own scratch number leads to its part; a stale one is recognized. */
static size_t part_of(region *r, mica_op *op) {
    if (op->order < r->parts.len && r->parts.data[op->order].op == op) {
        return op->order;
    }
    op->order = (uint32_t)r->parts.len;
    mica_vec_push(&r->parts, ((part){.op = op, .role = PART_FIXED}));
    mica_vec_push(&r->first, 0);
    return op->order;
}

static part *part_at(region *r, mica_op *op) {
    const size_t at = part_of(r, op); /* may move the array */
    return &r->parts.data[at];
}

static tensor *tensor_of(region *r, const mica_value *value) {
    if (value->def == NULL) {
        return NULL;
    }
    const size_t at = part_of(r, value->def);
    if (r->first.data[at] == 0) {
        return NULL;
    }
    tensor *t = &r->tensors.data[r->first.data[at] - 1 + value->index];
    return t->value != NULL ? t : NULL;
}

static bool agrees(region *r, const mica_value *value, const mica_axis_order *order) {
    const tensor *t = tensor_of(r, value);
    return value->def != NULL && value->type->rank == order->rank && (t == NULL || mica_order_equal(&t->order, order));
}

static void add_tensor(region *r, mica_value *value, const mica_axis_order *order) {
    const size_t at = part_of(r, value->def);
    if (r->first.data[at] == 0) {
        r->first.data[at] = (uint32_t)r->tensors.len + 1;
        for (uint32_t i = 0; i < value->def->n_results; ++i) {
            mica_vec_push(&r->tensors, ((tensor){.value = NULL}));
        }
    }
    tensor *t = &r->tensors.data[r->first.data[at] - 1 + value->index];
    if (t->value == NULL) {
        *t = (tensor){value, *order};
        mica_vec_push(&r->queue, (size_t)(t - r->tensors.data));
    }
}

/* A broadcast operand must not need a Permute of its own. */
static bool aligns_free(const mica_value *x, const mica_axis_order *order) {
    return mica_is_weight(x) || mica_order_is_reshape(aligned_type(x->type, order->rank), order);
}

/* Takes the op in when all its tensors agree with the order of its operand 0. */
static void add_moving(region *r, mica_op *op, const mica_axis_order *order) {
    mica_axis_order result;
    const size_t at = part_of(r, op);
    if (r->parts.data[at].role != PART_FIXED || r->parts.len > REGION_MAX || op->n_operands > PARTS_MAX ||
        op->n_results > PARTS_MAX || !mica_permute_rule(op, order, &result)) {
        return;
    }
    for (uint32_t i = 0; i < op->n_operands; ++i) {
        mica_value *x = mica_op_operand(op, i);
        const mica_carry carry = mica_permute_carry(op, i);
        if ((carry == MICA_CARRY_ORDER && !agrees(r, x, order)) ||
            (carry == MICA_CARRY_ALIGN && !aligns_free(x, order))) {
            return;
        }
    }
    for (uint32_t i = 0; i < op->n_results; ++i) {
        if (!agrees(r, &op->results[i], &result)) {
            return;
        }
    }
    r->parts.data[at].role = PART_MOVES;
    r->parts.data[at].order = *order;
    r->parts.data[at].node = mica_mincut_node(r->cut);
    for (uint32_t i = 0; i < op->n_operands; ++i) {
        if (mica_permute_carry(op, i) == MICA_CARRY_ORDER) {
            add_tensor(r, mica_op_operand(op, i), order);
        }
    }
    for (uint32_t i = 0; i < op->n_results; ++i) {
        add_tensor(r, &op->results[i], &result);
    }
}

/* A Permute keeps the part that it is first seen in. One that another Permute or a MatMul can take in
 * is gone soon, so that nothing can be said about costs yet. */
static void add_permute(region *r, mica_op *op, const mica_axis_order *order, bool is_user) {
    mica_axis_order own;
    part *p = part_at(r, op);
    if (p->role != PART_FIXED || !mica_order_of_permute(op, &own) || mica_order_is_identity(&own)) {
        return; /* an output's name may hang on a Permute that changes nothing */
    }
    r->waits = r->waits || mica_producer(mica_op_operand(op, 0), "top.Permute") != NULL;
    for (const mica_use *use = op->results[0].first_use; use != NULL; use = use->next) {
        r->waits = r->waits || mica_op_is(use->user, "top.Permute") || matmul_takes(use, &own);
    }
    const mica_axis_order expected = is_user ? mica_order_inverse(order) : *order;
    p->role = !mica_order_equal(&own, &expected) ? PART_FREE : is_user ? PART_EXIT : PART_ENTRY;
    p->node = p->role == PART_FREE ? mica_mincut_node(r->cut) : 0;
}

static void add_neighbours(region *r, size_t at) {
    mica_value *value = r->tensors.data[at].value;
    const mica_axis_order order = r->tensors.data[at].order;
    mica_axis_order up;
    if (mica_order_is_identity(&order)) {
        return;
    }
    if (mica_op_is(value->def, "top.Permute")) {
        add_permute(r, value->def, &order, false);
    } else if (mica_permute_rule_up(value->def, &order, &up)) {
        add_moving(r, value->def, &up);
    }
    for (const mica_use *use = value->first_use; use != NULL && r->parts.len <= REGION_MAX; use = use->next) {
        if (is_dead(use->user)) {
            continue;
        }
        if (mica_op_is(use->user, "top.Permute")) {
            add_permute(r, use->user, &order, true);
        } else if (use->user->n_operands > 0 && use->user->n_results > 0) {
            add_moving(r, use->user, &order);
        }
    }
}

/* --- costs --------------------------------------------------------------------------------------- */

/* Of making y of y' or the other way round. A Reshape costs next to nothing, but it is an op. */
static int64_t cost_of(const mica_value *value, const mica_axis_order *order) {
    if (mica_order_is_identity(order)) {
        return 0;
    }
    if (mica_order_is_reshape(value->type, order)) {
        return 1;
    }
    const mica_type element = value->type->element;
    const int64_t count = mica_type_count(value->type);
    const int64_t bytes = element->width > 8 ? element->width / 8 : 1;
    return 16 + (count < INT64_C(1) << 40 ? count : INT64_C(1) << 40) * bytes;
}

typedef enum use_side { USE_AS_IS, USE_FOLLOWS, USE_EXIT, USE_EITHER } use_side;

static use_side side_of(region *r, const mica_use *use, const mica_axis_order *order) {
    if (is_dead(use->user)) {
        return USE_EITHER;
    }
    const part *p = part_at(r, use->user);
    mica_axis_order own;
    if (p->role == PART_MOVES && mica_permute_carry(use->user, use->index) == MICA_CARRY_ORDER) {
        return USE_FOLLOWS;
    }
    if (p->role == PART_EXIT && mica_order_of_permute(use->user, &own)) {
        const mica_axis_order back = mica_order_inverse(order);
        return mica_order_equal(&own, &back) ? USE_EXIT : USE_EITHER;
    }
    return p->role == PART_FREE || matmul_takes(use, order) ? USE_EITHER : USE_AS_IS;
}

static void add_conversion(region *r, size_t from, size_t to, int64_t cost) {
    mica_mincut_edge(r->cut, from, to, cost);
    mica_vec_push(&r->conversions, ((conversion){.from = from, .to = to}));
}

/* What the choices for one tensor cost; returns the part of it that is spent as things are. */
static int64_t add_costs(region *r, size_t at) {
    const tensor t = r->tensors.data[at];
    const part producer = *part_at(r, t.value->def);
    const int64_t cost = cost_of(t.value, &t.order);
    const bool movable = producer.role == PART_MOVES || producer.role == PART_FREE;
    const bool entry = producer.role == PART_ENTRY;
    if (mica_is_weight(t.value) || cost == 0) {
        return 0; /* constants are permuted at once */
    }
    const size_t from = movable ? producer.node : entry ? (size_t)MICA_CUT_SOURCE : (size_t)MICA_CUT_SINK;
    size_t to_as_is = 0;  /* permuted, somebody needs it as it is */
    size_t to_moved = 0;  /* as it is, somebody needs it permuted */
    size_t at_exit = 0;
    int64_t spent = 0;
    for (const mica_use *use = t.value->first_use; use != NULL; use = use->next) {
        const use_side side = side_of(r, use, &t.order);
        const size_t user = side == USE_AS_IS  ? (size_t)MICA_CUT_SINK
                            : side == USE_EXIT ? (size_t)MICA_CUT_SOURCE
                                               : part_at(r, use->user)->node;
        if (side == USE_EITHER) {
            continue;
        }
        if (side != USE_EXIT && (movable || entry)) {
            if (to_as_is == 0) {
                to_as_is = mica_mincut_node(r->cut);
                add_conversion(r, from, to_as_is, cost);
                r->conversions.data[r->conversions.len - 1].exists = entry;
                spent += entry ? cost : 0;
            }
            mica_mincut_edge(r->cut, to_as_is, user, MICA_CUT_NEVER);
        }
        if (side != USE_AS_IS && !entry) {
            if (to_moved == 0) {
                to_moved = mica_mincut_node(r->cut);
                add_conversion(r, to_moved, from, cost);
                at_exit = r->conversions.len - 1;
            }
            mica_mincut_edge(r->cut, user, to_moved, MICA_CUT_NEVER);
            if (side == USE_EXIT && !r->conversions.data[at_exit].exists) {
                r->conversions.data[at_exit].exists = true;
                spent += cost;
            }
        }
    }
    return spent;
}

/* --- change -------------------------------------------------------------------------------------- */

/* Name of a tensor in another order of axes: "<name>_p0231". */
static mica_loc moved_loc(const region *r, const mica_value *value, const mica_axis_order *order) {
    mica_module *module = mica_rewriter_module(r->rewriter);
    char digits[MICA_MAX_RANK + 1] = "";
    for (int i = 0; i < order->rank; ++i) {
        digits[i] = (char)('0' + order->to[i]);
    }
    const char *name = mica_arena_printf(module->arena, "%s_p%s", mica_value_name(value), digits);
    return mica_loc_name(module->context, name, value->def->n_results == 1 ? value->def->loc : NULL);
}

static mica_value *build_permute(region *r, mica_op *before, mica_value *x, const mica_axis_order *order,
                                 mica_loc loc, mica_type type) {
    mica_op *op = mica_build_op(mica_rewriter_builder(r->rewriter, before), "top.Permute", loc, &x, 1, 1);
    mica_op_set_i64s(op, "order", order->to, (size_t)order->rank);
    op->results[0].type = type;
    return &op->results[0];
}

static bool is_moved(region *r, const mica_op *op) {
    const part *p = part_at(r, (mica_op *)op);
    return p->role == PART_MOVES && p->made != NULL;
}

/* y' of a tensor whose producer stays as it is. */
static mica_value *convert(region *r, mica_value *y, const mica_axis_order *order) {
    const mica_axis_order inverse = mica_order_inverse(order);
    mica_axis_order own;
    if (mica_order_is_identity(order)) {
        return y;
    }
    if (mica_order_of_permute(y->def, &own) && mica_order_equal(&own, order)) {
        return mica_op_operand(y->def, 0);
    }
    for (const mica_use *use = y->first_use; use != NULL; use = use->next) {
        if (mica_order_of_permute(use->user, &own) && mica_order_equal(&own, &inverse)) {
            if (use->user != y->def->next) {
                mica_op_move_before(use->user, y->def->next);
            }
            return &use->user->results[0];
        }
    }
    return build_permute(r, y->def->next, y, &inverse, moved_loc(r, y, &inverse), mica_order_type(y->type, order));
}

/* A broadcast operand with axes of size 1 in front, then permuted (at once when it is a constant). */
static mica_value *convert_aligned(region *r, mica_op *made, mica_value *y, const mica_axis_order *order) {
    mica_module *module = mica_rewriter_module(r->rewriter);
    const mica_type type = aligned_type(y->type, order->rank);
    const mica_axis_order inverse = mica_order_inverse(order);
    const bool is_reshape = mica_order_is_reshape(type, order);
    const mica_type shape = is_reshape ? mica_order_type(type, order) : type;
    const char *name = mica_arena_printf(module->arena, "%s_axes", mica_value_name(y));
    const mica_loc loc = mica_loc_name(type->context, name, y->def != NULL ? y->def->loc : NULL);
    mica_op *op = mica_build_op(mica_rewriter_builder(r->rewriter, made), "top.Reshape", loc, &y, 1, 1);
    mica_op_set_i64s(op, "shape", shape->dims, (size_t)shape->rank);
    op->results[0].type = shape;
    return is_reshape ? &op->results[0]
                      : build_permute(r, made, &op->results[0], &inverse, moved_loc(r, y, &inverse),
                                      mica_order_type(type, order));
}

/* Permutes and Reshapes of constants that were just made. */
static void fold_operands(region *r, mica_op *made) {
    mica_module *module = mica_rewriter_module(r->rewriter);
    for (uint32_t i = 0; i < made->n_operands; ++i) {
        mica_op *inner = mica_op_operand(made, i)->def;
        if (inner != NULL && mica_op_is(inner, "top.Permute") && mica_op_operand(inner, 0)->def != NULL &&
            mica_op_is(mica_op_operand(inner, 0)->def, "top.Reshape")) {
            inner = mica_op_operand(inner, 0)->def;
            if (mica_top_can_fold(inner)) {
                (void)!mica_top_fold(module, inner);
            }
            inner = mica_op_operand(made, i)->def;
        }
        if (inner != NULL && mica_top_can_fold(inner)) {
            (void)!mica_top_fold(module, inner);
        }
    }
}

static void make_op(region *r, part *p) {
    mica_value *operands[PARTS_MAX];
    mica_loc locs[PARTS_MAX];
    mica_op *op = p->op;
    mica_axis_order result;
    (void)mica_permute_rule(op, &p->order, &result);
    const mica_axis_order inverse = mica_order_inverse(&result);
    for (uint32_t i = 0; i < op->n_operands; ++i) {
        operands[i] = mica_op_operand(op, i);
    }
    for (uint32_t i = 0; i < op->n_results; ++i) {
        locs[i] = mica_order_is_identity(&result) ? mica_loc_get_name_at(op->loc, i)[0] != '\0' && op->n_results > 1
                                                        ? op->loc->parts[i]
                                                        : op->loc
                                                  : moved_loc(r, &op->results[i], &inverse);
    }
    const mica_loc loc = op->n_results == 1 ? locs[0] : mica_loc_fused(mica_op_context(op), locs, op->n_results);
    p->made = mica_build_op(mica_rewriter_builder(r->rewriter, op), op->name, loc, operands, op->n_operands, op->n_results);
    for (uint32_t i = 0; i < op->n_attrs; ++i) {
        mica_op_set_attr(p->made, op->attrs[i].name, op->attrs[i].value);
    }
    mica_permute_attrs(p->made, op, &p->order);
    for (uint32_t i = 0; i < op->n_results; ++i) {
        p->made->results[i].type = mica_order_type(op->results[i].type, &result);
    }
}

static void set_operands(region *r, const part *p) {
    for (uint32_t i = 0; i < p->op->n_operands; ++i) {
        mica_value *y = mica_op_operand(p->op, i);
        const mica_carry carry = mica_permute_carry(p->op, i);
        if (carry == MICA_CARRY_KEEP) {
            continue;
        }
        const bool follows = carry == MICA_CARRY_ORDER && is_moved(r, y->def);
        mica_value *x = follows ? &part_at(r, y->def)->made->results[y->index]
                        : carry == MICA_CARRY_ORDER ? convert(r, y, &p->order)
                                                    : convert_aligned(r, p->made, y, &p->order);
        mica_op_set_operand(p->made, i, x);
    }
    fold_operands(r, p->made);
}

/* Gives the uses of the old results what they need: y' where it is wanted, else y made of it. */
static void set_users(region *r, const part *p) {
    for (uint32_t i = 0; i < p->op->n_results; ++i) {
        mica_value *y = &p->op->results[i];
        mica_value *moved = &p->made->results[i];
        const mica_axis_order order = tensor_of(r, y)->order;
        const mica_axis_order inverse = mica_order_inverse(&order);
        mica_value *as_is = NULL;
        for (const mica_use *use = y->first_use, *next = NULL; use != NULL; use = next) {
            mica_op *user = use->user;
            mica_axis_order own;
            next = use->next;
            if (is_moved(r, user) || is_dead(user)) {
                continue; /* has its own copy, or is not needed; it is erased */
            }
            if (!mica_order_is_identity(&order) && mica_order_of_permute(user, &own) && mica_order_equal(&own, &inverse) &&
                !mica_is_output(user)) {
                continue;
            }
            if (as_is == NULL && mica_order_is_identity(&order)) {
                as_is = moved;
            } else if (as_is == NULL) {
                as_is = build_permute(r, p->op, moved, &order,
                                      p->op->n_results == 1 ? p->op->loc
                                                            : mica_loc_name(mica_op_context(p->op), mica_value_name(y), NULL),
                                      y->type);
            }
            mica_op_set_operand(user, use->index, as_is);
            mica_rewriter_touch(r->rewriter, user);
        }
        bool named = p->op->n_results != 1;
        while (y->first_use != NULL) {
            mica_op *user = y->first_use->user;
            if (is_moved(r, user) || is_dead(user)) {
                mica_op_set_operands(user, NULL, 0);
                continue;
            }
            if (!named) { /* the tensor that this Permute made is now made at once */
                p->made->loc = mica_merged_loc(user, p->op);
                named = true;
            }
            mica_rewriter_replace(r->rewriter, user, &moved, 1);
        }
    }
}

static void change(region *r) {
    const size_t n = r->parts.len;
    for (size_t i = 0; i < n; ++i) {
        if (r->parts.data[i].role == PART_MOVES && mica_mincut_is_source_side(r->cut, r->parts.data[i].node)) {
            make_op(r, &r->parts.data[i]);
        }
    }
    for (size_t i = 0; i < n; ++i) {
        if (r->parts.data[i].made != NULL) {
            set_operands(r, &(part){.op = r->parts.data[i].op, .made = r->parts.data[i].made, .order = r->parts.data[i].order});
        }
    }
    for (size_t i = 0; i < n; ++i) {
        const part p = r->parts.data[i];
        if (p.made != NULL) {
            set_users(r, &p);
        }
    }
    for (size_t i = 0; i < n; ++i) {
        const part p = r->parts.data[i];
        if (p.made != NULL) {
            mica_rewriter_erase(r->rewriter, p.op);
            mica_rewriter_touch(r->rewriter, p.made);
        }
    }
    for (size_t i = 0; i < r->parts.len; ++i) {
        mica_op *op = r->parts.data[i].op;
        if (!op->erased && !mica_op_has_trait(op, MICA_TERMINATOR) && is_dead(op)) {
            mica_rewriter_erase(r->rewriter, op); /* the next look must not count it */
        }
    }
}

/* --- pattern ------------------------------------------------------------------------------------- */

/* Fewer elements in more Permutes are no gain. */
static bool adds_ops(const region *r) {
    size_t now = 0;
    size_t then = 0;
    for (size_t i = 0; i < r->conversions.len; ++i) {
        const conversion *c = &r->conversions.data[i];
        now += c->exists;
        then += mica_mincut_is_source_side(r->cut, c->from) && !mica_mincut_is_source_side(r->cut, c->to);
    }
    return then > now;
}

static bool move_around(mica_rewriter *rewriter, mica_value *value, const mica_axis_order *order) {
    region r = {.rewriter = rewriter, .cut = mica_mincut_create()};
    int64_t spent = 0;
    if (value->def != NULL) {
        add_tensor(&r, value, order);
    }
    for (size_t i = 0; !r.waits && i < r.queue.len; ++i) {
        add_neighbours(&r, r.queue.data[i]);
    }
    for (size_t i = 0; !r.waits && i < r.queue.len; ++i) {
        spent += add_costs(&r, r.queue.data[i]);
    }
    const bool cheaper = !r.waits && mica_mincut_run(r.cut) < spent && !adds_ops(&r);
    if (cheaper) {
        change(&r);
    }
    mica_mincut_destroy(r.cut);
    mica_vec_free(&r.parts);
    mica_vec_free(&r.tensors);
    mica_vec_free(&r.first);
    mica_vec_free(&r.queue);
    mica_vec_free(&r.conversions);
    return cheaper;
}

static bool move_permutes(mica_rewriter *rewriter, mica_op *op) {
    mica_axis_order order;
    if (!mica_order_of_permute(op, &order) || mica_order_is_reshape(op->results[0].type, &order) ||
        mica_producer(mica_op_operand(op, 0), "top.Permute") != NULL || mica_is_weight(mica_op_operand(op, 0))) {
        return false; /* simpler patterns take it */
    }
    const mica_axis_order inverse = mica_order_inverse(&order);
    return move_around(rewriter, &op->results[0], &order) ||
           move_around(rewriter, mica_op_operand(op, 0), &inverse);
}

const mica_pattern mica_patterns_permute[] = {
    {"move-permutes", "top.Permute", move_permutes, "Permutes moved where they meet or fewer elements pass"},
};
const size_t mica_patterns_permute_count = sizeof mica_patterns_permute / sizeof mica_patterns_permute[0];
