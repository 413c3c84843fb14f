/* TensorProto to arrays: raw bytes, typed fields, external files. Every size is checked. */
#include "frontends/onnx/onnx_internal.h"

#include "runtime/mrt_small.h"
#include "utils/checked.h"
#include "utils/file.h"
#include "utils/half.h"
#include "utils/strings.h"

#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* ONNX data type with its number, its runtime type, the field that holds its elements when raw_data
 * does not. The schema that the reader is made from may be older than the last types. */
#define TYPE_LIST(X)                                                                               \
    X(FLOAT, 1, F32, float_data)                                                                   \
    X(UINT8, 2, U8, int32_data)                                                                    \
    X(INT8, 3, I8, int32_data)                                                                     \
    X(UINT16, 4, U16, int32_data)                                                                  \
    X(INT16, 5, I16, int32_data)                                                                   \
    X(INT32, 6, I32, int32_data)                                                                   \
    X(INT64, 7, I64, int64_data)                                                                   \
    X(BOOL, 9, BOOL, int32_data)                                                                   \
    X(FLOAT16, 10, F16, int32_data)                                                                \
    X(DOUBLE, 11, F64, double_data)                                                                \
    X(UINT32, 12, U32, uint64_data)                                                                \
    X(UINT64, 13, U64, uint64_data)                                                                \
    X(BFLOAT16, 16, BF16, int32_data)                                                              \
    X(FLOAT8E4M3FN, 17, F8E4M3FN, int32_data)                                                      \
    X(FLOAT8E4M3FNUZ, 18, F8E4M3FNUZ, int32_data)                                                  \
    X(FLOAT8E5M2, 19, F8E5M2, int32_data)                                                          \
    X(FLOAT8E5M2FNUZ, 20, F8E5M2FNUZ, int32_data)                                                  \
    X(UINT4, 21, U4, int32_data)                                                                   \
    X(INT4, 22, I4, int32_data)                                                                    \
    X(FLOAT4E2M1, 23, F4E2M1FN, int32_data)                                                        \
    X(FLOAT8E8M0, 24, F8E8M0FNU, int32_data)                                                       \
    X(UINT2, 25, U2, int32_data)                                                                   \
    X(INT2, 26, I2, int32_data)                                                                    \
    X(FLOAT6E2M3, 27, F6E2M3FN, int32_data)                                                        \
    X(FLOAT6E3M2, 28, F6E3M2FN, int32_data)

typedef struct field_view {
    const void *data;
    size_t count, item; /* elements and bytes of each in the field */
} field_view;

mrt_dtype mica_onnx_dtype(int32_t data_type) {
    switch (data_type) {
#define X(name, number, type, field)                                                               \
    case number:                                                                                   \
        return MRT_##type;
        TYPE_LIST(X)
#undef X
    default:
        return MRT_DTYPE_NONE;
    }
}

mrt_dtype mica_onnx_computed(mrt_dtype dtype) {
    return dtype == MRT_F16 || dtype == MRT_BF16 ? MRT_F32 : dtype;
}

const char *mica_onnx_dtype_name(mica_arena *arena, int32_t data_type) {
    switch (data_type) {
#define X(name, number, type, field)                                                               \
    case number:                                                                                   \
        return #name;
        TYPE_LIST(X)
#undef X
    default:
        break;
    }
    const ProtobufCEnumValue *value = protobuf_c_enum_descriptor_get_value(
        &onnx__tensor_proto__data_type__descriptor, data_type);
    return value != NULL ? value->name : mica_arena_printf(arena, "type %d", data_type);
}

static field_view typed_field(const Onnx__TensorProto *t) {
    switch (t->data_type) {
#define X(name, number, type, field)                                                               \
    case number:                                                                                   \
        return (field_view){t->field, t->n_##field, sizeof *t->field};
        TYPE_LIST(X)
#undef X
    default:
        return (field_view){NULL, 0, 1};
    }
}

static mica_status read_shape(const Onnx__TensorProto *t, mica_onnx_tensor *out, mica_error *err) {
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
    return MICA_OK;
}

/* Bytes of `count` elements in a file: types below 8 bits are packed. */
static size_t file_bytes(mrt_dtype dtype, int64_t count) {
    const size_t bits = (size_t)mrt_small_bits(dtype), n = (size_t)count;
    return bits == 0 ? n * mrt_dtype_bytes(dtype) : n / 8 * bits + (n % 8 * bits + 7) / 8;
}

/* Elements as they lie in memory, from as they lie in a file: one a byte, extended. */
static const void *from_file(mica_arena *arena, const mica_onnx_tensor *t, const void *data) {
    if (mrt_small_bits(t->dtype) % 8 == 0) {
        return data;
    }
    uint8_t *bytes = mica_arena_alloc(arena, (size_t)t->count);
    mrt_small_unpack(t->dtype, data, bytes, t->count);
    return bytes;
}

/* Typed fields hold small types as int32 and 32-bit unsigned as uint64: elements are narrowed. An
 * int32 holds a byte of packed 4- or 2-bit elements, but a single one of 6 bits. */
static mica_status narrow(mica_arena *arena, const field_view *field, mica_onnx_tensor *out,
                          mica_error *err) {
    const bool packed = mrt_small_bits(out->dtype) == 4 || mrt_small_bits(out->dtype) == 2;
    const size_t places = packed ? file_bytes(out->dtype, out->count) : (size_t)out->count;
    if (field->count != places) {
        return mica_fail(err, "%zu elements for %zu places", field->count, places);
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
    out->data = packed ? from_file(arena, out, data) : data;
    return MICA_OK;
}

/* Kernels read elements through typed pointers; bytes in a file may lie anywhere. */
static const void *aligned(mica_arena *arena, mrt_dtype dtype, const void *data, size_t bytes) {
    return (uintptr_t)data % mrt_dtype_bytes(dtype) != 0 ? mica_arena_memdup(arena, data, bytes)
                                                          : data;
}

static mica_status read_bytes(mica_arena *arena, const Onnx__TensorProto *t, mica_onnx_tensor *out,
                              mica_error *err) {
    const size_t bytes = file_bytes(out->dtype, out->count);
    if (t->has_raw_data && (t->raw_data.len > 0 || typed_field(t).count == 0)) {
        if (t->raw_data.len != bytes) {
            return mica_fail(err, "%zu bytes of data for %zu bytes of %" PRId64 " elements %s",
                             t->raw_data.len, bytes, out->count, mrt_dtype_name(out->dtype));
        }
        const void *data = from_file(arena, out, t->raw_data.data);
        out->data = bytes > 0 ? aligned(arena, out->dtype, data, bytes) : mica_arena_alloc(arena, 0);
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
                         mica_error *err) {
    *out = (mica_onnx_tensor){.dtype = mica_onnx_dtype(t->data_type)};
    if (out->dtype == MRT_DTYPE_NONE) {
        return mica_fail(err, "element type %s is not supported",
                         mica_onnx_dtype_name(arena, t->data_type));
    }
    if (t->segment != NULL) {
        return mica_fail(err, "tensors in segments are not supported");
    }
    return read_shape(t, out, err);
}

mica_status mica_onnx_tensor_inline(mica_arena *arena, const Onnx__TensorProto *t,
                                    mica_onnx_tensor *out, mica_error *err) {
    mica_onnx_tensor tensor;
    MICA_TRY(start(arena, t, &tensor, err));
    MICA_TRY(read_bytes(arena, t, &tensor, err));
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
                                 mica_onnx_tensor *out, const mica_mapped **out_file,
                                 const void **out_from, mica_error *err) {
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
    out->data = from_file(im->module->arena, out, file->data + offset);
    out->data = aligned(im->module->arena, out->dtype, out->data, bytes);
    *out_file = file;
    *out_from = file->data + offset;
    return MICA_OK;
}

mica_status mica_onnx_tensor_read(mica_onnx_importer *im, const Onnx__TensorProto *t,
                                  mica_onnx_tensor *out, mica_error *err) {
    const bool external = t->has_data_location &&
                          t->data_location == ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL;
    mica_onnx_tensor tensor;
    const mica_mapped *file = im->file;
    const void *from = t->raw_data.data;
    size_t bytes = t->raw_data.len;
    if (external) {
        MICA_TRY(start(im->arena, t, &tensor, err));
        bytes = file_bytes(tensor.dtype, tensor.count);
        MICA_TRY(read_external(im, t, bytes, &tensor, &file, &from, err));
        if (tensor.dtype == MRT_BOOL) {
            normalize_bools(im->module->arena, &tensor);
        }
    } else {
        MICA_TRY(mica_onnx_tensor_inline(im->module->arena, t, &tensor, err));
    }
    mica_onnx_widen(im->module->arena, &tensor);
    if (file != NULL && from != NULL && tensor.data != from) {
        mica_map_drop(file, from, bytes); /* copied: two copies would count twice */
    }
    *out = tensor;
    return MICA_OK;
}
