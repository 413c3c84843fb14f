#include "passes/search/noise_lane.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "runtime/mrt_half.h"
#include "runtime/mrt_pool.h"
#include "utils/arena.h"
#include "utils/progress.h"

int64_t *mica_noise_offsets(const mrt_plan *plan, int64_t *out_bytes) {
    int64_t *offset = mica_alloc(((size_t)plan->n_tensors + 1) * sizeof *offset);
    int64_t end = 0;
    for (int32_t id = 0; id < plan->n_tensors; ++id) {
        const mrt_plan_tensor *t = &plan->tensors[id];
        offset[id] = -1;
        if (t->kind != MRT_CONST && t->root == id) {
            offset[id] = end;
            end += (t->bytes + 63) / 64 * 64;
        }
    }
    *out_bytes = end;
    return offset;
}

mica_status mica_noise_lane_open(mica_noise_lane *lane, const mica_search_job *job, const mica_slices *slices,
                                 const int64_t *offset, int64_t bytes, mica_error *err) {
    const mrt_plan *plan = job->net->plan;
    mrt_error error;
    *lane = (mica_noise_lane){.net = job->net, .compare = job->compare, .slices = slices, .offset = offset};
    if (mrt_exec_create(plan, NULL, &lane->exec, &error) != MRT_OK) {
        return mica_fail(err, "%s", error.text);
    }
    lane->inputs = mica_alloc(((size_t)plan->n_inputs + 1) * sizeof *lane->inputs);
    for (int32_t i = 0; i < plan->n_inputs; ++i) {
        lane->inputs[i] = mrt_exec_tensor(lane->exec, plan->inputs[i]);
    }
    const size_t tensors = (size_t)plan->n_tensors + 1;
    lane->clean = mica_alloc((size_t)bytes + 1);
    lane->dirty = mica_alloc(tensors);
    lane->reached = mica_alloc(tensors);
    lane->wanted = mica_alloc((size_t)plan->n_steps + 1);
    memset(lane->wanted, 0, (size_t)plan->n_steps + 1);
    lane->want = mica_alloc(((size_t)job->compare->total + 1) * sizeof *lane->want);
    return MICA_OK;
}

void mica_noise_lane_close(mica_noise_lane *lane) {
    mrt_exec_destroy(lane->exec);
    mica_free(lane->inputs);
    mica_free(lane->clean);
    mica_free(lane->dirty);
    mica_free(lane->reached);
    mica_free(lane->wanted);
    mica_free(lane->want);
}

mica_status mica_noise_lane_sample(mica_noise_lane *lane, const mica_search_job *job, size_t i, mica_error *err) {
    const mrt_plan *plan = lane->net->plan;
    MICA_TRY(mica_dataset_read(job->dataset, mica_search_sample(job, i), lane->inputs, (size_t)plan->n_inputs, err));
    mrt_exec_run(lane->exec, NULL, NULL);
    for (int32_t id = 0; id < plan->n_tensors; ++id) {
        if (lane->offset[id] >= 0) {
            mrt_exec_get(lane->exec, id, lane->clean + lane->offset[id]);
        }
    }
    memset(lane->dirty, 0, (size_t)plan->n_tensors);
    for (size_t p = 0; p < lane->compare->count; ++p) {
        const mica_compare_point *point = &lane->compare->points[p];
        memcpy(lane->want + point->first, mica_noise_clean(lane, point->tensor), (size_t)point->count * sizeof(float));
    }
    return MICA_OK;
}

void mica_noise_disturb(mica_noise_lane *lane, int32_t tensor, const void *data) {
    mrt_exec_set(lane->exec, tensor, data);
    lane->dirty[lane->net->plan->tensors[tensor].root] = true;
}

void mica_noise_restore(mica_noise_lane *lane, int32_t tensor) {
    const int32_t root = lane->net->plan->tensors[tensor].root;
    if (lane->dirty[root]) {
        mrt_exec_set(lane->exec, root, mica_noise_clean(lane, root));
        lane->dirty[root] = false;
    }
}

void mica_noise_run_op(mica_noise_lane *lane, size_t k) {
    const mica_slice *s = &lane->slices->list[k];
    const mrt_plan *plan = lane->net->plan;
    for (int32_t i = 0; i < s->n_steps; ++i) {
        const mrt_step *step = &plan->steps[s->steps[i]];
        lane->wanted[s->steps[i]] = true;
        for (int32_t o = 0; o < step->n_out; ++o) {
            lane->dirty[step->out[o]] = true;
        }
    }
    mrt_exec_run_steps(lane->exec, lane->wanted);
    for (int32_t i = 0; i < s->n_steps; ++i) {
        lane->wanted[s->steps[i]] = false;
    }
}

static bool depends(const mica_noise_lane *lane, const mrt_step *step) {
    for (int32_t i = 0; i < step->n_in; ++i) {
        if (step->in[i] >= 0 && lane->reached[lane->net->plan->tensors[step->in[i]].root]) {
            return true;
        }
    }
    return false;
}

/* Marks the steps behind op k in `wanted` and what they write in `reached`. */
static void mark_behind(mica_noise_lane *lane, size_t k, bool keep) {
    const mrt_plan *plan = lane->net->plan;
    const mica_slice *s = &lane->slices->list[k];
    memset(lane->reached, 0, (size_t)plan->n_tensors);
    int32_t first = plan->n_steps;
    for (int32_t i = 0; i < s->n_results; ++i) {
        const int32_t root = plan->tensors[s->results[i]].root;
        lane->reached[root] = true;
        first = plan->tensors[root].def_step + 1 < first ? plan->tensors[root].def_step + 1 : first;
    }
    for (int32_t n = first; n < plan->n_steps; ++n) {
        const mrt_step *step = &plan->steps[n];
        if (!depends(lane, step)) {
            continue;
        }
        lane->wanted[n] = true;
        for (int32_t i = 0; i < step->n_in && !keep; ++i) {
            if (step->in[i] >= 0 && !lane->reached[plan->tensors[step->in[i]].root]) {
                mica_noise_restore(lane, step->in[i]);
            }
        }
        for (int32_t o = 0; o < step->n_out; ++o) {
            lane->reached[step->out[o]] = lane->dirty[step->out[o]] = true;
        }
    }
}

void mica_noise_run_behind(mica_noise_lane *lane, size_t k, bool keep, float *got) {
    const mrt_plan *plan = lane->net->plan;
    mark_behind(lane, k, keep);
    mrt_exec_run_steps(lane->exec, lane->wanted);
    memset(lane->wanted, 0, (size_t)plan->n_steps);
    for (size_t p = 0; p < lane->compare->count; ++p) {
        const mica_compare_point *point = &lane->compare->points[p];
        if (keep || lane->reached[plan->tensors[point->tensor].root]) {
            mrt_exec_get(lane->exec, point->tensor, got + point->first);
        } else {
            memcpy(got + point->first, lane->want + point->first, (size_t)point->count * sizeof *got);
        }
    }
}

/* --- types --- */

bool mica_noise_can_store(const mrt_tensor *type) {
    const bool quantized = type->scale > 0.0 && (type->dtype == MRT_I8 || type->dtype == MRT_U8 || type->dtype == MRT_I16);
    return quantized || type->dtype == MRT_F32 || type->dtype == MRT_F16 || type->dtype == MRT_BF16;
}

static void run_conversion(uint16_t kernel, const mrt_tensor *from, mrt_tensor *to) {
    const mrt_tensor *in[1] = {from};
    mrt_tensor *out[1] = {to};
    const mrt_call call = {.in = in, .n_in = 1, .out = out, .n_out = 1};
    mrt_kernel_find(kernel)->run(&call);
}

void mica_noise_store(const mrt_tensor *type, const float *values, void *data) {
    const int64_t count = mrt_shape_count(&type->shape);
    if (type->dtype == MRT_F32) {
        memcpy(data, values, (size_t)count * sizeof *values);
    } else if (type->scale > 0.0) {
        const mrt_tensor from = {.dtype = MRT_F32, .shape = type->shape, .data = (void *)(uintptr_t)values};
        mrt_tensor to = *type;
        to.data = data;
        run_conversion(MRT_K_quantize, &from, &to);
    } else {
        mrt_half_from_f32(type->dtype, values, data, count, NULL);
    }
}

void mica_noise_load(const mrt_tensor *type, const void *data, float *values) {
    const int64_t count = mrt_shape_count(&type->shape);
    if (type->dtype == MRT_F32) {
        memcpy(values, data, (size_t)count * sizeof *values);
    } else if (type->scale > 0.0) {
        mrt_tensor from = *type;
        from.data = (void *)(uintptr_t)data;
        mrt_tensor to = {.dtype = MRT_F32, .shape = type->shape, .data = values};
        run_conversion(MRT_K_dequantize, &from, &to);
    } else {
        mrt_half_to_f32(type->dtype, data, values, count, NULL);
    }
}

int64_t mica_noise_most_bytes(const mrt_plan *plan) {
    int64_t most = 0;
    for (int32_t id = 0; id < plan->n_tensors; ++id) {
        const mrt_plan_tensor *t = &plan->tensors[id];
        most = t->kind != MRT_CONST && t->bytes > most ? t->bytes : most;
    }
    return most;
}

int64_t mica_noise_most_results(const mica_slices *slices) {
    int64_t most = 0;
    for (size_t k = 0; k < slices->count; ++k) {
        int64_t count = 0;
        for (int32_t i = 0; i < slices->list[k].n_results; ++i) {
            count += mrt_shape_count(&slices->plan->tensors[slices->list[k].results[i]].info.shape);
        }
        most = count > most ? count : most;
    }
    return most;
}

/* --- lanes --- */

int mica_noise_lanes(int64_t bytes, int threads, size_t samples) {
    const int64_t fit = ((int64_t)1 << 30) / (bytes + 1);
    int64_t lanes = threads < fit ? threads : fit;
    lanes = (size_t)(lanes > 0 ? lanes : 0) < samples ? lanes : (int64_t)samples;
    return lanes > 1 ? (int)lanes : 1;
}

typedef struct each {
    mica_noise_sample_fn *body;
    void *context;
    size_t samples;
    atomic_size_t next;
    atomic_bool failed;
    pthread_mutex_t lock; /* guards the rest */
    mica_progress progress;
    size_t failed_sample;
    mica_error error;
} each;

static void run_lane(void *context, int64_t lane) {
    each *e = context;
    while (!atomic_load(&e->failed)) {
        const size_t i = atomic_fetch_add(&e->next, 1);
        if (i >= e->samples) {
            return;
        }
        mica_error error = {0};
        const mica_status status = e->body(e->context, (int)lane, i, &error);
        pthread_mutex_lock(&e->lock);
        if (status != MICA_OK && (!atomic_load(&e->failed) || i < e->failed_sample)) {
            e->failed_sample = i;
            e->error = error;
            atomic_store(&e->failed, true);
        }
        mica_progress_step(&e->progress, 1);
        pthread_mutex_unlock(&e->lock);
    }
}

mica_status mica_noise_each(int lanes, size_t samples, const char *label, bool quiet, mica_noise_sample_fn *body,
                            void *context, mica_error *err) {
    each e = {.body = body, .context = context, .samples = samples};
    mica_progress_begin(&e.progress, label, "samples", (int64_t)samples);
    e.progress.quiet = e.progress.quiet || quiet;
    pthread_mutex_init(&e.lock, NULL);
    mrt_pool *pool = lanes > 1 ? mrt_pool_create(lanes) : NULL;
    mrt_parallel_for(pool, lanes, run_lane, &e);
    mrt_pool_destroy(pool);
    pthread_mutex_destroy(&e.lock);
    if (atomic_load(&e.failed)) {
        *err = e.error;
        return MICA_FAIL;
    }
    mica_progress_end(&e.progress);
    return MICA_OK;
}
