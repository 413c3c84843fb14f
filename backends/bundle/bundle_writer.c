#include "backends/bundle/bundle_writer.h"

#include "backends/bundle/bundle_fb.h"
#include "runtime/mrt_exec.h"
#include "runtime/mrt_quant.h"
#include "utils/arena.h"
#include "utils/file.h"

#define XXH_INLINE_ALL /* a streaming state on the stack */
#include <xxhash.h>

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGN = 64, WEIGHTS = 0, GOLDEN = 1 };

/* Bytes at an offset of a section; the gaps between pieces are zero. */
typedef struct piece {
    const void *data;
    uint64_t offset, bytes;
} piece;

typedef struct section {
    const char *name;
    piece *pieces;
    uint32_t n;
    uint64_t bytes;
} section;

typedef struct writer {
    const mica_bundle_desc *desc;
    mica_arena *arena;
    mrt_bundle_index index;
    mrt_index_tensor *tensors;
    section sections[2];
    mrt_index_result *results; /* by tensor while the golden input runs, then packed */
} writer;

static uint64_t align_up(uint64_t value, uint64_t align) {
    return (value + align - 1) / align * align;
}

static const char *or_empty(const char *text) {
    return text != NULL ? text : "";
}

static uint64_t append(section *s, const void *data, uint64_t bytes) {
    const uint64_t offset = align_up(s->bytes, ALIGN);
    s->pieces[s->n++] = (piece){data, offset, bytes};
    s->bytes = offset + bytes;
    return offset;
}

/* --- table of contents --- */

/* A constant's bytes as they are stored: values of 4 bits two in a byte [pack-int4]. */
static const void *stored_bytes(const writer *w, const mrt_plan_tensor *t, uint64_t *out_bytes) {
    *out_bytes = (uint64_t)t->bytes;
    if (t->info.bits != 4) {
        return t->info.data;
    }
    *out_bytes = (uint64_t)mrt_packed4_bytes(t->bytes);
    uint8_t *packed = mica_arena_array(w->arena, (size_t)*out_bytes, 1);
    const bool fits = mrt_pack4(t->info.data, t->bytes, t->info.dtype == MRT_I8, packed);
    assert(fits); /* proved when the plan was finalized */
    (void)fits;
    return packed;
}

/* Appends the constants; equal bytes are stored once, but for packed ones, of which a reader makes a copy each. */
static void place_constants(writer *w) {
    const mrt_plan *plan = w->desc->plan;
    section *s = &w->sections[WEIGHTS];
    s->name = "weights";
    s->pieces = mica_arena_array(w->arena, (size_t)plan->n_tensors, sizeof s->pieces[0]);
    size_t slots = 16;
    while (slots < 2 * (size_t)plan->n_tensors) {
        slots *= 2;
    }
    uint32_t *table = mica_arena_array(w->arena, slots, sizeof table[0]); /* piece + 1 */
    for (int32_t id = 0; id < plan->n_tensors; id++) {
        const mrt_plan_tensor *t = &plan->tensors[id];
        if (t->kind != MRT_CONST || t->bytes == 0) {
            continue;
        }
        uint64_t bytes = 0;
        const void *data = stored_bytes(w, t, &bytes);
        const bool shares = t->info.bits != 4;
        size_t slot = XXH3_64bits(data, bytes) & (slots - 1);
        const piece *twin = NULL;
        for (; shares && table[slot] != 0 && twin == NULL; slot = (slot + 1) & (slots - 1)) {
            const piece *p = &s->pieces[table[slot] - 1];
            twin = p->bytes == bytes && memcmp(p->data, data, bytes) == 0 ? p : NULL;
        }
        if (twin == NULL) {
            table[slot] = shares ? s->n + 1 : table[slot];
            append(s, data, bytes);
            twin = &s->pieces[s->n - 1];
        }
        w->tensors[id].section = WEIGHTS;
        w->tensors[id].offset = twin->offset;
        w->tensors[id].bytes = bytes;
    }
}

static void list_tensors(writer *w) {
    const mrt_plan *plan = w->desc->plan;
    w->tensors = mica_arena_array(w->arena, (size_t)plan->n_tensors, sizeof w->tensors[0]);
    for (int32_t id = 0; id < plan->n_tensors; id++) {
        const mrt_plan_tensor *t = &plan->tensors[id];
        w->tensors[id] = (mrt_index_tensor){.name = t->info.name,
                                            .dtype = (uint8_t)t->info.dtype,
                                            .kind = (uint8_t)t->kind,
                                            .alias_of = t->alias_of,
                                            .shape = t->info.shape,
                                            .scale = t->info.scale,
                                            .zero_point = t->info.zero_point,
                                            .section = -1,
                                            .bits = (uint8_t)t->info.bits,
                                            .bytes = (uint64_t)t->bytes};
    }
    w->index.tensors = w->tensors;
    w->index.n_tensors = (uint32_t)plan->n_tensors;
}

static void list_steps(writer *w) {
    const mrt_plan *plan = w->desc->plan;
    mrt_index_step *steps =
        mica_arena_array(w->arena, (size_t)plan->n_steps, sizeof steps[0]);
    for (int32_t i = 0; i < plan->n_steps; i++) {
        const mrt_step *step = &plan->steps[i];
        steps[i] = (mrt_index_step){.kernel = step->kernel->code,
                                    .params = step->params,
                                    .n_params = step->kernel->param_bytes / 8u,
                                    .in = step->in,
                                    .out = step->out,
                                    .n_in = (uint32_t)step->n_in,
                                    .n_out = (uint32_t)step->n_out,
                                    .op = step->op};
    }
    w->index.steps = steps;
    w->index.n_steps = (uint32_t)plan->n_steps;
}

/* The least format that says all: runtimes of format 1 would compute with bounds in place of live sizes, those of
 * format 2 read packed constants as bytes. */
static uint32_t format_of(const mrt_plan *plan) {
    uint32_t format = plan->n_symbols > 0 ? 2 : 1;
    for (int32_t id = 0; id < plan->n_tensors; id++) {
        format = plan->tensors[id].info.bits != 0 ? 3 : format;
    }
    return format;
}

static void describe(writer *w) {
    const mica_bundle_desc *desc = w->desc;
    const mrt_plan *plan = desc->plan;
    mrt_bundle_info *info = &w->index.info;
    info->format = format_of(plan);
    info->producer = or_empty(desc->producer);
    info->processor = or_empty(desc->processor);
    info->name = or_empty(desc->name);
    info->ops = desc->ops;
    info->n_ops = desc->n_ops;
    info->attributes = desc->attributes;
    info->n_attributes = desc->n_attributes;
    info->planned_arena_bytes = (uint64_t)plan->arena_bytes;
    const char **preprocess =
        mica_arena_array(w->arena, (size_t)plan->n_inputs, sizeof preprocess[0]);
    for (int32_t i = 0; i < plan->n_inputs; i++) {
        preprocess[i] = or_empty(desc->preprocess != NULL ? desc->preprocess[i] : NULL);
    }
    info->preprocess = preprocess;
    w->index.n_preprocess = (uint32_t)plan->n_inputs;
    w->index.inputs = plan->inputs;
    w->index.n_inputs = (uint32_t)plan->n_inputs;
    w->index.outputs = plan->outputs;
    w->index.n_outputs = (uint32_t)plan->n_outputs;
    w->index.symbols = plan->symbols;
    w->index.n_symbols = (uint32_t)plan->n_symbols;
    w->index.terms = plan->terms;
    w->index.n_terms = (uint32_t)plan->n_terms;
    list_tensors(w);
    list_steps(w);
    place_constants(w);
}

/* --- golden run --- */

static void record(void *user, int32_t id, const mrt_tensor *tensor) {
    writer *w = user;
    const mrt_plan_tensor *t = &w->desc->plan->tensors[id];
    if (t->kind == MRT_VALUE && t->alias_of < 0) {
        w->results[id].tensor = id;
        mrt_bundle_hash_tensor(tensor, &w->results[id]);
    }
}

static mica_status run_golden(writer *w, mica_error *err) {
    const mrt_plan *plan = w->desc->plan;
    if (w->desc->golden_inputs == NULL) {
        return MICA_OK;
    }
    mrt_error reason = {{0}};
    mrt_exec *exec = NULL;
    if (mrt_exec_create(plan, w->desc->pool, &exec, &reason) != MRT_OK) {
        return mica_fail(err, "cannot run the golden input: %s", reason.text);
    }
    section *s = &w->sections[GOLDEN];
    s->name = "golden";
    s->pieces = mica_arena_array(w->arena, (size_t)plan->n_inputs, sizeof s->pieces[0]);
    uint64_t *offsets = mica_arena_array(w->arena, (size_t)plan->n_inputs, sizeof offsets[0]);
    for (int32_t i = 0; i < plan->n_inputs; i++) {
        const uint64_t bytes = (uint64_t)plan->tensors[plan->inputs[i]].bytes;
        memcpy(mrt_exec_tensor(exec, plan->inputs[i])->data, w->desc->golden_inputs[i], bytes);
        offsets[i] = append(s, w->desc->golden_inputs[i], bytes);
    }
    w->results = mica_arena_array(w->arena, (size_t)plan->n_tensors, sizeof w->results[0]);
    for (int32_t id = 0; id < plan->n_tensors; id++) {
        w->results[id].tensor = -1;
    }
    mrt_exec_run(exec, record, w);
    mrt_exec_destroy(exec);
    for (int32_t id = 0; id < plan->n_tensors; id++) {
        if (w->results[id].tensor >= 0) {
            w->results[w->index.n_results++] = w->results[id];
        }
    }
    w->index.info.has_golden = true;
    w->index.golden_section = GOLDEN;
    w->index.golden_offsets = offsets;
    w->index.n_golden = (uint32_t)plan->n_inputs;
    w->index.results = w->results;
    return MICA_OK;
}

/* --- bytes: the same walk feeds the section's hash and the file --- */

typedef struct sink {
    XXH3_state_t *state; /* or */
    FILE *stream;
} sink;

static bool emit(const sink *to, const void *data, uint64_t bytes) {
    if (bytes == 0) {
        return true;
    }
    if (to->state != NULL) {
        return XXH3_128bits_update(to->state, data, bytes) == XXH_OK;
    }
    return fwrite(data, 1, bytes, to->stream) == bytes;
}

/* Less than a page. */
static bool emit_zeros(const sink *to, uint64_t bytes) {
    static const uint8_t zeros[MRT_BUNDLE_PAGE];
    return emit(to, zeros, bytes);
}

static bool emit_section(const sink *to, const section *s) {
    uint64_t at = 0;
    for (uint32_t i = 0; i < s->n; i++) {
        if (!emit_zeros(to, s->pieces[i].offset - at) ||
            !emit(to, s->pieces[i].data, s->pieces[i].bytes)) {
            return false;
        }
        at = s->pieces[i].offset + s->pieces[i].bytes;
    }
    return true;
}

/* Gives the sections their places and hashes; returns where the table of contents may begin. */
static uint64_t place_sections(writer *w) {
    const uint32_t n = w->index.info.has_golden ? 2 : 1;
    mrt_bundle_section *rows = mica_arena_array(w->arena, n, sizeof rows[0]);
    uint64_t end = sizeof(mrt_bundle_header);
    for (uint32_t i = 0; i < n; i++) {
        XXH3_state_t state;
        XXH3_INITSTATE(&state);
        XXH3_128bits_reset(&state);
        emit_section(&(sink){.state = &state}, &w->sections[i]);
        const XXH128_hash_t hash = XXH3_128bits_digest(&state);
        rows[i] = (mrt_bundle_section){.name = w->sections[i].name,
                                       .offset = align_up(end, MRT_BUNDLE_PAGE),
                                       .bytes = w->sections[i].bytes,
                                       .hash = {hash.low64, hash.high64}};
        end = rows[i].offset + rows[i].bytes;
    }
    w->index.info.sections = rows;
    w->index.info.n_sections = n;
    return align_up(end, ALIGN);
}

static bool emit_file(const writer *w, const mrt_bundle_header *header, const uint8_t *index,
                      FILE *stream) {
    const sink to = {.stream = stream};
    const mrt_bundle_info *info = &w->index.info;
    uint64_t at = sizeof *header;
    if (!emit(&to, header, sizeof *header)) {
        return false;
    }
    for (uint32_t i = 0; i < info->n_sections; i++) {
        if (!emit_zeros(&to, info->sections[i].offset - at) ||
            !emit_section(&to, &w->sections[i])) {
            return false;
        }
        at = info->sections[i].offset + info->sections[i].bytes;
    }
    return emit_zeros(&to, header->index_offset - at) && emit(&to, index, header->index_bytes);
}

static mica_status write_file(writer *w, const char *path, mica_error *err) {
    mrt_bundle_header header = {.magic = {0},
                                .format = w->index.info.format,
                                .header_bytes = sizeof header,
                                .index_offset = place_sections(w)};
    memcpy(header.magic, MRT_BUNDLE_MAGIC, sizeof header.magic);
    uint8_t *index = NULL;
    size_t index_bytes = 0;
    mrt_error reason = {{0}};
    if (mica_bundle_fb_build(&w->index, &index, &index_bytes, &reason) != MRT_OK) {
        return mica_fail(err, "%s: %s", path, reason.text);
    }
    header.index_bytes = index_bytes;
    header.file_bytes = header.index_offset + index_bytes;
    header.hash = mrt_bundle_index_hash(&header, index);
    mica_atomic_file file = {0};
    mica_status status = mica_atomic_open(&file, path, err);
    if (status == MICA_OK) {
        if (emit_file(w, &header, index, file.stream)) {
            status = mica_atomic_commit(&file, err);
        } else {
            mica_atomic_abort(&file);
            status = mica_fail(err, "%s: cannot be written", path);
        }
    }
    free(index);
    return status;
}

mica_status mica_bundle_write(const mica_bundle_desc *desc, const char *path, mica_error *err) {
    writer w = {.desc = desc, .arena = mica_arena_create()};
    describe(&w);
    mica_status status = run_golden(&w, err);
    if (status == MICA_OK) {
        status = write_file(&w, path, err);
    }
    mica_arena_destroy(w.arena);
    return status;
}
