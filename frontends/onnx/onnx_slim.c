/* The message without its weights. protobuf-c copies every bytes field, so a model would lie in
 * memory twice. The file stays mapped instead: before unpacking, the bytes of each raw_data are
 * replaced by their place in the file, and afterwards that place becomes a pointer into the mapping.
 * What the importer does not read (doc strings, unknown fields) is left out on the way.
 * Source: Protocol Buffers wire format. */
#include "frontends/onnx/onnx_internal.h"

#include <string.h>

/* What stands in for raw data. */
typedef struct token {
    uint64_t offset, bytes;
} token;

typedef struct slimmer {
    const uint8_t *data; /* has passed mica_onnx_scan */
    size_t at;
    mica_strbuf *out;
} slimmer;

static uint64_t read_varint(slimmer *s) {
    uint64_t value = 0;
    for (int shift = 0;; shift += 7) {
        const uint8_t byte = s->data[s->at++];
        if (shift < 64) {
            value |= (uint64_t)(byte & 0x7f) << shift;
        }
        if ((byte & 0x80) == 0) {
            return value;
        }
    }
}

static void put_varint(mica_strbuf *out, uint64_t value) {
    uint8_t bytes[10];
    size_t n = 0;
    while (value >= 0x80) {
        bytes[n++] = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    bytes[n++] = (uint8_t)value;
    mica_strbuf_appendn(out, (const char *)bytes, n);
}

static void copy_message(slimmer *s, const ProtobufCMessageDescriptor *descriptor, size_t end);

/* The length is known only behind the contents: its place is kept, in the longest form. */
static void copy_inner(slimmer *s, const ProtobufCMessageDescriptor *descriptor, size_t end) {
    enum { WIDTH = 5 };
    static const char room[WIDTH];
    mica_strbuf_appendn(s->out, room, WIDTH);
    const size_t start = s->out->len;
    copy_message(s, descriptor, end);
    uint64_t length = s->out->len - start;
    for (size_t i = 0; i < WIDTH; i++, length >>= 7) {
        s->out->data[start - WIDTH + i] = (char)((length & 0x7f) | (i + 1 < WIDTH ? 0x80 : 0));
    }
}

static void copy_bytes(slimmer *s, const ProtobufCFieldDescriptor *field, size_t bytes) {
    if (field->type == PROTOBUF_C_TYPE_BYTES && strcmp(field->name, "raw_data") == 0) {
        const token place = {s->at, bytes};
        put_varint(s->out, sizeof place);
        mica_strbuf_appendn(s->out, (const char *)&place, sizeof place);
    } else {
        put_varint(s->out, bytes);
        mica_strbuf_appendn(s->out, (const char *)s->data + s->at, bytes);
    }
}

static void copy_field(slimmer *s, const ProtobufCMessageDescriptor *descriptor) {
    const uint64_t key = read_varint(s);
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field(descriptor, (unsigned)(key >> 3));
    const bool keep = field != NULL && strcmp(field->name, "doc_string") != 0;
    if (keep) {
        put_varint(s->out, key);
    }
    size_t end = s->at;
    switch (key & 7) {
    case 0:
        read_varint(s);
        break;
    case 2: {
        const uint64_t length = read_varint(s);
        end = s->at + (size_t)length;
        if (keep && field->type == PROTOBUF_C_TYPE_MESSAGE) {
            copy_inner(s, field->descriptor, end);
        } else if (keep) {
            copy_bytes(s, field, (size_t)length);
        }
        s->at = end;
        return;
    }
    default:
        s->at += (key & 7) == 1 ? 8 : 4;
        break;
    }
    if (keep) {
        mica_strbuf_appendn(s->out, (const char *)s->data + end, s->at - end);
    }
}

/* The recursion is as deep as messages are nested, which the scan has bounded. */
static void copy_message(slimmer *s, const ProtobufCMessageDescriptor *descriptor, size_t end) {
    while (s->at < end) {
        copy_field(s, descriptor);
    }
}

void mica_onnx_slim(const uint8_t *data, size_t size, mica_strbuf *out) {
    slimmer s = {.data = data, .out = out};
    copy_message(&s, &onnx__model_proto__descriptor, size);
}

/* --- back to pointers ------------------------------------------------------------------------ */
static void attach_tensor(Onnx__TensorProto *t, const uint8_t *data, ProtobufCAllocator *allocator) {
    token place;
    if (!t->has_raw_data || t->raw_data.len != sizeof place) {
        return;
    }
    memcpy(&place, t->raw_data.data, sizeof place);
    allocator->free(allocator->allocator_data, t->raw_data.data);
    /* protobuf-c writes nothing through this pointer, and release is the allocator's matter */
    t->raw_data.data = place.bytes > 0 ? (uint8_t *)(uintptr_t)(data + place.offset) : NULL;
    t->raw_data.len = (size_t)place.bytes;
}

/* Fields are found by their descriptors, so that a tensor is met wherever the schema allows one. */
void mica_onnx_attach(ProtobufCMessage *message, const uint8_t *data, ProtobufCAllocator *allocator) {
    const ProtobufCMessageDescriptor *descriptor = message->descriptor;
    if (descriptor == &onnx__tensor_proto__descriptor) {
        attach_tensor((Onnx__TensorProto *)message, data, allocator);
        return;
    }
    for (unsigned i = 0; i < descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &descriptor->fields[i];
        const char *base = (const char *)message;
        const bool repeated = field->label == PROTOBUF_C_LABEL_REPEATED;
        if (field->type != PROTOBUF_C_TYPE_MESSAGE) {
            continue;
        }
        if ((field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0 &&
            *(const uint32_t *)(const void *)(base + field->quantifier_offset) != field->id) {
            continue;
        }
        const void *at = base + field->offset;
        ProtobufCMessage *const *items = repeated ? *(ProtobufCMessage *const *const *)at
                                                  : (ProtobufCMessage *const *)at;
        const size_t n =
            repeated ? *(const size_t *)(const void *)(base + field->quantifier_offset) : 1;
        for (size_t k = 0; k < n; k++) {
            if (items[k] != NULL) {
                mica_onnx_attach(items[k], data, allocator);
            }
        }
    }
}
