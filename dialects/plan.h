/* From IR to a runtime plan: every op's plan hook adds its steps.
 *
 * The same hooks serve the float interpreter (constant folding, calibration), the integer
 * interpreter of the tpu dialect, and the bundle writer. */
#ifndef MICA_DIALECTS_PLAN_H
#define MICA_DIALECTS_PLAN_H

#include "ir/op.h"
#include "runtime/mrt_plan.h"

typedef struct mica_planner mica_planner;
typedef mica_status mica_plan_fn(const mica_op *op, mica_planner *planner);

/* Plan hook of an op; NULL when it has none. */
mica_plan_fn *mica_plan_hook(const mica_op *op);

typedef struct mica_plan_options {
    bool keep_all;    /* every tensor readable after a run */
} mica_plan_options;

/* Plans a func of top or tpu ops. Tensor names are value names; inputs are the results of top.Input
 * (or block arguments without one), outputs the returned values. Float dot products use BLAS in the
 * top dialect and the written order in the tpu dialect (rule float-dot). Weights are borrowed from
 * the module. On success the caller destroys the plan before the module. */
mica_status mica_plan_func(mica_module *module, mica_op *func, const mica_plan_options *options,
                           mrt_plan **out_plan);

/* Plans and runs a single op whose operands are all constants and writes results into the module's
 * weights under the result names (constant folding). MICA_FAIL without a diagnostic when the op
 * cannot be evaluated. */
mica_status mica_eval_op(const mica_op *op);

/* --- for plan hooks --------------------------------------------------------------------------- */
/* Tensor ids are -1 after an error; the error is remembered and the next step fails, so that hooks
 * need not test every id. */

/* "'top.Conv' op <text>" at the op's location (nothing while an op is only tried); MICA_FAIL. op
 * NULL: the op whose hook runs. */
mica_status mica_planner_fail(mica_planner *planner, const mica_op *op, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Tensor id of a value; -1 for NULL or a value of type none. */
int32_t mica_planner_value(mica_planner *planner, const mica_value *value);
/* A step with all operands and results of the op in order. params is copied; its size is the
 * kernel's. */
mica_status mica_planner_step(mica_planner *planner, const mica_op *op, uint16_t kernel,
                              const void *params);
mica_status mica_planner_step_ids(mica_planner *planner, const mica_op *op, uint16_t kernel,
                                  const void *params, const int32_t *in, int n_in,
                                  const int32_t *out, int n_out);
/* Ids of the results up to the last one that is used, at least `min` of them; returns how many. ids
 * has room for all results. */
int mica_planner_results(mica_planner *planner, const mica_op *op, int min, int32_t *ids);
/* Result 0 shares the bytes of operand 0. */
mica_status mica_planner_alias(mica_planner *planner, const mica_op *op);
/* True when the value has a tensor already. */
bool mica_planner_is_known(const mica_planner *planner, const mica_value *value);
/* Says that tensor `id` is the value: for hooks that end in an alias of an intermediate. */
void mica_planner_bind(mica_planner *planner, const mica_value *value, int32_t id);
/* A view of tensor `of` with other type or shape and the same number of bytes. */
int32_t mica_planner_view(mica_planner *planner, const mrt_tensor *info, int32_t of);
/* A constant made by the hook (multipliers, tables); data is copied. */
int32_t mica_planner_const(mica_planner *planner, mrt_dtype dtype, int rank, const int64_t *dims,
                           const void *data);
/* An unnamed intermediate. */
int32_t mica_planner_temp(mica_planner *planner, const mrt_tensor *info);
/* Type, shape and quantization of a value as the runtime sees them. */
mrt_tensor mica_planner_info(mica_planner *planner, const mica_value *value);
/* The same of a tensor id, which must be valid. */
mrt_tensor mica_planner_tensor(mica_planner *planner, int32_t id);
/* True when the size of a result of the op depends on data and its kernel has to find it out. */
bool mica_planner_sizes_itself(const mica_planner *planner, const mica_op *op);
int64_t mica_planner_float_order(const mica_planner *planner);

/* Element type of the IR as the runtime stores it (quantized types: their storage type);
 * MRT_DTYPE_NONE when there is none. */
mrt_dtype mica_dtype_of(mica_type element);
/* Bits of a quantized element type as the IR states them (4, 8, 16, ...); 0 for any other type. */
int mica_type_quant_bits(mica_type element);
/* The other way, without quantization. */
mica_type mica_type_of_dtype(mica_context *context, mrt_dtype dtype);
/* numpy element type ("<f4") of a constant of that type in the weights. */
const char *mica_descr_of_dtype(mrt_dtype dtype);
/* Type of the text in dtype attributes: "f32", "i64", "ui8" or "u8", ...; MRT_DTYPE_NONE if unknown. */
mrt_dtype mica_dtype_of_name(const char *name);

#endif
