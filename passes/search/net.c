#include "passes/search/net.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/mrt_work.h"
#include "utils/strings.h"
#include "utils/vec.h"

static bool is_computed(const mica_op *op) {
    return op->n_results > 0 && !mica_op_has_trait(op, MICA_IS_CONSTANT) && !mica_op_is(op, "top.Input") &&
           !mica_op_is(op, "top.None");
}

static void add_value(mica_net *net, const char *name) {
    mica_map_set(net->values, name, (void *)(uintptr_t)(mica_map_count(net->values) + 1));
}

static void add_ops(mica_net *net, mica_module *module) {
    const mica_block *body = mica_func_body(mica_module_func(module, "main"));
    MICA_VEC(mica_net_op) ops = {0};
    for (const mica_op *op = body->first; op != NULL; op = op->next) {
        if (mica_op_is(op, "top.Input")) {
            add_value(net, mica_value_name(&op->results[0]));
        }
        if (!is_computed(op)) {
            continue;
        }
        for (uint32_t i = 0; i < op->n_results; ++i) {
            const char *name = mica_value_name(&op->results[i]);
            add_value(net, name);
            mica_map_set(net->by_name, name, (void *)(uintptr_t)(ops.len + 1));
        }
        mica_vec_push(&ops, (mica_net_op){.name = mica_value_name(&op->results[0]), .type = op->name, .op = op});
    }
    net->ops = ops.data;
    net->n_ops = ops.len;
}

/* --- slices --- */

typedef struct walk {
    const mica_net *net;
    const mrt_plan *plan;
    bool *named;      /* per tensor: stands for a value of the model */
    int32_t *stepped, *read; /* per step, tensor: op that it was last visited for, + 1 */
    MICA_VEC(int32_t) steps;
    MICA_VEC(int32_t) inputs;
    MICA_VEC(int32_t) work;
} walk;

static bool *named_tensors(const mica_net *net, const mrt_plan *plan) {
    bool *named = mica_alloc((size_t)plan->n_tensors + 1);
    for (int32_t id = 0; id < plan->n_tensors; ++id) {
        const mrt_plan_tensor *t = &plan->tensors[id];
        named[id] = t->kind != MRT_CONST && t->info.name != NULL && mica_map_has(net->values, t->info.name);
    }
    return named;
}

static void want_step(walk *w, int32_t step, int32_t mark) {
    if (step >= 0 && w->stepped[step] != mark) {
        w->stepped[step] = mark;
        mica_vec_push(&w->steps, step);
        mica_vec_push(&w->work, step);
    }
}

/* Goes behind aliases to a value of the model or to the step that writes the bytes. */
static void want_tensor(walk *w, int32_t id, int32_t mark) {
    while (!w->named[id] && w->plan->tensors[id].alias_of >= 0) {
        id = w->plan->tensors[id].alias_of;
    }
    const mrt_plan_tensor *t = &w->plan->tensors[id];
    if (t->kind == MRT_CONST || w->read[id] == mark) {
        return;
    }
    w->read[id] = mark;
    if (w->named[id] || t->def_step < 0) {
        mica_vec_push(&w->inputs, id);
    } else {
        want_step(w, t->def_step, mark);
    }
}

static void want_result(walk *w, int32_t id, int32_t mark) {
    const int32_t of = w->plan->tensors[id].alias_of;
    if (of >= 0) {
        want_tensor(w, of, mark);
    } else {
        want_step(w, w->plan->tensors[id].def_step, mark);
    }
}

static int compare_i32(const void *a, const void *b) {
    const int32_t x = *(const int32_t *)a;
    const int32_t y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

static int32_t *copy_ids(const int32_t *ids, size_t n) {
    int32_t *copy = mica_alloc((n + 1) * sizeof *copy);
    memcpy(copy, ids, n * sizeof *copy);
    return copy;
}

static mica_slice slice_of(walk *w, const mica_op *op, int32_t mark) {
    mica_slice s = {.results = mica_alloc(op->n_results * sizeof *s.results)};
    w->steps.len = w->inputs.len = w->work.len = 0;
    for (uint32_t i = 0; i < op->n_results; ++i) {
        const int32_t id = mrt_plan_find(w->plan, mica_value_name(&op->results[i]));
        if (id >= 0 && w->plan->tensors[id].kind == MRT_VALUE) {
            s.results[s.n_results++] = id;
            want_result(w, id, mark);
        }
    }
    while (w->work.len > 0) {
        const mrt_step *step = &w->plan->steps[w->work.data[--w->work.len]];
        for (int32_t i = 0; i < step->n_in; ++i) {
            if (step->in[i] >= 0) {
                want_tensor(w, step->in[i], mark);
            }
        }
    }
    if (w->steps.len > 0) {
        qsort(w->steps.data, w->steps.len, sizeof *w->steps.data, compare_i32);
    }
    s.n_steps = (int32_t)w->steps.len;
    s.n_inputs = (int32_t)w->inputs.len;
    s.steps = copy_ids(w->steps.data, w->steps.len);
    s.inputs = copy_ids(w->inputs.data, w->inputs.len);
    return s;
}

void mica_slices_make(const mica_net *net, const mrt_plan *plan, mica_slices *out) {
    walk w = {.net = net, .plan = plan, .named = named_tensors(net, plan)};
    w.stepped = mica_alloc(((size_t)plan->n_steps + 1) * sizeof *w.stepped);
    w.read = mica_alloc(((size_t)plan->n_tensors + 1) * sizeof *w.read);
    memset(w.stepped, 0, (size_t)plan->n_steps * sizeof *w.stepped);
    memset(w.read, 0, (size_t)plan->n_tensors * sizeof *w.read);
    *out = (mica_slices){.plan = plan, .count = net->n_ops};
    out->list = mica_alloc((net->n_ops + 1) * sizeof *out->list);
    for (size_t k = 0; k < net->n_ops; ++k) {
        out->list[k] = slice_of(&w, net->ops[k].op, (int32_t)k + 1);
    }
    mica_vec_free(&w.steps);
    mica_vec_free(&w.inputs);
    mica_vec_free(&w.work);
    mica_free(w.named);
    mica_free(w.stepped);
    mica_free(w.read);
}

void mica_slices_free(mica_slices *slices) {
    for (size_t k = 0; k < slices->count; ++k) {
        mica_free(slices->list[k].steps);
        mica_free(slices->list[k].inputs);
        mica_free(slices->list[k].results);
    }
    mica_free(slices->list);
    *slices = (mica_slices){0};
}

/* --- ops and edges --- */

static double macs_of(const mrt_plan *plan, const mica_slice *s) {
    double macs = 0.0;
    for (int32_t i = 0; i < s->n_steps; ++i) {
        const mrt_step *step = &plan->steps[s->steps[i]];
        const mrt_tensor **in = mica_alloc(((size_t)step->n_in + 1) * sizeof *in);
        mrt_tensor **out = mica_alloc(((size_t)step->n_out + 1) * sizeof *out);
        for (int32_t k = 0; k < step->n_in; ++k) {
            in[k] = step->in[k] >= 0 ? &plan->tensors[step->in[k]].info : NULL;
        }
        for (int32_t k = 0; k < step->n_out; ++k) {
            out[k] = &plan->tensors[step->out[k]].info;
        }
        const mrt_call call = {.in = in, .n_in = step->n_in, .out = out, .n_out = step->n_out,
                               .params = step->params};
        macs += mrt_work_of(step->kernel, &call).macs;
        mica_free(in);
        mica_free(out);
    }
    return macs;
}

static void add_edges(mica_net *net, const mica_slices *slices) {
    MICA_VEC(mica_net_edge) edges = {0};
    for (size_t k = 0; k < net->n_ops; ++k) {
        const mica_slice *s = &slices->list[k];
        mica_net_op *op = &net->ops[k];
        op->macs = macs_of(net->plan, s);
        op->first_edge = edges.len;
        for (int32_t i = 0; i < s->n_results; ++i) {
            op->elements += mrt_shape_count(&net->plan->tensors[s->results[i]].info.shape);
        }
        for (int32_t i = 0; i < s->n_inputs; ++i) {
            const mrt_tensor *t = &net->plan->tensors[s->inputs[i]].info;
            if (t->dtype == MRT_F32) {
                mica_vec_push(&edges, (mica_net_edge){.from = mica_net_find(net, t->name), .to = (int32_t)k,
                                                      .tensor = s->inputs[i],
                                                      .elements = mrt_shape_count(&t->shape)});
            }
        }
        op->n_edges = edges.len - op->first_edge;
    }
    net->edges = edges.data;
    net->n_edges = edges.len;
}

void mica_net_make(mica_module *module, const mrt_plan *plan, mica_net *out) {
    *out = (mica_net){.plan = plan, .values = mica_map_create(), .by_name = mica_map_create()};
    add_ops(out, module);
    mica_slices slices;
    mica_slices_make(out, plan, &slices);
    add_edges(out, &slices);
    mica_slices_free(&slices);
}

void mica_net_free(mica_net *net) {
    mica_free(net->ops);
    mica_free(net->edges);
    mica_map_destroy(net->values);
    mica_map_destroy(net->by_name);
    *net = (mica_net){0};
}

int32_t mica_net_find(const mica_net *net, const char *name) {
    return (int32_t)(uintptr_t)mica_map_get(net->by_name, name) - 1;
}

const char *mica_net_nearest(const mica_net *net, const char *name, mica_arena *arena) {
    const size_t n = mica_map_count(net->values);
    const char **names = mica_alloc((n + 1) * sizeof *names);
    for (size_t i = 0; i < n; ++i) {
        mica_map_at(net->values, i, &names[i], NULL);
    }
    const char *nearest = mica_nearest(name, names, n);
    const char *text = nearest != NULL ? mica_arena_printf(arena, "; nearest is '%s'", nearest) : "";
    mica_free(names);
    return text;
}
