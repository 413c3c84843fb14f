/* Plans, arena and executor. The arena is judged by a simulation of its own: every 64 bytes
 * remember who wrote them last. */
#include "runtime/mrt_exec.h"
#include "runtime/mrt_half.h"
#include "runtime/mrt_params.h"
#include "test/unit/check_main.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ck_assert reports even success to the parent process: too slow for inner loops. */
#define EXPECT(condition)                                                                          \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            ck_abort_msg("%s", #condition);                                                        \
        }                                                                                          \
    } while (0)

/* --- building blocks --- */

static mrt_tensor tensor(const char *name, mrt_dtype dtype, int64_t count) {
    return (mrt_tensor){.name = name, .dtype = dtype, .shape = {.rank = 1, .dims = {count}}};
}

static int32_t add_value(mrt_plan *plan, const char *name, int64_t count) {
    const mrt_tensor info = tensor(name, MRT_F32, count);
    return mrt_plan_add_tensor(plan, &info, MRT_VALUE);
}

static int32_t add_input(mrt_plan *plan, const char *name, int64_t count) {
    const mrt_tensor info = tensor(name, MRT_F32, count);
    return mrt_plan_add_tensor(plan, &info, MRT_INPUT);
}

static void add_copy(mrt_plan *plan, int32_t from, int32_t to) {
    mrt_plan_add_step(plan, MRT_K_copy, NULL, &from, 1, &to, 1, "copy");
}

/* |x|: works in place. */
static void add_abs(mrt_plan *plan, int32_t from, int32_t to) {
    const mrt_unary_params params = {.op = MRT_UNARY_ABS};
    mrt_plan_add_step(plan, MRT_K_unary, &params, &from, 1, &to, 1, "abs");
}

static void add_concat(mrt_plan *plan, const int32_t *from, int n, int32_t to) {
    const mrt_axis_params params = {.axis = 0};
    mrt_plan_add_step(plan, MRT_K_concat, &params, from, n, &to, 1, "concat");
}

static void finalize(mrt_plan *plan, bool keep_all) {
    mrt_error err = {{0}};
    ck_assert_msg(mrt_plan_finalize(plan, keep_all, &err) == MRT_OK, "%s", err.text);
}

static void refuse(mrt_plan *plan, mrt_status status, const char *part) {
    mrt_error err = {{0}};
    ck_assert_int_eq(mrt_plan_finalize(plan, false, &err), status);
    ck_assert_msg(strstr(err.text, part) != NULL, "'%s' lacks '%s'", err.text, part);
    mrt_plan_destroy(plan);
}

/* --- arena oracle --- */

static void claim(int32_t *owners, const mrt_plan *plan, int32_t id) {
    const mrt_plan_tensor *t = &plan->tensors[id];
    EXPECT(t->offset >= 0 && t->offset % 64 == 0);
    EXPECT(t->offset + t->bytes <= plan->arena_bytes);
    for (int64_t unit = t->offset / 64; unit * 64 < t->offset + t->bytes; unit++) {
        owners[unit] = id;
    }
}

static void expect_owned(const int32_t *owners, const mrt_plan *plan, int32_t id) {
    const mrt_plan_tensor *t = &plan->tensors[plan->tensors[id].root];
    EXPECT(t->offset == plan->tensors[id].offset);
    if (t->kind == MRT_CONST) {
        return;
    }
    for (int64_t unit = t->offset / 64; unit * 64 < t->offset + t->bytes; unit++) {
        if (owners[unit] != t - plan->tensors) {
            ck_abort_msg("'%s' was overwritten", t->info.name);
        }
    }
}

static bool overlap(const mrt_plan_tensor *a, const mrt_plan_tensor *b) {
    return a->offset >= 0 && b->offset >= 0 && a->offset < b->offset + b->bytes &&
           b->offset < a->offset + a->bytes;
}

static void simulate(const mrt_plan *plan) {
    int32_t *owners = malloc(((size_t)plan->arena_bytes / 64 + 1) * sizeof owners[0]);
    memset(owners, -1, ((size_t)plan->arena_bytes / 64 + 1) * sizeof owners[0]);
    for (int32_t i = 0; i < plan->n_inputs; i++) {
        claim(owners, plan, plan->inputs[i]);
    }
    for (int32_t i = 0; i < plan->n_inputs; i++) {
        expect_owned(owners, plan, plan->inputs[i]);
    }
    for (int32_t i = 0; i < plan->n_steps; i++) {
        const mrt_step *step = &plan->steps[i];
        for (int32_t k = 0; k < step->n_in; k++) {
            expect_owned(owners, plan, step->in[k]);
        }
        for (int32_t k = 0; k < step->n_out; k++) {
            const mrt_plan_tensor *out = &plan->tensors[step->out[k]];
            for (int32_t j = 0; j < step->n_in; j++) {
                const mrt_plan_tensor *in = &plan->tensors[step->in[j]];
                const bool in_place = (step->kernel->flags & MRT_INPLACE) != 0 && k == 0 &&
                                      j == 0 && in->offset == out->offset &&
                                      in->bytes == out->bytes;
                EXPECT(in_place || !overlap(in, out));
            }
            claim(owners, plan, step->out[k]);
        }
        for (int32_t k = 0; k < step->n_out; k++) {
            expect_owned(owners, plan, step->out[k]);
        }
    }
    for (int32_t i = 0; i < plan->n_outputs; i++) {
        expect_owned(owners, plan, plan->outputs[i]);
    }
    free(owners);
}

/* --- liveness --- */

START_TEST(chain_needs_two_buffers) {
    mrt_plan *plan = mrt_plan_create();
    int32_t last = add_input(plan, "x", 1024);
    for (int i = 0; i < 10; i++) {
        const int32_t next = add_value(plan, "v", 1024);
        add_copy(plan, last, next);
        last = next;
    }
    mrt_plan_add_output(plan, last);
    finalize(plan, false);
    ck_assert_int_eq(plan->arena_bytes, 2 * 4096);
    ck_assert_int_eq(plan->live_bytes, 2 * 4096);
    simulate(plan);
    mrt_plan_destroy(plan);
}
END_TEST

START_TEST(in_place_needs_one_buffer) {
    mrt_plan *plan = mrt_plan_create();
    int32_t last = add_input(plan, "x", 1024);
    for (int i = 0; i < 10; i++) {
        const int32_t next = add_value(plan, "v", 1024);
        add_abs(plan, last, next);
        last = next;
    }
    mrt_plan_add_output(plan, last);
    finalize(plan, false);
    ck_assert_int_eq(plan->arena_bytes, 4096);
    simulate(plan);
    mrt_plan_destroy(plan);
}
END_TEST

START_TEST(not_in_place_while_needed) {
    mrt_plan *plan = mrt_plan_create();
    const int32_t x = add_input(plan, "x", 64), a = add_value(plan, "a", 64);
    const int32_t b = add_value(plan, "b", 64), c = add_value(plan, "c", 128);
    add_abs(plan, x, a);
    add_abs(plan, a, b);
    const int32_t parts[] = {a, b};
    add_concat(plan, parts, 2, c);
    mrt_plan_add_output(plan, c);
    mrt_plan_add_output(plan, x); /* an input that must survive */
    finalize(plan, false);
    ck_assert(plan->tensors[a].offset != plan->tensors[x].offset);
    ck_assert(plan->tensors[b].offset != plan->tensors[a].offset);
    simulate(plan);
    mrt_plan_destroy(plan);
}
END_TEST

START_TEST(diamond_and_alias) {
    mrt_plan *plan = mrt_plan_create();
    const int32_t x = add_input(plan, "x", 256), left = add_value(plan, "left", 256);
    const int32_t right = add_value(plan, "right", 256), y = add_value(plan, "y", 512);
    add_copy(plan, x, left);
    mrt_tensor view = tensor("view", MRT_F32, 256);
    view.shape = (mrt_shape){.rank = 2, .dims = {16, 16}};
    const int32_t alias = mrt_plan_add_alias(plan, &view, left);
    view.name = "flat";
    view.shape = (mrt_shape){.rank = 1, .dims = {256}};
    const int32_t flat = mrt_plan_add_alias(plan, &view, alias);
    add_copy(plan, x, right);
    const int32_t parts[] = {flat, right};
    add_concat(plan, parts, 2, y);
    mrt_plan_add_output(plan, y);
    mrt_plan_add_output(plan, alias);
    finalize(plan, false);
    ck_assert_int_eq(plan->tensors[flat].root, left);
    ck_assert_int_eq(plan->tensors[flat].offset, plan->tensors[left].offset);
    ck_assert_int_eq(plan->tensors[left].last_step, plan->n_steps);
    ck_assert_int_eq(plan->live_bytes, 4096);
    ck_assert_int_eq(mrt_plan_find(plan, "flat"), flat);
    ck_assert_int_eq(mrt_plan_find(plan, "none"), -1);
    simulate(plan);
    mrt_plan_destroy(plan);
}
END_TEST

/* --- random graphs --- */

static uint32_t draw(uint32_t *state, uint32_t below) {
    *state = *state * 1664525u + 1013904223u;
    return (uint32_t)(((uint64_t)*state * below) >> 32);
}

/* A graph of copies, in-place steps, concats and aliases; some values stay unused. */
static mrt_plan *random_plan(uint32_t seed, int steps, bool keep_all) {
    mrt_plan *plan = mrt_plan_create();
    char name[32];
    for (int i = 0; i < 3; i++) {
        snprintf(name, sizeof name, "x%d", i);
        add_input(plan, name, 1 + draw(&seed, 300));
    }
    for (int i = 0; i < steps; i++) {
        int32_t in[3];
        for (int k = 0; k < 3; k++) {
            const int32_t reach = plan->n_tensors < 40 ? plan->n_tensors : 40;
            in[k] = plan->n_tensors - 1 - (int32_t)draw(&seed, (uint32_t)reach);
        }
        const int64_t count = plan->tensors[in[0]].info.shape.dims[0];
        snprintf(name, sizeof name, "v%d", i);
        const uint32_t what = draw(&seed, 4);
        if (what == 0) {
            add_copy(plan, in[0], add_value(plan, name, count));
        } else if (what == 1) {
            add_abs(plan, in[0], add_value(plan, name, count));
        } else if (what == 2) {
            const mrt_tensor info = tensor(name, MRT_F32, count);
            mrt_plan_add_alias(plan, &info, in[0]);
        } else {
            int64_t sum = 0;
            for (int k = 0; k < 3; k++) {
                sum += plan->tensors[in[k]].info.shape.dims[0];
            }
            if (sum < 20000) {
                add_concat(plan, in, 3, add_value(plan, name, sum));
            }
        }
    }
    for (int i = 0; i < 4; i++) {
        mrt_plan_add_output(plan, (int32_t)draw(&seed, (uint32_t)plan->n_tensors));
    }
    finalize(plan, keep_all);
    return plan;
}

START_TEST(random_arenas_never_overlap) {
    for (uint32_t seed = 1; seed <= 300; seed++) {
        mrt_plan *plan = random_plan(seed, 5 + (int)(seed % 200), false);
        ck_assert(plan->arena_bytes >= plan->live_bytes);
        simulate(plan);
        mrt_plan_destroy(plan);
        plan = random_plan(seed, 30, true);
        simulate(plan);
        mrt_plan_destroy(plan);
    }
}
END_TEST

typedef struct witness {
    mrt_exec *full; /* keep_all twin, already run */
    int seen;
} witness;

static void compare_with_twin(void *user, int32_t id, const mrt_tensor *t) {
    witness *w = user;
    const mrt_tensor *twin = mrt_exec_tensor(w->full, id);
    EXPECT(memcmp(t->data, twin->data, (size_t)mrt_shape_count(&t->shape) * sizeof(float)) == 0);
    w->seen++;
}

static void fill_inputs(const mrt_plan *plan, mrt_exec *exec) {
    for (int32_t i = 0; i < plan->n_inputs; i++) {
        mrt_tensor *t = mrt_exec_tensor(exec, plan->inputs[i]);
        for (int64_t k = 0; k < mrt_shape_count(&t->shape); k++) {
            ((float *)t->data)[k] = (float)sin((double)(k + 100 * i));
        }
    }
}

static mrt_exec *make_exec(const mrt_plan *plan) {
    mrt_exec *exec = NULL;
    mrt_error err = {{0}};
    ck_assert_msg(mrt_exec_create(plan, NULL, &exec, &err) == MRT_OK, "%s", err.text);
    return exec;
}

START_TEST(keep_all_gives_the_same_bytes) {
    for (uint32_t seed = 1; seed <= 60; seed++) {
        mrt_plan *plan = random_plan(seed, 100, false), *full = random_plan(seed, 100, true);
        mrt_exec *exec = make_exec(plan);
        witness w = {.full = make_exec(full)};
        fill_inputs(full, w.full);
        mrt_exec_run(w.full, NULL, NULL);
        fill_inputs(plan, exec);
        mrt_exec_run(exec, compare_with_twin, &w);
        ck_assert_int_eq(w.seen, plan->n_tensors);
        for (int32_t i = 0; i < plan->n_outputs; i++) {
            const mrt_tensor *a = mrt_exec_tensor(exec, plan->outputs[i]);
            const mrt_tensor *b = mrt_exec_tensor(w.full, plan->outputs[i]);
            ck_assert_mem_eq(a->data, b->data, (size_t)mrt_shape_count(&a->shape) * sizeof(float));
        }
        /* A suffix run in the keep_all plan changes nothing. */
        mrt_exec_run_range(w.full, full->n_steps / 2, full->n_steps, compare_with_twin, &w);
        mrt_exec_destroy(exec);
        mrt_exec_destroy(w.full);
        mrt_plan_destroy(plan);
        mrt_plan_destroy(full);
    }
}
END_TEST

static double seconds_of(int steps) {
    struct timespec a, b;
    clock_gettime(CLOCK_MONOTONIC, &a);
    mrt_plan *plan = random_plan(7, steps, false);
    clock_gettime(CLOCK_MONOTONIC, &b);
    simulate(plan);
    mrt_plan_destroy(plan);
    return (double)(b.tv_sec - a.tv_sec) + 1e-9 * (double)(b.tv_nsec - a.tv_nsec);
}

START_TEST(large_plans_are_planned_quickly) {
    /* Far above what is needed, for sanitized builds on loaded machines. */
    ck_assert_double_lt(seconds_of(13000), 20);
    ck_assert_double_lt(seconds_of(60000), 20); /* above the quadratic search */
}
END_TEST

/* --- float storage --- */

START_TEST(float_storage) {
    static const uint16_t numbers[] = {0xbc00, 0x4000, 0x8001, 0xc248}; /* -1 2 -2^-24 -3.14 */
    mrt_plan *plan = mrt_plan_create();
    mrt_tensor info = tensor("x", MRT_F16, 4);
    const int32_t x = mrt_plan_add_tensor(plan, &info, MRT_INPUT);
    info.name = "y";
    const int32_t y = mrt_plan_add_tensor(plan, &info, MRT_VALUE);
    info.name = "b";
    info.dtype = MRT_BF16;
    const int32_t b = mrt_plan_add_tensor(plan, &info, MRT_VALUE);
    info.name = "c";
    info.dtype = MRT_F16;
    info.data = (void *)(uintptr_t)numbers;
    const int32_t c = mrt_plan_add_tensor(plan, &info, MRT_CONST);
    info.name = "z";
    const int32_t z = mrt_plan_add_tensor(plan, &info, MRT_VALUE);
    add_abs(plan, x, y);
    add_abs(plan, y, b);
    add_abs(plan, c, z);
    mrt_plan_add_output(plan, y);
    mrt_plan_add_output(plan, b);
    mrt_plan_add_output(plan, z);
    finalize(plan, false);
    ck_assert_int_ge(plan->scratch_bytes, 128);
    mrt_exec *exec = make_exec(plan);
    memcpy(mrt_exec_tensor(exec, x)->data, numbers, sizeof numbers);
    mrt_exec_run(exec, NULL, NULL);
    const uint16_t *f16 = mrt_exec_tensor(exec, y)->data, *bf16 = mrt_exec_tensor(exec, b)->data;
    const uint16_t *from_const = mrt_exec_tensor(exec, z)->data;
    for (int i = 0; i < 4; i++) {
        ck_assert_uint_eq(f16[i], numbers[i] & 0x7fff);
        ck_assert_uint_eq(from_const[i], numbers[i] & 0x7fff);
        ck_assert_uint_eq(bf16[i], mrt_f32_to_bf16(mrt_f16_to_f32(numbers[i] & 0x7fff)));
    }
    mrt_exec_destroy(exec);
    mrt_plan_destroy(plan);
}
END_TEST

/* abs is written for f64, too; scale_f32 is not and sees its operands, also constants, as f32. */
START_TEST(double_storage) {
    static const double numbers[] = {-1e200, 1.0 + 0x1p-40, -3}, factors[] = {1, 1 + 0x1p-30, 2};
    mrt_plan *plan = mrt_plan_create();
    mrt_tensor info = tensor("x", MRT_F64, 3);
    const int32_t x = mrt_plan_add_tensor(plan, &info, MRT_INPUT);
    info.name = "y";
    const int32_t y = mrt_plan_add_tensor(plan, &info, MRT_VALUE);
    info.name = "z";
    const int32_t z = mrt_plan_add_tensor(plan, &info, MRT_VALUE);
    info.name = "factors";
    info.data = (void *)(uintptr_t)factors;
    const int32_t in[] = {x, mrt_plan_add_tensor(plan, &info, MRT_CONST)};
    add_abs(plan, x, y);
    mrt_plan_add_step(plan, MRT_K_scale_f32, &(mrt_axis_params){0}, in, 2, &z, 1, "scale");
    finalize(plan, true);
    mrt_exec *exec = make_exec(plan);
    memcpy(mrt_exec_tensor(exec, x)->data, numbers, sizeof numbers);
    mrt_exec_run(exec, NULL, NULL);
    const double *wide = mrt_exec_tensor(exec, y)->data, *single = mrt_exec_tensor(exec, z)->data;
    ck_assert(wide[0] == 1e200 && wide[1] == numbers[1] && wide[2] == 3);
    ck_assert(isinf(single[0]) && single[0] < 0 && single[1] == 1 && single[2] == -6);
    mrt_exec_destroy(exec);
    mrt_plan_destroy(plan);
}
END_TEST

/* --- refusals --- */

START_TEST(malformed_plans) {
    mrt_plan *plan = mrt_plan_create();
    int32_t x = add_input(plan, "x", 4), y = add_value(plan, "y", 4);
    refuse(plan, MRT_INVALID, "never computed");

    plan = mrt_plan_create();
    x = add_input(plan, "x", 4), y = add_value(plan, "y", 4);
    add_copy(plan, x, y);
    add_copy(plan, x, y);
    refuse(plan, MRT_INVALID, "computed twice");

    plan = mrt_plan_create();
    x = add_input(plan, "x", 4), y = add_value(plan, "y", 4);
    add_copy(plan, y, y);
    refuse(plan, MRT_INVALID, "read before");

    plan = mrt_plan_create();
    x = add_input(plan, "x", 4);
    add_copy(plan, x, x);
    refuse(plan, MRT_INVALID, "cannot be written");

    plan = mrt_plan_create();
    x = add_input(plan, "x", 4), y = add_value(plan, "y", 4);
    add_copy(plan, 17, y);
    refuse(plan, MRT_INVALID, "unknown tensor 17");

    plan = mrt_plan_create();
    y = add_value(plan, "y", 4);
    add_copy(plan, -1, y);
    refuse(plan, MRT_INVALID, "required input");

    plan = mrt_plan_create();
    x = add_input(plan, "x", 4), y = add_value(plan, "y", 5);
    add_copy(plan, x, y);
    refuse(plan, MRT_INVALID, "copy");

    plan = mrt_plan_create();
    x = add_input(plan, "x", 4), y = add_value(plan, "y", 4);
    const int32_t two[] = {x, x};
    mrt_plan_add_step(plan, MRT_K_copy, NULL, two, 2, &y, 1, "copy");
    refuse(plan, MRT_INVALID, "number of inputs");

    plan = mrt_plan_create();
    x = add_input(plan, "x", 4);
    mrt_plan_add_step(plan, 0x7777, NULL, &x, 1, &x, 1, "strange");
    refuse(plan, MRT_INVALID, "0x7777");

    plan = mrt_plan_create();
    x = add_input(plan, "x", 4);
    const mrt_tensor info = tensor("alias", MRT_F32, 5);
    mrt_plan_add_alias(plan, &info, x);
    refuse(plan, MRT_INVALID, "bytes");

    plan = mrt_plan_create();
    x = add_input(plan, "x", 4);
    ck_assert_int_eq(mrt_plan_add_alias(plan, &info, 5), -1);
    refuse(plan, MRT_INVALID, "unknown tensor");

    plan = mrt_plan_create();
    mrt_plan_add_output(plan, 0);
    refuse(plan, MRT_INVALID, "output");
}
END_TEST

START_TEST(malformed_tensors) {
    mrt_tensor info = tensor("x", MRT_F32, -1);
    mrt_plan *plan = mrt_plan_create();
    mrt_plan_add_tensor(plan, &info, MRT_INPUT);
    refuse(plan, MRT_INVALID, "shape");

    plan = mrt_plan_create();
    info.shape = (mrt_shape){.rank = 3, .dims = {INT64_C(1) << 31, INT64_C(1) << 31, 0}};
    mrt_plan_add_tensor(plan, &info, MRT_INPUT);
    refuse(plan, MRT_INVALID, "shape");

    plan = mrt_plan_create();
    info = tensor("x", (mrt_dtype)99, 1);
    mrt_plan_add_tensor(plan, &info, MRT_INPUT);
    refuse(plan, MRT_INVALID, "type");

    plan = mrt_plan_create();
    info = tensor("x", MRT_F32, 4);
    mrt_plan_add_tensor(plan, &info, MRT_CONST);
    refuse(plan, MRT_INVALID, "no data");

    plan = mrt_plan_create();
    info = tensor("x", MRT_I8, 4);
    info.scale = 0.5;
    info.zero_point = 128;
    mrt_plan_add_tensor(plan, &info, MRT_INPUT);
    refuse(plan, MRT_INVALID, "zero point");

    plan = mrt_plan_create();
    static const uint8_t truth[] = {0, 1, 2};
    info = tensor("x", MRT_BOOL, 3);
    info.data = (void *)(uintptr_t)truth;
    mrt_plan_add_tensor(plan, &info, MRT_CONST);
    refuse(plan, MRT_INVALID, "boolean");

    plan = mrt_plan_create();
    for (int i = 0; i < 64; i++) {
        info = tensor("x", MRT_U8, INT64_C(1) << 59);
        mrt_plan_add_tensor(plan, &info, MRT_INPUT);
    }
    refuse(plan, MRT_INVALID, "too large");

    plan = mrt_plan_create();
    info = tensor("x", MRT_U8, INT64_C(1) << 50);
    mrt_plan_add_output(plan, mrt_plan_add_tensor(plan, &info, MRT_INPUT));
    finalize(plan, false);
    mrt_exec *exec = NULL;
    mrt_error err;
    ck_assert_int_eq(mrt_exec_create(plan, NULL, &exec, &err), MRT_NO_MEMORY);
    mrt_plan_destroy(plan);
}
END_TEST

START_TEST(empty_and_misaligned) {
    mrt_plan *plan = mrt_plan_create();
    const int32_t x = add_input(plan, "x", 0), y = add_value(plan, "y", 0);
    add_copy(plan, x, y);
    mrt_plan_add_output(plan, y);
    static const uint8_t bytes[9] = {0, 0, 0, 0x80, 0x3f, 0, 0, 0, 0x40};
    mrt_tensor info = tensor("c", MRT_F32, 2);
    info.data = (void *)(uintptr_t)(bytes + 1);
    const int32_t c = mrt_plan_add_tensor(plan, &info, MRT_CONST), z = add_value(plan, "z", 2);
    add_copy(plan, c, z);
    mrt_plan_add_output(plan, c);
    mrt_plan_add_output(plan, z);
    finalize(plan, false);
    mrt_error err;
    ck_assert_int_eq(mrt_plan_finalize(plan, false, &err), MRT_INVALID);
    ck_assert_int_eq(add_value(plan, "late", 1), -1);
    mrt_exec *exec = make_exec(plan);
    double seconds[2] = {-1, -1};
    mrt_exec_set_timing(exec, seconds);
    mrt_exec_run(exec, NULL, NULL);
    ck_assert(seconds[0] >= 0 && seconds[1] >= 0);
    ck_assert(((float *)mrt_exec_tensor(exec, z)->data)[1] == 2.0f);
    ck_assert(((float *)mrt_exec_tensor(exec, c)->data)[0] == 1.0f);
    ck_assert_ptr_null(mrt_exec_tensor(exec, 99));
    mrt_exec_destroy(exec);
    mrt_plan_destroy(plan);
}
END_TEST

/* --- pool --- */

START_TEST(pool_does_not_change_results) {
    mrt_plan *plan = random_plan(99, 80, true);
    mrt_exec *serial = make_exec(plan), *parallel = NULL;
    mrt_pool *pool = mrt_pool_create(3);
    mrt_error err;
    ck_assert_int_eq(mrt_exec_create(plan, pool, &parallel, &err), MRT_OK);
    fill_inputs(plan, serial);
    fill_inputs(plan, parallel);
    mrt_exec_run(serial, NULL, NULL);
    witness w = {.full = serial};
    mrt_exec_run(parallel, compare_with_twin, &w);
    mrt_exec_destroy(serial);
    mrt_exec_destroy(parallel);
    mrt_pool_destroy(pool);
    mrt_plan_destroy(plan);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("runtime_plan");
    TCase *tests = tcase_create("runtime_plan");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, chain_needs_two_buffers);
    tcase_add_test(tests, in_place_needs_one_buffer);
    tcase_add_test(tests, not_in_place_while_needed);
    tcase_add_test(tests, diamond_and_alias);
    tcase_add_test(tests, random_arenas_never_overlap);
    tcase_add_test(tests, keep_all_gives_the_same_bytes);
    tcase_add_test(tests, large_plans_are_planned_quickly);
    tcase_add_test(tests, float_storage);
    tcase_add_test(tests, double_storage);
    tcase_add_test(tests, malformed_plans);
    tcase_add_test(tests, malformed_tensors);
    tcase_add_test(tests, empty_and_misaligned);
    tcase_add_test(tests, pool_does_not_change_results);
    suite_add_tcase(suite, tests);
    return check_run(suite);
}
