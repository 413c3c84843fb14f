// Building of the FlatBuffer. Exceptions of the library (memory) end here.
#include "backends/bundle/bundle_fb.h"

#include "bundle_generated.h"

#include <cstdlib>
#include <cstring>
#include <new>
#include <vector>

namespace fb = mica::bundle;
using flatbuffers::FlatBufferBuilder;
using flatbuffers::Offset;
using flatbuffers::String;
using flatbuffers::Vector;

namespace {

// Room for vtables, lengths and alignment of one table, generously.
const uint64_t kTableBytes = 256;

// An upper bound of the size: the builder itself can only assert.
uint64_t size_bound(const mrt_bundle_index &index) {
    const mrt_bundle_info &info = index.info;
    uint64_t bytes = 65536;
    const auto text = [&bytes](const char *s) { bytes += strlen(s) + 16; };
    text(info.producer);
    text(info.processor);
    text(info.name);
    for (uint32_t i = 0; i < info.n_sections; i++) {
        bytes += kTableBytes;
        text(info.sections[i].name);
    }
    for (uint32_t i = 0; i < info.n_ops; i++) {
        bytes += kTableBytes;
        text(info.ops[i].name);
        text(info.ops[i].type);
        text(info.ops[i].mode);
    }
    for (uint32_t i = 0; i < info.n_attributes; i++) {
        bytes += kTableBytes;
        text(info.attributes[i].key);
        text(info.attributes[i].value);
    }
    for (uint32_t i = 0; i < index.n_preprocess; i++) {
        text(info.preprocess[i]);
    }
    for (uint32_t i = 0; i < index.n_tensors; i++) {
        bytes += kTableBytes;
        text(index.tensors[i].name);
    }
    for (uint32_t i = 0; i < index.n_steps; i++) {
        const mrt_index_step &step = index.steps[i];
        bytes += kTableBytes + 8 * static_cast<uint64_t>(step.n_params) +
                 4 * (static_cast<uint64_t>(step.n_in) + step.n_out);
        text(step.op);
    }
    bytes += 4 * (static_cast<uint64_t>(index.n_inputs) + index.n_outputs);
    bytes += 8 * static_cast<uint64_t>(index.n_golden);
    bytes += 32 * (static_cast<uint64_t>(index.n_symbols) + index.n_terms);
    return bytes + index.n_results * (kTableBytes + 8 * MRT_GOLDEN_BLOCKS);
}

bool within_limits(const mrt_bundle_index &index, mrt_error *err) {
    const mrt_bundle_info &info = index.info;
    const uint64_t tables = static_cast<uint64_t>(index.n_tensors) + index.n_steps +
                            index.n_results + info.n_ops + info.n_attributes + info.n_sections + 8;
    if (tables > MRT_BUNDLE_MAX_TABLES) {
        mrt_fail(err, MRT_INVALID, "%llu tensors, steps and ops are more than a bundle holds (%d)",
                 static_cast<unsigned long long>(tables), MRT_BUNDLE_MAX_TABLES);
        return false;
    }
    if (size_bound(index) >= FLATBUFFERS_MAX_BUFFER_SIZE) {
        mrt_fail(err, MRT_INVALID, "the table of contents of a bundle must be smaller than 2 GB");
        return false;
    }
    return true;
}

struct Builder {
    FlatBufferBuilder b;

    // Names repeat (tensor, op, source op) and are stored once.
    Offset<String> text(const char *s) { return b.CreateSharedString(s); }

    template <typename T, typename Make>
    Offset<Vector<Offset<T>>> rows(uint32_t count, const Make &make) {
        std::vector<Offset<T>> offsets;
        offsets.reserve(count);
        for (uint32_t i = 0; i < count; i++) {
            offsets.push_back(make(i));
        }
        return b.CreateVector(offsets);
    }

    Offset<fb::Tensor> tensor(const mrt_index_tensor &t) {
        const auto name = text(t.name);
        const auto dims = b.CreateVector(t.shape.dims, static_cast<size_t>(t.shape.rank));
        return fb::CreateTensor(b, name, t.dtype, t.kind, t.alias_of, dims, t.scale, t.zero_point,
                                t.section, t.offset, t.bytes, t.bits);
    }

    Offset<fb::Step> step(const mrt_index_step &s) {
        const auto params = b.CreateVector(s.params, s.n_params);
        const auto in = b.CreateVector(s.in, s.n_in);
        const auto out = b.CreateVector(s.out, s.n_out);
        return fb::CreateStep(b, s.kernel, params, in, out, text(s.op));
    }

    Offset<fb::Net> net(const mrt_bundle_index &index) {
        const auto name = text(index.info.name);
        const auto tensors = rows<fb::Tensor>(
            index.n_tensors, [&](uint32_t i) { return tensor(index.tensors[i]); });
        const auto steps =
            rows<fb::Step>(index.n_steps, [&](uint32_t i) { return step(index.steps[i]); });
        const auto inputs = b.CreateVector(index.inputs, index.n_inputs);
        const auto outputs = b.CreateVector(index.outputs, index.n_outputs);
        const auto preprocess = rows<String>(
            index.n_preprocess, [&](uint32_t i) { return text(index.info.preprocess[i]); });
        std::vector<fb::Symbol> symbols;
        std::vector<fb::Term> terms;
        for (uint32_t i = 0; i < index.n_symbols; i++) {
            symbols.emplace_back(index.symbols[i].tensor, index.symbols[i].axis);
        }
        for (uint32_t i = 0; i < index.n_terms; i++) {
            const mrt_live_term &t = index.terms[i];
            terms.emplace_back(t.tensor, t.axis, t.symbol, t.factor);
        }
        const auto sizes = symbols.empty() ? Offset<Vector<const fb::Symbol *>>()
                                           : b.CreateVectorOfStructs(symbols);
        const auto followers = terms.empty() ? Offset<Vector<const fb::Term *>>()
                                             : b.CreateVectorOfStructs(terms);
        return fb::CreateNet(b, name, tensors, steps, inputs, outputs, preprocess,
                             index.info.planned_arena_bytes, Offset<Vector<Offset<fb::Subnet>>>(),
                             sizes, followers);
    }

    Offset<fb::Golden> golden(const mrt_bundle_index &index) {
        const auto results = rows<fb::Result>(index.n_results, [&](uint32_t i) {
            const mrt_index_result &r = index.results[i];
            const fb::Hash hash(r.hash.low, r.hash.high);
            const auto blocks = b.CreateVector(r.blocks, r.n_blocks);
            return fb::CreateResult(b, r.tensor, &hash, blocks);
        });
        const auto offsets = b.CreateVector(index.golden_offsets, index.n_golden);
        return fb::CreateGolden(b, index.golden_section, offsets, results);
    }

    void model(const mrt_bundle_index &index) {
        const mrt_bundle_info &info = index.info;
        const auto producer = text(info.producer), processor = text(info.processor);
        const auto name = text(info.name);
        const auto nets = rows<fb::Net>(1, [&](uint32_t) { return net(index); });
        const auto sections = rows<fb::Section>(info.n_sections, [&](uint32_t i) {
            const mrt_bundle_section &s = info.sections[i];
            const fb::Hash hash(s.hash.low, s.hash.high);
            return fb::CreateSection(b, text(s.name), s.offset, s.bytes, &hash);
        });
        const auto recorded = info.has_golden ? golden(index) : Offset<fb::Golden>();
        // Strings in named steps: the order of evaluation of arguments is the compiler's choice.
        const auto ops = rows<fb::SourceOp>(info.n_ops, [&](uint32_t i) {
            const auto op_name = text(info.ops[i].name), type = text(info.ops[i].type);
            return fb::CreateSourceOp(b, op_name, type, text(info.ops[i].mode));
        });
        const auto attributes = rows<fb::Attribute>(info.n_attributes, [&](uint32_t i) {
            const auto key = text(info.attributes[i].key);
            return fb::CreateAttribute(b, key, text(info.attributes[i].value));
        });
        fb::FinishModelBuffer(b, fb::CreateModel(b, info.format, producer, processor, name, nets,
                                                 sections, recorded, ops, attributes));
    }
};

} // namespace

extern "C" mrt_status mica_bundle_fb_build(const mrt_bundle_index *index, uint8_t **out_data,
                                           size_t *out_bytes, mrt_error *err) {
    if (!within_limits(*index, err)) {
        return MRT_INVALID;
    }
    try {
        Builder builder;
        builder.model(*index);
        const size_t bytes = builder.b.GetSize();
        uint8_t *copy = static_cast<uint8_t *>(malloc(bytes));
        if (copy == nullptr) {
            throw std::bad_alloc();
        }
        memcpy(copy, builder.b.GetBufferPointer(), bytes);
        *out_data = copy;
        *out_bytes = bytes;
        return MRT_OK;
    } catch (const std::exception &) {
        return mrt_fail(err, MRT_NO_MEMORY, "no memory for the table of contents of a bundle");
    }
}
