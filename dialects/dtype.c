/* Element types of the IR and of the runtime. */
#include "dialects/plan.h"

#include <string.h>

static mrt_dtype integer_dtype(mica_type type) {
    const bool is_unsigned = type->sign == MICA_UNSIGNED;
    switch (type->width) {
    case 1:
        return MRT_BOOL;
    case 8:
        return is_unsigned ? MRT_U8 : MRT_I8;
    case 16:
        return is_unsigned ? MRT_U16 : MRT_I16;
    case 32:
        return is_unsigned ? MRT_U32 : MRT_I32;
    case 64:
        return is_unsigned ? MRT_U64 : MRT_I64;
    default:
        return MRT_DTYPE_NONE;
    }
}

static mrt_dtype float_dtype(mica_float_kind kind) {
    switch (kind) {
    case MICA_F16:
        return MRT_F16;
    case MICA_BF16:
        return MRT_BF16;
    case MICA_F32:
        return MRT_F32;
    case MICA_F64:
        return MRT_F64;
    default:
        return MRT_DTYPE_NONE;
    }
}

mrt_dtype mica_dtype_of(mica_type element) {
    if (!element) {
        return MRT_DTYPE_NONE;
    }
    switch (element->kind) {
    case MICA_TYPE_INDEX:
        return MRT_I64;
    case MICA_TYPE_INTEGER:
        return integer_dtype(element);
    case MICA_TYPE_FLOAT:
        return float_dtype(element->float_kind);
    case MICA_TYPE_CALIBRATED:
        return mica_dtype_of(element->element);
    case MICA_TYPE_UNIFORM:
    case MICA_TYPE_UNIFORM_AXIS:
        return mica_dtype_of(element->storage);
    default:
        return MRT_DTYPE_NONE;
    }
}

mica_type mica_type_of_dtype(mica_context *context, mrt_dtype dtype) {
    switch (dtype) {
    case MRT_F32:
        return mica_type_float(context, MICA_F32);
    case MRT_F16:
        return mica_type_float(context, MICA_F16);
    case MRT_BF16:
        return mica_type_float(context, MICA_BF16);
    case MRT_F64:
        return mica_type_float(context, MICA_F64);
    case MRT_BOOL:
        return mica_type_integer(context, 1, MICA_SIGNLESS);
    case MRT_I8:
    case MRT_I16:
    case MRT_I32:
    case MRT_I64:
        return mica_type_integer(context, 8 * (int)mrt_dtype_bytes(dtype), MICA_SIGNLESS);
    case MRT_U8:
    case MRT_U16:
    case MRT_U32:
    case MRT_U64:
        return mica_type_integer(context, 8 * (int)mrt_dtype_bytes(dtype), MICA_UNSIGNED);
    default:
        return NULL;
    }
}

const char *mica_descr_of_dtype(mrt_dtype dtype) {
    switch (dtype) {
#define X(name, code, bytes, text, descr)                                                          \
    case MRT_##name:                                                                               \
        return descr;
        MRT_DTYPE_LIST(X)
#undef X
    default:
        return "";
    }
}

mrt_dtype mica_dtype_of_name(const char *name) {
    char text[8] = {0};
    /* MLIR writes unsigned types as ui8, the runtime as u8. */
    const bool mlir_unsigned = strncmp(name, "ui", 2) == 0;
    if (strlen(name) >= sizeof text) {
        return MRT_DTYPE_NONE;
    }
    strcpy(text, mlir_unsigned ? name + 1 : name);
    if (mlir_unsigned) {
        text[0] = 'u';
    }
#define X(dtype, code, bytes, spelled, descr)                                                      \
    if (strcmp(spelled, text) == 0) {                                                              \
        return MRT_##dtype;                                                                        \
    }
    MRT_DTYPE_LIST(X)
#undef X
    return MRT_DTYPE_NONE;
}
