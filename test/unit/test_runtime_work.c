/* What profiles and tools are told: work of a step, limits of the machine, features, trace; and that threads
 * are used where they were asked for only. */
#include "runtime/mrt_cpu.h"
#include "runtime/mrt_exec.h"
#include "runtime/mrt_params.h"
#include "runtime/mrt_probe.h"
#include "test/unit/check_main.h"

#include <check.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cblas.h>

static mrt_tensor tensor(mrt_dtype dtype, int rank, int64_t a, int64_t b, int64_t c, int64_t d) {
    return (mrt_tensor){.name = "t", .dtype = dtype, .shape = {.rank = rank, .dims = {a, b, c, d}}};
}

/* Work of a kernel with the given operands. */
static mrt_work work_of(uint16_t code, const void *params, const mrt_tensor *in, int n_in, mrt_tensor out) {
    const mrt_tensor *inputs[4] = {0};
    mrt_tensor *outputs[1] = {&out};
    for (int i = 0; i < n_in; i++) {
        inputs[i] = &in[i];
    }
    const mrt_call call = {.in = inputs, .n_in = n_in, .out = outputs, .n_out = 1, .params = params};
    return mrt_work_of(mrt_kernel_find(code), &call);
}

/* --- rules, each against a count by hand --- */

START_TEST(work_of_convolutions) {
    const mrt_conv_params written = {.spatial = 2, .group = 2, .float_order = MRT_ORDER_WRITTEN};
    const mrt_tensor x = tensor(MRT_F32, 4, 2, 6, 10, 9), w = tensor(MRT_F32, 4, 8, 3, 3, 5);
    mrt_work work = work_of(MRT_K_conv_f32, &written, (mrt_tensor[]){x, w}, 2, tensor(MRT_F32, 4, 2, 8, 8, 5));
    ck_assert_double_eq(work.macs, 2.0 * 8 * 8 * 5 * 3 * 3 * 5);
    ck_assert_int_eq(work.kind, MRT_WORK_F32_WRITTEN);
    ck_assert_double_eq(work.bytes_read, 4.0 * (2 * 6 * 10 * 9 + 8 * 3 * 3 * 5));
    ck_assert_double_eq(work.bytes_written, 4.0 * 2 * 8 * 8 * 5);

    const mrt_conv_params plain = {.spatial = 2, .group = 1};
    const mrt_tensor wide = tensor(MRT_F32, 4, 6, 8, 2, 2); /* C, OC */
    work = work_of(MRT_K_deconv_f32, &plain, (mrt_tensor[]){x, wide}, 2, tensor(MRT_F32, 4, 2, 8, 20, 18));
    ck_assert_double_eq(work.macs, 2.0 * 6 * 10 * 9 * 8 * 2 * 2);
    ck_assert_int_eq(work.kind, MRT_WORK_F32);

    /* channels-last x and y, filters as they were: depthwise */
    const mrt_conv_int_params integer = {.conv = {.spatial = 2, .group = 16}};
    const mrt_tensor last = tensor(MRT_U8, 4, 1, 7, 7, 16), filters = tensor(MRT_I8, 4, 16, 1, 3, 3);
    work = work_of(MRT_K_conv_nhwc, &integer, (mrt_tensor[]){last, filters}, 2, tensor(MRT_U8, 4, 1, 5, 5, 16));
    ck_assert_double_eq(work.macs, 5.0 * 5 * 16 * 9);
    ck_assert_int_eq(work.kind, MRT_WORK_INT8);
}
END_TEST

START_TEST(work_of_products) {
    const mrt_matmul_int_params transposed = {.trans_a = 1, .trans_b = 1};
    const mrt_tensor a = tensor(MRT_I8, 3, 4, 20, 5, 0), b = tensor(MRT_I8, 3, 4, 7, 20, 0);
    mrt_work work = work_of(MRT_K_matmul_int, &transposed, (mrt_tensor[]){a, b}, 2, tensor(MRT_I8, 3, 4, 5, 7, 0));
    ck_assert_double_eq(work.macs, 4.0 * 5 * 7 * 20);
    ck_assert_int_eq(work.kind, MRT_WORK_INT8);

    const mrt_rnn_params lstm = {.hidden = 8, .float_order = MRT_ORDER_WRITTEN};
    const mrt_tensor recurrent[] = {tensor(MRT_F32, 3, 12, 3, 10, 0), tensor(MRT_F32, 3, 1, 32, 10, 0),
                                    tensor(MRT_F32, 3, 1, 32, 8, 0)};
    work = work_of(MRT_K_lstm_f32, &lstm, recurrent, 3, tensor(MRT_F32, 4, 12, 1, 3, 8));
    ck_assert_double_eq(work.macs, 12.0 * 3 * (32 * 10 + 32 * 8));

    const mrt_tensor x = tensor(MRT_I16, 1, 100, 0, 0, 0);
    work = work_of(MRT_K_copy, NULL, &x, 1, x);
    ck_assert_double_eq(work.macs, 0);
    ck_assert_int_eq(work.kind, MRT_WORK_NONE);
    ck_assert_double_eq(work.bytes_read + work.bytes_written, 400);
    const mrt_gather_params gather = {.axis = 0};
    const mrt_tensor table[] = {tensor(MRT_F32, 2, 30000, 4, 0, 0), tensor(MRT_I64, 1, 3, 0, 0, 0)};
    work = work_of(MRT_K_gather, &gather, table, 2, tensor(MRT_F32, 2, 3, 4, 0, 0));
    ck_assert_double_eq(work.bytes_read, 3 * 4 * 4 + 3 * 8);
    const mrt_tensor empty = tensor(MRT_F32, 2, 0, 3, 0, 0), none = tensor(MRT_F32, 2, 3, 0, 0, 0);
    const mrt_matmul_params plain = {.alpha = 1};
    work = work_of(MRT_K_matmul_f32, &plain, (mrt_tensor[]){empty, none}, 2, tensor(MRT_F32, 2, 0, 0, 0, 0));
    ck_assert_double_eq(work.macs, 0);
}
END_TEST

/* A kernel with the parameters of a convolution, product or recurrent layer has a rule. */
START_TEST(work_has_all_rules) {
    static const struct {
        uint16_t code;
        const char *params;
    } rows[] = {
#define KERNEL(name, code, params, min_in, max_in, min_out, max_out, flags) {code, #params},
#include "runtime/kernels.def"
    };
    const uint64_t params[64] = {0}; /* of any kernel */
    const mrt_tensor t = tensor(MRT_F32, 4, 2, 2, 2, 2), in[] = {t, t, t};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const bool expected = rows[i].code != MRT_K_deform_columns_f32 && /* moves and weighs only */
                              (strncmp(rows[i].params, "mrt_conv", 8) == 0 ||
                               strncmp(rows[i].params, "mrt_matmul", 10) == 0 ||
                               strncmp(rows[i].params, "mrt_rnn", 7) == 0);
        const mrt_work work = work_of(rows[i].code, params, in, 3, t);
        ck_assert_msg(!expected || work.macs > 0, "kernel %s", mrt_kernel_find(rows[i].code)->name);
    }
}
END_TEST

START_TEST(limits) {
    const mrt_limits known = {.macs = {0, 100, 50, 25}, .near_bytes = 10, .far_bytes = 5, .cache = 35};
    bool memory = false;
    mrt_work work = {.kind = MRT_WORK_INT8, .macs = 400, .bytes_read = 20, .bytes_written = 10};
    ck_assert_double_eq(mrt_limits_seconds(&known, &work, &memory), 4);
    ck_assert(!memory);
    work.macs = 200;
    ck_assert_double_eq(mrt_limits_seconds(&known, &work, &memory), 3);
    ck_assert(memory);
    work.bytes_read = 30; /* too much for the cache */
    ck_assert_double_eq(mrt_limits_seconds(&known, &work, &memory), 8);
    mrt_limits measured;
    mrt_error err;
    const double start = (double)clock() / CLOCKS_PER_SEC;
    ck_assert_int_eq(mrt_probe(NULL, 0.02, &measured, &err), MRT_OK);
    ck_assert_double_lt((double)clock() / CLOCKS_PER_SEC - start, 2);
    ck_assert_int_eq(measured.threads, 1);
    for (int kind = MRT_WORK_INT8; kind < MRT_WORK_KINDS; kind++) {
        ck_assert_double_gt(measured.macs[kind], 1e7);
        ck_assert_double_lt(measured.macs[kind], 1e14);
    }
    ck_assert_double_gt(measured.far_bytes, 1e7);
    ck_assert_double_ge(measured.near_bytes, measured.far_bytes);
    ck_assert_double_gt(measured.cache, 1e5);
    /* every row has a limit, also those without a loop of their own */
    setenv("MICA_ISA", "scalar", 1);
    ck_assert_int_eq(mrt_probe(NULL, 0.02, &measured, &err), MRT_OK);
    unsetenv("MICA_ISA");
    ck_assert_str_eq(measured.int8_isa, "scalar");
    ck_assert_double_gt(measured.macs[MRT_WORK_INT8], 1e7);
}
END_TEST

/* --- the processor --- */

START_TEST(processor) {
    mrt_cpu_table table;
    mrt_cpu_feature feature;
    mrt_error err;
    char name[MRT_CPU_NAME];
    mrt_cpu_name(name);
    ck_assert(*name != '\0');
    ck_assert_int_ge(mrt_cpu_threads(), 1);
    ck_assert(!mrt_cpu_feature_at(-1, &feature) && !mrt_cpu_feature_at(1000, &feature));
#if defined(__x86_64__)
    for (int i = 0; mrt_cpu_feature_at(i, &feature); i++) {
        if (strcmp(feature.name, "AVX2") == 0) {
            ck_assert(feature.present == (__builtin_cpu_supports("avx2") != 0));
        }
        if (strcmp(feature.name, "AVX512-VNNI") == 0) {
            ck_assert(feature.present == (__builtin_cpu_supports("avx512vnni") != 0));
        }
    }
#endif
    unsetenv("MICA_ISA");
    ck_assert_int_eq(mrt_cpu_check_isa(&err), MRT_OK);
    setenv("MICA_ISA", "", 1);
    ck_assert_int_eq(mrt_cpu_check_isa(&err), MRT_OK);
    setenv("MICA_ISA", "avx", 1); /* part of a name is no name */
    ck_assert_int_eq(mrt_cpu_check_isa(&err), MRT_INVALID);
    ck_assert_msg(strstr(err.text, "scalar") != NULL, "%s", err.text);
    int tables = 0;
    for (; mrt_cpu_table_at(tables, &table); tables++) {
        ck_assert_int_gt(table.rows, 0);
        for (int k = 0; k < table.rows; k++) {
            setenv("MICA_ISA", table.row[k], 1);
            const mrt_status status = mrt_cpu_check_isa(&err);
            ck_assert_int_eq(status, table.available[k] ? MRT_OK : MRT_UNSUPPORTED);
            mrt_cpu_table forced;
            ck_assert(mrt_cpu_table_at(tables, &forced));
            ck_assert(!table.available[k] || strcmp(forced.chosen, table.row[k]) == 0);
        }
        unsetenv("MICA_ISA");
    }
    ck_assert_int_ge(tables, 2);
}
END_TEST

/* --- traces and threads --- */

enum { SIDE = 256 };

/* y = relu(x * w), large enough for BLAS to want threads; w is no constant, which a derived plan would pack. */
static mrt_plan *product_plan(void) {
    const mrt_matmul_params params = {.alpha = 1, .beta = 1, .act_limit = -1};
    const mrt_unary_params relu = {.op = MRT_UNARY_RELU, .beta = -1};
    mrt_plan *plan = mrt_plan_create();
    mrt_tensor info = tensor(MRT_F32, 2, SIDE, SIDE, 0, 0);
    int32_t in[2];
    info.name = "x";
    in[0] = mrt_plan_add_tensor(plan, &info, MRT_INPUT);
    info.name = "w";
    in[1] = mrt_plan_add_tensor(plan, &info, MRT_INPUT);
    info.name = "p";
    const int32_t product = mrt_plan_add_tensor(plan, &info, MRT_VALUE);
    info.name = "y";
    const int32_t y = mrt_plan_add_tensor(plan, &info, MRT_VALUE);
    mrt_plan_add_step(plan, MRT_K_matmul_f32, &params, in, 2, &product, 1, "product");
    mrt_plan_add_step(plan, MRT_K_unary, &relu, &product, 1, &y, 1, "relu");
    mrt_plan_add_output(plan, y);
    mrt_error err;
    ck_assert_msg(mrt_plan_finalize(plan, false, &err) == MRT_OK, "%s", err.text);
    return plan;
}

static float *random_values(void) {
    float *values = malloc(sizeof(float) * SIDE * SIDE);
    uint32_t seed = 7;
    for (int i = 0; i < SIDE * SIDE; i++) {
        seed = seed * 1664525u + 1013904223u;
        values[i] = (float)(seed >> 8) / 16777216.0f - 0.5f;
    }
    return values;
}

static mrt_exec *exec_of(const mrt_plan *plan, mrt_pool *pool, const float *x) {
    mrt_exec *exec = NULL;
    mrt_error err;
    ck_assert_int_eq(mrt_exec_create(plan, pool, &exec, &err), MRT_OK);
    for (int i = 0; i < plan->n_inputs; i++) {
        memcpy(mrt_exec_tensor(exec, plan->inputs[i])->data, x, sizeof(float) * SIDE * SIDE);
    }
    return exec;
}

typedef struct traced {
    const mrt_plan *plan;
    double end, macs;
    int n;
    bool ordered;
} traced;

static void note(void *user, int32_t step, const mrt_call *call, double begin, double end) {
    traced *t = user;
    t->ordered = t->ordered && begin >= t->end && end >= begin && step == t->n;
    t->end = end;
    t->macs += mrt_work_of(t->plan->steps[step].kernel, call).macs;
    t->n++;
}

START_TEST(trace) {
    float *values = random_values();
    mrt_plan *plan = product_plan();
    mrt_exec *exec = exec_of(plan, NULL, values);
    traced t = {.plan = mrt_exec_plan(exec), .ordered = true};
    mrt_exec_set_trace(exec, note, &t);
    mrt_exec_run(exec, NULL, NULL);
    mrt_exec_set_trace(exec, NULL, NULL);
    mrt_exec_run(exec, NULL, NULL);
    ck_assert_int_eq(t.n, t.plan->n_steps);
    ck_assert_int_ge(t.n, 2);
    ck_assert(t.ordered);
    ck_assert_double_eq(t.macs, (double)SIDE * SIDE * SIDE);
    mrt_exec_destroy(exec);
    mrt_plan_destroy(plan);
    free(values);
}
END_TEST

static double cpu_seconds(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* With one thread all processor time of the process is that of the caller: BLAS starts none. */
START_TEST(blas_adds_no_threads) {
    float *values = random_values();
    mrt_plan *plan = product_plan();
    openblas_set_num_threads(4);
    mrt_exec *exec = exec_of(plan, NULL, values);
    ck_assert_int_eq(openblas_get_num_threads(), 1);
    nanosleep(&(struct timespec){.tv_nsec = 300000000}, NULL); /* those of before wait busily for a while */
    const double process = cpu_seconds(CLOCK_PROCESS_CPUTIME_ID);
    const double thread = cpu_seconds(CLOCK_THREAD_CPUTIME_ID);
    for (int i = 0; i < 50; i++) {
        mrt_exec_run(exec, NULL, NULL);
    }
    const double own = cpu_seconds(CLOCK_THREAD_CPUTIME_ID) - thread;
    const double all = cpu_seconds(CLOCK_PROCESS_CPUTIME_ID) - process;
    ck_assert_msg(all <= 1.1 * own + 0.002, "process %.4f s, thread %.4f s", all, own);
    mrt_exec_destroy(exec);
    mrt_plan_destroy(plan);
    free(values);
}
END_TEST

typedef struct user {
    mrt_exec *exec;
    const mrt_plan *plan;
    const float *wanted;
    bool same;
} user;

static void *use_pool(void *argument) {
    user *u = argument;
    u->same = true;
    for (int i = 0; i < 30; i++) {
        mrt_exec_run(u->exec, NULL, NULL);
        u->same = u->same && memcmp(mrt_exec_tensor(u->exec, u->plan->outputs[0])->data, u->wanted,
                                    sizeof(float) * SIDE * SIDE) == 0;
    }
    return NULL;
}

/* Executors of several threads may share a plan and a pool: who finds it busy runs alone. */
START_TEST(shared_pool) {
    float *values = random_values();
    mrt_plan *plan = product_plan();
    mrt_exec *serial = exec_of(plan, NULL, values);
    mrt_exec_run(serial, NULL, NULL);
    mrt_pool *pool = mrt_pool_create(3);
    pthread_t threads[3];
    user users[3];
    for (int i = 0; i < 3; i++) {
        users[i] = (user){.exec = exec_of(plan, pool, values), .plan = plan,
                          .wanted = mrt_exec_tensor(serial, plan->outputs[0])->data};
        ck_assert_int_eq(pthread_create(&threads[i], NULL, use_pool, &users[i]), 0);
    }
    for (int i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
        ck_assert(users[i].same);
        mrt_exec_destroy(users[i].exec);
    }
    mrt_exec_destroy(serial);
    mrt_pool_destroy(pool);
    mrt_plan_destroy(plan);
    free(values);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("runtime_work");
    TCase *tests = tcase_create("runtime_work");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, work_of_convolutions);
    tcase_add_test(tests, work_of_products);
    tcase_add_test(tests, work_has_all_rules);
    tcase_add_test(tests, limits);
    tcase_add_test(tests, processor);
    tcase_add_test(tests, trace);
    tcase_add_test(tests, blas_adds_no_threads);
    tcase_add_test(tests, shared_pool);
    suite_add_tcase(suite, tests);
    return check_run(suite);
}
