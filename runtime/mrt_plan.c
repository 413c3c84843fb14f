#include "runtime/mrt_plan_private.h"

#include <xxhash.h>

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

mrt_plan *mrt_plan_create(void) {
    mrt_plan *plan = calloc(1, sizeof *plan);
    mrt_plan_memory *memory = calloc(1, sizeof *memory);
    if (plan == NULL || memory == NULL) {
        free(plan);
        free(memory);
        return NULL;
    }
    pthread_mutex_init(&memory->lock, NULL);
    plan->memory = memory;
    return plan;
}

void mrt_plan_destroy(mrt_plan *plan) {
    if (plan == NULL) {
        return;
    }
    mrt_plan_memory *memory = plan->memory;
    mrt_plan_destroy(memory->derived);
    mrt_plan_destroy(memory->part);
    pthread_mutex_destroy(&memory->lock);
    mrt_bump_free(&memory->bump);
    free(memory);
    free(plan->tensors);
    free(plan->steps);
    free(plan->inputs);
    free(plan->outputs);
    free(plan->symbols);
    free(plan->terms);
    free(plan);
}

/* Remembers the first wrong call; finalize reports it. */
__attribute__((format(printf, 2, 3))) static void problem(mrt_plan *plan, const char *format, ...) {
    mrt_plan_memory *memory = plan->memory;
    if (memory->invalid) {
        return;
    }
    memory->invalid = true;
    va_list args;
    va_start(args, format);
    vsnprintf(memory->problem, sizeof memory->problem, format, args);
    va_end(args);
}

/* Makes room for one more element of *array. */
static bool grow(mrt_plan *plan, void *array, int32_t count, int32_t *capacity, size_t size) {
    mrt_plan_memory *memory = plan->memory;
    if (memory->finalized) {
        problem(plan, "the plan is already finalized");
        return false;
    }
    if (count < *capacity) {
        return true;
    }
    void *old;
    memcpy(&old, array, sizeof old);
    const int64_t wanted = *capacity > 0 ? 2 * (int64_t)*capacity : 64;
    void *grown = wanted <= INT32_MAX ? realloc(old, (size_t)wanted * size) : NULL;
    if (grown == NULL) {
        memory->bump.failed = true;
        return false;
    }
    memcpy(array, &grown, sizeof grown);
    *capacity = (int32_t)wanted;
    return true;
}

static int32_t add(mrt_plan *plan, const mrt_tensor *info, mrt_tensor_kind kind, int32_t alias_of) {
    mrt_plan_memory *memory = plan->memory;
    if (!grow(plan, &plan->tensors, plan->n_tensors, &memory->cap_tensors,
              sizeof plan->tensors[0])) {
        return -1;
    }
    char *name = mrt_bump_string(&memory->bump, info->name);
    if (name == NULL) {
        return -1;
    }
    const int32_t id = plan->n_tensors;
    if (kind == MRT_INPUT) {
        if (!grow(plan, &plan->inputs, plan->n_inputs, &memory->cap_inputs,
                  sizeof plan->inputs[0])) {
            return -1;
        }
        plan->inputs[plan->n_inputs++] = id;
    }
    plan->tensors[id] = (mrt_plan_tensor){.info = *info,
                                          .kind = kind,
                                          .alias_of = alias_of,
                                          .root = id,
                                          .def_step = -1,
                                          .last_step = -1,
                                          .offset = -1};
    plan->tensors[id].info.name = name;
    if (kind != MRT_CONST) {
        plan->tensors[id].info.data = NULL;
    }
    plan->n_tensors++;
    return id;
}

int32_t mrt_plan_add_tensor(mrt_plan *plan, const mrt_tensor *info, mrt_tensor_kind kind) {
    return add(plan, info, kind, -1);
}

int32_t mrt_plan_add_alias(mrt_plan *plan, const mrt_tensor *info, int32_t of) {
    if (of < 0 || of >= plan->n_tensors) {
        problem(plan, "alias '%s' of unknown tensor %d", info->name != NULL ? info->name : "", of);
        return -1;
    }
    return add(plan, info, MRT_VALUE, of);
}

const void *mrt_plan_store(mrt_plan *plan, const void *data, size_t bytes) {
    mrt_plan_memory *memory = plan->memory;
    void *copy = mrt_bump_alloc(&memory->bump, bytes);
    if (copy != NULL && bytes > 0) {
        memcpy(copy, data, bytes);
    }
    return copy;
}

void mrt_plan_add_output(mrt_plan *plan, int32_t tensor) {
    mrt_plan_memory *memory = plan->memory;
    if (tensor < 0 || tensor >= plan->n_tensors) {
        problem(plan, "output is unknown tensor %d", tensor);
        return;
    }
    if (!grow(plan, &plan->outputs, plan->n_outputs, &memory->cap_outputs,
              sizeof plan->outputs[0])) {
        return;
    }
    plan->outputs[plan->n_outputs++] = tensor;
    plan->tensors[tensor].is_output = true;
}

int32_t mrt_plan_add_symbol(mrt_plan *plan, int32_t tensor, int32_t axis) {
    mrt_plan_memory *memory = plan->memory;
    if (!grow(plan, &plan->symbols, plan->n_symbols, &memory->cap_symbols,
              sizeof plan->symbols[0])) {
        return -1;
    }
    plan->symbols[plan->n_symbols] = (mrt_live_symbol){tensor, axis};
    return plan->n_symbols++;
}

void mrt_plan_add_term(mrt_plan *plan, const mrt_live_term *term) {
    mrt_plan_memory *memory = plan->memory;
    if (grow(plan, &plan->terms, plan->n_terms, &memory->cap_terms, sizeof plan->terms[0])) {
        plan->terms[plan->n_terms++] = *term;
    }
}

static int32_t *copy_ids(mrt_plan *plan, const int32_t *ids, int n) {
    return (int32_t *)(uintptr_t)mrt_plan_store(plan, ids, (size_t)n * sizeof ids[0]);
}

void mrt_plan_add_step(mrt_plan *plan, uint16_t kernel_code, const void *params, const int32_t *in,
                       int n_in, const int32_t *out, int n_out, const char *op) {
    mrt_plan_memory *memory = plan->memory;
    const mrt_kernel *kernel = mrt_kernel_find(kernel_code);
    if (kernel == NULL) {
        problem(plan, "op '%s': unknown kernel code 0x%04x", op != NULL ? op : "", kernel_code);
        return;
    }
    if (n_in < 0 || n_out < 0 || (params == NULL && kernel->param_bytes > 0)) {
        problem(plan, "op '%s': wrong call of mrt_plan_add_step", op != NULL ? op : "");
        return;
    }
    if (!grow(plan, &plan->steps, plan->n_steps, &memory->cap_steps, sizeof plan->steps[0])) {
        return;
    }
    mrt_step step = {.kernel = kernel, .n_in = n_in, .n_out = n_out};
    step.params = (void *)(uintptr_t)mrt_plan_store(plan, params, kernel->param_bytes);
    step.in = copy_ids(plan, in, n_in);
    step.out = copy_ids(plan, out, n_out);
    step.op = mrt_bump_string(&memory->bump, op);
    if (memory->bump.failed) {
        return;
    }
    plan->steps[plan->n_steps++] = step;
}

static uint32_t slot_of(const mrt_plan_memory *memory, const char *name) {
    return (uint32_t)XXH3_64bits(name, strlen(name)) & (memory->name_slots - 1);
}

static mrt_status index_names(mrt_plan *plan) {
    mrt_plan_memory *memory = plan->memory;
    uint32_t slots = 16;
    while (slots < 2 * (uint32_t)plan->n_tensors) {
        slots *= 2;
    }
    memory->names = mrt_bump_array(&memory->bump, slots, sizeof memory->names[0]);
    if (memory->names == NULL) {
        return MRT_NO_MEMORY;
    }
    memory->name_slots = slots;
    for (int32_t id = 0; id < plan->n_tensors; id++) {
        const char *name = plan->tensors[id].info.name;
        if (name[0] == '\0') {
            continue;
        }
        uint32_t slot = slot_of(memory, name);
        while (memory->names[slot] != 0 &&
               strcmp(plan->tensors[memory->names[slot] - 1].info.name, name) != 0) {
            slot = (slot + 1) & (slots - 1);
        }
        if (memory->names[slot] == 0) {
            memory->names[slot] = id + 1;
        }
    }
    return MRT_OK;
}

/* Aliases by root, in order of their ids, for the observers. */
static mrt_status index_aliases(mrt_plan *plan) {
    mrt_plan_memory *memory = plan->memory;
    const size_t n = (size_t)plan->n_tensors;
    int32_t *first = mrt_bump_array(&memory->bump, n + 2, sizeof first[0]);
    int32_t *ids = mrt_bump_array(&memory->bump, n, sizeof ids[0]);
    if (first == NULL || ids == NULL) {
        return MRT_NO_MEMORY;
    }
    /* Counting sort; shifted by two, so that filling leaves first[root] at its begin. */
    for (int32_t i = 0; i < plan->n_tensors; i++) {
        if (plan->tensors[i].alias_of >= 0) {
            first[plan->tensors[i].root + 2]++;
        }
    }
    for (size_t i = 2; i < n + 2; i++) {
        first[i] += first[i - 1];
    }
    for (int32_t i = 0; i < plan->n_tensors; i++) {
        if (plan->tensors[i].alias_of >= 0) {
            ids[first[plan->tensors[i].root + 1]++] = i;
        }
    }
    memory->alias_first = first;
    memory->alias_ids = ids;
    return MRT_OK;
}

mrt_status mrt_plan_finalize(mrt_plan *plan, bool keep_all, mrt_error *err) {
    mrt_plan_memory *memory = plan->memory;
    if (memory->bump.failed) {
        return mrt_fail(err, MRT_NO_MEMORY, "no memory to build the plan");
    }
    if (memory->invalid) {
        return mrt_fail(err, MRT_INVALID, "%s", memory->problem);
    }
    if (memory->finalized) {
        return mrt_fail(err, MRT_INVALID, "the plan is already finalized");
    }
    plan->keep_all = keep_all;
    MRT_TRY(mrt_plan_check_graph(plan, err));
    MRT_TRY(mrt_plan_check_live(plan, err));
    MRT_TRY(mrt_plan_check_kernels(plan, err));
    MRT_TRY(mrt_plan_arena(plan, err));
    if (index_names(plan) != MRT_OK || index_aliases(plan) != MRT_OK) {
        return mrt_fail(err, MRT_NO_MEMORY, "no memory for the plan's indexes");
    }
    memory->finalized = true;
    return MRT_OK;
}

int32_t mrt_plan_find(const mrt_plan *plan, const char *name) {
    const mrt_plan_memory *memory = plan->memory;
    if (name == NULL || name[0] == '\0') {
        return -1;
    }
    if (memory->names == NULL) {
        for (int32_t id = 0; id < plan->n_tensors; id++) {
            if (strcmp(plan->tensors[id].info.name, name) == 0) {
                return id;
            }
        }
        return -1;
    }
    uint32_t slot = slot_of(memory, name);
    while (memory->names[slot] != 0) {
        const int32_t id = memory->names[slot] - 1;
        if (strcmp(plan->tensors[id].info.name, name) == 0) {
            return id;
        }
        slot = (slot + 1) & (memory->name_slots - 1);
    }
    return -1;
}
