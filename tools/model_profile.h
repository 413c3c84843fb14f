/* Where the time of a model goes: measured runs with a record per executed step. */
#ifndef MICA_MODEL_PROFILE_H
#define MICA_MODEL_PROFILE_H

#include <jansson.h>

#include "runtime/mrt_probe.h"
#include "tools/tool.h"

/* One executed step; conversions of a derived plan are steps of their own. */
typedef struct profile_step {
    const mrt_step *step;
    mrt_work work;
    mrt_shape shape; /* of the first output in the last run */
    double seconds;  /* median of all runs */
    double begin, end; /* in the last run, seconds after its start */
} profile_step;

typedef struct profile {
    const mrt_plan *plan; /* the one that is executed */
    profile_step *steps;
    int64_t runs;
    double run_seconds; /* median of whole runs */
    mrt_limits limits;
} profile;

/* Probes the machine, then runs `runs` times (the inputs are set). Freed by profile_free. */
mica_status profile_measure(tool_model *model, int64_t runs, profile *out, mica_error *err);
void profile_free(profile *p);

/* Table on stdout: one line per step in plan order, or the slowest first; then sums and memory. */
void profile_print(const profile *p, bool by_time);
/* The same as JSON, times in milliseconds. */
json_t *profile_json(const profile *p);
/* Trace events of the last run, as Chrome and Perfetto read them. */
json_t *profile_trace(const profile *p, const char *model);

#endif
