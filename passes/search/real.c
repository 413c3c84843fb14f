#include "passes/search/real.h"

#include <string.h>

#include "passes/search/noise_lane.h"
#include "utils/arena.h"

typedef struct lane {
    mrt_exec *exec;
    mrt_tensor **inputs;
    uint8_t *raw;
} lane;

typedef struct runs {
    const mica_search_job *job;
    const mrt_plan *plan;
    int32_t *points;
    lane *lanes;
    float *out;
} runs;

static mica_status run_sample(void *context, int index, size_t sample, mica_error *err) {
    const runs *r = context;
    const lane *l = &r->lanes[index];
    const mica_compare *compare = r->job->compare;
    MICA_TRY(mica_dataset_read(r->job->dataset, mica_search_sample(r->job, sample), l->inputs, (size_t)r->plan->n_inputs, err));
    mrt_exec_run(l->exec, NULL, NULL);
    float *to = r->out + (int64_t)sample * compare->total;
    for (size_t p = 0; p < compare->count; ++p) {
        mrt_exec_get(l->exec, r->points[p], l->raw);
        mica_noise_load(&r->plan->tensors[r->points[p]].info, l->raw, to + compare->points[p].first);
    }
    return MICA_OK;
}

static mica_status open_lane(const runs *r, lane *l, mica_error *err) {
    mrt_error error;
    if (mrt_exec_create(r->plan, NULL, &l->exec, &error) != MRT_OK) {
        return mica_fail(err, "%s", error.text);
    }
    l->inputs = mica_alloc(((size_t)r->plan->n_inputs + 1) * sizeof *l->inputs);
    for (int32_t i = 0; i < r->plan->n_inputs; ++i) {
        l->inputs[i] = mrt_exec_tensor(l->exec, r->plan->inputs[i]);
    }
    l->raw = mica_alloc((size_t)mica_noise_most_bytes(r->plan) + 64);
    return MICA_OK;
}

static mica_status find_points(runs *r, mica_error *err) {
    const mica_compare *compare = r->job->compare;
    for (size_t p = 0; p < compare->count; ++p) {
        r->points[p] = mrt_plan_find(r->plan, compare->points[p].name);
        if (r->points[p] < 0 || !mica_noise_can_store(&r->plan->tensors[r->points[p]].info)) {
            return mica_fail(err, "the lowered model does not have tensor '%s' to compare", compare->points[p].name);
        }
    }
    return MICA_OK;
}

mica_status mica_real_vectors(const mica_search_job *job, const mrt_plan *plan, float *out, mica_error *err) {
    runs r = {.job = job, .plan = plan, .out = out};
    r.points = mica_alloc((job->compare->count + 1) * sizeof *r.points);
    const int n = mica_noise_lanes(plan->arena_bytes, job->threads, job->samples);
    r.lanes = mica_alloc((size_t)n * sizeof *r.lanes);
    memset(r.lanes, 0, (size_t)n * sizeof *r.lanes);
    mica_status status = find_points(&r, err);
    for (int i = 0; i < n && status == MICA_OK; ++i) {
        status = open_lane(&r, &r.lanes[i], err);
    }
    if (status == MICA_OK) {
        status = mica_noise_each(n, job->samples, "run", true, run_sample, &r, err);
    }
    for (int i = 0; i < n; ++i) {
        mrt_exec_destroy(r.lanes[i].exec);
        mica_free(r.lanes[i].inputs);
        mica_free(r.lanes[i].raw);
    }
    mica_free(r.lanes);
    mica_free(r.points);
    return status;
}

static float *new_vectors(const mica_search_job *job) {
    return mica_alloc((job->samples * (size_t)job->compare->total + 1) * sizeof(float));
}

mica_status mica_real_open(const mica_search_job *job, const mica_post_process *post, mica_real *out, mica_error *err) {
    *out = (mica_real){.job = job, .post = post, .want = new_vectors(job)};
    mica_status status = mica_real_vectors(job, job->net->plan, out->want, err);
    if (status == MICA_OK && post != NULL) {
        status = mica_post_process_run(post, job->compare, out->want, job->samples, NULL, &out->want_post, err);
    }
    if (status != MICA_OK) {
        mica_real_close(out);
    }
    return status;
}

void mica_real_close(mica_real *real) {
    mica_free(real->want);
    mica_post_values_free(&real->want_post);
    *real = (mica_real){0};
}

static mica_status compare_all(const mica_real *real, const float *got, mica_distance *out, mica_error *err) {
    const mica_search_job *job = real->job;
    if (real->post != NULL) {
        mica_post_values values = {0};
        MICA_TRY(mica_post_process_run(real->post, job->compare, got, job->samples, &real->want_post, &values, err));
        *out = mica_post_distance(&real->want_post, &values);
        mica_post_values_free(&values);
        return MICA_OK;
    }
    mica_distance sum = {0};
    for (size_t s = 0; s < job->samples; ++s) {
        const size_t at = s * (size_t)job->compare->total;
        const mica_distance d = mica_compare_vectors(job->compare, real->want + at, got + at);
        sum.nsr += d.nsr;
        sum.cosine += d.cosine;
    }
    *out = (mica_distance){sum.nsr / (double)job->samples, sum.cosine / (double)job->samples};
    return MICA_OK;
}

mica_status mica_real_run(mica_real *real, const mica_cali_table *table, const mica_qtable *qtable,
                          mica_distance *out, mica_error *err) {
    const mica_search_job *job = real->job;
    const mica_lowered_options options = {.processor = job->processor, .table = table, .qtable = qtable,
                                          .mode = MICA_MODE_INT8, .asymmetric = job->asymmetric, .keep_all = true};
    mica_lowered *lowered = mica_lowered_open(job->module, &options, err);
    if (lowered == NULL) {
        return MICA_FAIL;
    }
    float *got = new_vectors(job);
    mica_status status = mica_real_vectors(job, lowered->plan, got, err);
    status = status == MICA_OK ? compare_all(real, got, out, err) : status;
    mica_free(got);
    mica_lowered_close(lowered);
    real->runs++;
    return status;
}
