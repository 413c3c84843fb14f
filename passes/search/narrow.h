/* Which products run with 4 bits: the search behind --mix_mode 4_8 and w4a8 [search-narrow in docs/accuracy.md].
 *
 * Every Conv and MatMul that can is measured in 8 and in 4 bits. Each choice has the sum of their noise and of what
 * they save; the choices that no other beats in both are found exactly, and runs of whole models tell how far along
 * them the target lies. */
#ifndef MICA_SEARCH_NARROW_H
#define MICA_SEARCH_NARROW_H

#include "passes/search/real.h"
#include "utils/strbuf.h"

typedef struct mica_narrow_options {
    const mica_cali_table *table;
    const mica_qtable *fixed; /* rows that are kept, or NULL */
    const char *mlir;         /* name of the model, for the log */
    mica_mode mode;           /* MICA_MODE_INT4 or MICA_MODE_W4INT8 */
    double expected_cos;      /* least cosine; 0: 0.95 of that of INT8 */
    double max_cost;          /* below 0: least noise at so many percent of INT8's cost, instead of a cosine */
} mica_narrow_options;

/* One layer, the most sensitive first. */
typedef struct mica_narrow_row {
    size_t op;
    double loss;  /* 1 - cosine when it alone is in 4 bits, all else in float */
    double noise; /* it adds to the NSR of the outputs in 4 bits beyond 8 */
    double saved; /* of the cost, in MACs of INT8 */
    bool is_narrow;
} mica_narrow_row;

typedef struct mica_narrow_result {
    mica_narrow_row *rows;
    size_t count, n_narrow;
    mica_distance int8, mixed; /* real */
    double target;             /* cosine */
    double cost, least_cost;   /* percent beside INT8: of the result, of all layers in 4 bits */
    double macs;               /* percent of all MACs in 4 bits */
    size_t points, runs;       /* of the front; of whole models */
    bool reached;
    mica_qtable *qtable;       /* a row for each layer, beside the fixed ones */
    mica_strbuf log;
} mica_narrow_result;

mica_status mica_search_narrow(mica_real *real, const mica_narrow_options *options, mica_narrow_result *out,
                               mica_error *err);
void mica_narrow_result_free(mica_narrow_result *result);

#endif
