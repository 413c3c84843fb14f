/* Harness of the float kernel tests: tensors with random content, red zones around outputs and
 * scratch, the same bytes for 1 to 3 threads. Each test program includes it once. */
#ifndef FLOAT_CASE_H
#define FLOAT_CASE_H

#include "runtime/kernels/kernels.h"
#include "test/unit/check_main.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ZONE 256
#define GUARD 0xa5

static uint64_t case_seed = 1;

static inline uint32_t case_next(void) {
    case_seed = case_seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(case_seed >> 33);
}
/* low <= result <= high */
static inline int64_t case_int(int64_t low, int64_t high) {
    return low + (int64_t)(case_next() % (uint64_t)(high - low + 1));
}
static inline float case_float(void) { return (float)((int)(case_next() % 4001) - 2000) / 1024.0f; }

/* `bytes` usable bytes, 64-byte aligned, between red zones. */
static inline void *guarded(size_t bytes) {
    unsigned char *p = aligned_alloc(64, (bytes + 2 * ZONE + 63) / 64 * 64);
    ck_assert_ptr_nonnull(p);
    memset(p, GUARD, bytes + 2 * ZONE);
    memset(p + ZONE, 0xff, bytes); /* NaN in every element */
    return p + ZONE;
}
static inline void guarded_free(void *data, size_t bytes) {
    unsigned char *p = (unsigned char *)data - ZONE;
    for (size_t i = 0; i < ZONE; i++) {
        ck_assert_msg(p[i] == GUARD && p[ZONE + bytes + i] == GUARD, "red zone of %zu bytes broken",
                      bytes);
    }
    free(p);
}

static inline mrt_tensor tensor_of(const char *name, mrt_dtype dtype, int rank,
                                   const int64_t *dims) {
    mrt_tensor t = {.name = name, .dtype = dtype};
    t.shape.rank = rank;
    for (int i = 0; i < rank; i++) {
        t.shape.dims[i] = dims[i];
    }
    t.data = guarded((size_t)mrt_shape_count(&t.shape) * mrt_dtype_bytes(dtype));
    return t;
}
#define F32(name, ...)                                                                             \
    tensor_of(name, MRT_F32, (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)),            \
              (int64_t[]){__VA_ARGS__})

static inline int64_t tensor_count(const mrt_tensor *t) { return mrt_shape_count(&t->shape); }
static inline void tensor_free(mrt_tensor *t) {
    guarded_free(t->data, (size_t)tensor_count(t) * mrt_dtype_bytes(t->dtype));
}
static inline mrt_tensor tensor_fill(mrt_tensor t) {
    for (int64_t i = 0; i < tensor_count(&t); i++) {
        ((float *)t.data)[i] = case_float();
    }
    return t;
}

/* Checks and runs a call serially and with pools of 2 and 3 threads; all outputs must agree in
 * every byte. The outputs keep the result. */
static inline void case_run(mrt_check_fn *check, mrt_run_fn *run, mrt_call call) {
    mrt_error err = {""};
    size_t scratch = 0;
    const mrt_status status = check(&call, &scratch, &err);
    ck_assert_msg(status == MRT_OK, "check: %s", err.text);
    void *first[3] = {NULL};
    for (int threads = 1; threads <= 3; threads++) {
        call.pool = threads > 1 ? mrt_pool_create(threads) : NULL;
        call.scratch = guarded(scratch);
        for (int i = 0; i < call.n_out; i++) {
            if (call.out[i]) {
                memset(call.out[i]->data, 0xff,
                       (size_t)tensor_count(call.out[i]) * mrt_dtype_bytes(call.out[i]->dtype));
            }
        }
        run(&call);
        guarded_free(call.scratch, scratch);
        for (int i = 0; i < call.n_out; i++) {
            if (!call.out[i]) {
                continue;
            }
            const size_t bytes =
                (size_t)tensor_count(call.out[i]) * mrt_dtype_bytes(call.out[i]->dtype);
            if (threads == 1) {
                first[i] = malloc(bytes + 1);
                memcpy(first[i], call.out[i]->data, bytes);
            }
            ck_assert_msg(memcmp(first[i], call.out[i]->data, bytes) == 0,
                          "output %d differs with %d threads", i, threads);
        }
        mrt_pool_destroy(call.pool);
    }
    for (int i = 0; i < 3; i++) {
        free(first[i]);
    }
}

/* |got - want| <= tolerance * max(1, |want|) */
static inline void case_close(const mrt_tensor *got, const double *want, double tolerance) {
    const float *y = got->data;
    for (int64_t i = 0; i < tensor_count(got); i++) {
        const double error = fabs((double)y[i] - want[i]);
        ck_assert_msg(error <= tolerance * fmax(1, fabs(want[i])),
                      "%s[%lld]: got %.9g, want %.9g", got->name, (long long)i, (double)y[i],
                      want[i]);
    }
}

/* check refuses the call with a message that contains `text`. */
static inline void case_refused(mrt_check_fn *check, mrt_call call, const char *text) {
    mrt_error err = {""};
    size_t scratch = 0;
    ck_assert_int_eq(check(&call, &scratch, &err), MRT_INVALID);
    ck_assert_msg(strstr(err.text, text) != NULL, "message '%s' lacks '%s'", err.text, text);
}

#endif
