/* Types: MLIR's builtin and quant types as far as neural networks need them. */
#ifndef MICA_IR_TYPE_H
#define MICA_IR_TYPE_H

#include "ir/context.h"

#define MICA_DYNAMIC INT64_MIN /* unknown dimension, printed '?' */
#define MICA_MAX_RANK 8

typedef enum mica_type_kind {
    MICA_TYPE_NONE,
    MICA_TYPE_INDEX,
    MICA_TYPE_INTEGER,
    MICA_TYPE_FLOAT,
    MICA_TYPE_TENSOR,
    MICA_TYPE_FUNCTION,
    MICA_TYPE_CALIBRATED,      /* !quant.calibrated<f32<min:max>> */
    MICA_TYPE_UNIFORM,         /* !quant.uniform<i8:f32, scale:zp> */
    MICA_TYPE_UNIFORM_AXIS,    /* !quant.uniform<i8:f32:axis, {scale:zp,...}> */
} mica_type_kind;

typedef enum mica_sign { MICA_SIGNLESS, MICA_SIGNED, MICA_UNSIGNED } mica_sign;
typedef enum mica_float_kind {
    MICA_F16, MICA_BF16, MICA_F32, MICA_F64, MICA_F8E4M3FN, MICA_F8E5M2,
    MICA_F8E4M3FNUZ, MICA_F8E5M2FNUZ, MICA_F8E8M0FNU, MICA_F6E2M3FN, MICA_F6E3M2FN, MICA_F4E2M1FN
} mica_float_kind;

struct mica_type_storage {
    mica_type_kind kind;
    int width;                  /* INTEGER, FLOAT: bits */
    mica_sign sign;             /* INTEGER */
    mica_float_kind float_kind; /* FLOAT */
    mica_type element;          /* TENSOR: element; quant types: expressed type (f32) */
    mica_type storage;          /* UNIFORM*: storage integer type, signed or unsigned (si8, ui8) */
    int rank;                   /* TENSOR: -1 = unranked */
    const int64_t *dims;        /* TENSOR: MICA_DYNAMIC allowed */
    mica_attr encoding;         /* TENSOR: e.g. global address, or NULL */
    const mica_type *inputs, *results; /* FUNCTION */
    size_t n_inputs, n_results;
    double min, max;            /* CALIBRATED */
    int axis;                   /* UNIFORM_AXIS */
    const double *scales;       /* UNIFORM: 1 value; UNIFORM_AXIS: n_scales */
    const int64_t *zero_points;
    size_t n_scales;
    int64_t storage_min, storage_max; /* UNIFORM*: printed, i8<-127:127>, when narrower */
    uint32_t depth, weight; /* levels and parts when written out; bound what a text may ask for */
    mica_context *context;
};

mica_type mica_type_none(mica_context *context);
mica_type mica_type_index(mica_context *context);
mica_type mica_type_integer(mica_context *context, int width, mica_sign sign);
mica_type mica_type_float(mica_context *context, mica_float_kind kind);
mica_type mica_type_f32(mica_context *context);
mica_type mica_type_i64(mica_context *context); /* signless */
/* rank -1: unranked. `dims` is copied; a negative dimension is unknown (MICA_DYNAMIC). */
mica_type mica_type_tensor(mica_context *context, int rank, const int64_t *dims, mica_type element,
                           mica_attr encoding);
mica_type mica_type_function(mica_context *context, const mica_type *inputs, size_t n_inputs,
                             const mica_type *results, size_t n_results);
mica_type mica_type_calibrated(mica_context *context, mica_type expressed, double min, double max);
mica_type mica_type_uniform(mica_context *context, mica_type storage, mica_type expressed,
                            double scale, int64_t zero_point);
mica_type mica_type_uniform_axis(mica_context *context, mica_type storage, mica_type expressed,
                                 int axis, const double *scales, const int64_t *zero_points,
                                 size_t n_scales); /* zero_points NULL: all 0 */

/* The general form: axis -1 gives a per-tensor type (one scale), and the storage range may be
 * narrower than the storage type (i8<-127:127>). zero_points must be given. */
mica_type mica_type_uniform_ranged(mica_context *context, mica_type storage, mica_type expressed,
                                   int axis, const double *scales, const int64_t *zero_points,
                                   size_t n_scales, int64_t storage_min, int64_t storage_max);
/* Smallest and largest value of an integer type (a u64 is cut to INT64_MAX). */
void mica_type_integer_range(mica_type integer, int64_t *out_min, int64_t *out_max);

bool mica_type_is_tensor(mica_type type);
bool mica_type_is_none(mica_type type);
/* Ranked with every dimension known. */
bool mica_type_is_static(mica_type type);
/* Elements of a static tensor (1 for rank 0), INT64_MAX if it does not fit. */
int64_t mica_type_count(mica_type type);
/* Same shape and encoding with another element type. */
mica_type mica_type_with_element(mica_type tensor, mica_type element);
/* Element type of a tensor; the type itself otherwise. */
mica_type mica_type_element(mica_type type);
bool mica_type_is_float(mica_type element, mica_float_kind kind);
bool mica_type_is_quant(mica_type element);      /* UNIFORM or UNIFORM_AXIS */
bool mica_type_is_calibrated(mica_type element);
/* Text form on the context's arena, as the printer writes it. */
const char *mica_type_text(mica_type type);

#endif
