#include "ir/equal.h"

#include "ir/ptr_map.h"

#include <assert.h>
#include <stdarg.h>
#include <string.h>

/* Walks both modules side by side; `pairs` maps each value of the first to its partner. */
typedef struct comparison {
    mica_ptr_map pairs;
    mica_error *err;
} comparison;

static bool differ(comparison *c, const mica_op *op, const char *what, const char *left,
                   const char *right) {
    mica_fail(c->err, "'%s' op (%.200s): %s differs: %.300s and %.300s", op->name,
              mica_loc_text(op->loc), what, left, right);
    return false;
}

static const char *text_or_none(mica_attr attr) {
    return attr ? mica_attr_text(attr) : "none";
}

static bool same_attrs(comparison *c, const mica_op *a, const mica_op *b) {
    uint32_t most = a->n_attrs > b->n_attrs ? a->n_attrs : b->n_attrs;
    for (uint32_t i = 0; i < most; i++) {
        mica_named_attr left = i < a->n_attrs ? a->attrs[i] : (mica_named_attr){"", NULL};
        mica_named_attr right = i < b->n_attrs ? b->attrs[i] : (mica_named_attr){"", NULL};
        if (strcmp(left.name, right.name) != 0) {
            return differ(c, a, "an attribute name", left.name, right.name);
        }
        if (left.value != right.value) {
            return differ(c, a, left.name, text_or_none(left.value), text_or_none(right.value));
        }
    }
    return true;
}

static bool same_values(comparison *c, const mica_op *a, const mica_op *b) {
    if (a->n_operands != b->n_operands || a->n_results != b->n_results) {
        return differ(c, a, "the number of operands or results", "", "");
    }
    for (uint32_t i = 0; i < a->n_operands; i++) {
        if (mica_ptr_map_get_pointer(&c->pairs, a->operands[i].value) != b->operands[i].value) {
            return differ(c, a, "an operand", mica_value_name(a->operands[i].value),
                          mica_value_name(b->operands[i].value));
        }
    }
    for (uint32_t i = 0; i < a->n_results; i++) {
        if (a->results[i].type != b->results[i].type) {
            return differ(c, a, "a result type", mica_type_text(a->results[i].type),
                          mica_type_text(b->results[i].type));
        }
    }
    return true;
}

static void pair_results(comparison *c, const mica_op *a, mica_op *b) {
    for (uint32_t i = 0; i < a->n_results && i < b->n_results; i++) {
        mica_ptr_map_set_pointer(&c->pairs, &a->results[i], &b->results[i]);
    }
}

/* Shape of regions and block arguments; pairs arguments, and the results of all ops in a block, so
 * that a value used before its definition compares too. */
static bool same_regions(comparison *c, const mica_op *a, const mica_op *b) {
    if (a->n_regions != b->n_regions) {
        return differ(c, a, "the number of regions", "", "");
    }
    for (uint32_t r = 0; r < a->n_regions; r++) {
        const mica_block *left = a->regions[r]->first;
        const mica_block *right = b->regions[r]->first;
        for (; left && right; left = left->next, right = right->next) {
            if (left->n_args != right->n_args) {
                return differ(c, a, "the number of block arguments", "", "");
            }
            for (uint32_t i = 0; i < left->n_args; i++) {
                if (left->args[i]->type != right->args[i]->type ||
                    left->args[i]->loc != right->args[i]->loc) {
                    return differ(c, a, "a block argument", mica_loc_text(left->args[i]->loc),
                                  mica_loc_text(right->args[i]->loc));
                }
                mica_ptr_map_set_pointer(&c->pairs, left->args[i], right->args[i]);
            }
            const mica_op *x = left->first;
            mica_op *y = right->first;
            for (; x && y; x = x->next, y = y->next) {
                pair_results(c, x, y);
            }
            if (x || y) {
                return differ(c, a, "the number of ops inside", "", "");
            }
        }
        if (left || right) {
            return differ(c, a, "the number of blocks", "", "");
        }
    }
    return true;
}

static bool same_op(comparison *c, const mica_op *a, const mica_op *b) {
    if (a->name != b->name) {
        return differ(c, a, "the op", a->name, b->name);
    }
    if (a->loc != b->loc) {
        return differ(c, a, "the location", mica_loc_text(a->loc), mica_loc_text(b->loc));
    }
    return same_attrs(c, a, b) && same_values(c, a, b) && same_regions(c, a, b);
}

bool mica_module_equal(const mica_module *a, const mica_module *b, mica_error *err) {
    assert(a->context == b->context);
    comparison c = {.err = err};
    mica_op *left = a->op;
    mica_op *right = b->op;
    bool same = true;
    while (same && left && right) {
        same = same_op(&c, left, right);
        left = mica_op_walk_next(a->op, left);
        right = mica_op_walk_next(b->op, right);
    }
    mica_ptr_map_free(&c.pairs);
    return same;
}
