/* What lies between given inputs and outputs becomes function main. */
#include "dialects/top/cut.h"
#include "dialects/top/top.h"
#include "utils/strings.h"
#include "utils/vec.h"

#include <string.h>

typedef MICA_VEC(mica_value *) value_list;

typedef struct cutter {
    mica_module *module;
    mica_op *func;
    const mica_cut *cut;
    value_list inputs, outputs;
    mica_ptr_map needed; /* op -> an op behind it that needs it (itself at the end) */
    mica_ptr_map made;   /* old value -> new value */
    mica_error *err;
} cutter;

static mica_status find(cutter *c, const char *name, const char *kind, value_list *out) {
    MICA_VEC(const char *) all = {0};
    mica_value *found = NULL;
    for (mica_op *op = mica_func_body(c->func)->first; op != NULL; op = op->next) {
        for (uint32_t i = 0; i < op->n_results; i++) {
            mica_vec_push(&all, mica_value_name(&op->results[i]));
            found = strcmp(mica_value_name(&op->results[i]), name) == 0 ? &op->results[i] : found;
        }
    }
    const char *near = found == NULL ? mica_nearest(name, all.data, all.len) : NULL;
    mica_vec_free(&all);
    if (found == NULL) {
        return mica_fail(c->err, "the model has no tensor '%s' to become an %s%s%s%s", name, kind,
                         near != NULL ? "; did you mean '" : "", near != NULL ? near : "",
                         near != NULL ? "'?" : "");
    }
    for (size_t i = 0; i < out->len; i++) {
        if (out->data[i] == found) {
            return mica_fail(c->err, "tensor '%s' is named twice", name);
        }
    }
    mica_vec_push(out, found);
    return MICA_OK;
}

static mica_status find_all(cutter *c) {
    const mica_op *end = mica_func_body(c->func)->last;
    for (size_t i = 0; i < c->cut->n_inputs; i++) {
        MICA_TRY(find(c, c->cut->inputs[i], "input", &c->inputs));
    }
    for (size_t i = 0; i < c->cut->n_outputs; i++) {
        MICA_TRY(find(c, c->cut->outputs[i], "output", &c->outputs));
    }
    for (uint32_t i = 0; c->cut->n_outputs == 0 && i < end->n_operands; i++) {
        mica_vec_push(&c->outputs, mica_op_operand(end, i));
    }
    return MICA_OK;
}

static bool is_new_input(const cutter *c, const mica_value *value) {
    for (size_t i = 0; i < c->inputs.len; i++) {
        if (c->inputs.data[i] == value) {
            return true;
        }
    }
    return false;
}

/* An input that is still needed although others were named: the way from it to the output. */
static mica_status still_needed(const cutter *c, mica_op *op) {
    enum { SHOWN = 6 };
    mica_arena *arena = c->module->arena;
    const char *name = mica_value_name(&op->results[0]);
    const char *path = mica_arena_printf(arena, "'%s'", name);
    size_t steps = 0;
    for (mica_op *next = mica_ptr_map_get_pointer(&c->needed, op); next != op;
         next = mica_ptr_map_get_pointer(&c->needed, op)) {
        op = next;
        if (++steps < SHOWN) {
            path = mica_arena_printf(arena, "%s -> '%s'", path, mica_value_name(&op->results[0]));
        }
    }
    return mica_fail(c->err, "the outputs still depend on input '%s': %s%s; add '%s' or a tensor on "
                             "this path to the input names", name, path,
                     steps < SHOWN ? "" : " -> ...", name);
}

static mica_status mark(cutter *c) {
    for (size_t i = 0; i < c->outputs.len; i++) {
        mica_value *value = c->outputs.data[i];
        if (value->def != NULL && !is_new_input(c, value)) {
            mica_ptr_map_set_pointer(&c->needed, value->def, value->def);
        }
    }
    for (mica_op *op = mica_func_body(c->func)->last; op != NULL; op = op->prev) {
        if (mica_ptr_map_get_pointer(&c->needed, op) == NULL) {
            continue;
        }
        if (c->inputs.len > 0 && mica_op_is(op, "top.Input")) {
            return still_needed(c, op);
        }
        for (uint32_t i = 0; i < op->n_operands; i++) {
            mica_value *value = mica_op_operand(op, i);
            if (value->def != NULL && !is_new_input(c, value) &&
                mica_ptr_map_get_pointer(&c->needed, value->def) == NULL) {
                mica_ptr_map_set_pointer(&c->needed, value->def, op);
            }
        }
    }
    return MICA_OK;
}

/* Without names: the inputs that are needed, or all, in their order. */
static void keep_inputs(cutter *c) {
    for (mica_op *op = mica_func_body(c->func)->first; op != NULL && c->cut->n_inputs == 0; op = op->next) {
        if (mica_op_is(op, "top.Input") &&
            (c->cut->keep_inputs || mica_ptr_map_get_pointer(&c->needed, op) != NULL)) {
            mica_vec_push(&c->inputs, &op->results[0]);
        }
    }
}

static void make_inputs(cutter *c, mica_builder *builder, mica_block *body) {
    for (size_t i = 0; i < c->inputs.len; i++) {
        mica_value *value = c->inputs.data[i];
        mica_value *argument = body->args[i];
        mica_op *op = mica_build_op(builder, "top.Input", argument->loc, &argument, 1, 1);
        op->results[0].type = value->type;
        const mica_op *old = value->def;
        for (uint32_t k = 0; mica_op_is(old, "top.Input") && k < old->n_attrs; k++) {
            mica_op_set_attr(op, old->attrs[k].name, old->attrs[k].value);
        }
        mica_ptr_map_set_pointer(&c->made, value, &op->results[0]);
    }
}

static mica_value *made_of(void *user, mica_value *value) {
    const cutter *c = user;
    return mica_ptr_map_get_pointer(&c->made, value);
}

static void build(cutter *c) {
    mica_arena *arena = c->module->arena;
    const size_t n = c->inputs.len;
    mica_type *types = mica_arena_array(arena, n, sizeof *types);
    mica_loc *locs = mica_arena_array(arena, n, sizeof *locs);
    for (size_t i = 0; i < n; i++) {
        const mica_value *value = c->inputs.data[i];
        types[i] = value->type;
        locs[i] = mica_loc_name(c->module->context, mica_value_name(value), NULL);
    }
    mica_builder outer = mica_builder_before(c->module, c->func);
    mica_op *func = mica_build_func(&outer, "main", types, locs, n, NULL, 0, c->func->loc);
    mica_block *body = mica_func_body(func);
    mica_builder builder = mica_builder_at_end(c->module, body);
    make_inputs(c, &builder, body);
    const mica_op *end = mica_func_body(c->func)->last;
    for (mica_op *op = mica_func_body(c->func)->first; op != end; op = op->next) {
        if (mica_ptr_map_get_pointer(&c->needed, op) == NULL || mica_op_is(op, "top.Input")) {
            continue;
        }
        mica_op *copy = mica_clone_op(&builder, op, made_of, c);
        for (uint32_t i = 0; i < op->n_results; i++) {
            if (!is_new_input(c, &op->results[i])) {
                mica_ptr_map_set_pointer(&c->made, &op->results[i], &copy->results[i]);
            }
        }
    }
    mica_value **results = mica_arena_array(arena, c->outputs.len, sizeof *results);
    for (size_t i = 0; i < c->outputs.len; i++) {
        results[i] = mica_ptr_map_get_pointer(&c->made, c->outputs.data[i]);
    }
    mica_build_return(&builder, results, c->outputs.len, end->loc);
    mica_func_update_type(func);
    mica_op_erase(c->func);
}

mica_status mica_top_cut(mica_module *module, const mica_cut *cut, mica_error *err) {
    cutter c = {.module = module, .func = mica_module_func(module, "main"), .cut = cut, .err = err};
    mica_status status =
        c.func != NULL ? find_all(&c) : mica_fail(err, "module has no function 'main'");
    if (status == MICA_OK) {
        status = mark(&c);
    }
    if (status == MICA_OK) {
        keep_inputs(&c);
        build(&c);
    }
    mica_vec_free(&c.inputs);
    mica_vec_free(&c.outputs);
    mica_ptr_map_free(&c.needed);
    mica_ptr_map_free(&c.made);
    return status;
}
