/* Runs of a whole lowered model, compared with the float one. */
#ifndef MICA_SEARCH_REAL_H
#define MICA_SEARCH_REAL_H

#include "passes/search/noise.h"
#include "passes/search/post_process.h"

/* Vectors of all compared points, one per sample: [samples * total]. */
mica_status mica_real_vectors(const mica_search_job *job, const mrt_plan *plan, float *out, mica_error *err);

/* The float side of every comparison, made once. */
typedef struct mica_real {
    const mica_search_job *job;
    float *want;                     /* of the float model */
    const mica_post_process *post;   /* NULL: the points themselves are compared */
    mica_post_values want_post;
    size_t runs;                     /* of whole models so far */
} mica_real;

mica_status mica_real_open(const mica_search_job *job, const mica_post_process *post, mica_real *out, mica_error *err);
void mica_real_close(mica_real *real);

/* Lowers the model (mode INT8 unless the quantize table says otherwise) and runs all samples; mean over them. */
mica_status mica_real_run(mica_real *real, const mica_cali_table *table, const mica_qtable *qtable,
                          mica_distance *out, mica_error *err);

#endif
