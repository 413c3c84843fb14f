/* Creating ops. */
#include "ir/builder.h"

#include "ir/context_impl.h"
#include "ir/op_impl.h"

#include <assert.h>

mica_builder mica_builder_at_end(mica_module *module, mica_block *block) {
    return (mica_builder){.module = module, .block = block};
}

mica_builder mica_builder_before(mica_module *module, mica_op *op) {
    return (mica_builder){.module = module, .block = op->block, .before = op};
}

mica_builder mica_builder_after(mica_module *module, mica_op *op) {
    return (mica_builder){.module = module, .block = op->block, .before = op->next};
}

void mica_op_set_results(mica_op *op, const mica_type *types, size_t count) {
    op->n_results = (uint32_t)count;
    op->results = mica_arena_array(op->owner->arena, count, sizeof *op->results);
    for (uint32_t i = 0; i < op->n_results; i++) {
        op->results[i].type = types[i];
        op->results[i].def = op;
        op->results[i].index = i;
    }
}

void mica_op_set_regions(mica_op *op, size_t count) {
    op->n_regions = (uint32_t)count;
    op->regions = mica_arena_array(op->owner->arena, count, sizeof *op->regions);
    for (uint32_t i = 0; i < op->n_regions; i++) {
        op->regions[i] = mica_arena_alloc(op->owner->arena, sizeof **op->regions);
        op->regions[i]->parent = op;
    }
}

mica_op *mica_op_create(mica_module *module, const mica_op_state *state) {
    assert(state->loc);
    mica_arena *arena = module->arena;
    mica_op *op = mica_arena_alloc(arena, sizeof *op);
    op->owner = module;
    op->name = mica_intern(module->context, state->name);
    op->info = mica_find_op_info(module->context, op->name);
    op->loc = state->loc;
    mica_op_set_results(op, state->results, state->n_results);
    mica_op_set_operands(op, state->operands, (uint32_t)state->n_operands);
    for (size_t i = 0; i < state->n_attrs; i++) {
        mica_op_set_attr(op, state->attrs[i].name, state->attrs[i].value);
    }
    mica_op_set_regions(op, state->n_regions);
    return op;
}

mica_op *mica_build(mica_builder *builder, const mica_op_state *state) {
    mica_op *op = mica_op_create(builder->module, state);
    if (builder->block) {
        mica_op_insert(op, builder->block, builder->before);
    }
    if (builder->created) {
        builder->created(builder->user, op);
    }
    return op;
}

mica_op *mica_build_op(mica_builder *builder, const char *name, mica_loc loc,
                       mica_value *const *operands, size_t n_operands, size_t n_results) {
    mica_context *context = builder->module->context;
    mica_type unranked = mica_type_tensor(context, -1, NULL, mica_type_f32(context), NULL);
    mica_type *types = mica_alloc(n_results * sizeof *types);
    for (size_t i = 0; i < n_results; i++) {
        types[i] = unranked;
    }
    mica_op *op = mica_build(builder, &(mica_op_state){.name = name,
                                                       .loc = loc,
                                                       .operands = operands,
                                                       .n_operands = n_operands,
                                                       .results = types,
                                                       .n_results = n_results});
    mica_free(types);
    return op;
}

mica_status mica_op_infer(mica_op *op) {
    if (!op->info || !op->info->infer) {
        return MICA_OK;
    }
    mica_type *types = mica_alloc(op->n_results * sizeof *types);
    for (uint32_t i = 0; i < op->n_results; i++) {
        types[i] = op->results[i].type;
    }
    mica_status status = op->info->infer(op, types);
    for (uint32_t i = 0; status == MICA_OK && i < op->n_results; i++) {
        assert(types[i]);
        op->results[i].type = types[i];
    }
    mica_free(types);
    return status;
}

/* --- functions -------------------------------------------------------------------------------- */

mica_op *mica_build_func(mica_builder *builder, const char *name, const mica_type *inputs,
                         const mica_loc *locs, size_t n_inputs, const mica_type *results,
                         size_t n_results, mica_loc loc) {
    mica_context *context = builder->module->context;
    mica_type type = mica_type_function(context, inputs, n_inputs, results, n_results);
    mica_named_attr attrs[] = {
        {"function_type", mica_attr_of_type(context, type)},
        {"sym_name", mica_attr_string(context, name)},
    };
    mica_op *func = mica_build(builder, &(mica_op_state){.name = "func.func",
                                                         .loc = loc,
                                                         .attrs = attrs,
                                                         .n_attrs = MICA_COUNT(attrs),
                                                         .n_regions = 1});
    mica_block *body = mica_region_add_block(func->regions[0]);
    for (size_t i = 0; i < n_inputs; i++) {
        mica_block_add_arg(body, inputs[i], locs ? locs[i] : mica_loc_unknown(context));
    }
    return func;
}

mica_op *mica_build_return(mica_builder *builder, mica_value *const *values, size_t count,
                           mica_loc loc) {
    return mica_build(builder, &(mica_op_state){.name = "func.return",
                                                .loc = loc,
                                                .operands = values,
                                                .n_operands = count});
}

void mica_func_update_type(mica_op *func) {
    mica_context *context = mica_op_context(func);
    mica_block *body = mica_func_body(func);
    if (!body) {
        return;
    }
    const mica_op *last = body->last;
    bool returns = last && mica_op_is(last, "func.return");
    mica_attr old = mica_op_attr(func, "function_type");
    size_t n_results = returns ? last->n_operands : 0;
    mica_type *types = mica_alloc((body->n_args + n_results) * sizeof *types);
    for (uint32_t i = 0; i < body->n_args; i++) {
        types[i] = body->args[i]->type;
    }
    const mica_type *results = types + body->n_args;
    for (size_t i = 0; i < n_results; i++) {
        types[body->n_args + i] = last->operands[i].value->type;
    }
    if (!returns && old && old->kind == MICA_ATTR_TYPE) {
        results = old->type->results;
        n_results = old->type->n_results;
    }
    mica_type type = mica_type_function(context, types, body->n_args, results, n_results);
    mica_op_set_attr(func, "function_type", mica_attr_of_type(context, type));
    mica_free(types);
}
