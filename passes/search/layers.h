/* Which layers to keep in float: the search behind search_qtable and run_sensitive_layer.
 *
 * Every layer is measured alone, with the thresholds of every method; the best method gives its threshold. How
 * many layers have to be float is told by the sum of what they add, and then found by runs of the whole
 * mixed model. */
#ifndef MICA_SEARCH_LAYERS_H
#define MICA_SEARCH_LAYERS_H

#include "passes/search/real.h"
#include "passes/search/solve.h"
#include "utils/strbuf.h"

typedef struct mica_layers_options {
    const mica_cali_table *base;          /* table of the model as it is */
    const mica_cali_table *const *tables; /* one per method, at least one */
    const char *const *methods;           /* their names */
    size_t n_methods;
    const char *mlir;     /* name of the model, for the log */
    mica_mode float_mode; /* of the layers chosen */
    double expected_cos;
    size_t max_float;     /* layers; 0: 5, or a fifth of all where that is not enough */
    const mica_qtable *fixed; /* rows that are in the result whatever is found; or NULL */
    bool transformer;     /* only matrix products, normalizations, softmax and activations are searched */
    bool by_loss;         /* the most sensitive layers first; else the set of least error for its size */
    bool cluster;         /* all layers of the worse of two clusters of sensitivity, whatever their number */
    bool fast;            /* fewer samples to measure layers, fewer runs to check */
} mica_layers_options;

/* One layer, the most sensitive first. */
typedef struct mica_layers_row {
    size_t op;
    size_t method;    /* index into methods */
    double threshold; /* of its result by that method */
    double loss;      /* 1 - cosine when this layer alone is quantized */
    double nsr;       /* noise over signal of that */
} mica_layers_row;

typedef struct mica_layers_result {
    mica_layers_row *rows;
    size_t count;
    mica_distance int8, mixed; /* real; of the base table, of the result */
    double predicted_nsr;      /* of the result */
    mica_cali_table *table;    /* base with the best threshold of every layer */
    mica_qtable *qtable;
    size_t n_float;            /* rows beside the fixed ones */
    bool reached;              /* expected_cos */
    const char *limit;         /* what kept it from that, or NULL */
    mica_strbuf log;
} mica_layers_result;

mica_status mica_search_layers(mica_real *real, const mica_layers_options *options, mica_layers_result *out,
                               mica_error *err);
void mica_layers_result_free(mica_layers_result *result);

#endif
