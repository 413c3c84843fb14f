/* Shapes, axes and messages for the verify, infer and plan hooks. */
#ifndef MICA_DIALECTS_OP_UTIL_H
#define MICA_DIALECTS_OP_UTIL_H

#include "dialects/plan.h"
#include "ir/op.h"

#include <inttypes.h>

/* A fully known shape. */
typedef struct mica_shape {
    int rank;
    int64_t dims[MICA_MAX_RANK];
} mica_shape;

/* --- messages --------------------------------------------------------------------------------- */
/* "'top.Conv' op <text>" at the op's location; gives MICA_FAIL. A macro, so that compilers see it. */
#define mica_op_error(op, ...) (mica_op_error_text(op, __VA_ARGS__), MICA_FAIL)
void mica_op_error_text(const mica_op *op, const char *format, ...) MICA_PRINTF(2, 3);

typedef struct mica_shape_string {
    char text[200];
} mica_shape_string;
/* "[1, 3, 224]" */
mica_shape_string mica_shape_text(const mica_shape *shape);

/* --- shapes ----------------------------------------------------------------------------------- */
/* Shape of a value that is a static tensor of rank <= MICA_MAX_RANK; false for any other value and
 * for NULL. */
bool mica_shape_of(const mica_value *value, mica_shape *out);
/* The same for operand i of the op; false when it is absent. */
bool mica_operand_shape(const mica_op *op, uint32_t i, mica_shape *out);
bool mica_shapes_equal(const mica_shape *a, const mica_shape *b);
/* Product of dims[first..last); the shape is one of a value, so that it does not overflow. */
int64_t mica_dims_product(const mica_shape *shape, int first, int last);
/* Numpy broadcast of a and b; false when they do not fit. */
bool mica_shape_broadcast(const mica_shape *a, const mica_shape *b, mica_shape *out);

/* --- axes and lists --------------------------------------------------------------------------- */
/* An axis in [-rank, rank) as one in [0, rank). Fails with a message that names the attribute. */
mica_status mica_op_axis(const mica_op *op, const char *attr, int64_t axis, int rank, int *out);
/* Attribute `axis` of a verified op as an axis of operand 0, not negative. */
int mica_op_axis_of(const mica_op *op);
/* Number of elements of a list attribute must be `count`. */
mica_status mica_op_list(const mica_op *op, const char *attr, size_t count);
/* Element i of an i64 list, `fallback` when the list is absent. */
int64_t mica_op_i64_at(const mica_op *op, const char *attr, size_t i, int64_t fallback);

/* --- results ---------------------------------------------------------------------------------- */
/* Element type that a result takes over from a value: the same, but in the top dialect a calibrated
 * type gives its expressed type. */
mica_type mica_result_element(const mica_op *op, const mica_value *from);
/* All results unranked, with the element type of operand 0. */
mica_status mica_infer_unranked(const mica_op *op, mica_type *out_results);
/* A static result; fails when a dimension is negative or the element count overflows. */
mica_status mica_infer_shape_result(const mica_op *op, const mica_shape *shape, mica_type element,
                                    mica_type *out);

/* Axes [*out_first, *out_last) that a top.Shape of a tensor of that rank gives. */
void mica_shape_op_range(const mica_op *op, int rank, int *out_first, int *out_last);
/* Index of `name` in the list "a|b|c"; -1 when it is not there. */
int mica_choice_index(const char *choices, const char *name);

#endif
