/* Rows of dialects/ops.def as mica_op_info tables, and the lookup of runtime function codes. */
#include "dialects/dialects.h"
#include "dialects/hooks.h"
#include "runtime/mrt_params.h"
#include "utils/compiler.h"

#include <string.h>

/* --- operands and attributes of every row ----------------------------------------------------- */

/* Default columns: a string literal, or one of these two. */
struct mica_required_mark;
#define REQ ((struct mica_required_mark *)0)
#define UNSET ((const char *)0)
#define IS_REQUIRED(x) _Generic((x), struct mica_required_mark *: true, default: false)

#define ONE(name) {#name, MICA_ONE},
#define OPT(name) {#name, MICA_OPTIONAL},
#define MANY(name) {#name, MICA_VARIADIC},
#define ATTR(name, kind, fallback, choices, doc)                                                   \
    {name, kind, IS_REQUIRED(fallback), (const char *)(fallback), choices, doc},
#define I64(name, fallback, doc) ATTR(#name, MICA_A_I64, fallback, NULL, doc)
#define F64(name, fallback, doc) ATTR(#name, MICA_A_F64, fallback, NULL, doc)
#define BOOL(name, fallback, doc) ATTR(#name, MICA_A_BOOL, fallback, NULL, doc)
#define STR(name, fallback, doc) ATTR(#name, MICA_A_STR, fallback, NULL, doc)
#define I64S(name, fallback, doc) ATTR(#name, MICA_A_I64S, fallback, NULL, doc)
#define F64S(name, fallback, doc) ATTR(#name, MICA_A_F64S, fallback, NULL, doc)
#define CHOICE(name, fallback, choices, doc) ATTR(#name, MICA_A_STR, fallback, choices, doc)
#define LIST(...) __VA_ARGS__

/* A zero entry ends every list, because C has no empty arrays. */
#define LISTS(id, operand_list, attr_list)                                                         \
    static const mica_operand_info operands_##id[] = {LIST operand_list{NULL, MICA_ONE}};          \
    static const mica_attr_info attrs_##id[] = {                                                   \
        LIST attr_list{NULL, MICA_A_ANY, false, NULL, NULL, NULL}};
#define TOP(name, code, summary, operands, results, attrs, traits, verify, infer, plan, lower)     \
    LISTS(top_##name, operands, attrs)
#define TPU(name, code, summary, operands, results, attrs, traits, verify, infer, plan)            \
    LISTS(tpu_##name, operands, attrs)
#include "dialects/ops.def"

/* --- rows ------------------------------------------------------------------------------------- */

#define ROW(id, dialect_name, code, summary, results, traits, verify, infer)                       \
    {dialect_name, summary, code, traits, operands_##id, MICA_COUNT(operands_##id) - 1, results,   \
     attrs_##id, MICA_COUNT(attrs_##id) - 1, mica_verify_##verify, mica_infer_##infer},
#define TOP(name, code, summary, operands, results, attrs, traits, verify, infer, plan, lower)     \
    ROW(top_##name, "top." #name, code, summary, results, traits, verify, infer)
#define TPU(name, code, summary, operands, results, attrs, traits, verify, infer, plan)            \
    ROW(tpu_##name, "tpu." #name, code, summary, results, traits, verify, infer)
static const mica_op_info rows[] = {
#include "dialects/ops.def"
};

void mica_register_dialects(mica_context *context) {
    mica_register_ops(context, rows, MICA_COUNT(rows));
}

/* --- runtime function codes ------------------------------------------------------------------- */

typedef struct function_code {
    const char *name;
    int code;
} function_code;

#define UNARY(name, code, rt, summary, a, b) {#name, MRT_UNARY_##rt},
static const function_code unary_codes[] = {
    {"Relu", MRT_UNARY_RELU},
    {"Clip", MRT_UNARY_CLIP},
#include "dialects/ops.def"
};

#define BINARY(name, code, rt, summary, traits) {#name, MRT_BINARY_##rt},
static const function_code binary_codes[] = {
    {"Add", MRT_BINARY_ADD},
    {"Sub", MRT_BINARY_SUB},
    {"Mul", MRT_BINARY_MUL},
#include "dialects/ops.def"
};

static int find_code(const function_code *table, size_t count, const char *op) {
    const char *dot = strchr(op, '.');
    const char *name = dot ? dot + 1 : op;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(table[i].name, name) == 0) {
            return table[i].code;
        }
    }
    return -1;
}

int mica_unary_code(const char *op_or_mode) {
    return find_code(unary_codes, MICA_COUNT(unary_codes), op_or_mode);
}

int mica_binary_code(const char *op) {
    return find_code(binary_codes, MICA_COUNT(binary_codes), op);
}
