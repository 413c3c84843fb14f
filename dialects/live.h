/* Sizes that depend on data (NonZero, Nms, Compress, Unique, and what follows them).
 *
 * In the IR such a dimension is unknown ('?'), so that no pass takes it for a constant. This file
 * finds its bound and how it follows from the sizes that kernels decide at run time, the symbols:
 *
 *     live dimension = bound - sum over symbols of factor * (bound of symbol - live size of symbol)
 *
 * The relations are not declared by ops: their infer hooks are run with the symbols at several
 * sizes. What is not of that form is an error at the op that made it so, unless the op has the trait
 * MICA_SIZES_ITSELF; then the dimension is a new symbol. An infer hook of such an op says that a
 * size depends on the values of its operands with mica_infer_data_size. */
#ifndef MICA_DIALECTS_LIVE_H
#define MICA_DIALECTS_LIVE_H

#include "ir/op.h"

typedef struct mica_live mica_live;

/* A size that a kernel decides: the dimension `axis` of a value. */
typedef struct mica_live_symbol {
    const mica_value *value;
    int axis;
    int64_t bound; /* 1 or more */
} mica_live_symbol;

typedef struct mica_live_term {
    int axis;
    uint32_t symbol;
    int64_t factor;
} mica_live_term;

typedef struct mica_live_shape {
    mica_value *value;
    int rank;
    int64_t bound[MICA_MAX_RANK];
    const mica_live_term *terms;
    size_t n_terms; /* at least 1 */
} mica_live_shape;

mica_live *mica_live_create(mica_context *context);
void mica_live_destroy(mica_live *live);

/* Infers the result types of an op all of whose operands were seen before (as mica_op_infer does;
 * dimensions that depend on data become unknown). */
mica_status mica_live_infer(mica_live *live, mica_op *op);
/* Sees all ops of a function. Types change only where sizes depend on data. */
mica_status mica_live_func(mica_live *live, mica_op *func);

/* NULL when no dimension of the value depends on data (or it was not seen). */
const mica_live_shape *mica_live_of(const mica_live *live, const mica_value *value);
/* True when the kernel of the op decides a size of a result. */
bool mica_live_is_source(const mica_live *live, const mica_op *op);
size_t mica_live_symbol_count(const mica_live *live);
const mica_live_symbol *mica_live_symbol_at(const mica_live *live, size_t index);
/* "'boxes' (top.Nms)": what the first symbol of a value comes from. Lives as long as `live`. */
const char *mica_live_origin(const mica_live *live, const mica_live_shape *shape);

/* Dimensions of a value while the symbols have sizes[symbol count]. */
void mica_live_eval(const mica_live *live, const mica_live_shape *shape, const int64_t *sizes,
                    int64_t *out_dims);
/* Sets of sizes that show whether something follows symbols: out_rows gets rows of one size per
 * symbol, the first one the bounds; `symbols` are those that matter. Free it with mica_free. */
size_t mica_live_samples(const mica_live *live, const uint32_t *symbols, size_t n_symbols,
                         int64_t **out_rows);
typedef struct mica_live_rows {
    const uint32_t *symbols;
    size_t n_symbols;
    const int64_t *sizes; /* as from mica_live_samples */
    size_t count;
} mica_live_rows;
/* True when something with values[row] follows the symbols by factors of 0 and more; writes one per
 * symbol. */
bool mica_live_fit(const mica_live *live, const mica_live_rows *rows, const int64_t *values,
                   int64_t *out_factors);
/* "'top.X' op cannot take operand 'x', whose size depends on ...: <reason>; ..." */
mica_status mica_live_refuse(const mica_live *live, const mica_op *op, const char *reason);
/* The symbols of the operands of an op, each once. Free it with mica_free. */
size_t mica_live_symbols_of(const mica_live *live, const mica_op *op, uint32_t **out_symbols);

/* Gives all values their bounds as types, for whoever needs static shapes; then back. Element types
 * stay as they are. */
void mica_live_bind(const mica_live *live);
void mica_live_unbind(const mica_live *live);

/* --- for infer hooks ---------------------------------------------------------------------------- */
/* A result whose dimension `axis` is at most shape's: for ops with MICA_SIZES_ITSELF. */
struct mica_shape;
mica_status mica_infer_data_size(const mica_op *op, const struct mica_shape *shape, int axis,
                                 mica_type element, mica_type *out);

#endif
