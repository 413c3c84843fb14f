/* SequenceProto and OptionalProto are not part of onnx.proto. Their few fields are read here from
 * the wire format: name = 1, element kind = 2, tensors = 3, sequences = 5. */
#include "test/onnx_nodes/case_data.h"

#include "utils/file.h"

#include <string.h>

enum { FIELD_TENSOR = 3, FIELD_SEQUENCE = 5, VARINT = 0, BYTES = 2 };

typedef struct reader {
    mica_arena *arena;
    case_data *out;
    mica_error *err;
} reader;

typedef struct span {
    const uint8_t *data;
    size_t size;
} span;

static bool varint(span *s, uint64_t *out) {
    *out = 0;
    for (unsigned shift = 0; s->size > 0 && shift < 64; shift += 7) {
        const uint8_t byte = *s->data;
        s->data++;
        s->size--;
        *out |= (uint64_t)(byte & 0x7f) << shift;
        if ((byte & 0x80) == 0) {
            return true;
        }
    }
    return false;
}

/* Takes one field off `s`; *out_number is 0 for a number. */
static bool next_field(span *s, uint64_t *out_number, span *out) {
    uint64_t tag = 0, value = 0;
    if (!varint(s, &tag) || !varint(s, &value)) {
        return false;
    }
    *out_number = (tag & 7) == BYTES ? tag >> 3 : 0;
    if ((tag & 7) == VARINT) {
        return true;
    }
    if ((tag & 7) != BYTES || value > s->size) {
        return false;
    }
    *out = (span){s->data, (size_t)value};
    s->data += value;
    s->size -= (size_t)value;
    return true;
}

static bool read_tensor(reader *r, char *name, span s) {
    if (r->out->count == CASE_MAX_ITEMS) {
        return mica_fail(r->err, "more than %d tensors", CASE_MAX_ITEMS) == MICA_OK;
    }
    if (mica_onnx_scan(&onnx__tensor_proto__descriptor, s.data, s.size, r->err) != MICA_OK) {
        return false;
    }
    Onnx__TensorProto *proto = onnx__tensor_proto__unpack(NULL, s.size, s.data);
    case_item *item = &r->out->items[r->out->count];
    if (proto == NULL) {
        return mica_fail(r->err, "no tensor") == MICA_OK;
    }
    item->name = name;
    r->out->count++; /* `proto` holds the data and ends with the process */
    return mica_onnx_tensor_inline(r->arena, proto, &item->tensor, r->err) == MICA_OK;
}

/* "[1,2]". */
static const char *shape_text(mica_arena *arena, const mrt_shape *shape) {
    const char *text = "[";
    for (int i = 0; i < shape->rank; i++) {
        text = mica_arena_printf(arena, "%s%s%lld", text, i > 0 ? "," : "",
                                 (long long)shape->dims[i]);
    }
    return mica_arena_printf(arena, "%s]", text);
}

static bool read_sequence(reader *r, char *name, span s) {
    const char *shapes = "";
    for (size_t n = 0; s.size > 0;) {
        uint64_t number = 0;
        span field = {0};
        if (!next_field(&s, &number, &field)) {
            return mica_fail(r->err, "no sequence") == MICA_OK;
        }
        if (number == FIELD_TENSOR) {
            if (!read_tensor(r, mica_arena_printf(r->arena, "%s.%zu", name, n++), field)) {
                return false;
            }
            const mrt_shape *shape = &r->out->items[r->out->count - 1].tensor.shape;
            shapes = mica_arena_printf(r->arena, "%s%s%s", shapes, shapes[0] != '\0' ? "," : "",
                                       shape_text(r->arena, shape));
        }
    }
    r->out->shapes = mica_arena_printf(r->arena, "%s,%s:[%s]", r->out->shapes, name, shapes);
    return true;
}

static bool read_optional(reader *r, char *name, span s) {
    while (s.size > 0) {
        uint64_t number = 0;
        span field = {0};
        if (!next_field(&s, &number, &field)) {
            return mica_fail(r->err, "no optional") == MICA_OK;
        }
        if (number == FIELD_TENSOR) {
            return read_tensor(r, name, field);
        }
        if (number == FIELD_SEQUENCE) {
            return read_sequence(r, name, field);
        }
    }
    r->out->shapes = mica_arena_printf(r->arena, "%s,%s:none", r->out->shapes, name);
    return true;
}

/* The cases store bfloat16 as uint16; the model says what it is. */
static void fix_bfloat16(const Onnx__TypeProto *type, mica_onnx_tensor *t) {
    if (type->value_case == ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE &&
        type->tensor_type->elem_type == ONNX__TENSOR_PROTO__DATA_TYPE__BFLOAT16 &&
        t->dtype == MRT_U16) {
        t->dtype = MRT_BF16;
    }
}

static bool read_value(reader *r, const Onnx__ValueInfoProto *info, span s) {
    switch (info->type->value_case) {
    case ONNX__TYPE_PROTO__VALUE_SEQUENCE_TYPE:
        return read_sequence(r, info->name, s);
    case ONNX__TYPE_PROTO__VALUE_OPTIONAL_TYPE:
        return read_optional(r, info->name, s);
    default:
        if (!read_tensor(r, info->name, s)) {
            return false;
        }
        fix_bfloat16(info->type, &r->out->items[r->out->count - 1].tensor);
        return true;
    }
}

bool case_data_read(mica_arena *arena, const char *set, const char *kind,
                    Onnx__ValueInfoProto *const *infos, size_t n_infos, case_data *out,
                    mica_error *err) {
    reader r = {arena, out, err};
    *out = (case_data){.shapes = ""};
    for (size_t i = 0; i < n_infos; i++) {
        const char *path = mica_arena_printf(arena, "%s/%s_%zu.pb", set, kind, i);
        char *bytes = NULL;
        size_t size = 0;
        if (!mica_file_exists(path)) {
            break;
        }
        if (mica_read_file(path, (size_t)1 << 30, &bytes, &size, err) != MICA_OK) {
            return false;
        }
        /* The bytes are not freed: tensors may point into them. */
        if (!read_value(&r, infos[i], (span){(const uint8_t *)bytes, size})) {
            return false;
        }
    }
    out->shapes += out->shapes[0] == ',';
    return true;
}
