/* Modules and functions. */
#include "ir/context_impl.h"
#include "ir/op.h"
#include "ir/op_impl.h"
#include "ir/weights.h"

#include <string.h>

/* The struct is not in its arena, so that modules can be swapped. */
mica_module *mica_module_create_empty(mica_context *context) {
    mica_module *module = mica_alloc(sizeof *module);
    module->context = context;
    module->arena = mica_arena_create();
    module->weights = mica_weights_create();
    return module;
}

mica_module *mica_module_create(mica_context *context, mica_loc loc) {
    mica_module *module = mica_module_create_empty(context);
    mica_op_state state = {.name = "builtin.module", .loc = loc, .n_regions = 1};
    module->op = mica_op_create(module, &state);
    mica_region_add_block(module->op->regions[0]);
    return module;
}

void mica_module_destroy(mica_module *module) {
    if (!module) {
        return;
    }
    mica_weights_destroy(module->weights);
    mica_arena_destroy(module->arena);
    mica_free(module);
}

static void set_owner(mica_module *module) {
    for (mica_op *op = module->op; op; op = mica_op_walk_next(module->op, op)) {
        op->owner = module;
    }
}

void mica_module_swap(mica_module *a, mica_module *b) {
    const mica_module old = *a;
    *a = *b;
    *b = old;
    set_owner(a);
    set_owner(b);
}

mica_block *mica_module_body(mica_module *module) {
    return module->op->regions[0]->first;
}

mica_op *mica_module_func(mica_module *module, const char *name) {
    for (mica_op *op = mica_module_body(module)->first; op; op = op->next) {
        mica_attr symbol = mica_op_attr(op, "sym_name");
        if (symbol && symbol->kind == MICA_ATTR_STRING && mica_op_is(op, "func.func") &&
            strcmp(symbol->text, name) == 0) {
            return op;
        }
    }
    return NULL;
}

mica_block *mica_func_body(mica_op *func) {
    return func->n_regions > 0 ? func->regions[0]->first : NULL;
}

mica_module *mica_op_module(const mica_op *op) {
    const mica_op *top = op;
    while (top->block) {
        top = top->block->region->parent;
    }
    return top == op->owner->op ? op->owner : NULL;
}
