/* What the IR knows about a registered op: pure data from dialects/ops.def plus two hooks. */
#ifndef MICA_IR_OP_INFO_H
#define MICA_IR_OP_INFO_H

#include "ir/attr.h"

/* Operand kinds of a row. */
typedef enum mica_operand_arity { MICA_ONE, MICA_OPTIONAL, MICA_VARIADIC } mica_operand_arity;
typedef struct mica_operand_info {
    const char *name;
    mica_operand_arity arity; /* OPTIONAL: a value of type none stands for "absent" */
} mica_operand_info;

/* Attribute kinds of a row; the verifier checks them. */
typedef enum mica_attr_class {
    MICA_A_I64, MICA_A_F64, MICA_A_BOOL, MICA_A_STR, MICA_A_I64S, MICA_A_F64S, MICA_A_DICT,
    MICA_A_ANY
} mica_attr_class;
typedef struct mica_attr_info {
    const char *name;
    mica_attr_class kind;
    bool required;
    const char *fallback; /* MLIR text of the default; NULL: required, or absent means "not set" */
    const char *choices;  /* STR: "a|b|c", else NULL */
    const char *doc;
} mica_attr_info;

/* Trait bits. */
enum {
    MICA_PURE = 1,         /* no side effect: may be erased, folded, merged with an equal op */
    MICA_SAME_SHAPE = 2,   /* result 0 has the shape of operand 0 */
    MICA_ELEMENTWISE = 4,  /* broadcasts numpy-like, works element by element */
    MICA_MOVEMENT = 8,     /* moves elements without computing: quantization passes through */
    MICA_COMMUTATIVE = 16, /* operands 0 and 1 may be swapped */
    MICA_CAN_FUSE_RELU = 32, /* has do_relu / relu_limit */
    MICA_VARIADIC_RESULTS = 64,
    MICA_IS_CONSTANT = 128,  /* names a constant (Weight) */
    MICA_FLOAT_ONLY = 256,   /* no integer form in any processor */
    MICA_TERMINATOR = 512,
    MICA_VALUE_IN_PLACE = 1024, /* result has the operand's bytes (Reshape...) */
    MICA_SIZES_ITSELF = 2048, /* its kernel decides how large a result is: see dialects/live.h */
};

/* Checks what the row cannot say. Operand and attribute kinds are already right. Emits at least one
 * diagnostic when it returns MICA_FAIL. */
typedef mica_status mica_verify_fn(const mica_op *op);
/* Writes the result types that follow from operand types, attributes and constant operands.
 * Returns MICA_FAIL with a diagnostic when operands are inconsistent. A result that cannot be known
 * yet (unknown operand shapes) gets an unranked tensor. */
typedef mica_status mica_infer_fn(const mica_op *op, mica_type *out_results);

struct mica_op_info {
    const char *name;      /* "top.Conv" */
    const char *summary;
    uint32_t code;         /* pinned */
    uint32_t traits;
    const mica_operand_info *operands;
    size_t n_operands;
    int n_results;         /* minimum when MICA_VARIADIC_RESULTS */
    const mica_attr_info *attrs;
    size_t n_attrs;
    mica_verify_fn *verify; /* may be NULL */
    mica_infer_fn *infer;   /* may be NULL */
};

#endif
