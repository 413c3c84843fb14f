/* Dead code and common subexpressions: the same for both dialects. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "dialects/top/top.h"
#include "ir/pass.h"
#include "ir/rewrite.h"
#include "utils/hash.h"
#include "utils/map.h"
#include "utils/strbuf.h"

mica_pass_fn mica_pass_dce, mica_pass_top_cse;

mica_status mica_pass_dce(mica_module *module, const mica_pass_options *options) {
    (void)options;
    /* The greedy driver without patterns erases what nobody uses. */
    return mica_rewrite_greedy(module, module->op, NULL, 0, NULL);
}

/* Text that two ops have in common exactly when they compute the same. */
static void key_of(const mica_op *op, mica_strbuf *key) {
    mica_strbuf_printf(key, "%s", op->name);
    for (uint32_t i = 0; i < op->n_operands; ++i) {
        mica_strbuf_printf(key, " %p", (const void *)mica_op_operand(op, i));
    }
    for (uint32_t i = 0; i < op->n_attrs; ++i) {
        mica_strbuf_printf(key, " %s=%p", op->attrs[i].name, (const void *)op->attrs[i].value);
    }
    for (uint32_t i = 0; i < op->n_results; ++i) {
        mica_strbuf_printf(key, " %p", (const void *)op->results[i].type);
    }
}

static bool is_returned(const mica_op *op) {
    for (uint32_t i = 0; i < op->n_results; ++i) {
        for (const mica_use *use = op->results[i].first_use; use != NULL; use = use->next) {
            if (mica_op_is(use->user, "func.return")) {
                return true;
            }
        }
    }
    return false;
}

/* Constants are equal by type and bytes; two of them become one. A key stands for the bytes by their
 * hash; whoever finds one compares the bytes too. Types that occur once are not read. */
static const char *weight_key(const mica_op *op, const mica_map *types, mica_strbuf *key) {
    char type[24];
    char digest[MICA_HASH_HEX];
    snprintf(type, sizeof type, "%p", (const void *)op->results[0].type);
    const size_t *same = mica_map_get(types, type);
    const mica_ndarray *array = same != NULL && *same > 1 ? mica_weight_data(&op->results[0]) : NULL;
    if (array == NULL) {
        return NULL;
    }
    mica_hash_hex(array->data, array->bytes, digest);
    mica_strbuf_printf(key, "weight %s %s", type, digest);
    return mica_strbuf_text(key);
}

static bool same_bytes(const mica_op *a, const mica_op *b) {
    const mica_ndarray *x = mica_weight_data(&a->results[0]);
    const mica_ndarray *y = mica_weight_data(&b->results[0]);
    return x != NULL && y != NULL && x->bytes == y->bytes &&
           (x->data == y->data || memcmp(x->data, y->data, x->bytes) == 0);
}

/* How many constants there are of each type: text of the type's address -> size_t. */
static mica_map *count_types(mica_module *module, mica_op *func) {
    mica_map *types = mica_map_create();
    for (mica_op *op = mica_func_body(func)->first; op != NULL; op = op->next) {
        char type[24];
        if (!mica_op_is(op, "top.Weight")) {
            continue;
        }
        snprintf(type, sizeof type, "%p", (const void *)op->results[0].type);
        size_t *same = mica_map_get(types, type);
        if (same == NULL) {
            same = mica_arena_alloc(module->arena, sizeof *same);
            *same = 0;
            mica_map_set(types, type, same);
        }
        ++*same;
    }
    return types;
}

mica_status mica_pass_top_cse(mica_module *module, const mica_pass_options *options) {
    (void)options;
    mica_op *func = mica_module_func(module, "main");
    if (func == NULL) {
        return mica_emit_error(module->context, module->op->loc, "module has no function 'main'");
    }
    mica_map *seen = mica_map_create();
    mica_map *types = count_types(module, func);
    for (mica_op *op = mica_func_body(func)->first; op != NULL;) {
        mica_op *next = op->next;
        mica_strbuf key = {0};
        const char *text = NULL;
        if (mica_op_is(op, "top.Weight")) {
            text = weight_key(op, types, &key);
        } else if (mica_op_has_trait(op, MICA_PURE) && op->n_regions == 0 && !is_returned(op)) {
            key_of(op, &key);
            text = mica_strbuf_text(&key);
        }
        mica_op *first = text != NULL ? mica_map_get(seen, text) : NULL;
        if (first != NULL && mica_op_is(op, "top.Weight") && !same_bytes(op, first)) {
            first = NULL;
            text = NULL;
        }
        if (first != NULL) {
            for (uint32_t i = 0; i < op->n_results; ++i) {
                mica_value_replace_uses(&op->results[i], &first->results[i]);
            }
            mica_op_erase(op);
        } else if (text != NULL) {
            mica_map_set(seen, text, op);
        }
        mica_strbuf_free(&key);
        op = next;
    }
    mica_map_destroy(types);
    mica_map_destroy(seen);
    return MICA_OK;
}
