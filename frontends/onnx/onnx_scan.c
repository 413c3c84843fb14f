/* A look at the wire format before protobuf-c sees it: protobuf-c recurses once per nested message
 * without a limit and says nothing about what is wrong, so a small file could overflow the stack
 * and a truncated one would give no useful message. Source: Protocol Buffers wire format. */
#include "frontends/onnx/onnx_internal.h"

#include <inttypes.h>

/* Each takes memory, even when it takes no more than two bytes of the file. */
static const size_t MAX_MESSAGES = 20000000;

typedef struct frame {
    const ProtobufCMessageDescriptor *descriptor;
    size_t end;
} frame;

typedef struct scanner {
    const uint8_t *data;
    size_t at;
    frame stack[MICA_ONNX_MAX_NESTING];
    int depth; /* frames in use */
    size_t messages;
    mica_error *err;
} scanner;

static bool read_varint(scanner *s, size_t end, uint64_t *out) {
    uint64_t value = 0;
    for (int shift = 0; shift < 70 && s->at < end; shift += 7) {
        const uint8_t byte = s->data[s->at++];
        if (shift < 64) {
            value |= (uint64_t)(byte & 0x7f) << shift;
        }
        if ((byte & 0x80) == 0) {
            *out = value;
            return true;
        }
    }
    return false;
}

static mica_status skip_bytes(scanner *s, size_t bytes, size_t end, const char *what) {
    if (bytes > end - s->at) {
        return mica_fail(s->err, "field '%s' at byte %zu needs %zu bytes, %zu are left", what,
                         s->at, bytes, end - s->at);
    }
    s->at += bytes;
    return MICA_OK;
}

static mica_status length_field(scanner *s, const ProtobufCFieldDescriptor *field, size_t end) {
    const char *what = field != NULL ? field->name : "(unknown)";
    uint64_t length = 0;
    if (!read_varint(s, end, &length)) {
        return mica_fail(s->err, "field '%s' at byte %zu has no complete length", what, s->at);
    }
    if (length > end - s->at) {
        return mica_fail(s->err, "field '%s' at byte %zu needs %" PRIu64 " bytes, %zu are left",
                         what, s->at, length, end - s->at);
    }
    if (field == NULL || field->type != PROTOBUF_C_TYPE_MESSAGE) {
        s->at += (size_t)length;
        return MICA_OK;
    }
    if (s->depth == MICA_ONNX_MAX_NESTING) {
        return mica_fail(s->err, "messages are nested deeper than %d levels",
                         MICA_ONNX_MAX_NESTING);
    }
    if (++s->messages > MAX_MESSAGES) {
        return mica_fail(s->err, "more than %zu messages", MAX_MESSAGES);
    }
    s->stack[s->depth++] = (frame){field->descriptor, s->at + (size_t)length};
    return MICA_OK;
}

static mica_status one_field(scanner *s) {
    const frame *top = &s->stack[s->depth - 1];
    const size_t end = top->end;
    uint64_t key = 0;
    const size_t start = s->at;
    if (!read_varint(s, end, &key) || key >> 3 == 0 || key >> 3 > 0x1fffffff) {
        return mica_fail(s->err, "no field starts at byte %zu", start);
    }
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field(top->descriptor, (unsigned)(key >> 3));
    const char *what = field != NULL ? field->name : "(unknown)";
    uint64_t ignored = 0;
    switch (key & 7) {
    case 0:
        return read_varint(s, end, &ignored)
                   ? MICA_OK
                   : mica_fail(s->err, "field '%s' at byte %zu is cut off", what, start);
    case 1:
        return skip_bytes(s, 8, end, what);
    case 2:
        return length_field(s, field, end);
    case 5:
        return skip_bytes(s, 4, end, what);
    default:
        return mica_fail(s->err, "byte %zu has wire type %d", start, (int)(key & 7));
    }
}

mica_status mica_onnx_scan(const ProtobufCMessageDescriptor *descriptor, const uint8_t *data,
                           size_t size, mica_error *err) {
    scanner s = {.data = data, .err = err};
    s.stack[s.depth++] = (frame){descriptor, size};
    while (s.depth > 0) {
        if (s.at == s.stack[s.depth - 1].end) {
            s.depth--;
            continue;
        }
        MICA_TRY(one_field(&s));
    }
    return MICA_OK;
}
