/* Element types of the IR and of the runtime. */
#include "dialects/plan.h"

#include <string.h>

#include "runtime/mrt_small.h"

/* Runtime types and their builtin types. */
static const struct {
    mrt_dtype dtype;
    int width; /* of an integer type; 0: a float */
    mica_sign sign;
    mica_float_kind kind;
} builtins[] = {
    {MRT_F32, 0, 0, MICA_F32},
    {MRT_F16, 0, 0, MICA_F16},
    {MRT_BF16, 0, 0, MICA_BF16},
    {MRT_F64, 0, 0, MICA_F64},
    {MRT_I8, 8, MICA_SIGNLESS, 0},
    {MRT_U8, 8, MICA_UNSIGNED, 0},
    {MRT_I16, 16, MICA_SIGNLESS, 0},
    {MRT_U16, 16, MICA_UNSIGNED, 0},
    {MRT_I32, 32, MICA_SIGNLESS, 0},
    {MRT_U32, 32, MICA_UNSIGNED, 0},
    {MRT_I64, 64, MICA_SIGNLESS, 0},
    {MRT_U64, 64, MICA_UNSIGNED, 0},
    {MRT_BOOL, 1, MICA_SIGNLESS, 0},
    {MRT_F8E4M3FN, 0, 0, MICA_F8E4M3FN},
    {MRT_F8E4M3FNUZ, 0, 0, MICA_F8E4M3FNUZ},
    {MRT_F8E5M2, 0, 0, MICA_F8E5M2},
    {MRT_F8E5M2FNUZ, 0, 0, MICA_F8E5M2FNUZ},
    {MRT_F8E8M0FNU, 0, 0, MICA_F8E8M0FNU},
    {MRT_F6E2M3FN, 0, 0, MICA_F6E2M3FN},
    {MRT_F6E3M2FN, 0, 0, MICA_F6E3M2FN},
    {MRT_F4E2M1FN, 0, 0, MICA_F4E2M1FN},
    {MRT_I4, 4, MICA_SIGNLESS, 0},
    {MRT_U4, 4, MICA_UNSIGNED, 0},
    {MRT_I2, 2, MICA_SIGNLESS, 0},
    {MRT_U2, 2, MICA_UNSIGNED, 0},
};

/* Signed and signless integers are the same to the runtime; i1 is a bool whatever its sign. */
static mrt_dtype integer_dtype(mica_type type) {
    const bool is_unsigned = type->sign == MICA_UNSIGNED && type->width > 1;
    for (size_t i = 0; i < MICA_COUNT(builtins); i++) {
        if (builtins[i].width == type->width &&
            (builtins[i].sign == MICA_UNSIGNED) == is_unsigned) {
            return builtins[i].dtype;
        }
    }
    return MRT_DTYPE_NONE;
}

static mrt_dtype float_dtype(mica_float_kind kind) {
    for (size_t i = 0; i < MICA_COUNT(builtins); i++) {
        if (builtins[i].width == 0 && builtins[i].kind == kind) {
            return builtins[i].dtype;
        }
    }
    return MRT_DTYPE_NONE;
}

int mica_type_quant_bits(mica_type element) {
    const bool quantized =
        element && (element->kind == MICA_TYPE_UNIFORM || element->kind == MICA_TYPE_UNIFORM_AXIS);
    return quantized ? element->storage->width : 0;
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
        /* Quantized values of 4 bits are computed with as bytes. */
        return mica_type_quant_bits(element) == 4 ? mrt_small_base(mica_dtype_of(element->storage))
                                                  : mica_dtype_of(element->storage);
    default:
        return MRT_DTYPE_NONE;
    }
}

mica_type mica_type_of_dtype(mica_context *context, mrt_dtype dtype) {
    for (size_t i = 0; i < MICA_COUNT(builtins); i++) {
        if (builtins[i].dtype == dtype) {
            return builtins[i].width == 0
                       ? mica_type_float(context, builtins[i].kind)
                       : mica_type_integer(context, builtins[i].width, builtins[i].sign);
        }
    }
    return NULL;
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
    char text[16] = {0};
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
