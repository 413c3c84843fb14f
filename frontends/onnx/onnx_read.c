/* From a path to an unpacked ModelProto that the module keeps alive. */
#include "frontends/onnx/onnx_internal.h"

#include "utils/file.h"

#include <inttypes.h>
#include <string.h>

/* Unpacked messages are larger than their bytes (a NodeProto of 20 bytes takes a struct of 100, and
 * protobuf-c notes every field on the way). Real models stay below a factor of 16; a file made to
 * waste memory does not, and ends here. Weights do not count, they stay in the mapped file. */
enum { EXPANSION = 64 };
static const size_t EXPANSION_BASE = (size_t)64 << 20, EXPANSION_MAX = (size_t)4 << 30;

typedef struct holder {
    ProtobufCAllocator allocator;
    mica_mapped file;
    size_t left; /* bytes that unpacking may still take */
    Onnx__ModelProto *model;
} holder;

static void *budget_alloc(void *data, size_t bytes) {
    holder *h = data;
    if (bytes > h->left) {
        return NULL;
    }
    h->left -= bytes;
    /* Large blocks are weights in typed fields, which kernels like aligned. */
    return bytes >= 4096 ? mica_alloc_aligned(bytes, 64) : mica_alloc(bytes);
}

/* Raw data of tensors points into the file. */
static void budget_free(void *data, void *block) {
    const holder *h = data;
    const uintptr_t at = (uintptr_t)block, start = (uintptr_t)h->file.data;
    if (at < start || at - start >= h->file.size) {
        mica_free(block);
    }
}

static void release_holder(void *object) {
    holder *h = object;
    if (h->model != NULL) {
        onnx__model_proto__free_unpacked(h->model, &h->allocator);
    }
    mica_unmap_file(&h->file);
    mica_free(h);
}

int64_t mica_onnx_version(Onnx__OperatorSetIdProto *const *imports, size_t count,
                          const char *domain) {
    for (size_t i = 0; i < count; i++) {
        if (strcmp(mica_onnx_domain(imports[i]->domain), mica_onnx_domain(domain)) == 0) {
            return imports[i]->has_version ? imports[i]->version : 1;
        }
    }
    return 0;
}

int64_t mica_onnx_opset(Onnx__OperatorSetIdProto *const *imports, size_t count) {
    return mica_onnx_version(imports, count, "");
}

static mica_status check_model(mica_onnx_importer *im) {
    const Onnx__ModelProto *model = im->model;
    if (!model->has_ir_version || model->graph == NULL) {
        return mica_emit_error(im->context, im->loc, "not an ONNX model: field '%s' is missing",
                               model->graph == NULL ? "graph" : "ir_version");
    }
    if (model->ir_version < 1 || model->ir_version > 100) {
        return mica_emit_error(im->context, im->loc,
                               "not an ONNX model: ir_version is %" PRId64
                               ", expected 3 or a little more",
                               model->ir_version);
    }
    int64_t opset = mica_onnx_opset(model->opset_import, model->n_opset_import);
    if (model->n_opset_import == 0 && model->ir_version < 3) {
        opset = 1; /* files from before versions existed */
    }
    if (opset > MICA_ONNX_MAX_OPSET) {
        return mica_emit_error(im->context, im->loc,
                               "opset %" PRId64 " is newer than the newest known one, %d; export "
                               "the model with opset_version=%d or lower",
                               opset, MICA_ONNX_MAX_OPSET, MICA_ONNX_MAX_OPSET);
    }
    if (opset < 0) {
        return mica_emit_error(im->context, im->loc, "opset %" PRId64 ", expected %d..%d", opset,
                               MICA_ONNX_MIN_OPSET, MICA_ONNX_MAX_OPSET);
    }
    im->scope->opset = (int)opset;
    return MICA_OK;
}

static mica_status unpack(mica_onnx_importer *im, holder *h) {
    const mica_mapped *file = &h->file;
    mica_error err = {0};
    if (file->size == 0) {
        return mica_emit_error(im->context, im->loc, "not an ONNX model: the file is empty");
    }
    if (file->size > INT32_MAX) {
        return mica_emit_error(im->context, im->loc,
                               "the file has %zu bytes, but a protobuf file ends at 2 GiB; save "
                               "the model with external data",
                               file->size);
    }
    if (mica_onnx_scan(&onnx__model_proto__descriptor, file->data, file->size, &err) != MICA_OK) {
        return mica_emit_error(im->context, im->loc, "not an ONNX model, or truncated: %s",
                               err.text);
    }
    mica_strbuf slim = {0};
    mica_onnx_slim(file->data, file->size, &slim);
    const size_t least = slim.len < EXPANSION_MAX / EXPANSION ? slim.len * EXPANSION : EXPANSION_MAX;
    h->left = EXPANSION_BASE + (least > slim.len ? least : slim.len);
    h->model = onnx__model_proto__unpack(&h->allocator, slim.len,
                                         (const uint8_t *)mica_strbuf_text(&slim));
    mica_strbuf_free(&slim);
    if (h->model == NULL) {
        return mica_emit_error(im->context, im->loc,
                               "not an ONNX model: a field has a wrong type");
    }
    mica_onnx_attach(&h->model->base, file->data, &h->allocator);
    im->model = h->model;
    return check_model(im);
}

mica_status mica_onnx_read(mica_onnx_importer *im) {
    mica_error err = {0};
    if (mica_is_dir(im->path)) {
        return mica_emit_error(im->context, im->loc, "not an ONNX model: it is a directory");
    }
    holder *h = mica_alloc(sizeof *h);
    *h = (holder){.allocator = {budget_alloc, budget_free, h}};
    if (mica_map_file(im->path, &h->file, &err) != MICA_OK) {
        mica_free(h);
        return mica_emit_error(im->context, im->loc, "%s", err.text);
    }
    mica_weights_keep(im->module->weights, h, release_holder);
    im->file = &h->file;
    return unpack(im, h);
}
