/* Pieces that several plan hooks share. */
#ifndef MICA_DIALECTS_PLAN_UTIL_H
#define MICA_DIALECTS_PLAN_UTIL_H

#include "dialects/op_util.h"
#include "dialects/quant/quant.h"
#include "runtime/mrt_params.h"

/* do_relu and relu_limit as kernel parameters. */
void mica_plan_act(const mica_op *op, int64_t *out_act, double *out_limit);
/* Steps of an op whose kernel has no activation: the kernel, then, with do_relu, a clamp. Only for
 * ops with one result. */
mica_status mica_plan_with_relu(mica_planner *planner, const mica_op *op, uint16_t kernel,
                                const void *params);
/* The clamp alone: result 0 of the op = relu(tensor `in`), in the element type of the result.
 * 8-bit quantized values use a table. limit < 0: none. */
mica_status mica_plan_relu_from(mica_planner *planner, const mica_op *op, int32_t in, double limit);
/* Elements of operands [first, first + count) become elements of result 0 unchanged: fails unless
 * their quantization, if any, is that of the result. */
mica_status mica_plan_same_quant(mica_planner *planner, const mica_op *op, uint32_t first,
                                 uint32_t count);
/* For kernels that would compute on the integers of quantized operands. */
mica_status mica_plan_no_quant(mica_planner *planner, const mica_op *op);
/* One kernel that moves elements of operand 0. */
mica_status mica_plan_move(mica_planner *planner, const mica_op *op, uint16_t kernel,
                           const void *params);
/* A temporary with the type of the op's result 0. */
int32_t mica_plan_result_temp(mica_planner *planner, const mica_op *op);
/* The tensor itself when it has that type, else a step that converts it. */
int32_t mica_plan_converted(mica_planner *planner, const mica_op *op, int32_t id, mrt_dtype dtype);
/* Constant f32 [count] of one value. */
int32_t mica_plan_fill_f32(mica_planner *planner, int64_t count, float value);

/* Integer constants [count] from an attribute with 1 or `count` values (missing values are 0). */
int32_t mica_plan_i32_attr(mica_planner *planner, const mica_op *op, const char *attr,
                           int64_t count);
int32_t mica_plan_fill_i32(mica_planner *planner, int64_t count, int32_t value);
/* Constant f64 [1 or channels]: the scale of an input times those of its weights [conv-real, matmul-real]. */
int32_t mica_plan_real_scales(mica_planner *planner, double input, mica_type weights);
/* 8-bit table for lut_8: entry of byte b is map(user, q of b), clamped by the caller. */
typedef int32_t mica_table_fn(void *user, int32_t q);
int32_t mica_plan_table(mica_planner *planner, mrt_dtype in, mrt_dtype out, mica_table_fn *map,
                        void *user);

#endif
