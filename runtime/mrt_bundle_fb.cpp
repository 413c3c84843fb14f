// Reading of the FlatBuffer behind a C interface. Nothing here throws or allocates by itself.
#include "runtime/mrt_bundle_index.h"

#include "bundle_generated.h"

namespace fb = mica::bundle;

namespace {

// Longest parameter struct that is copied, in words.
const uint32_t kMaxParams = 256;

struct Reader {
    mrt_index_alloc_fn *alloc;
    void *owner;
    mrt_error *err;
    // What may still be copied later. Vectors and strings may be shared inside a FlatBuffer, so a
    // small file could ask for many copies of one large vector.
    uint64_t ids_left, text_left;
    mrt_status status;

    bool fail(mrt_status why, const char *what) {
        if (status == MRT_OK) {
            status = mrt_fail(err, why, "bundle: %s", what);
        }
        return false;
    }

    template <typename T> T *array(size_t count) {
        T *result = static_cast<T *>(alloc(owner, count, sizeof(T)));
        if (result == nullptr) {
            fail(MRT_NO_MEMORY, "no memory for the table of contents");
        }
        return result;
    }

    const char *text(const flatbuffers::String *s) {
        if (s == nullptr) {
            return "";
        }
        if (s->size() > text_left) {
            fail(MRT_CORRUPT, "too much text");
            return "";
        }
        text_left -= s->size();
        return s->c_str();
    }

    const int32_t *ids(const flatbuffers::Vector<int32_t> *v, uint32_t *count) {
        *count = v != nullptr ? v->size() : 0;
        if (*count > ids_left) {
            *count = 0;
            fail(MRT_CORRUPT, "too many tensor ids");
        }
        ids_left -= *count;
        return *count > 0 ? v->data() : nullptr;
    }

    // 64-bit elements are copied: the verifier proves only the alignment of the length.
    const uint64_t *words(const flatbuffers::Vector<uint64_t> *v, uint32_t limit,
                          uint32_t *out_count) {
        const uint32_t count = v != nullptr ? v->size() : 0;
        *out_count = 0;
        if (count > limit) {
            fail(MRT_CORRUPT, "too many words");
            return nullptr;
        }
        uint64_t *copy = array<uint64_t>(count);
        if (copy != nullptr && count > 0) {
            memcpy(copy, v->Data(), count * sizeof *copy);
            *out_count = count;
        }
        return copy;
    }
};

template <typename T> uint32_t length(const flatbuffers::Vector<T> *v) {
    return v != nullptr ? v->size() : 0;
}

mrt_bundle_hash hash_of(const fb::Hash *h) {
    mrt_bundle_hash result = {0, 0};
    if (h != nullptr) {
        memcpy(&result, h, sizeof result);
    }
    return result;
}

bool read_sections(Reader *r, const fb::Model *model, mrt_bundle_index *out) {
    const uint32_t n = length(model->sections());
    mrt_bundle_section *rows = r->array<mrt_bundle_section>(n);
    for (uint32_t i = 0; rows != nullptr && i < n; i++) {
        const fb::Section *s = model->sections()->Get(i);
        rows[i].name = r->text(s->name());
        rows[i].offset = s->offset();
        rows[i].bytes = s->bytes();
        rows[i].hash = hash_of(s->hash());
    }
    out->info.sections = rows;
    out->info.n_sections = n;
    return r->status == MRT_OK;
}

bool read_tensors(Reader *r, const fb::Net *net, mrt_bundle_index *out) {
    const uint32_t n = length(net->tensors());
    mrt_index_tensor *rows = r->array<mrt_index_tensor>(n);
    for (uint32_t i = 0; rows != nullptr && i < n; i++) {
        const fb::Tensor *t = net->tensors()->Get(i);
        mrt_index_tensor *row = &rows[i];
        const uint32_t rank = length(t->dims());
        if (rank > MRT_MAX_RANK) {
            return r->fail(MRT_CORRUPT, "a tensor has too many dimensions");
        }
        row->name = r->text(t->name());
        row->dtype = t->dtype();
        row->kind = t->kind();
        row->alias_of = t->alias_of();
        row->shape.rank = static_cast<int32_t>(rank);
        if (rank > 0) {
            memcpy(row->shape.dims, t->dims()->Data(), rank * sizeof row->shape.dims[0]);
        }
        row->scale = t->scale();
        row->zero_point = t->zero_point();
        row->section = t->section();
        row->offset = t->offset();
        row->bytes = t->bytes();
        row->bits = t->bits();
    }
    out->tensors = rows;
    out->n_tensors = n;
    return r->status == MRT_OK;
}

bool read_steps(Reader *r, const fb::Net *net, mrt_bundle_index *out) {
    const uint32_t n = length(net->steps());
    mrt_index_step *rows = r->array<mrt_index_step>(n);
    for (uint32_t i = 0; rows != nullptr && r->status == MRT_OK && i < n; i++) {
        const fb::Step *s = net->steps()->Get(i);
        mrt_index_step *row = &rows[i];
        row->kernel = s->kernel();
        row->params = r->words(s->params(), kMaxParams, &row->n_params);
        row->in = r->ids(s->inputs(), &row->n_in);
        row->out = r->ids(s->outputs(), &row->n_out);
        row->op = r->text(s->op());
    }
    out->steps = rows;
    out->n_steps = n;
    return r->status == MRT_OK;
}

bool read_sizes(Reader *r, const fb::Net *net, mrt_bundle_index *out) {
    const uint32_t n_symbols = length(net->symbols()), n_terms = length(net->terms());
    mrt_live_symbol *symbols = r->array<mrt_live_symbol>(n_symbols);
    mrt_live_term *terms = r->array<mrt_live_term>(n_terms);
    for (uint32_t i = 0; symbols != nullptr && i < n_symbols; i++) {
        const fb::Symbol *s = net->symbols()->Get(i);
        symbols[i] = {s->tensor(), s->axis()};
    }
    for (uint32_t i = 0; terms != nullptr && i < n_terms; i++) {
        const fb::Term *t = net->terms()->Get(i);
        terms[i] = {t->tensor(), t->axis(), t->symbol(), t->factor()};
    }
    out->symbols = symbols;
    out->n_symbols = n_symbols;
    out->terms = terms;
    out->n_terms = n_terms;
    return r->status == MRT_OK;
}

bool read_net(Reader *r, const fb::Net *net, mrt_bundle_index *out) {
    out->inputs = r->ids(net->inputs(), &out->n_inputs);
    out->outputs = r->ids(net->outputs(), &out->n_outputs);
    out->info.planned_arena_bytes = net->arena_bytes();
    const uint32_t n = length(net->preprocess());
    const char **texts = r->array<const char *>(n);
    for (uint32_t i = 0; texts != nullptr && i < n; i++) {
        texts[i] = r->text(net->preprocess()->Get(i));
    }
    out->info.preprocess = texts;
    out->n_preprocess = n;
    return r->status == MRT_OK && read_tensors(r, net, out) && read_steps(r, net, out) &&
           read_sizes(r, net, out);
}

bool read_golden(Reader *r, const fb::Golden *golden, mrt_bundle_index *out) {
    if (golden == nullptr) {
        return true;
    }
    out->info.has_golden = true;
    out->golden_section = golden->section();
    out->golden_offsets = r->words(golden->offsets(), MRT_BUNDLE_MAX_TABLES, &out->n_golden);
    const uint32_t n = length(golden->results());
    mrt_index_result *rows = r->array<mrt_index_result>(n);
    for (uint32_t i = 0; rows != nullptr && i < n; i++) {
        const fb::Result *result = golden->results()->Get(i);
        const uint32_t blocks = length(result->blocks());
        if (blocks > MRT_GOLDEN_BLOCKS) {
            return r->fail(MRT_CORRUPT, "a golden result has too many blocks");
        }
        rows[i].tensor = result->tensor();
        rows[i].hash = hash_of(result->hash());
        rows[i].n_blocks = blocks;
        if (blocks > 0) {
            memcpy(rows[i].blocks, result->blocks()->Data(), blocks * sizeof rows[i].blocks[0]);
        }
    }
    out->results = rows;
    out->n_results = n;
    return r->status == MRT_OK;
}

bool read_notes(Reader *r, const fb::Model *model, mrt_bundle_index *out) {
    const uint32_t n_ops = length(model->ops()), n_attributes = length(model->attributes());
    mrt_bundle_op *ops = r->array<mrt_bundle_op>(n_ops);
    for (uint32_t i = 0; ops != nullptr && i < n_ops; i++) {
        const fb::SourceOp *op = model->ops()->Get(i);
        ops[i] = {r->text(op->name()), r->text(op->type()), r->text(op->mode())};
    }
    mrt_bundle_attribute *attributes = r->array<mrt_bundle_attribute>(n_attributes);
    for (uint32_t i = 0; attributes != nullptr && i < n_attributes; i++) {
        const fb::Attribute *a = model->attributes()->Get(i);
        attributes[i] = {r->text(a->key()), r->text(a->value())};
    }
    out->info.ops = ops;
    out->info.n_ops = n_ops;
    out->info.attributes = attributes;
    out->info.n_attributes = n_attributes;
    return r->status == MRT_OK;
}

} // namespace

extern "C" mrt_status mrt_bundle_fb_read(const uint8_t *data, size_t bytes,
                                         mrt_index_alloc_fn *alloc, void *owner,
                                         mrt_bundle_index *out, mrt_error *err) {
    Reader r = {alloc, owner, err, bytes / 4, 16 * static_cast<uint64_t>(bytes), MRT_OK};
    if (bytes >= FLATBUFFERS_MAX_BUFFER_SIZE) {
        r.fail(MRT_CORRUPT, "the table of contents is too large");
        return r.status;
    }
    flatbuffers::Verifier verifier(data, bytes, 64, MRT_BUNDLE_MAX_TABLES);
    if (!fb::VerifyModelBuffer(verifier)) {
        r.fail(MRT_CORRUPT, "the table of contents is damaged");
        return r.status;
    }
    const fb::Model *model = fb::GetModel(data);
    *out = mrt_bundle_index();
    out->info.format = model->format();
    out->info.producer = r.text(model->producer());
    out->info.processor = r.text(model->processor());
    out->info.name = r.text(model->name());
    if (length(model->nets()) != 1) {
        r.fail(MRT_CORRUPT, "expected one net");
        return r.status;
    }
    if (read_sections(&r, model, out) && read_net(&r, model->nets()->Get(0), out) &&
        read_golden(&r, model->golden(), out)) {
        read_notes(&r, model, out);
    }
    return r.status;
}
