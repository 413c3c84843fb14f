/* Random plans for tests of channels-last execution: built step by step, and run step by step in
 * row-major order as the reference. */
#ifndef LAYOUT_GRAPH_H
#define LAYOUT_GRAPH_H

#include "test/unit/int_test_util.h"

#include <stdio.h>

enum { MAX_TENSORS = 128, CHANNELS_MAX = 80 };

/* A random plan in the making; values keep one spatial size. */
typedef struct graph {
    mrt_plan *plan;
    mrt_tensor info[MAX_TENSORS];
    int32_t values[MAX_TENSORS]; /* [N, C, H, W] tensors */
    int n_values;
    int64_t n, h, w;
} graph;

static inline int32_t add(graph *g, mrt_dtype dtype, int rank, const int64_t *dims, mrt_tensor_kind kind,
                   const void *data) {
    char name[16];
    mrt_tensor t = {.dtype = dtype, .shape = {.rank = rank}, .scale = 0.5};
    memcpy(t.shape.dims, dims, sizeof(int64_t) * (size_t)rank);
    snprintf(name, sizeof name, "t%d", (int)g->plan->n_tensors);
    t.name = name;
    if (kind == MRT_CONST) {
        const size_t bytes = (size_t)mrt_shape_count(&t.shape) * mrt_dtype_bytes(dtype);
        t.data = (void *)(uintptr_t)mrt_plan_store(g->plan, data, bytes);
    }
    const int32_t id = mrt_plan_add_tensor(g->plan, &t, kind);
    g->info[id] = t;
    return id;
}

static inline int32_t value(graph *g, mrt_dtype dtype, int64_t channels, bool whole) {
    const int64_t dims[4] = {g->n, channels, whole ? g->h : 1, whole ? g->w : 1};
    const int32_t id = add(g, dtype, 4, dims, MRT_VALUE, NULL);
    if (whole) {
        g->values[g->n_values++] = id;
    }
    return id;
}

static inline int32_t pick(const graph *g) { return g->values[rnd() % (uint64_t)g->n_values]; }
static inline int64_t channels_of(const graph *g, int32_t id) { return g->info[id].shape.dims[1]; }

/* Bytes of every tensor, by the kernels themselves. */
static inline void run_steps(const graph *g, const mrt_tensor *x, uint8_t **bytes) {
    const mrt_plan *plan = g->plan;
    for (int32_t id = 0; id < plan->n_tensors; ++id) {
        const mrt_plan_tensor *t = &plan->tensors[id];
        bytes[id] = t->alias_of >= 0 ? bytes[t->alias_of] : malloc((size_t)t->bytes + 64);
    }
    memcpy(bytes[plan->inputs[0]], x->data, (size_t)plan->tensors[plan->inputs[0]].bytes);
    for (int32_t i = 0; i < plan->n_steps; ++i) {
        const mrt_step *step = &plan->steps[i];
        mrt_tensor t[8];
        const mrt_tensor *in[8];
        for (int32_t k = 0; k < step->n_in; ++k) {
            t[k] = plan->tensors[step->in[k]].info;
            t[k].data = t[k].data ? t[k].data : bytes[step->in[k]];
            in[k] = &t[k];
        }
        mrt_tensor y = plan->tensors[step->out[0]].info;
        mrt_tensor *out[1] = {&y};
        y.data = bytes[step->out[0]];
        mrt_call call = {.in = in, .n_in = step->n_in, .out = out, .n_out = 1,
                         .params = step->params};
        call.scratch = aligned_alloc(64, (step->scratch + 127) / 64 * 64);
        step->kernel->run(&call);
        free(call.scratch);
    }
}

static inline void free_steps(const graph *g, uint8_t **bytes) {
    for (int32_t id = 0; id < g->plan->n_tensors; ++id) {
        if (g->plan->tensors[id].alias_of < 0) {
            free(bytes[id]);
        }
    }
}

#endif
