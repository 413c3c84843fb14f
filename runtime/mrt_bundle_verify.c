#include "runtime/mrt_bundle_private.h"

#include "runtime/mrt_exec.h"

#include <string.h>

typedef struct verifier {
    const mrt_bundle *bundle;
    mrt_bundle_report *report;
} verifier;

/* Results are sorted by tensor. */
static const mrt_index_result *find_result(const mrt_bundle_index *index, int32_t tensor) {
    uint32_t low = 0, high = index->n_results;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (index->results[middle].tensor < tensor) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < index->n_results && index->results[low].tensor == tensor ? &index->results[low]
                                                                          : NULL;
}

static void note_first(const verifier *v, const mrt_tensor *tensor,
                       const mrt_index_result *expected, const mrt_index_result *found) {
    const mrt_plan *plan = v->bundle->plan;
    const mrt_plan_tensor *t = &plan->tensors[expected->tensor];
    const int64_t count = mrt_shape_count(&tensor->shape), block = mrt_bundle_block(count);
    mrt_bundle_report *report = v->report;
    report->tensor = expected->tensor;
    report->step = t->def_step;
    report->name = t->info.name;
    report->op = plan->steps[t->def_step].op;
    report->first = 0;
    report->last = count;
    /* Other numbers of blocks: a size that depends on data differs already. */
    for (uint32_t i = 0; expected->n_blocks == found->n_blocks && i < found->n_blocks; i++) {
        if (expected->blocks[i] != found->blocks[i]) {
            report->first = i * block;
            report->last = count - report->first < block ? count : report->first + block;
            return;
        }
    }
}

static void observe(void *user, int32_t id, const mrt_tensor *tensor) {
    const verifier *v = user;
    const mrt_index_result *expected = find_result(&v->bundle->index, id);
    if (expected == NULL) {
        return;
    }
    mrt_index_result found;
    mrt_bundle_hash_tensor(tensor, &found);
    v->report->checked++;
    if (found.hash.low == expected->hash.low && found.hash.high == expected->hash.high) {
        return;
    }
    if (v->report->different++ == 0) {
        v->report->equal = false;
        note_first(v, tensor, expected, &found);
    }
}

mrt_status mrt_bundle_verify(const mrt_bundle *bundle, mrt_pool *pool,
                             mrt_bundle_report *out_report, mrt_error *err) {
    const mrt_plan *plan = bundle->plan;
    if (!bundle->index.info.has_golden) {
        return mrt_fail(err, MRT_UNSUPPORTED, "bundle '%.200s' has no golden input",
                        bundle->index.info.name);
    }
    mrt_exec *exec = NULL;
    MRT_TRY(mrt_exec_create(plan, pool, &exec, err));
    for (int32_t i = 0; i < plan->n_inputs; i++) {
        mrt_tensor *input = mrt_exec_tensor(exec, plan->inputs[i]);
        memcpy(input->data, mrt_bundle_golden_input(bundle, i),
               (size_t)plan->tensors[plan->inputs[i]].bytes);
    }
    *out_report = (mrt_bundle_report){
        .equal = true, .tensor = -1, .step = -1, .name = "", .op = ""};
    verifier v = {bundle, out_report};
    mrt_exec_run(exec, observe, &v);
    mrt_exec_destroy(exec);
    return MRT_OK;
}
