/* Shares of the whole error, op after op. */
#include <math.h>
#include <string.h>

#include "passes/search/noise_lane.h"
#include "utils/arena.h"

typedef struct lane {
    mica_noise_lane base;
    mrt_exec *exec; /* the lowered plan */
    mrt_tensor **inputs;
    uint8_t *raw;
    float *value;                /* one tensor */
    float *error, *before, *got; /* vectors of all points */
} lane;

typedef struct chain {
    const mica_search_job *job;
    size_t samples;
    mica_slices slices, lowered;
    int64_t *offset;
    int32_t *points; /* per point: tensor of the lowered plan, or -1 */
    lane *lanes;
    int n_lanes;
    double *share, *reached; /* per sample and op */
    double *nsr;             /* per sample */
} chain;

static mica_status open_lane(const chain *c, lane *l, int64_t bytes, mica_error *err) {
    MICA_TRY(mica_noise_lane_open(&l->base, c->job, &c->slices, c->offset, bytes, err));
    const mrt_plan *plan = c->lowered.plan;
    mrt_error error;
    if (mrt_exec_create(plan, NULL, &l->exec, &error) != MRT_OK) {
        return mica_fail(err, "%s", error.text);
    }
    l->inputs = mica_alloc(((size_t)plan->n_inputs + 1) * sizeof *l->inputs);
    for (int32_t i = 0; i < plan->n_inputs; ++i) {
        l->inputs[i] = mrt_exec_tensor(l->exec, plan->inputs[i]);
    }
    const size_t most = (size_t)mica_noise_most_bytes(c->slices.plan) + 64;
    const size_t vector = (size_t)c->job->compare->total * sizeof(float) + 64;
    l->raw = mica_alloc(most);
    l->value = mica_alloc(most);
    l->error = mica_alloc(vector);
    l->before = mica_alloc(vector);
    l->got = mica_alloc(vector);
    return MICA_OK;
}

static void close_lane(lane *l) {
    mrt_exec_destroy(l->exec);
    mica_noise_lane_close(&l->base);
    mica_free(l->inputs);
    mica_free(l->raw);
    mica_free(l->value);
    mica_free(l->error);
    mica_free(l->before);
    mica_free(l->got);
}

/* Value of a tensor of the lowered plan after a run. */
static void lowered_value(lane *l, const mrt_plan *plan, int32_t id, float *to) {
    mrt_exec_get(l->exec, id, l->raw);
    mica_noise_load(&plan->tensors[id].info, l->raw, to);
}

/* Gives the results of op k the values of the lowered model. False: they are the same already, or unknown. */
static bool take_over(const chain *c, lane *l, size_t k, double *reached) {
    const mica_slice *to = &c->slices.list[k];
    const mica_slice *from = &c->lowered.list[k];
    const mrt_plan *plan = c->slices.plan;
    double noise = 0.0;
    double signal = 1e-30;
    bool taken = false;
    for (int32_t i = 0; i < to->n_results && from->n_results == to->n_results; ++i) {
        const mrt_tensor *type = &c->lowered.plan->tensors[from->results[i]].info;
        if (plan->tensors[to->results[i]].info.dtype != MRT_F32 || !mica_noise_can_store(type)) {
            continue;
        }
        lowered_value(l, c->lowered.plan, from->results[i], l->value);
        const float *clean = mica_noise_clean(&l->base, to->results[i]);
        for (int64_t j = 0; j < mrt_shape_count(&type->shape); ++j) {
            const double d = (double)l->value[j] - (double)clean[j];
            noise += isfinite(d) ? d * d : 0.0;
            signal += isfinite(d) ? (double)clean[j] * (double)clean[j] : 0.0;
        }
        mrt_exec_set(l->base.exec, to->results[i], l->value);
        taken = true;
    }
    *reached = noise / signal;
    return taken;
}

/* Weighted over points: <got - before, error> / |want|^2. */
static double share_of(const mica_compare *compare, const lane *l) {
    double share = 0.0;
    for (size_t p = 0; p < compare->count; ++p) {
        const mica_compare_point *point = &compare->points[p];
        double dot = 0.0;
        double signal = 0.0;
        for (int64_t i = point->first; i < point->first + point->count; ++i) {
            const double x = (double)l->base.want[i];
            if (isfinite(x)) {
                dot += ((double)l->got[i] - (double)l->before[i]) * (double)l->error[i];
                signal += x * x;
            }
        }
        share += point->weight * dot / fmax(signal, 1e-30);
    }
    return isfinite(share) ? share : 0.0;
}

static mica_status run_sample(void *context, int index, size_t sample, mica_error *err) {
    chain *c = context;
    lane *l = &c->lanes[index];
    const mica_compare *compare = c->job->compare;
    const size_t n = c->job->net->n_ops;
    const size_t place = sample * c->job->samples / c->samples;
    MICA_TRY(mica_noise_lane_sample(&l->base, c->job, place, err));
    MICA_TRY(mica_dataset_read(c->job->dataset, mica_search_sample(c->job, place), l->inputs, (size_t)c->lowered.plan->n_inputs, err));
    mrt_exec_run(l->exec, NULL, NULL);
    memcpy(l->error, l->base.want, (size_t)compare->total * sizeof(float));
    for (size_t p = 0; p < compare->count; ++p) {
        if (c->points[p] >= 0) {
            lowered_value(l, c->lowered.plan, c->points[p], l->error + compare->points[p].first);
        }
    }
    c->nsr[sample] = mica_compare_vectors(compare, l->base.want, l->error).nsr;
    for (int64_t i = 0; i < compare->total; ++i) {
        l->error[i] -= l->base.want[i];
        l->before[i] = l->base.want[i];
    }
    for (size_t k = 0; k < n; ++k) {
        if (!take_over(c, l, k, &c->reached[sample * n + k])) {
            continue;
        }
        mica_noise_run_behind(&l->base, k, true, l->got);
        c->share[sample * n + k] = share_of(compare, l);
        memcpy(l->before, l->got, (size_t)compare->total * sizeof(float));
    }
    return MICA_OK;
}

static void find_points(chain *c) {
    const mica_compare *compare = c->job->compare;
    c->points = mica_alloc((compare->count + 1) * sizeof *c->points);
    for (size_t p = 0; p < compare->count; ++p) {
        const int32_t id = mrt_plan_find(c->lowered.plan, compare->points[p].name);
        c->points[p] = id >= 0 && mica_noise_can_store(&c->lowered.plan->tensors[id].info) ? id : -1;
    }
}

static void finish(const chain *c, size_t samples, mica_noise_shares *out) {
    const size_t n = c->job->net->n_ops;
    *out = (mica_noise_shares){.share = mica_alloc((n + 1) * sizeof(double)),
                               .reached = mica_alloc((n + 1) * sizeof(double))};
    for (size_t k = 0; k < n; ++k) {
        out->share[k] = out->reached[k] = 0.0;
        for (size_t s = 0; s < samples; ++s) {
            out->share[k] += c->share[s * n + k] / (double)samples;
            out->reached[k] += c->reached[s * n + k] / (double)samples;
        }
    }
    for (size_t s = 0; s < samples; ++s) {
        out->nsr += c->nsr[s] / (double)samples;
    }
}

mica_status mica_noise_chain(const mica_search_job *job, const mica_lowered *lowered, size_t samples,
                             mica_noise_shares *out, mica_error *err) {
    chain c = {.job = job, .samples = samples};
    const size_t cells = samples * job->net->n_ops + 1;
    int64_t bytes = 0;
    mica_slices_make(job->net, job->net->plan, &c.slices);
    mica_slices_make(job->net, lowered->plan, &c.lowered);
    c.offset = mica_noise_offsets(job->net->plan, &bytes);
    find_points(&c);
    c.share = mica_alloc(cells * sizeof(double));
    c.reached = mica_alloc(cells * sizeof(double));
    c.nsr = mica_alloc((samples + 1) * sizeof(double));
    memset(c.share, 0, cells * sizeof(double));
    memset(c.reached, 0, cells * sizeof(double));
    c.n_lanes = mica_noise_lanes(bytes + job->net->plan->arena_bytes + lowered->plan->arena_bytes, job->threads, samples);
    c.lanes = mica_alloc((size_t)c.n_lanes * sizeof *c.lanes);
    memset(c.lanes, 0, (size_t)c.n_lanes * sizeof *c.lanes);
    mica_status status = MICA_OK;
    for (int i = 0; i < c.n_lanes && status == MICA_OK; ++i) {
        status = open_lane(&c, &c.lanes[i], bytes, err);
    }
    if (status == MICA_OK) {
        status = mica_noise_each(c.n_lanes, samples, "shares", job->quiet, run_sample, &c, err);
    }
    if (status == MICA_OK) {
        finish(&c, samples, out);
    }
    for (int i = 0; i < c.n_lanes; ++i) {
        close_lane(&c.lanes[i]);
    }
    mica_free(c.lanes);
    mica_free(c.share);
    mica_free(c.reached);
    mica_free(c.nsr);
    mica_free(c.points);
    mica_free(c.offset);
    mica_slices_free(&c.slices);
    mica_slices_free(&c.lowered);
    return status;
}

void mica_noise_shares_free(mica_noise_shares *shares) {
    mica_free(shares->share);
    mica_free(shares->reached);
    *shares = (mica_noise_shares){0};
}
