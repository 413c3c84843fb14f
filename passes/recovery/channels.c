/* Statistics of channels: extremes and power over all positions of the training samples. */
#include <math.h>
#include <string.h>

#include "passes/recovery/factors.h"
#include "utils/arena.h"
#include "utils/map.h"

void mica_channels_init(mica_channels *c, const mica_value *value, int axis) {
    *c = (mica_channels){.value = value, .axis = axis, .count = value->type->dims[axis]};
    const size_t bytes = (size_t)(c->count + 1) * sizeof(double);
    c->low = mica_alloc(bytes);
    c->high = mica_alloc(bytes);
    c->power = mica_alloc(bytes);
    memset(c->low, 0, bytes);
    memset(c->high, 0, bytes);
    memset(c->power, 0, bytes);
}

void mica_channels_free(mica_channels *c) {
    mica_free(c->low);
    mica_free(c->high);
    mica_free(c->power);
}

typedef struct gather {
    mica_channels **by_tensor;
    size_t samples;
} gather;

static void observe(void *user, int32_t id, const mrt_tensor *tensor) {
    const gather *g = user;
    mica_channels *c = g->by_tensor[id];
    if (c == NULL || tensor->dtype != MRT_F32) {
        return;
    }
    const float *x = tensor->data;
    int64_t inner = 1;
    for (int i = c->axis + 1; i < tensor->shape.rank; ++i) {
        inner *= tensor->shape.dims[i];
    }
    const int64_t all = mrt_shape_count(&tensor->shape);
    const double scale = (double)c->count / ((double)all * (double)g->samples);
    for (int64_t at = 0; at < all; at += inner) {
        const int64_t channel = at / inner % c->count;
        float low = (float)c->low[channel];
        float high = (float)c->high[channel];
        double power = 0.0;
        for (int64_t i = 0; i < inner; ++i) {
            low = x[at + i] < low ? x[at + i] : low;
            high = x[at + i] > high ? x[at + i] : high;
            power += (double)x[at + i] * (double)x[at + i];
        }
        c->low[channel] = low;
        c->high[channel] = high;
        c->power[channel] += power * scale;
    }
}

mica_status mica_channels_measure(mica_module *module, const mica_recovery_job *job, mica_channels *list,
                                  size_t n, mica_error *err) {
    mica_runner *runner = mica_runner_open(module, NULL, job->options, err);
    if (runner == NULL) {
        return MICA_FAIL;
    }
    const mrt_plan *plan = mica_runner_plan(runner);
    const size_t bytes = ((size_t)plan->n_tensors + 1) * sizeof(mica_channels *);
    gather g = {.by_tensor = mica_alloc(bytes), .samples = job->trained};
    mica_map *names = mica_map_create();
    memset(g.by_tensor, 0, bytes);
    for (size_t i = 0; i < n; ++i) {
        mica_map_set(names, mica_value_name(list[i].value), &list[i]);
    }
    for (int32_t id = 0; id < plan->n_tensors; ++id) {
        const mrt_tensor *info = &plan->tensors[id].info;
        if (plan->tensors[id].kind != MRT_CONST && info->name != NULL) {
            g.by_tensor[id] = mica_map_get(names, info->name);
        }
    }
    mica_map_destroy(names);
    mica_status status = MICA_OK;
    for (size_t i = 0; i < job->trained && status == MICA_OK; ++i) {
        status = mica_runner_run(runner, job->dataset, i, observe, &g, err);
    }
    mica_free(g.by_tensor);
    mica_runner_close(runner);
    return status;
}
