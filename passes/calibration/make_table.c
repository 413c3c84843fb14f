/* The table of a method, with the settings of single tensors. */
#include <stdio.h>

#include "passes/calibration/calibrate.h"
#include "utils/arena.h"

typedef struct table_job {
    const mica_statistics *statistics;
    const mica_method *method, *whole;
    const mica_settings *settings;
    mica_range *ranges;
    double *int4; /* thresholds for 4 bits; 0: none wanted */
} table_job;

static const mica_method WHOLE_RANGE = {.name = "max", .fn = mica_method_max};

/* Settings that hold for the tensor; NULL when it is as all others. */
static const mica_tensor_choice *choice_of(const mica_tensor_statistics *t, const mica_settings *settings) {
    const mica_tensor_choice *choice = mica_settings_get(settings, t->name);
    return choice != NULL && (!t->is_border || choice->border_too) ? choice : NULL;
}

static const mica_method *method_of(const mica_tensor_statistics *t, const mica_method *method,
                                    const mica_tensor_choice *choice) {
    if (choice != NULL && choice->method != NULL) {
        return choice->method;
    }
    return t->is_border ? &WHOLE_RANGE : method;
}

static mica_range run_with_bits(const mica_method *method, const mica_histogram *h, int bits) {
    mica_method own = *method;
    own.settings.bits = bits;
    return mica_method_run(&own, h);
}

static void range_of_tensor(void *context, int64_t i) {
    const table_job *job = context;
    const mica_tensor_statistics *t = &job->statistics->tensors[i];
    const mica_tensor_choice *choice = choice_of(t, job->settings);
    const mica_method *method = method_of(t, job->method, choice);
    const int bits = choice != NULL ? choice->bits : 0;
    if (choice != NULL && choice->range != NULL) {
        job->ranges[i] = *choice->range;
    } else {
        const int of = bits == 16 ? 16 : 8;
        job->ranges[i] = run_with_bits(method, &t->histogram, of);
        if (job->method->settings.pow2) {
            job->ranges[i] = mica_range_pow2(&t->histogram, job->ranges[i], of, t->is_border);
        }
    }
    if (bits == 4 || job->method->settings.int4) {
        /* The whole range of an input is of no use in 15 steps. */
        const mica_method *narrow = choice != NULL && choice->method != NULL ? choice->method : job->method;
        job->int4[i] = choice != NULL && choice->range != NULL ? choice->range->threshold
                                                               : run_with_bits(narrow, &t->histogram, 4).threshold;
    }
}

mica_cali_table *mica_make_table_by(const mica_statistics *statistics, const mica_method *method,
                                    const mica_settings *settings, int threads) {
    table_job job = {.statistics = statistics, .method = method, .settings = settings};
    job.ranges = mica_alloc((statistics->count + 1) * sizeof *job.ranges);
    job.int4 = mica_alloc((statistics->count + 1) * sizeof *job.int4);
    mrt_pool *pool = mrt_pool_create(threads);
    mrt_parallel_for(pool, (int64_t)statistics->count, range_of_tensor, &job);
    mrt_pool_destroy(pool);
    mica_cali_table *table = mica_cali_table_create();
    for (size_t i = 0; i < statistics->count; ++i) {
        const mica_tensor_statistics *t = &statistics->tensors[i];
        mica_cali_table_set(table, t->name, job.ranges[i].threshold, job.ranges[i].min, job.ranges[i].max);
        if (job.int4[i] > 0.0) {
            mica_strbuf line = {0};
            const mica_range narrow = mica_range_of(&t->histogram, job.int4[i]);
            mica_strbuf_printf(&line, "%s %.7f %.7f %.7f", t->name, job.int4[i], narrow.min, narrow.max);
            mica_cali_table_add_line(table, MICA_CALI_INT4_TH, mica_strbuf_text(&line));
            mica_strbuf_free(&line);
        }
    }
    mica_free(job.int4);
    mica_free(job.ranges);
    return table;
}

mica_cali_table *mica_make_table(const mica_statistics *statistics, const mica_method *method,
                                 int threads) {
    return mica_make_table_by(statistics, method, NULL, threads);
}

const char *mica_tensor_method(const mica_tensor_statistics *t, const mica_method *method,
                               const mica_settings *settings) {
    const mica_tensor_choice *choice = choice_of(t, settings);
    return choice != NULL && choice->range != NULL ? "given" : method_of(t, method, choice)->name;
}
