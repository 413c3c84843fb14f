/* Helpers on top IR that the importer, the passes and the lowering share. */
#ifndef MICA_DIALECTS_TOP_H
#define MICA_DIALECTS_TOP_H

#include "ir/builder.h"
#include "ir/weights.h"

/* A top.Weight called `name` with a copy of `data` in the module's weights. The name is made unique
 * when it is taken by other data. */
mica_value *mica_top_weight(mica_builder *builder, const char *name, mica_type element, int rank,
                            const int64_t *dims, const void *data);
/* As above, borrowing `data` (alive as long as the module). */
mica_value *mica_top_weight_borrow(mica_builder *builder, const char *name, mica_type element,
                                   int rank, const int64_t *dims, const void *data);
/* The function's single top.None value (made at its beginning on first use). */
mica_value *mica_top_none(mica_builder *builder);

bool mica_is_weight(const mica_value *value);
/* Array behind a top.Weight; NULL for any other value. */
const mica_ndarray *mica_weight_data(const mica_value *value);
/* All elements of a constant as doubles / int64 (arena of the module); NULL when `value` is not
 * constant. Integers beyond 2^53 are exact in the int64 form. */
const double *mica_weight_f64(const mica_value *value, int64_t *out_count);
const int64_t *mica_weight_i64(const mica_value *value, int64_t *out_count);
/* True when the constant has one element; writes it. */
bool mica_weight_scalar(const mica_value *value, double *out);

/* True when all operands are constants and the op is pure with a plan hook (or Shape of a static
 * tensor, ConstantFill of a constant shape). */
bool mica_top_can_fold(const mica_op *op);
/* Evaluates the op and replaces it by Weights; MICA_FAIL without a diagnostic when it cannot. */
mica_status mica_top_fold(mica_module *module, mica_op *op);

#endif
