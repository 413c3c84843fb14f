/* Fuzz target of the ONNX importer: any file either gives at least one diagnostic or a module that
 * verifies and can be planned, without a crash and in bounded time and memory. Mutations keep the
 * wire format whole, so that they reach what lies behind the reader. Build:
 *     clang -fsanitize=fuzzer,address,undefined -I. -Igenerated test/fuzz/fuzz_onnx.c <libraries> */
#include "dialects/dialects.h"
#include "dialects/plan.h"
#include "frontends/onnx/onnx.h"
#include "ir/verify.h"
#include "onnx/onnx.pb-c.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);

static void count(void *user, mica_severity severity, mica_loc loc, const char *text) {
    int *errors = user;
    (void)loc;
    (void)text;
    *errors += severity == MICA_ERROR;
}

static void import(mica_context *context, const char *path, const int *errors) {
    mica_module *module = NULL;
    if (mica_onnx_import(context, path, NULL, &module) != MICA_OK) {
        if (*errors == 0) {
            abort(); /* failed without a word */
        }
        return;
    }
    mrt_plan *plan = NULL;
    if (mica_verify(module) != MICA_OK) {
        abort();
    }
    if (mica_plan_func(module, mica_module_func(module, "main"), &(mica_plan_options){0}, &plan) ==
        MICA_OK) {
        mrt_plan_destroy(plan);
    }
    mica_module_destroy(module);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char path[64];
    int errors = 0;
    const int fd = memfd_create("model", 0);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size) {
        abort();
    }
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    mica_context *context = mica_context_create();
    mica_register_dialects(context);
    mica_set_diag_handler(context, count, &errors);
    import(context, path, &errors);
    mica_arena *arena = mica_arena_create();
    mica_onnx_summary summary;
    if (mica_onnx_summarize(context, path, NULL, arena, &summary) != MICA_OK && errors == 0) {
        abort();
    }
    mica_arena_destroy(arena);
    mica_context_destroy(context);
    close(fd);
    return 0;
}

/* --- mutations of the message ------------------------------------------------------------------- */
/* Memory of one mutated message; blocks may be shared by several places, so all go at once. */
static char pool[64 << 20];
static size_t pool_used;

static void *pool_alloc(void *data, size_t bytes) {
    (void)data;
    const size_t room = (bytes + 15) & ~(size_t)15;
    if (room > sizeof pool - pool_used) {
        return NULL;
    }
    void *block = pool + pool_used;
    pool_used += room;
    return block;
}

static void pool_free(void *data, void *block) {
    (void)data;
    (void)block;
}

/* All fields of a message tree that a mutation may change, found by the descriptors. */
typedef struct place {
    ProtobufCMessage *message;
    const ProtobufCFieldDescriptor *field;
} place;

enum { MAX_PLACES = 1 << 14 };

typedef struct mutation {
    place places[MAX_PLACES];
    size_t count;
    uint32_t state;
    char *strings[256]; /* names of the model, to be put into other places */
    size_t n_strings;
} mutation;

static uint32_t roll(mutation *m, size_t below) {
    m->state = m->state * 1664525u + 1013904223u;
    return below > 0 ? (uint32_t)((m->state >> 8) % below) : 0;
}

static void *member(ProtobufCMessage *message, size_t offset) { return (char *)message + offset; }

static size_t length_of(const place *p) {
    size_t n = 0;
    memcpy(&n, member(p->message, p->field->quantifier_offset), sizeof n);
    return n;
}

static void collect(mutation *m, ProtobufCMessage *message) {
    const ProtobufCMessageDescriptor *descriptor = message->descriptor;
    for (unsigned i = 0; i < descriptor->n_fields && m->count < MAX_PLACES; i++) {
        const place p = {message, &descriptor->fields[i]};
        void *at = member(message, p.field->offset);
        const bool repeated = p.field->label == PROTOBUF_C_LABEL_REPEATED;
        const bool oneof = (p.field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0;
        uint32_t chosen = 0;
        if (oneof) {
            memcpy(&chosen, member(message, p.field->quantifier_offset), sizeof chosen);
        }
        if (oneof && chosen != p.field->id) {
            continue;
        }
        const size_t n = repeated ? length_of(&p) : 1;
        m->places[m->count++] = p;
        for (size_t k = 0; k < n; k++) {
            void **item = repeated ? *(void ***)at + k : at;
            if (p.field->type == PROTOBUF_C_TYPE_MESSAGE && *item != NULL) {
                collect(m, *item);
            } else if (p.field->type == PROTOBUF_C_TYPE_STRING && *item != NULL &&
                       m->n_strings < sizeof m->strings / sizeof m->strings[0]) {
                m->strings[m->n_strings++] = *item;
            }
        }
    }
}

static int64_t number(mutation *m, int64_t old) {
    static const int64_t odd[] = {0, 1, -1, 2, 3, 7, 8, 9, 16, 255, 65536, INT32_MAX, INT32_MIN,
                                  INT64_MAX, INT64_MIN, (int64_t)1 << 32, (int64_t)1 << 62};
    switch (roll(m, 3)) {
    case 0:
        return (int64_t)((uint64_t)old + 1);
    case 1:
        return (int64_t)((uint64_t)old - 1);
    default:
        return odd[roll(m, sizeof odd / sizeof odd[0])];
    }
}

static void change_scalar(mutation *m, const place *p, void *at) {
    switch (p->field->type) {
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_UINT64:
        *(int64_t *)at = number(m, *(int64_t *)at);
        return;
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_ENUM:
        *(int32_t *)at = roll(m, 2) == 0 ? (int32_t)roll(m, 24) : (int32_t)number(m, *(int32_t *)at);
        return;
    case PROTOBUF_C_TYPE_FLOAT:
        *(float *)at = (float)number(m, 0) * (roll(m, 2) == 0 ? 1.0f : 1e30f);
        return;
    case PROTOBUF_C_TYPE_STRING:
        if (m->n_strings > 0) {
            *(char **)at = m->strings[roll(m, m->n_strings)];
        }
        return;
    case PROTOBUF_C_TYPE_BYTES: {
        ProtobufCBinaryData *bytes = at;
        if (bytes->len > 0 && roll(m, 2) == 0) {
            bytes->len -= roll(m, 2) == 0 ? 1 : roll(m, bytes->len);
        } else if (bytes->len > 0) {
            bytes->data[roll(m, bytes->len)] = (uint8_t)roll(m, 256);
        }
        return;
    }
    default:
        return;
    }
}

static size_t item_size(ProtobufCType type) {
    switch (type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_ENUM:
    case PROTOBUF_C_TYPE_FLOAT:
        return 4;
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    default:
        return 8;
    }
}

static void change(mutation *m, const place *p) {
    void *at = member(p->message, p->field->offset);
    if (p->field->label != PROTOBUF_C_LABEL_REPEATED) {
        change_scalar(m, p, at);
        return;
    }
    const size_t n = length_of(p), size = item_size(p->field->type);
    size_t *length = member(p->message, p->field->quantifier_offset);
    char *items = *(char **)at;
    if (n == 0) {
        return;
    }
    const size_t from = roll(m, n), to = roll(m, n);
    switch (roll(m, 4)) {
    case 0: /* drop */
        memmove(items + from * size, items + (from + 1) * size, (n - from - 1) * size);
        *length = n - 1;
        return;
    case 1: { /* repeat */
        char *grown = pool_alloc(NULL, (n + 1) * size);
        if (grown == NULL) {
            return;
        }
        memcpy(grown, items, n * size);
        memcpy(grown + n * size, items + from * size, size);
        *(char **)at = grown;
        *length = n + 1;
        return;
    }
    case 2: { /* exchange */
        char kept[16];
        memcpy(kept, items + from * size, size);
        memcpy(items + from * size, items + to * size, size);
        memcpy(items + to * size, kept, size);
        return;
    }
    default:
        change_scalar(m, p, items + from * size);
        return;
    }
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed) {
    static mutation m;
    ProtobufCAllocator allocator = {pool_alloc, pool_free, NULL};
    pool_used = 0;
    m.count = m.n_strings = 0;
    m.state = seed;
    Onnx__ModelProto *model =
        roll(&m, 10) == 0 ? NULL : onnx__model_proto__unpack(&allocator, size, data);
    if (model == NULL) {
        return LLVMFuzzerMutate(data, size, max_size);
    }
    collect(&m, &model->base);
    const uint32_t changes = 1 + roll(&m, 3);
    for (uint32_t i = 0; i < changes && m.count > 0; i++) {
        change(&m, &m.places[roll(&m, m.count)]);
    }
    const size_t packed = onnx__model_proto__get_packed_size(model);
    return packed <= max_size ? onnx__model_proto__pack(model, data)
                              : LLVMFuzzerMutate(data, size, max_size);
}
