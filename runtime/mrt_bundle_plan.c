/* From a bundle's table of contents to a finalized plan. finalize proves the graph and the kernels'
 * operands; proved here is only what a plan cannot know: where bytes lie in the file. */
#include "runtime/mrt_bundle_private.h"
#include "runtime/mrt_quant.h"

static mrt_status bad(mrt_error *err, const char *what, const char *name) {
    return mrt_fail(err, MRT_CORRUPT, "bundle: %s '%.200s'", what, name);
}

/* A copy with one value per byte [pack-int4]. All copies together are at most twice as large as the file. */
static mrt_status unpack(mrt_bundle *bundle, const mrt_index_tensor *t, const void **data, mrt_error *err) {
    if (t->bytes > bundle->bytes - bundle->unpacked) {
        return bad(err, "bytes used before are those of packed constant", t->name);
    }
    bundle->unpacked += t->bytes;
    const int64_t count = mrt_shape_count(&t->shape);
    uint8_t *values = mrt_bump_array(&bundle->bump, (size_t)count, 1);
    if (values == NULL) {
        return mrt_fail(err, MRT_NO_MEMORY, "no memory for constant '%.200s'", t->name);
    }
    if (!mrt_unpack4(*data, count, t->dtype == MRT_I8, values)) {
        return bad(err, "unused bits are set behind constant", t->name);
    }
    *data = values;
    return MRT_OK;
}

/* Values of 4 bits are known since format 3, and only in bytes. */
static mrt_status check_bits(const mrt_bundle *bundle, const mrt_index_tensor *t, mrt_error *err) {
    const bool known = t->bits == 4 && (t->dtype == MRT_I8 || t->dtype == MRT_U8);
    if (t->bits != 0 && (!known || bundle->index.info.format < 3)) {
        return bad(err, "impossible number of bits of tensor", t->name);
    }
    return MRT_OK;
}

/* Points *out_data at a constant's bytes. */
static mrt_status locate(mrt_bundle *bundle, const mrt_index_tensor *t,
                         const void **out_data, mrt_error *err) {
    const mrt_bundle_info *info = &bundle->index.info;
    int64_t bytes;
    if (!mrt_shape_bytes(&t->shape, (mrt_dtype)t->dtype, &bytes)) {
        return bad(err, "impossible type or shape of constant", t->name);
    }
    bytes = t->bits == 4 ? mrt_packed4_bytes(bytes) : bytes;
    if ((uint64_t)bytes != t->bytes) {
        return bad(err, "shape and bytes disagree for constant", t->name);
    }
    if (bytes == 0) {
        return MRT_OK;
    }
    if (t->section < 0 || (uint32_t)t->section >= info->n_sections) {
        return bad(err, "no section for constant", t->name);
    }
    const mrt_bundle_section *s = &info->sections[t->section];
    if (t->offset % MRT_ALIGN != 0 || t->offset > s->bytes || t->bytes > s->bytes - t->offset) {
        return bad(err, "outside of its section lies constant", t->name);
    }
    *out_data = bundle->data + s->offset + t->offset;
    return t->bits == 4 ? unpack(bundle, t, out_data, err) : MRT_OK;
}

static mrt_status add_tensor(mrt_bundle *bundle, int32_t id, mrt_error *err) {
    const mrt_index_tensor *t = &bundle->index.tensors[id];
    const void *data = NULL;
    MRT_TRY(check_bits(bundle, t, err));
    if (t->kind == MRT_CONST) {
        MRT_TRY(locate(bundle, t, &data, err));
    }
    const mrt_tensor info = {.name = t->name,
                             .dtype = (mrt_dtype)t->dtype,
                             .shape = t->shape,
                             .scale = t->scale,
                             .zero_point = t->zero_point,
                             .bits = t->bits,
                             .data = (void *)(uintptr_t)data};
    int32_t added;
    if (t->alias_of != -1) {
        if (t->kind != MRT_VALUE || t->alias_of < 0 || t->alias_of >= id) {
            return bad(err, "malformed alias", t->name);
        }
        added = mrt_plan_add_alias(bundle->plan, &info, t->alias_of);
    } else {
        added = mrt_plan_add_tensor(bundle->plan, &info, (mrt_tensor_kind)t->kind);
    }
    return added == id ? MRT_OK : mrt_fail(err, MRT_NO_MEMORY, "no memory for the plan");
}

static mrt_status add_step(mrt_bundle *bundle, const mrt_index_step *s, mrt_error *err) {
    const mrt_kernel *kernel = mrt_kernel_find(s->kernel);
    if (kernel == NULL || (kernel->flags & MRT_INTERNAL) != 0) {
        return mrt_fail(err, MRT_VERSION,
                        "bundle: op '%.200s' needs kernel 0x%04x, which this runtime lacks", s->op,
                        s->kernel);
    }
    if (s->n_params * sizeof s->params[0] != kernel->param_bytes) {
        return mrt_fail(err, MRT_VERSION,
                        "bundle: op '%.200s' gives kernel %s %u parameter words, expected %u",
                        s->op, kernel->name, s->n_params, kernel->param_bytes / 8u);
    }
    mrt_plan_add_step(bundle->plan, s->kernel, s->params, s->in, (int)s->n_in, s->out,
                      (int)s->n_out, s->op);
    return MRT_OK;
}

static mrt_status check_inputs(mrt_bundle *bundle, mrt_error *err) {
    mrt_bundle_index *index = &bundle->index;
    const mrt_plan *plan = bundle->plan;
    if (index->n_inputs != (uint32_t)plan->n_inputs) {
        return bad(err, "wrong list of inputs of net", index->info.name);
    }
    for (int32_t i = 0; i < plan->n_inputs; i++) {
        if (index->inputs[i] != plan->inputs[i]) {
            return bad(err, "wrong list of inputs of net", index->info.name);
        }
    }
    if (index->n_preprocess == 0 && plan->n_inputs > 0) {
        const char **texts =
            mrt_bump_array(&bundle->bump, (size_t)plan->n_inputs, sizeof texts[0]);
        if (texts == NULL) {
            return mrt_fail(err, MRT_NO_MEMORY, "no memory for the bundle");
        }
        for (int32_t i = 0; i < plan->n_inputs; i++) {
            texts[i] = "";
        }
        index->info.preprocess = texts;
    } else if (index->n_preprocess != (uint32_t)plan->n_inputs) {
        return bad(err, "wrong number of preprocess texts of net", index->info.name);
    }
    return MRT_OK;
}

static mrt_status check_golden_inputs(const mrt_bundle *bundle, mrt_error *err) {
    const mrt_bundle_index *index = &bundle->index;
    const mrt_plan *plan = bundle->plan;
    if (index->golden_section < 0 || (uint32_t)index->golden_section >= index->info.n_sections ||
        index->n_golden != (uint32_t)plan->n_inputs) {
        return bad(err, "damaged golden input of net", index->info.name);
    }
    const mrt_bundle_section *s = &index->info.sections[index->golden_section];
    for (int32_t i = 0; i < plan->n_inputs; i++) {
        const mrt_plan_tensor *t = &plan->tensors[plan->inputs[i]];
        const uint64_t offset = index->golden_offsets[i];
        if (offset > s->bytes || (uint64_t)t->bytes > s->bytes - offset) {
            return bad(err, "damaged golden input", t->info.name);
        }
        const uint8_t *values = bundle->data + s->offset + offset;
        for (int64_t k = 0; t->info.dtype == MRT_BOOL && k < t->bytes; k++) {
            if (values[k] > 1) {
                return bad(err, "golden input holds no booleans:", t->info.name);
            }
        }
    }
    return MRT_OK;
}

/* Results name every computed tensor, in the order of ids, with as many blocks as it has. */
static mrt_status check_golden(const mrt_bundle *bundle, mrt_error *err) {
    const mrt_bundle_index *index = &bundle->index;
    const mrt_plan *plan = bundle->plan;
    if (!index->info.has_golden) {
        return MRT_OK;
    }
    MRT_TRY(check_golden_inputs(bundle, err));
    int32_t previous = -1;
    for (uint32_t i = 0; i < index->n_results; i++) {
        const mrt_index_result *result = &index->results[i];
        if (result->tensor <= previous || result->tensor >= plan->n_tensors) {
            return bad(err, "damaged golden results of net", index->info.name);
        }
        previous = result->tensor;
        const mrt_plan_tensor *t = &plan->tensors[result->tensor];
        const int64_t count = mrt_shape_count(&t->info.shape), block = mrt_bundle_block(count);
        const bool same = result->n_blocks == (count + block - 1) / block;
        if (t->kind != MRT_VALUE || t->alias_of >= 0 ||
            (!same && !mrt_plan_is_live(plan, result->tensor))) {
            return bad(err, "damaged golden result of", t->info.name);
        }
    }
    uint32_t computed = 0;
    for (int32_t id = 0; id < plan->n_tensors; id++) {
        computed += plan->tensors[id].kind == MRT_VALUE && plan->tensors[id].alias_of < 0;
    }
    if (index->n_results != computed) {
        return bad(err, "missing golden results of net", index->info.name);
    }
    return MRT_OK;
}

mrt_status mrt_bundle_build_plan(mrt_bundle *bundle, uint32_t flags, mrt_error *err) {
    const mrt_bundle_index *index = &bundle->index;
    bundle->plan = mrt_plan_create();
    if (bundle->plan == NULL) {
        return mrt_fail(err, MRT_NO_MEMORY, "no memory for the plan");
    }
    for (uint32_t i = 0; i < index->n_tensors; i++) {
        MRT_TRY(add_tensor(bundle, (int32_t)i, err));
    }
    for (uint32_t i = 0; i < index->n_steps; i++) {
        MRT_TRY(add_step(bundle, &index->steps[i], err));
    }
    for (uint32_t i = 0; i < index->n_symbols; i++) {
        mrt_plan_add_symbol(bundle->plan, index->symbols[i].tensor, index->symbols[i].axis);
    }
    for (uint32_t i = 0; i < index->n_terms; i++) {
        mrt_plan_add_term(bundle->plan, &index->terms[i]);
    }
    for (uint32_t i = 0; i < index->n_outputs; i++) {
        mrt_plan_add_output(bundle->plan, index->outputs[i]);
    }
    MRT_TRY(check_inputs(bundle, err));
    MRT_TRY(mrt_plan_finalize(bundle->plan, (flags & MRT_BUNDLE_KEEP_ALL) != 0, err));
    return check_golden(bundle, err);
}
