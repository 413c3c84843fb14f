/* Deep copies. */
#include "ir/builder.h"
#include "ir/context_impl.h"
#include "ir/op_impl.h"
#include "ir/ptr_map.h"
#include "ir/weights.h"

typedef struct cloner {
    mica_module *module;
    mica_ptr_map values; /* old value inside the copied op -> new value */
    mica_value *(*map)(void *user, mica_value *);
    void *user;
} cloner;

static mica_value *mapped(const cloner *c, mica_value *value) {
    mica_value *copy = mica_ptr_map_get_pointer(&c->values, value);
    if (copy) {
        return copy;
    }
    copy = c->map ? c->map(c->user, value) : NULL;
    return copy ? copy : value;
}

/* The op without its regions' contents. */
static mica_op *clone_shell(cloner *c, const mica_op *op) {
    mica_op *copy = mica_op_create(
        c->module, &(mica_op_state){.name = op->name, .loc = op->loc, .n_regions = op->n_regions});
    mica_type *types = mica_alloc(op->n_results * sizeof *types);
    for (uint32_t i = 0; i < op->n_results; i++) {
        types[i] = op->results[i].type;
    }
    mica_op_set_results(copy, types, op->n_results);
    mica_free(types);
    mica_op_set_sorted_attrs(copy, op->attrs, op->n_attrs);
    for (uint32_t i = 0; i < op->n_results; i++) {
        mica_ptr_map_set_pointer(&c->values, &op->results[i], &copy->results[i]);
    }
    for (uint32_t r = 0; r < op->n_regions; r++) {
        for (const mica_block *from = op->regions[r]->first; from; from = from->next) {
            mica_block *to = mica_region_add_block(copy->regions[r]);
            for (uint32_t i = 0; i < from->n_args; i++) {
                const mica_value *arg = from->args[i];
                mica_value *fresh = mica_block_add_arg(to, arg->type, arg->loc);
                mica_ptr_map_set_pointer(&c->values, arg, fresh);
            }
        }
    }
    return copy;
}

/* All values are made before operands are set, so that graph regions may use values early. */
static mica_op *clone_tree(cloner *c, const mica_op *op) {
    mica_op *copy = clone_shell(c, op);
    for (uint32_t r = 0; r < op->n_regions; r++) {
        mica_block *to = copy->regions[r]->first;
        for (const mica_block *from = op->regions[r]->first; from; from = from->next) {
            for (const mica_op *inner = from->first; inner; inner = inner->next) {
                mica_op_insert(clone_tree(c, inner), to, NULL);
            }
            to = to->next;
        }
    }
    return copy;
}

static void set_operands(cloner *c, const mica_op *root, mica_op *copy_root) {
    mica_op *copy = copy_root;
    for (const mica_op *op = root; op; op = mica_op_walk_next(root, (mica_op *)op)) {
        for (uint32_t i = 0; i < op->n_operands; i++) {
            mica_op_append_operand(copy, mapped(c, op->operands[i].value));
        }
        copy = mica_op_walk_next(copy_root, copy);
    }
}

mica_op *mica_clone_op(mica_builder *builder, const mica_op *op,
                       mica_value *(*map)(void *user, mica_value *), void *user) {
    cloner c = {.module = builder->module, .map = map, .user = user};
    mica_op *copy = clone_tree(&c, op);
    set_operands(&c, op, copy);
    mica_ptr_map_free(&c.values);
    if (builder->block) {
        mica_op_insert(copy, builder->block, builder->before);
    }
    if (builder->created) {
        builder->created(builder->user, copy);
    }
    return copy;
}

mica_module *mica_module_clone(mica_module *module) {
    mica_module *copy = mica_module_create_empty(module->context);
    mica_weights_destroy(copy->weights);
    copy->weights = mica_weights_clone(module->weights);
    mica_builder builder = {.module = copy};
    copy->op = mica_clone_op(&builder, module->op, NULL, NULL);
    return copy;
}
