#include "passes/calibration/doctor.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "utils/arena.h"
#include "utils/prng.h"

mica_status mica_doctor_check(mica_module *module, const mica_dataset *dataset, int threads,
                              mica_strbuf *findings, mica_error *err) {
    MICA_TRY(mica_doctor_files(module, dataset, findings, err));
    bool order_known = false;
    MICA_TRY(mica_doctor_inputs(module, dataset, threads, findings, &order_known, err));
    if (!order_known) {
        mica_doctor_order(module, dataset, findings);
    }
    return MICA_OK;
}

/* --- stability ---------------------------------------------------------------------------------- */

enum { GROUPS = MICA_SAMPLE_GROUPS, DRAWS = 8, SIZES = 4 /* 1, 2, 4, 8 groups */ };

/* Thresholds this near to each other differ in SQNR by little more than a tenth of a dB. */
static const double STABLE = 0.05;

typedef struct stability_job {
    const mica_tensor_statistics **tensors;
    const mica_method *method;
    int size;        /* sets of 2^size groups */
    double *squares; /* mean square of the logarithm of threshold over that of all samples */
} stability_job;

/* Searches take long, and their cuts jump between minima of nearly the same depth; the fixed point of the
 * squared error moves with the data alone. */
static const mica_method *quick(const mica_method *method) {
    static const char *const searches[] = {"kl", "kl_v2", "mse", "mmse", "joint", "post_sigmoid"};
    for (size_t i = 0; i < sizeof searches / sizeof searches[0]; ++i) {
        if (strcmp(searches[i], method->name) == 0) {
            return mica_method_find("octav");
        }
    }
    return method;
}

/* Bounded by the model, as behind a ReLU6: such a range never moves. */
static bool is_clamped(const mica_tensor_statistics *t) {
    for (int g = 1; g < GROUPS; ++g) {
        if (t->groups[g].min != t->groups[0].min || t->groups[g].max != t->groups[0].max) {
            return false;
        }
    }
    return true;
}

static void rate_tensor(void *context, int64_t i) {
    const stability_job *job = context;
    const mica_tensor_statistics *t = job->tensors[i];
    const double whole = mica_method_run(job->method, &t->histogram).threshold;
    mica_histogram *h = mica_alloc(sizeof *h);
    mica_prng prng;
    mica_prng_seed(&prng, (uint64_t)i * SIZES + (uint64_t)job->size);
    double sum = 0.0;
    for (int draw = 0; draw < DRAWS; ++draw) {
        mica_histogram_init(h);
        for (int g = 0; g < 1 << job->size; ++g) {
            mica_histogram_merge(h, &t->groups[mica_prng_below(&prng, GROUPS)]);
        }
        const double ratio = log(mica_method_run(job->method, h).threshold / whole);
        sum += ratio * ratio;
    }
    job->squares[i] = sum / DRAWS;
    mica_free(h);
}

static int compare_doubles(const void *a, const void *b) {
    return (*(const double *)a > *(const double *)b) - (*(const double *)a < *(const double *)b);
}

static double median_of(const stability_job *job, size_t n) {
    double list[MICA_GROUPED_TENSORS];
    for (size_t i = 0; i < n; ++i) {
        list[i] = sqrt(job->squares[i]);
    }
    qsort(list, n, sizeof *list, compare_doubles);
    return list[n / 2];
}

mica_stability mica_doctor_stability(const mica_statistics *statistics, const mica_method *method,
                                     int threads) {
    const mica_tensor_statistics *tensors[MICA_GROUPED_TENSORS];
    double squares[MICA_GROUPED_TENSORS];
    size_t n = 0;
    for (size_t i = 0; i < statistics->count && n < MICA_GROUPED_TENSORS; ++i) {
        const mica_tensor_statistics *t = &statistics->tensors[i];
        if (t->groups != NULL && !t->is_border && t->histogram.count > t->histogram.zeros && !is_clamped(t)) {
            tensors[n++] = t;
        }
    }
    mica_stability out = {.tensors = statistics->samples >= GROUPS ? n : 0};
    if (out.tensors == 0) {
        return out;
    }
    stability_job job = {.tensors = tensors, .method = quick(method), .squares = squares};
    mrt_pool *pool = mrt_pool_create(threads);
    for (; job.size < SIZES && out.samples == 0; ++job.size) {
        mrt_parallel_for(pool, (int64_t)n, rate_tensor, &job);
        out.deviation = median_of(&job, n);
        out.samples = out.deviation <= STABLE ? statistics->samples * (size_t)(1 << job.size) / GROUPS : 0;
    }
    mrt_pool_destroy(pool);
    out.wanted = (size_t)ceil((double)statistics->samples * pow(out.deviation / STABLE, 2.0));
    return out;
}
