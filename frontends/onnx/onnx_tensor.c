/* TensorProto to arrays: raw bytes, typed fields, external files. Every size is checked. */
#include "frontends/onnx/onnx_internal.h"

#include "utils/checked.h"
#include "utils/file.h"
#include "utils/half.h"
#include "utils/strings.h"

#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* ONNX data type, its runtime type, the field that holds its elements when raw_data does not */
#define TYPE_LIST(X)                                                                               \
    X(FLOAT, F32, float_data)                                                                      \
    X(UINT8, U8, int32_data)                                                                       \
    X(INT8, I8, int32_data)                                                                        \
    X(UINT16, U16, int32_data)                                                                     \
    X(INT16, I16, int32_data)                                                                      \
    X(INT32, I32, int32_data)                                                                      \
    X(INT64, I64, int64_data)                                                                      \
    X(BOOL, BOOL, int32_data)                                                                      \
    X(FLOAT16, F16, int32_data)                                                                    \
    X(DOUBLE, F64, double_data)                                                                    \
    X(UINT32, U32, uint64_data)                                                                    \
    X(UINT64, U64, uint64_data)                                                                    \
    X(BFLOAT16, BF16, int32_data)

typedef struct field_view {
    const void *data;
    size_t count, item; /* elements and bytes of each in the field */
} field_view;

mrt_dtype mica_onnx_dtype(int32_t data_type) {
    switch (data_type) {
#define X(name, type, field)                                                                       \
    case ONNX__TENSOR_PROTO__DATA_TYPE__##name:                                                    \
        return MRT_##type;
        TYPE_LIST(X)
#undef X
    default:
        return MRT_DTYPE_NONE;
    }
}

mrt_dtype mica_onnx_computed(mrt_dtype dtype, bool constant) {
    const bool narrow = dtype == MRT_F16 || dtype == MRT_BF16;
    return narrow || (dtype == MRT_F64 && !constant) ? MRT_F32 : dtype;
}

const char *mica_onnx_dtype_name(mica_arena *arena, int32_t data_type) {
    const ProtobufCEnumValue *value = protobuf_c_enum_descriptor_get_value(
        &onnx__tensor_proto__data_type__descriptor, data_type);
    return value != NULL ? value->name : mica_arena_printf(arena, "type %d", data_type);
}

static field_view typed_field(const Onnx__TensorProto *t) {
    switch (t->data_type) {
#define X(name, type, field)                                                                       \
    case ONNX__TENSOR_PROTO__DATA_TYPE__##name:                                                    \
        return (field_view){t->field, t->n_##field, sizeof *t->field};
        TYPE_LIST(X)
#undef X
    default:
        return (field_view){NULL, 0, 1};
    }
}

static mica_status read_shape(const Onnx__TensorProto *t, mica_onnx_tensor *out, size_t *out_bytes,
                              mica_error *err) {
    if (t->n_dims > MRT_MAX_RANK) {
        return mica_fail(err, "rank %zu is not supported, at most %d", t->n_dims, MRT_MAX_RANK);
    }
    out->shape.rank = (int32_t)t->n_dims;
    out->count = 1;
    int64_t bytes = (int64_t)mrt_dtype_bytes(out->dtype);
    bool empty = false, fits = true;
    for (size_t i = 0; i < t->n_dims; i++) {
        if (t->dims[i] < 0) {
            return mica_fail(err, "dimension %zu is %" PRId64 ", expected 0 or more", i,
                             t->dims[i]);
        }
        out->shape.dims[i] = t->dims[i];
        empty = empty || t->dims[i] == 0;
        fits = fits && mica_mul_ok(bytes, t->dims[i], &bytes);
    }
    if (!fits && !empty) {
        return mica_fail(err, "the product of its dimensions overflows");
    }
    out->count = empty ? 0 : bytes / (int64_t)mrt_dtype_bytes(out->dtype);
    *out_bytes = empty ? 0 : (size_t)bytes;
    return MICA_OK;
}

/* Typed fields hold small types as int32 and 32-bit unsigned as uint64: elements are narrowed. */
static mica_status narrow(mica_arena *arena, const field_view *field, mica_onnx_tensor *out,
                          mica_error *err) {
    if (field->count != (size_t)out->count) {
        return mica_fail(err, "%zu elements for %" PRId64 " places", field->count, out->count);
    }
    const size_t bytes = mrt_dtype_bytes(out->dtype);
    if (bytes == field->item) {
        out->data = field->data != NULL ? field->data : mica_arena_alloc(arena, 0);
        return MICA_OK;
    }
    uint8_t *data = mica_arena_array(arena, field->count, bytes);
    for (size_t i = 0; i < field->count; i++) {
        /* little endian: the low bytes come first */
        memcpy(data + i * bytes, (const uint8_t *)field->data + i * field->item, bytes);
    }
    out->data = data;
    return MICA_OK;
}

static mica_status read_bytes(mica_arena *arena, const Onnx__TensorProto *t, size_t bytes,
                              mica_onnx_tensor *out, mica_error *err) {
    if (t->has_raw_data && (t->raw_data.len > 0 || typed_field(t).count == 0)) {
        if (t->raw_data.len != bytes) {
            return mica_fail(err, "%zu bytes of data for %zu bytes of %" PRId64 " elements %s",
                             t->raw_data.len, bytes, out->count, mrt_dtype_name(out->dtype));
        }
        out->data = bytes > 0 ? t->raw_data.data : mica_arena_alloc(arena, 0);
    } else {
        const field_view field = typed_field(t);
        MICA_TRY(narrow(arena, &field, out, err));
    }
    return MICA_OK;
}

/* Any byte but 0 counts as true: kernels rely on 0 and 1. */
static void normalize_bools(mica_arena *arena, mica_onnx_tensor *out) {
    const uint8_t *from = out->data;
    int64_t i = 0;
    while (i < out->count && from[i] <= 1) {
        i++;
    }
    if (i == out->count) {
        return;
    }
    uint8_t *to = mica_arena_alloc(arena, (size_t)out->count);
    for (i = 0; i < out->count; i++) {
        to[i] = from[i] != 0;
    }
    out->data = to;
}

void mica_onnx_widen(mica_arena *arena, mica_onnx_tensor *tensor) {
    if (tensor->dtype != MRT_F16 && tensor->dtype != MRT_BF16) {
        return;
    }
    const bool half = tensor->dtype == MRT_F16;
    const uint16_t *from = tensor->data;
    float *to = mica_arena_array(arena, (size_t)tensor->count, sizeof *to);
    for (int64_t i = 0; i < tensor->count; i++) {
        to[i] = half ? mica_f16_to_f32(from[i]) : mica_bf16_to_f32(from[i]);
    }
    tensor->dtype = MRT_F32;
    tensor->data = to;
}

static mica_status start(mica_arena *arena, const Onnx__TensorProto *t, mica_onnx_tensor *out,
                         size_t *out_bytes, mica_error *err) {
    *out = (mica_onnx_tensor){.dtype = mica_onnx_dtype(t->data_type)};
    if (out->dtype == MRT_DTYPE_NONE) {
        return mica_fail(err, "element type %s is not supported",
                         mica_onnx_dtype_name(arena, t->data_type));
    }
    if (t->segment != NULL) {
        return mica_fail(err, "tensors in segments are not supported");
    }
    return read_shape(t, out, out_bytes, err);
}

mica_status mica_onnx_tensor_inline(mica_arena *arena, const Onnx__TensorProto *t,
                                    mica_onnx_tensor *out, mica_error *err) {
    size_t bytes = 0;
    mica_onnx_tensor tensor;
    MICA_TRY(start(arena, t, &tensor, &bytes, err));
    MICA_TRY(read_bytes(arena, t, bytes, &tensor, err));
    if (tensor.dtype == MRT_BOOL) {
        normalize_bools(arena, &tensor);
    }
    *out = tensor;
    return MICA_OK;
}

static void release_mapping(void *object) {
    mica_unmap_file(object);
    mica_free(object);
}

/* Path of an external file, which must lie in the model's folder, links resolved. */
static mica_status external_path(mica_onnx_importer *im, const char *location, char **out,
                                 mica_error *err) {
    char folder[PATH_MAX], target[PATH_MAX];
    if (location == NULL || location[0] == '\0' || location[0] == '/') {
        return mica_fail(err, "external data has location '%s', expected a path relative to the "
                              "model", location != NULL ? location : "");
    }
    const char *dir = mica_path_dir(im->arena, im->path);
    char *joined = mica_path_join(im->arena, dir, location);
    if (realpath(dir, folder) == NULL || realpath(joined, target) == NULL) {
        return mica_fail(err, "external data file '%s' does not exist", location);
    }
    const size_t n = strcmp(folder, "/") == 0 ? 0 : strlen(folder);
    if (strncmp(folder, target, n) != 0 || target[n] != '/') {
        return mica_fail(err, "external data file '%s' is outside of the model's folder", location);
    }
    *out = joined;
    return MICA_OK;
}

static mica_status map_external(mica_onnx_importer *im, const char *location,
                                const mica_mapped **out, mica_error *err) {
    char *path = NULL;
    MICA_TRY(external_path(im, location, &path, err));
    mica_mapped *mapped = mica_map_get(im->externals, path);
    if (mapped == NULL) {
        mapped = mica_alloc(sizeof *mapped);
        if (mica_map_file(path, mapped, err) != MICA_OK) {
            mica_free(mapped);
            return MICA_FAIL;
        }
        mica_weights_keep(im->module->weights, mapped, release_mapping);
        mica_map_set(im->externals, path, mapped);
    }
    *out = mapped;
    return MICA_OK;
}

static mica_status parse_size(const char *key, const char *text, int64_t *out, mica_error *err) {
    if (text == NULL || !mica_parse_i64(text, out) || *out < 0) {
        return mica_fail(err, "external data has %s '%s', expected a number of bytes", key,
                         text != NULL ? text : "");
    }
    return MICA_OK;
}

static mica_status read_external(mica_onnx_importer *im, const Onnx__TensorProto *t, size_t bytes,
                                 mica_onnx_tensor *out, mica_error *err) {
    const char *location = NULL;
    int64_t offset = 0, length = (int64_t)bytes;
    for (size_t i = 0; i < t->n_external_data; i++) {
        const Onnx__StringStringEntryProto *entry = t->external_data[i];
        const char *key = entry->key != NULL ? entry->key : "";
        if (strcmp(key, "location") == 0) {
            location = entry->value;
        } else if (strcmp(key, "offset") == 0) {
            MICA_TRY(parse_size(key, entry->value, &offset, err));
        } else if (strcmp(key, "length") == 0) {
            MICA_TRY(parse_size(key, entry->value, &length, err));
        }
    }
    const mica_mapped *file = NULL;
    MICA_TRY(map_external(im, location, &file, err));
    if ((size_t)length != bytes) {
        return mica_fail(err, "external data has %" PRId64 " bytes for %zu bytes of %" PRId64
                              " elements %s", length, bytes, out->count,
                         mrt_dtype_name(out->dtype));
    }
    if ((uint64_t)offset > file->size || bytes > file->size - (size_t)offset) {
        return mica_fail(err, "external data ends at byte %" PRIu64 ", but file '%s' has %zu bytes",
                         (uint64_t)offset + bytes, location, file->size);
    }
    out->data = file->data + offset;
    if ((uintptr_t)out->data % mrt_dtype_bytes(out->dtype) != 0) {
        out->data = mica_arena_memdup(im->module->arena, out->data, bytes);
    }
    return MICA_OK;
}

mica_status mica_onnx_tensor_read(mica_onnx_importer *im, const Onnx__TensorProto *t,
                                  mica_onnx_tensor *out, mica_error *err) {
    const bool external = t->has_data_location &&
                          t->data_location == ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL;
    mica_onnx_tensor tensor;
    if (external) {
        size_t bytes = 0;
        MICA_TRY(start(im->arena, t, &tensor, &bytes, err));
        MICA_TRY(read_external(im, t, bytes, &tensor, err));
        if (tensor.dtype == MRT_BOOL) {
            normalize_bools(im->module->arena, &tensor);
        }
    } else {
        MICA_TRY(mica_onnx_tensor_inline(im->module->arena, t, &tensor, err));
    }
    mica_onnx_widen(im->module->arena, &tensor);
    *out = tensor;
    return MICA_OK;
}
