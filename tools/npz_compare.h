/* Parts of npz_tool compare. */
#ifndef MICA_TOOLS_NPZ_COMPARE_H
#define MICA_TOOLS_NPZ_COMPARE_H

#include "tools/npz_tool.h"
#include "utils/map.h"
#include "utils/strbuf.h"

/* What a model says about a tensor. */
typedef struct npz_op {
    const char *name; /* of the op that makes it */
    double scale;     /* 0: not quantized with one scale */
    int32_t zero_point;
} npz_op;

/* Reads tensor name -> npz_op from a .mlir file; the map's values lie in the arena. NULL on error. */
mica_map *npz_read_op_info(const char *path, mica_arena *arena, mica_error *err);

/* One compared tensor. */
typedef struct npz_result {
    const char *name;
    const char *status; /* text of the verdict or NOT_MATCH */
    bool passes, measured; /* measured: metrics are filled (the sizes are equal) */
    mrt_verdict verdict;
    mrt_metrics metrics;
    int64_t worst_slice; /* of --per_axis_compare, else -1 */
    const mica_ndarray *target, *reference;
    const npz_op *op; /* NULL: unknown */
} npz_result;

/* How the report looks. */
typedef struct npz_report {
    mica_arena *arena;
    int name_width;
    bool verbose, full, stats, ops;
    mica_strbuf csv;
    size_t compared, passed, not_match;
    size_t verdicts[8]; /* by mrt_verdict */
    struct {
        double value;
        const char *name;
    } cosine, euclid, sqnr; /* the smallest so far */
    const char *first_failed;
} npz_report;

void npz_report_begin(npz_report *report);
/* Prints the line of one tensor, with details when verbose, and counts it. */
void npz_report_add(npz_report *report, const npz_result *result);
void npz_report_end(const npz_report *report);

#endif
