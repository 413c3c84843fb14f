/* The small parts of the runtime: pool, 16-bit floats, tables. */
#include "runtime/mrt_half.h"
#include "runtime/mrt_kernel.h"
#include "runtime/mrt_params.h"
#include "test/unit/check_main.h"

#include <check.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

/* ck_assert reports even success to the parent process: too slow for inner loops. */
#define EXPECT(condition)                                                                          \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            ck_abort_msg("%s", #condition);                                                        \
        }                                                                                          \
    } while (0)

typedef struct tally {
    mrt_pool *pool;
    atomic_int *counts;
    int64_t inner;
} tally;

static void count_tile(void *context, int64_t tile) {
    atomic_fetch_add(&((tally *)context)->counts[tile], 1);
}

static void count_nested(void *context, int64_t tile) {
    const tally *outer = context;
    tally inner = {.counts = outer->counts + tile * outer->inner};
    mrt_parallel_for(outer->pool, outer->inner, count_tile, &inner);
}

START_TEST(pool_runs_every_tile_once) {
    enum { TILES = 400, INNER = 7 };
    static atomic_int counts[TILES * INNER];
    for (int threads = 1; threads <= 4; threads++) {
        tally t = {.pool = mrt_pool_create(threads), .counts = counts, .inner = INNER};
        ck_assert_int_eq(mrt_pool_threads(t.pool), threads);
        for (int round = 0; round < 200; round++) {
            memset(counts, 0, sizeof counts);
            const int64_t tiles = round * 2;
            mrt_parallel_for(t.pool, tiles, count_nested, &t);
            for (int64_t i = 0; i < TILES * INNER; i++) {
                EXPECT(counts[i] == (i < tiles * INNER ? 1 : 0));
            }
            if (round % 50 == 0) {
                nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL); /* let them sleep */
            }
        }
        mrt_pool_destroy(t.pool);
    }
    ck_assert_ptr_null(mrt_pool_create(0));
    ck_assert_int_eq(mrt_pool_threads(NULL), 1);
    mrt_pool_destroy(NULL);
}
END_TEST

static void *call_often(void *argument) {
    const tally *t = argument;
    for (int round = 0; round < 300; round++) {
        mrt_parallel_for(t->pool, t->inner, count_tile, argument);
    }
    return NULL;
}

START_TEST(pool_is_shared_by_callers) {
    enum { CALLERS = 3, TILES = 50 };
    static atomic_int counts[CALLERS][TILES];
    mrt_pool *pool = mrt_pool_create(3);
    pthread_t callers[CALLERS];
    tally t[CALLERS];
    for (int i = 0; i < CALLERS; i++) {
        t[i] = (tally){.pool = pool, .counts = counts[i], .inner = TILES};
        ck_assert_int_eq(pthread_create(&callers[i], NULL, call_often, &t[i]), 0);
    }
    for (int i = 0; i < CALLERS; i++) {
        pthread_join(callers[i], NULL);
        for (int k = 0; k < TILES; k++) {
            EXPECT(counts[i][k] == 300);
        }
    }
    mrt_pool_destroy(pool);
}
END_TEST

static double cpu_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

START_TEST(idle_pool_sleeps) {
    atomic_int counts[8] = {0};
    tally t = {.pool = mrt_pool_create(4), .counts = counts};
    mrt_parallel_for(t.pool, 8, count_tile, &t);
    const double begin = cpu_seconds();
    nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL);
    EXPECT(cpu_seconds() - begin < 0.05); /* of 0.6 s that three workers would burn */
    mrt_pool_destroy(t.pool);
}
END_TEST

START_TEST(half_conversion) {
    for (uint32_t bits = 0; bits < 65536; bits++) {
        const uint16_t h = (uint16_t)bits;
        const float f = mrt_f16_to_f32(h), b = mrt_bf16_to_f32(h);
        const uint16_t quiet16 = (uint16_t)((h & 0x7fff) > 0x7c00 ? h | 0x200 : h);
        const uint16_t quietb = (uint16_t)((h & 0x7fff) > 0x7f80 ? h | 0x40 : h);
        EXPECT(mrt_f32_to_f16(f) == quiet16);
        EXPECT(mrt_f32_to_bf16(b) == quietb);
        if ((h & 0x7c00) != 0x7c00) {
            const int exponent = h >> 10 & 31;
            const double value = exponent == 0 ? ldexp(h & 0x3ff, -24)
                                               : ldexp(0x400 + (h & 0x3ff), exponent - 25);
            EXPECT(f == (float)((h & 0x8000) != 0 ? -value : value));
        }
    }
    ck_assert_uint_eq(mrt_f32_to_f16(65519.996f), 0x7bff);
    ck_assert_uint_eq(mrt_f32_to_f16(65520.0f), 0x7c00);
    ck_assert_uint_eq(mrt_f32_to_f16(-1e30f), 0xfc00);
    ck_assert_uint_eq(mrt_f32_to_f16(0x1p-25f), 0);                /* tie to even */
    ck_assert_uint_eq(mrt_f32_to_f16(0x1.000002p-25f), 1);
    ck_assert_uint_eq(mrt_f32_to_f16(0x3p-25f), 2);                /* tie to even */
    ck_assert_uint_eq(mrt_f32_to_f16(1 + 0x1p-11f), 0x3c00);       /* tie to even */
    ck_assert_uint_eq(mrt_f32_to_f16(1 + 0x3p-11f), 0x3c02);
    ck_assert_uint_eq(mrt_f32_to_f16(-0x1p-149f), 0x8000);
    ck_assert_uint_eq(mrt_f32_to_bf16(1 + 0x1p-8f), 0x3f80);
    ck_assert_uint_eq(mrt_f32_to_bf16(1 + 0x3p-8f), 0x3f82);
    ck_assert_uint_eq(mrt_f32_to_bf16(0x1.fffffep127f), 0x7f80);
}
END_TEST

START_TEST(kernel_table) {
    static const struct {
        uint16_t code;
        const char *name;
    } rows[] = {
#define KERNEL(name, code, params, min_in, max_in, min_out, max_out, flags) {code, #name},
#include "runtime/kernels.def"
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const mrt_kernel *kernel = mrt_kernel_find(rows[i].code);
        ck_assert_ptr_nonnull(kernel);
        ck_assert_str_eq(kernel->name, rows[i].name);
        ck_assert_int_eq(kernel->param_bytes % 8, 0);
    }
    ck_assert_uint_eq(mrt_kernel_find(MRT_K_copy)->param_bytes, 0);
    ck_assert_uint_eq(mrt_kernel_find(MRT_K_unary)->param_bytes, sizeof(mrt_unary_params));
    ck_assert_ptr_null(mrt_kernel_find(0));
    ck_assert_ptr_null(mrt_kernel_find(0xffff));
    ck_assert_str_eq(mrt_status_text(MRT_CORRUPT), "file is damaged");
    ck_assert_str_eq(mrt_dtype_name(MRT_BOOL), "i1");
    ck_assert(mrt_dtype_is_float(MRT_BF16) && !mrt_dtype_is_float(MRT_U8));
}
END_TEST

int main(void) {
    Suite *suite = suite_create("runtime_parts");
    TCase *tests = tcase_create("runtime_parts");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, pool_runs_every_tile_once);
    tcase_add_test(tests, pool_is_shared_by_callers);
    tcase_add_test(tests, idle_pool_sleeps);
    tcase_add_test(tests, half_conversion);
    tcase_add_test(tests, kernel_table);
    suite_add_tcase(suite, tests);
    return check_run(suite);
}
