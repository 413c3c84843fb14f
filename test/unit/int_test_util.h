/* Harness of the integer kernel tests: tensors with red zones, random values, and one runner that
 * repeats a call for every instruction set and thread count. */
#ifndef INT_TEST_UTIL_H
#define INT_TEST_UTIL_H

#include <check.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/kernels/kernels.h"
#include "runtime/kernels/tile_isa.h"
#include "runtime/mrt_exec.h"
#include "runtime/mrt_quant.h"
#include "test/unit/rounds.h"

enum { RED_ZONE = 64, RED_BYTE = 0x5a, TEST_THREADS = 4 };

static uint64_t test_state = 0x9e3779b97f4a7c15u;

__attribute__((constructor)) static void begin_random(void) { test_state = test_seed(test_state); }

static inline uint64_t rnd(void) {
    test_state ^= test_state << 13;
    test_state ^= test_state >> 7;
    test_state ^= test_state << 17;
    return test_state;
}

/* Uniform in low..high. */
static inline int64_t rnd_in(int64_t low, int64_t high) {
    return low + (int64_t)(rnd() % (uint64_t)(high - low + 1));
}

/* Values of a type; about one in four at an end of the range. */
static inline int32_t rnd_value(int64_t low, int64_t high) {
    const uint64_t kind = rnd() % 8;
    return (int32_t)(kind == 0 ? low : (kind == 1 ? high : rnd_in(low, high)));
}

/* A tensor in its own block with red zones; freed by tensor_free. */
static inline mrt_tensor tensor_new(mrt_dtype dtype, int rank, const int64_t *dims) {
    mrt_tensor t = {.name = "t", .dtype = dtype, .shape = {.rank = rank}, .scale = 1.0};
    for (int i = 0; i < rank; ++i) {
        t.shape.dims[i] = dims[i];
    }
    const size_t bytes = (size_t)mrt_shape_count(&t.shape) * mrt_dtype_bytes(dtype);
    char *block = malloc(bytes + 2 * RED_ZONE);
    memset(block, RED_BYTE, bytes + 2 * RED_ZONE);
    t.data = block + RED_ZONE;
    return t;
}

static inline mrt_tensor tensor_1d(mrt_dtype dtype, int64_t count) {
    return tensor_new(dtype, 1, &count);
}

static inline void tensor_check_zones(const mrt_tensor *t) {
    const size_t bytes = (size_t)mrt_shape_count(&t->shape) * mrt_dtype_bytes(t->dtype);
    const unsigned char *p = t->data;
    for (int i = 0; i < RED_ZONE; ++i) {
        ck_assert_int_eq(p[-1 - i], RED_BYTE);
        ck_assert_int_eq(p[bytes + (size_t)i], RED_BYTE);
    }
}

static inline void tensor_free(mrt_tensor *t) { free((char *)t->data - RED_ZONE); }

static inline int32_t tensor_get(const mrt_tensor *t, int64_t i) {
    switch (t->dtype) {
    case MRT_I8:
        return ((const int8_t *)t->data)[i];
    case MRT_U8:
        return ((const uint8_t *)t->data)[i];
    case MRT_I16:
        return ((const int16_t *)t->data)[i];
    default:
        return ((const int32_t *)t->data)[i];
    }
}

static inline void tensor_set(mrt_tensor *t, int64_t i, int32_t v) {
    switch (t->dtype) {
    case MRT_I8:
        ((int8_t *)t->data)[i] = (int8_t)v;
        break;
    case MRT_U8:
        ((uint8_t *)t->data)[i] = (uint8_t)v;
        break;
    case MRT_I16:
        ((int16_t *)t->data)[i] = (int16_t)v;
        break;
    default:
        ((int32_t *)t->data)[i] = v;
        break;
    }
}

static inline void range_of(mrt_dtype dtype, int32_t *low, int32_t *high) {
    int64_t l = 0;
    int64_t h = 0;
    ck_assert(mrt_int_range(dtype, &l, &h));
    *low = (int32_t)l;
    *high = (int32_t)h;
}

/* Fills a tensor with random values and returns an int32 copy for the oracle. */
static inline int32_t *tensor_random(mrt_tensor *t) {
    const int64_t count = mrt_shape_count(&t->shape);
    int32_t *copy = malloc(((size_t)count + 1) * sizeof(int32_t));
    int32_t low, high;
    range_of(t->dtype, &low, &high);
    for (int64_t i = 0; i < count; ++i) {
        copy[i] = rnd_value(low, high);
        tensor_set(t, i, copy[i]);
    }
    return copy;
}

static inline mrt_dtype rnd_dtype(void) { return rnd() % 2 ? MRT_I8 : MRT_U8; }

/* Pools of 1 to TEST_THREADS threads, started once per process. */
static inline mrt_pool *test_pool(int threads) {
    static mrt_pool *pools[TEST_THREADS + 1];
    if (threads > 1 && !pools[threads]) {
        pools[threads] = mrt_pool_create(threads);
    }
    return pools[threads];
}

/* The call as the only step of a plan, which executors may run in another form (mrt_layout.h). The
 * first operand is an input, the others are constants. */
static inline void run_as_plan(const mrt_call *call, mrt_check_fn *check,
                               const int32_t *expected) {
    mrt_error err = {{0}};
    mrt_plan *plan = mrt_plan_create();
    mrt_exec *exec = NULL;
    int32_t in[8], out[1];
    uint16_t code = 1;
    while (mrt_kernel_find(code) == NULL || mrt_kernel_find(code)->check != check) {
        ++code;
    }
    for (int i = 0; i < call->n_in; ++i) {
        in[i] = call->in[i] == NULL
                    ? -1
                    : mrt_plan_add_tensor(plan, call->in[i], i == 0 ? MRT_INPUT : MRT_CONST);
    }
    mrt_tensor y = *call->out[0];
    y.name = "y";
    out[0] = mrt_plan_add_tensor(plan, &y, MRT_VALUE);
    mrt_plan_add_step(plan, code, call->params, in, call->n_in, out, 1, "op");
    mrt_plan_add_output(plan, out[0]);
    ck_assert_msg(mrt_plan_finalize(plan, false, &err) == MRT_OK, "%s", err.text);
    ck_assert_msg(mrt_exec_create(plan, call->pool, &exec, &err) == MRT_OK, "%s", err.text);
    const mrt_tensor *x = call->in[0];
    memcpy(mrt_exec_tensor(exec, in[0])->data, x->data,
           (size_t)mrt_shape_count(&x->shape) * mrt_dtype_bytes(x->dtype));
    mrt_exec_run(exec, NULL, NULL);
    const mrt_tensor *got = mrt_exec_tensor(exec, out[0]);
    for (int64_t i = 0; i < mrt_shape_count(&got->shape); ++i) {
        ck_assert_msg(tensor_get(got, i) == expected[i],
                      "as a plan, %s: element %lld is %d, expected %d", getenv("MICA_ISA"),
                      (long long)i, tensor_get(got, i), expected[i]);
    }
    mrt_exec_destroy(exec);
    mrt_plan_destroy(plan);
}

/* Runs a call by the rows called `isa`, with one thread and with several, and as a plan. */
static inline void run_by_isa(mrt_call *call, mrt_check_fn *check, mrt_run_fn *run, size_t scratch,
                              const char *isa, const int32_t *expected) {
    mrt_tensor *y = call->out[0];
    const int64_t count = mrt_shape_count(&y->shape);
    setenv("MICA_ISA", isa, 1);
    for (int i = 0; i < 2; ++i) {
        const int threads = i == 0 ? 1 : (int)rnd_in(2, TEST_THREADS);
        const size_t bytes = (scratch + 63) / 64 * 64;
        char *block = aligned_alloc(64, bytes + 128);
        memset(block, RED_BYTE, bytes + 128);
        call->scratch = block + 64;
        call->pool = test_pool(threads);
        memset(y->data, RED_BYTE, (size_t)count * mrt_dtype_bytes(y->dtype));
        run(call);
        for (int64_t k = 0; k < count; ++k) {
            ck_assert_msg(tensor_get(y, k) == expected[k],
                          "%s, %d threads: element %lld is %d, expected %d", isa, threads,
                          (long long)k, tensor_get(y, k), expected[k]);
        }
        tensor_check_zones(y);
        for (size_t k = 0; k < 64; ++k) {
            ck_assert_int_eq((unsigned char)block[k], RED_BYTE);
            ck_assert_int_eq((unsigned char)block[64 + bytes + k], RED_BYTE);
        }
        free(block);
    }
    run_as_plan(call, check, expected);
    unsetenv("MICA_ISA");
}

/* Checks and runs a call by every row of the table; compares with `expected`. */
static inline void run_and_compare(mrt_call *call, mrt_check_fn *check, mrt_run_fn *run,
                                   const int32_t *expected) {
    mrt_error err = {{0}};
    size_t scratch = 0;
    const mrt_status status = check(call, &scratch, &err);
    ck_assert_msg(status == MRT_OK, "%s", err.text);
    for (int i = 0; mrt_tile_isa_at(i); ++i) {
        if (mrt_tile_isa_available(mrt_tile_isa_at(i))) {
            run_by_isa(call, check, run, scratch, mrt_tile_isa_at(i)->name, expected);
        }
    }
}

#endif
