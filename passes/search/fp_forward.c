#include "passes/search/fp_forward.h"

#include <string.h>

#include "utils/strings.h"
#include "utils/vec.h"

typedef MICA_VEC(const char *) name_list;

/* Main's ops in order; op->order is the place in `ops` and in every array of marks. */
typedef struct walk {
    mica_arena *arena;
    mica_map *by_name;
    name_list names;
    MICA_VEC(mica_op *) ops;
    bool *chosen;
    mica_error *err;
} walk;

static bool is_quantizable(const mica_op *op) {
    return op->n_results > 0 && !mica_op_has_trait(op, MICA_IS_CONSTANT) && !mica_op_is(op, "top.Input") &&
           !mica_op_is(op, "top.None");
}

static void add_name(walk *w, mica_op *op, size_t part) {
    const char *name = mica_loc_get_name_at(op->loc, part);
    if (!mica_map_has(w->by_name, name)) {
        mica_map_set(w->by_name, name, op);
        mica_vec_push(&w->names, name);
    }
}

/* A name that stands for a result is that op's, even where a fused op has it among its sources. */
static void number_ops(walk *w, mica_module *module) {
    w->arena = module->arena;
    w->by_name = mica_map_create();
    for (mica_op *op = mica_func_body(mica_module_func(module, "main"))->first; op != NULL; op = op->next) {
        op->order = (uint32_t)w->ops.len;
        mica_vec_push(&w->ops, op);
        for (uint32_t i = 0; i < op->n_results && !mica_op_has_trait(op, MICA_IS_CONSTANT); ++i) {
            add_name(w, op, i);
        }
    }
    for (size_t k = 0; k < w->ops.len; ++k) {
        mica_op *op = w->ops.data[k];
        const size_t parts = op->loc->kind == MICA_LOC_FUSED && op->n_results > 0 ? op->loc->n_parts : 0;
        for (size_t i = op->n_results; i < parts && !mica_op_has_trait(op, MICA_IS_CONSTANT); ++i) {
            add_name(w, op, i);
        }
    }
    w->chosen = mica_arena_array(w->arena, w->ops.len, sizeof(bool));
}

static mica_status find(walk *w, const char *option, const char *name, mica_op **out) {
    *out = mica_map_get(w->by_name, name);
    if (*out == NULL) {
        const char *nearest = mica_nearest(name, w->names.data, w->names.len);
        return mica_fail(w->err, "%s names op '%s', which the model does not have%s%s%s", option, name,
                         nearest != NULL ? "; nearest is '" : "", nearest != NULL ? nearest : "",
                         nearest != NULL ? "'" : "");
    }
    return MICA_OK;
}

/* The op of main that `op`, perhaps inside a region of it, belongs to. */
static const mica_op *outermost(const walk *w, const mica_op *op) {
    while (op->order >= w->ops.len || w->ops.data[op->order] != op) {
        op = op->block->region->parent;
    }
    return op;
}

/* Marks `op` and all that depend on it. */
static bool *mark_after(walk *w, const mica_op *op) {
    bool *marks = mica_arena_array(w->arena, w->ops.len, sizeof(bool));
    marks[op->order] = true;
    for (size_t i = op->order; i < w->ops.len; ++i) {
        const mica_op *at = w->ops.data[i];
        for (uint32_t r = 0; marks[i] && r < at->n_results; ++r) {
            for (const mica_use *use = at->results[r].first_use; use != NULL; use = use->next) {
                marks[outermost(w, use->user)->order] = true;
            }
        }
    }
    return marks;
}

/* Marks `op` and all that lead to it. */
static bool *mark_before(walk *w, const mica_op *op) {
    bool *marks = mica_arena_array(w->arena, w->ops.len, sizeof(bool));
    marks[op->order] = true;
    for (size_t i = op->order; i-- > 0;) {
        const mica_op *at = w->ops.data[i];
        for (uint32_t r = 0; !marks[i] && r < at->n_results; ++r) {
            for (const mica_use *use = at->results[r].first_use; use != NULL && !marks[i]; use = use->next) {
                marks[i] = marks[outermost(w, use->user)->order];
            }
        }
    }
    return marks;
}

static void choose(walk *w, const bool *marks, const bool *also) {
    for (size_t i = 0; i < w->ops.len; ++i) {
        w->chosen[i] = w->chosen[i] || (marks[i] && (also == NULL || also[i]));
    }
}

static mica_status choose_list(walk *w, const char *option, const char *text, bool after) {
    size_t count = 0;
    char **names = text != NULL ? mica_split(w->arena, text, ',', &count) : NULL;
    for (size_t i = 0; i < count; ++i) {
        mica_op *op = NULL;
        MICA_TRY(find(w, option, names[i], &op));
        choose(w, after ? mark_after(w, op) : mark_before(w, op), NULL);
    }
    return MICA_OK;
}

/* "x:y": names may hold ':' themselves, so the one between two known names counts. */
static mica_status choose_block(walk *w, char *text) {
    char *colon = strchr(text, ':');
    if (colon == NULL) {
        return mica_fail(w->err, "--fpfwd_blocks '%s': expected START:END", text);
    }
    const size_t length = strlen(text);
    for (char *at = colon; at != NULL; at = strchr(at + 1, ':')) {
        const char *start = mica_arena_strndup(w->arena, text, (size_t)(at - text));
        if (mica_map_has(w->by_name, start) && mica_map_has(w->by_name, at + 1)) {
            colon = at;
        }
    }
    mica_op *first = NULL;
    mica_op *last = NULL;
    MICA_TRY(find(w, "--fpfwd_blocks", mica_arena_strndup(w->arena, text, (size_t)(colon - text)), &first));
    MICA_TRY(find(w, "--fpfwd_blocks", mica_arena_strndup(w->arena, colon + 1, length - (size_t)(colon + 1 - text)),
                  &last));
    const bool *marks = mark_after(w, first);
    if (!marks[last->order]) {
        return mica_fail(w->err, "--fpfwd_blocks '%s': no path leads from its start to its end%s", text,
                         mark_after(w, last)[first->order] ? "; they are in the wrong order" : "");
    }
    choose(w, marks, mark_before(w, last));
    return MICA_OK;
}

static mica_status choose_blocks(walk *w, const char *text) {
    char *copy = mica_arena_strdup(w->arena, text != NULL ? text : "");
    for (char *rest = NULL, *block = strtok_r(copy, ", \t", &rest); block != NULL;
         block = strtok_r(NULL, ", \t", &rest)) {
        MICA_TRY(choose_block(w, block));
    }
    return MICA_OK;
}

static void end_walk(walk *w) {
    mica_vec_free(&w->names);
    mica_vec_free(&w->ops);
    mica_map_destroy(w->by_name);
}

mica_status mica_fp_path(mica_module *module, const char *what, const char *start, const char *end,
                         const bool **out_marks, mica_error *err) {
    walk w = {.err = err};
    number_ops(&w, module);
    mica_op *first = NULL;
    mica_op *last = NULL;
    mica_status status = find(&w, what, start, &first);
    status = status == MICA_OK ? find(&w, what, end, &last) : status;
    if (status == MICA_OK) {
        const bool *after = mark_after(&w, first);
        choose(&w, after, mark_before(&w, last));
        status = after[last->order] ? MICA_OK
                                    : mica_fail(err, "%s: there is no path from '%s' to '%s'", what, start, end);
        *out_marks = w.chosen;
    }
    end_walk(&w);
    return status;
}

static bool is_empty(const char *text) { return text == NULL || *text == '\0'; }

mica_status mica_fp_forward(mica_module *module, const mica_fp_regions *regions, mica_mode mode,
                            mica_qtable *table, size_t *out_ops, mica_error *err) {
    if (is_empty(regions->inputs) && is_empty(regions->outputs) && is_empty(regions->blocks)) {
        return mica_fail(err, "give at least one of --fpfwd_inputs, --fpfwd_outputs and --fpfwd_blocks");
    }
    walk w = {.err = err};
    number_ops(&w, module);
    mica_status status = choose_list(&w, "--fpfwd_inputs", regions->inputs, false);
    status = status == MICA_OK ? choose_list(&w, "--fpfwd_outputs", regions->outputs, true) : status;
    status = status == MICA_OK ? choose_blocks(&w, regions->blocks) : status;
    size_t count = 0;
    for (size_t i = 0; status == MICA_OK && i < w.ops.len; ++i) {
        const mica_op *op = w.ops.data[i];
        count += is_quantizable(op);
        if (w.chosen[i] && is_quantizable(op)) {
            mica_qtable_set(table, mica_loc_get_name_at(op->loc, 0), mode);
        }
    }
    if (out_ops != NULL) {
        *out_ops = count;
    }
    end_walk(&w);
    return status;
}
