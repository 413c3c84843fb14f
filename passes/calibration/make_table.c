/* The table of a method. */
#include "passes/calibration/calibrate.h"
#include "utils/arena.h"

typedef struct table_job {
    const mica_statistics *statistics;
    const mica_method *method, *whole;
    mica_range *ranges;
} table_job;

static void range_of_tensor(void *context, int64_t i) {
    const table_job *job = context;
    const mica_tensor_statistics *t = &job->statistics->tensors[i];
    job->ranges[i] = mica_method_run(t->is_border ? job->whole : job->method, &t->histogram);
}

mica_cali_table *mica_make_table(const mica_statistics *statistics, const mica_method *method,
                                 int threads) {
    table_job job = {.statistics = statistics, .method = method, .whole = mica_method_find("max")};
    job.ranges = mica_alloc((statistics->count + 1) * sizeof *job.ranges);
    mrt_pool *pool = mrt_pool_create(threads);
    mrt_parallel_for(pool, (int64_t)statistics->count, range_of_tensor, &job);
    mrt_pool_destroy(pool);
    mica_cali_table *table = mica_cali_table_create();
    for (size_t i = 0; i < statistics->count; ++i) {
        mica_cali_table_set(table, statistics->tensors[i].name, job.ranges[i].threshold, job.ranges[i].min,
                            job.ranges[i].max);
    }
    mica_free(job.ranges);
    return table;
}
