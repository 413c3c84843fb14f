/* Dead code and common subexpressions: the same for both dialects. */
#include <inttypes.h>
#include <string.h>

#include "dialects/top/top.h"
#include "ir/pass.h"
#include "ir/rewrite.h"
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

/* Constants are equal by type and bytes; two of them become one. */
static const char *weight_key(const mica_op *op, mica_strbuf *key) {
    const mica_ndarray *array = mica_weight_data(&op->results[0]);
    if (array == NULL || array->bytes > 4096) {
        return NULL; /* comparing large arrays costs more than they are likely to save */
    }
    mica_strbuf_printf(key, "weight %p ", (const void *)op->results[0].type);
    mica_strbuf_appendn(key, "", 0);
    for (size_t i = 0; i < array->bytes; ++i) {
        mica_strbuf_printf(key, "%02x", ((const uint8_t *)array->data)[i]);
    }
    return mica_strbuf_text(key);
}

mica_status mica_pass_top_cse(mica_module *module, const mica_pass_options *options) {
    (void)options;
    mica_op *func = mica_module_func(module, "main");
    if (func == NULL) {
        return mica_emit_error(module->context, module->op->loc, "module has no function 'main'");
    }
    mica_map *seen = mica_map_create();
    for (mica_op *op = mica_func_body(func)->first; op != NULL;) {
        mica_op *next = op->next;
        mica_strbuf key = {0};
        const char *text = NULL;
        if (mica_op_is(op, "top.Weight")) {
            text = weight_key(op, &key);
        } else if (mica_op_has_trait(op, MICA_PURE) && op->n_regions == 0 && !is_returned(op)) {
            key_of(op, &key);
            text = mica_strbuf_text(&key);
        }
        mica_op *first = text != NULL ? mica_map_get(seen, text) : NULL;
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
    mica_map_destroy(seen);
    return MICA_OK;
}
