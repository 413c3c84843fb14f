/* The border between the part that is quantized and the float part behind it. */
#include "dialects/top/cut.h"
#include "dialects/top/top.h"
#include "utils/strings.h"
#include "utils/vec.h"

#include <string.h>

static bool is_marked(const mica_ptr_map *set, const void *op) {
    return op != NULL && mica_ptr_map_get_pointer(set, op) != NULL;
}

/* A block is in order: each op stands before its users. */
static void mark_producers(mica_op *func, mica_ptr_map *set) {
    for (mica_op *op = mica_func_body(func)->last; op != NULL; op = op->prev) {
        for (uint32_t i = 0; is_marked(set, op) && i < op->n_operands; i++) {
            mica_op *producer = mica_op_operand(op, i)->def;
            if (producer != NULL) {
                mica_ptr_map_set(set, producer, 1);
            }
        }
    }
}

bool mica_top_mark_front(mica_op *func, mica_ptr_map *out) {
    bool found = false;
    for (mica_op *op = mica_func_body(func)->first; op != NULL; op = op->next) {
        if (mica_op_is(op, "top.Cut")) {
            mica_ptr_map_set(out, op, 1);
            found = true;
        }
    }
    mark_producers(func, out);
    return found;
}

/* --- is it a separator? ------------------------------------------------------------------------- */
static bool is_constant(const mica_value *value) {
    return value->def != NULL &&
           (mica_op_has_trait(value->def, MICA_IS_CONSTANT) || mica_op_is(value->def, "top.None"));
}

static bool is_listed(mica_value *const *values, size_t count, const mica_value *value) {
    for (size_t i = 0; i < count; i++) {
        if (values[i] == value) {
            return true;
        }
    }
    return false;
}

/* "'data' -> 'conv1' -> ... -> 'conv7'": how one comes to a value from an input. */
static const char *path_to(mica_arena *arena, const mica_value *value) {
    enum { SHOWN = 4 };
    const char *text = mica_arena_printf(arena, "'%s'", mica_value_name(value));
    size_t steps = 0;
    const mica_value *before = value;
    while (value->def != NULL && !mica_op_is(value->def, "top.Input")) {
        before = NULL;
        for (uint32_t i = 0; before == NULL && i < value->def->n_operands; i++) {
            const mica_value *operand = mica_op_operand(value->def, i);
            before = is_constant(operand) ? NULL : operand;
        }
        if (before == NULL) {
            return text;
        }
        value = before;
        if (++steps < SHOWN) {
            text = mica_arena_printf(arena, "'%s' -> %s", mica_value_name(value), text);
        }
    }
    return steps < SHOWN ? text
                         : mica_arena_printf(arena, "'%s' -> ... -> %s", mica_value_name(value), text);
}

static mica_status crosses(mica_arena *arena, const mica_value *value, const mica_op *user,
                           mica_error *err) {
    const bool output = mica_op_is(user, "func.return");
    return mica_fail(err, "the cut does not separate inputs from outputs: %s -> %s%s%s goes around it; "
                          "add '%s' to the tensors to cut at", path_to(arena, value),
                     output ? "output" : "'", output ? "" : mica_value_name(&user->results[0]),
                     output ? "" : "'", mica_value_name(value));
}

static mica_status check_separator(mica_op *func, mica_value *const *values, size_t count,
                                   const mica_ptr_map *front, mica_error *err) {
    mica_arena *arena = mica_op_module(func)->arena;
    for (const mica_op *op = mica_func_body(func)->first; op != NULL; op = op->next) {
        if (is_marked(front, op) || mica_op_is(op, "top.Input") || mica_op_has_trait(op, MICA_IS_CONSTANT)) {
            continue;
        }
        for (uint32_t i = 0; i < op->n_operands; i++) {
            const mica_value *operand = mica_op_operand(op, i);
            const bool before = is_marked(front, operand->def) ||
                                (operand->def != NULL && mica_op_is(operand->def, "top.Input"));
            if (before && !is_constant(operand) && !is_listed(values, count, operand)) {
                return crosses(arena, operand, op, err);
            }
        }
    }
    return MICA_OK;
}

/* --- marking ------------------------------------------------------------------------------------ */
static const char *unique_name(mica_op *func, const char *name) {
    mica_arena *arena = mica_op_module(func)->arena;
    const char *made = mica_arena_printf(arena, "%s_cut", name);
    for (int number = 1;; number++) {
        bool taken = false;
        for (const mica_op *op = mica_func_body(func)->first; op != NULL && !taken; op = op->next) {
            for (uint32_t i = 0; i < op->n_results && !taken; i++) {
                taken = strcmp(mica_value_name(&op->results[i]), made) == 0;
            }
        }
        if (!taken) {
            return made;
        }
        made = mica_arena_printf(arena, "%s_cut%d", name, number);
    }
}

/* Users behind the border read the copy; an output stays what it is. The op stands there even without
 * users, as the mark of what is in front. */
static void put_cut(mica_op *func, mica_value *value, const mica_ptr_map *front) {
    MICA_VEC(mica_op *) users = {0};
    for (const mica_use *use = value->first_use; use != NULL; use = use->next) {
        if (!is_marked(front, use->user) && !mica_op_is(use->user, "func.return")) {
            mica_vec_push(&users, use->user);
        }
    }
    mica_module *module = mica_op_module(func);
    mica_builder builder = mica_builder_after(module, value->def);
    const mica_loc loc =
        mica_loc_name(module->context, unique_name(func, mica_value_name(value)), NULL);
    mica_op *cut = mica_build_op(&builder, "top.Cut", loc, &value, 1, 1);
    cut->results[0].type = value->type;
    for (size_t i = 0; i < users.len; i++) {
        for (uint32_t k = 0; k < users.data[i]->n_operands; k++) {
            if (mica_op_operand(users.data[i], k) == value) {
                mica_op_set_operand(users.data[i], k, &cut->results[0]);
            }
        }
    }
    mica_vec_free(&users);
}

mica_status mica_top_truncate(mica_module *module, mica_value *const *values,
                              const char *const *names, size_t count, mica_error *err) {
    mica_op *func = mica_module_func(module, "main");
    mica_ptr_map front = {0};
    for (size_t i = 0; i < count; i++) {
        if (values[i]->def == NULL || is_constant(values[i])) {
            mica_ptr_map_free(&front);
            return mica_fail(err, "cannot cut at '%s': it is a constant", names[i]);
        }
        mica_ptr_map_set(&front, values[i]->def, 1);
    }
    mark_producers(func, &front);
    const mica_status status = check_separator(func, values, count, &front, err);
    for (size_t i = 0; i < count && status == MICA_OK; i++) {
        put_cut(func, values[i], &front);
    }
    mica_ptr_map_free(&front);
    return status;
}

mica_status mica_top_truncate_names(mica_module *module, const char *const *names, size_t count,
                                    mica_error *err) {
    mica_op *func = mica_module_func(module, "main");
    mica_value **values = mica_arena_array(module->arena, count, sizeof *values);
    MICA_VEC(const char *) all = {0};
    for (mica_op *op = mica_func_body(func)->first; op != NULL; op = op->next) {
        for (uint32_t i = 0; i < op->n_results; i++) {
            const char *name = mica_value_name(&op->results[i]);
            mica_vec_push(&all, name);
            for (size_t k = 0; k < count; k++) {
                values[k] = strcmp(names[k], name) == 0 ? &op->results[i] : values[k];
            }
        }
    }
    mica_status status = MICA_OK;
    for (size_t k = 0; k < count && status == MICA_OK; k++) {
        if (values[k] == NULL) {
            const char *near = mica_nearest(names[k], all.data, all.len);
            status = mica_fail(err, "the model has no tensor '%s' to cut at%s%s%s", names[k],
                               near != NULL ? "; did you mean '" : "", near != NULL ? near : "",
                               near != NULL ? "'?" : "");
        }
    }
    mica_vec_free(&all);
    return status == MICA_OK ? mica_top_truncate(module, values, names, count, err) : status;
}

mica_module *mica_top_front(mica_module *module) {
    mica_module *copy = mica_module_clone(module);
    mica_op *func = mica_module_func(copy, "main");
    mica_ptr_map front = {0};
    if (func == NULL || !mica_top_mark_front(func, &front)) {
        mica_ptr_map_free(&front);
        mica_module_destroy(copy);
        return NULL;
    }
    mica_op *end = mica_func_body(func)->last;
    MICA_VEC(mica_value *) kept = {0};
    for (uint32_t i = 0; i < end->n_operands; i++) {
        if (is_marked(&front, mica_op_operand(end, i)->def)) {
            mica_vec_push(&kept, mica_op_operand(end, i));
        }
    }
    for (mica_op *op = mica_func_body(func)->first; op != NULL; op = op->next) {
        if (mica_op_is(op, "top.Cut") && !is_listed(kept.data, kept.len, mica_op_operand(op, 0))) {
            mica_vec_push(&kept, mica_op_operand(op, 0));
        }
    }
    mica_op_set_operands(end, kept.data, (uint32_t)kept.len);
    mica_vec_free(&kept);
    mica_op *before = NULL;
    for (mica_op *op = end->prev; op != NULL; op = before) {
        before = op->prev;
        if (mica_op_is(op, "top.Cut") || (!is_marked(&front, op) && !mica_op_is(op, "top.Input"))) {
            mica_op_erase(op);
        }
    }
    mica_ptr_map_free(&front);
    mica_func_update_type(func);
    return copy;
}
