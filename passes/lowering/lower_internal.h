/* What the lower hooks of all families share. */
#ifndef MICA_LOWER_INTERNAL_H
#define MICA_LOWER_INTERNAL_H

#include "passes/lowering/weight_row.h"
#include "dialects/top/top.h"
#include "ir/builder.h"
#include "ir/ptr_map.h"
#include "passes/lowering/lowering.h"
#include "runtime/mrt_quant.h"
#include "utils/map.h"
#include "utils/vec.h"

typedef struct mica_lowering {
    mica_context *context;
    mica_module *top, *tpu;
    mica_builder builder;                 /* end of the new function */
    const mica_lowering_options *options;
    mica_value **map;                     /* top value number -> tpu value */
    mica_map *casts;                      /* "value number:type" -> tpu value */
    mica_map *names;                      /* names taken in the tpu module */
    mica_ptr_map front;                   /* ops in front of a top.Cut */
    mica_ptr_map in_float;                /* top value -> whether all that reads it runs in float */
    bool is_cut;                          /* there is one: other ops stay float */
    MICA_VEC(mica_lower_row) rows;
    MICA_VEC(const char *) uncalibrated;  /* tensors whose range was asked for in vain */
} mica_lowering;

/* Lowers one op in `mode`. A hook that has no integer form for this op returns
 * mica_lower_fallback(). On MICA_FAIL a diagnostic was emitted. */
typedef mica_status mica_lower_fn(mica_lowering *l, const mica_op *op, mica_mode mode);
mica_lower_fn *mica_lower_hook(const mica_op *op);

/* The mode that the options ask for. */
mica_mode mica_lower_mode_of(const mica_lowering *l, const mica_op *op);
/* The mode that its hook gets; reason (may be NULL): why it is another one, else NULL. */
mica_mode mica_lower_final_mode(const mica_lowering *l, const mica_op *op, const char **out_reason);

/* Lowers `op` in the processor's float mode instead and records why. */
mica_status mica_lower_fallback(mica_lowering *l, const mica_op *op, const char *reason);

/* --- values ------------------------------------------------------------------------------------- */
/* tpu value that stands for a top value, whatever its type. Constants are cloned on first use. */
mica_value *mica_lower_value(mica_lowering *l, const mica_value *top);
/* The same with the element type `element`; casts when needed. Integer data (indices) is never cast. */
mica_value *mica_lower_as(mica_lowering *l, const mica_value *top, mica_type element);
/* As quantized 8-bit value: as it is when it already is one, else cast to its calibrated type.
 * NULL (without a diagnostic) when the value has no calibration. */
mica_value *mica_lower_quantized(mica_lowering *l, const mica_value *top);
/* A new constant of the tpu module, named after `op`: "<op>_<suffix>". */
mica_value *mica_lower_const(mica_lowering *l, const mica_op *op, const char *suffix,
                             mica_type element, int rank, const int64_t *dims, const void *data);
/* A non-scalar constant quantized per tensor to i8 by its largest magnitude. */
mica_value *mica_lower_const_i8(mica_lowering *l, const mica_op *op, const mica_value *top,
                                const char *suffix);

/* --- types -------------------------------------------------------------------------------------- */
/* Float element type of a mode (INT8: the fallback's). */
mica_type mica_lower_float_type(const mica_lowering *l, mica_mode mode);
/* Quantized element type from the calibrated range of a top value; NULL when it has none, which is
 * recorded for the report. */
mica_type mica_lower_quant_type(mica_lowering *l, const mica_value *top);
/* What the bias of `op` takes so that the sum behind it keeps its mean [add-ties]; mostly 0. */
double mica_lower_tie_offset(mica_lowering *l, const mica_op *op);
/* Scale of weights of that largest magnitude, as the options want it, in 8 or 4 bits [weight-per-channel,
 * weight-int4, scale-pow2]. */
double mica_lower_weight_scale(const mica_lowering *l, double absmax, double bias, double scale_in, int bits);
/* How rows of `op`, with an input of type `in`, are rounded; their bias is still 0 [weight-scale, weight-balance]. */
mica_row_rule mica_lower_row_rule(const mica_lowering *l, const mica_op *op, mica_type in, int bits);
static inline int mica_lower_weight_bits(mica_mode mode) { return mica_mode_is_narrow(mode) ? 4 : 8; }
/* Element type of weights of that many bits with a scale per channel of an axis. */
mica_type mica_lower_weight_type(mica_lowering *l, int bits, int axis, const double *scales, size_t n);
/* Input of a Conv or MatMul: quantized, in mode INT4 to 4 bits by its range for those [input-int4]. NULL as
 * mica_lower_quantized. */
mica_value *mica_lower_left(mica_lowering *l, const mica_op *op, mica_mode mode);
/* Quantized type from a scale and zero point. */
mica_type mica_lower_uniform(const mica_lowering *l, mrt_dtype dtype, double scale, int32_t zero);
/* True for f32 or calibrated elements: data that may be quantized. */
bool mica_lower_is_real(const mica_value *top);
static inline double mica_lower_scale_of(mica_type element) { return element->scales[0]; }
static inline int32_t mica_lower_zero_of(mica_type element) { return (int32_t)element->zero_points[0]; }
mrt_dtype mica_lower_storage(mica_type element);

/* --- results that nobody needs in 8 bits [float-out] ---------------------------------------------- */
/* True when all that reads the results of `op` runs in float, maybe behind ops that move elements, and the
 * options let that decide. */
bool mica_lower_in_float(mica_lowering *l, const mica_op *op);
/* The same for a product in mode INT8 that can give f32; recorded in its row. */
bool mica_lower_gives_real(mica_lowering *l, const mica_op *op);
/* The same for Add, Sub and Mul, which then run in float themselves: that saves the casts on both sides and an
 * 8-bit rounding (residual sums before a layer norm, masks before a softmax). */
bool mica_lower_sum_in_float(mica_lowering *l, const mica_op *op);
/* The same for a function of one operand that can be had in float: no table of 8 bits then. */
bool mica_lower_table_in_float(mica_lowering *l, const mica_op *op);
/* The same for a Concat: its operands can be had in float too. */
bool mica_lower_concat_in_float(mica_lowering *l, const mica_op *op);
/* True for a Softmax that has its integer form if its input is quantized. */
bool mica_lower_softmax_between_integers(const mica_lowering *l, const mica_op *op);
/* The only non-constant operand when the others are scalar constants, else NULL. */
const mica_value *mica_lower_lone_operand(const mica_op *op);

/* --- ops ---------------------------------------------------------------------------------------- */
/* Makes tpu op `name` at the end with the results of `op`: same shapes, element types
 * `elements[i]`; binds them to the top results. Attributes are copied when `copy_attrs`. */
mica_op *mica_lower_emit(mica_lowering *l, const mica_op *op, const char *name,
                         mica_value *const *operands, size_t n_operands, const mica_type *elements,
                         bool copy_attrs);
/* Float form: tpu.<same name> with real operands in the mode's float type (rank-1 constants stay
 * f32), other operands as they are. */
mica_status mica_lower_float_as(mica_lowering *l, const mica_op *op, mica_mode mode,
                                const char *name, mica_op **out_op);
/* Integer form of any op that is a function of one 8-bit operand: a table of 256 results, each the
 * quantized result of the float kernel [lut-8]. `input` is the top operand; other operands are
 * scalar constants. */
mica_status mica_lower_lut(mica_lowering *l, const mica_op *op, const mica_value *input);
/* Sets the integer attributes of a requantizing op. */
void mica_lower_set_requant(mica_op *op, const int64_t *multipliers, const int64_t *shifts,
                            size_t n_multipliers, size_t n_shifts);

#endif
