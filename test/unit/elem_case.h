/* Harness of the element-wise and movement kernel tests: tensors with red zones, random contents,
 * and one call that checks a kernel, runs it serially and on a pool, and compares the bytes. */
#ifndef TEST_ELEM_CASE_H
#define TEST_ELEM_CASE_H

#include "runtime/kernels/kernels.h"
#include "test/ref/ref_elem_tensor.h"
#include "runtime/mrt_pool.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ZONE = 64, MARK = 0xa5 };

typedef struct rng {
    uint64_t state;
} rng;

static inline uint64_t next(rng *r) {
    r->state = r->state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    uint64_t x = r->state;
    x ^= x >> 33;
    x *= UINT64_C(0xff51afd7ed558ccd);
    return x ^ x >> 29;
}
/* 0 <= result < n */
static inline int64_t below(rng *r, int64_t n) { return (int64_t)(next(r) % (uint64_t)n); }
static inline int64_t between(rng *r, int64_t low, int64_t high) {
    return low + below(r, high - low + 1);
}

/* A tensor with its own memory between two red zones. */
static inline mrt_tensor new_tensor(mrt_dtype dtype, const mrt_shape *shape) {
    mrt_tensor t = {.name = "t", .dtype = dtype, .shape = *shape};
    const size_t bytes = (size_t)(ref_count(&t) * ref_elem_bytes(dtype));
    char *memory = malloc(bytes + 2 * ZONE);
    memset(memory, MARK, bytes + 2 * ZONE);
    t.data = memory + ZONE;
    return t;
}
static inline mrt_tensor new_dims(mrt_dtype dtype, int rank, const int64_t *dims) {
    mrt_shape shape = {.rank = rank};
    for (int i = 0; i < rank; i++) {
        shape.dims[i] = dims[i];
    }
    return new_tensor(dtype, &shape);
}
#define DIMS(...)                                                                                  \
    (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (const int64_t[]) { __VA_ARGS__ }

static inline void free_tensor(mrt_tensor *t) { free((char *)t->data - ZONE); }

static inline bool zones_intact(const mrt_tensor *t) {
    const int64_t bytes = ref_count(t) * ref_elem_bytes(t->dtype);
    const unsigned char *data = t->data;
    for (int64_t i = 0; i < ZONE; i++) {
        if (data[-1 - i] != MARK || data[bytes + i] != MARK) {
            return false;
        }
    }
    return true;
}

/* Small integers (also negative, also as floats with a fraction), easy to collide. */
static inline void fill_small(rng *r, mrt_tensor *t, int64_t low, int64_t high) {
    for (int64_t i = 0; i < ref_count(t); i++) {
        double v = (double)between(r, low, high);
        if (t->dtype == MRT_F32 || t->dtype == MRT_F64) {
            v += (double)below(r, 16) / 16;
        }
        if (t->dtype == MRT_BOOL) {
            v = (double)below(r, 2);
        } else if (ref_is_unsigned(t->dtype)) {
            v = fabs(v);
        }
        ref_store(t, i, v);
    }
}
static inline void fill_bytes(rng *r, mrt_tensor *t) {
    unsigned char *data = t->data;
    for (int64_t i = 0; i < ref_count(t) * ref_elem_bytes(t->dtype); i++) {
        data[i] = (unsigned char)(t->dtype == MRT_BOOL ? below(r, 2) : below(r, 256));
    }
}

/* Rank 0..max_rank, entries 0..5 with 0 rare and 1 frequent. */
static inline mrt_shape random_shape(rng *r, int min_rank, int max_rank) {
    mrt_shape s = {.rank = (int32_t)between(r, min_rank, max_rank)};
    for (int i = 0; i < s.rank; i++) {
        const int64_t pick = below(r, 24);
        s.dims[i] = pick == 0 ? 0 : pick < 5 ? 1 : between(r, 2, s.rank > 4 ? 4 : 6);
    }
    if (s.rank > 0 && below(r, 8) == 0) {
        s.dims[below(r, s.rank)] = between(r, 30, 90);
    }
    return s;
}

typedef struct kernel_case {
    mrt_check_fn *check;
    mrt_run_fn *run;
    const void *params;
    const mrt_tensor *in[8];
    int n_in;
    mrt_tensor *out[2];
    int n_out;
} kernel_case;

static inline mrt_call case_call(const kernel_case *k) {
    const mrt_call call = {.in = k->in, .n_in = k->n_in, .out = k->out, .n_out = k->n_out,
                           .params = k->params};
    return call;
}

/* Runs the kernel serially and with three threads: same bytes, red zones intact. */
static inline void run_case(const kernel_case *k) {
    static mrt_pool *pool;
    if (pool == NULL) {
        pool = mrt_pool_create(3);
    }
    mrt_call call = case_call(k);
    size_t scratch = 0;
    mrt_error err = {""};
    ck_assert_msg(k->check(&call, &scratch, &err) == MRT_OK, "%s", err.text);
    unsigned char *memory = aligned_alloc(64, ((scratch + 63) & ~(size_t)63) + 2 * ZONE);
    memset(memory, MARK, scratch + 2 * ZONE);
    call.scratch = memory + ZONE;
    unsigned char *first[2] = {NULL, NULL};
    for (int pass = 0; pass < 2; pass++) {
        call.pool = pass == 0 ? NULL : pool;
        k->run(&call);
        for (int i = 0; i < k->n_out; i++) {
            const size_t bytes =
                (size_t)(ref_count(k->out[i]) * ref_elem_bytes(k->out[i]->dtype));
            ck_assert(zones_intact(k->out[i]));
            if (pass == 0) {
                first[i] = malloc(bytes + 1);
                memcpy(first[i], k->out[i]->data, bytes);
                memset(k->out[i]->data, MARK, bytes);
            } else {
                ck_assert(memcmp(first[i], k->out[i]->data, bytes) == 0);
            }
        }
        for (size_t i = 0; i < ZONE; i++) {
            ck_assert(memory[i] == MARK && memory[ZONE + scratch + i] == MARK);
        }
    }
    free(first[0]);
    free(first[1]);
    free(memory);
}

static inline mrt_status check_case(const kernel_case *k, mrt_error *err) {
    const mrt_call call = case_call(k);
    size_t scratch = 0;
    return k->check(&call, &scratch, err);
}

static inline bool same_bytes(const mrt_tensor *a, const mrt_tensor *b) {
    return memcmp(a->data, b->data, (size_t)(ref_count(a) * ref_elem_bytes(a->dtype))) == 0;
}

/* Equal, or both NaN, or within `tolerance` relative to the larger of 1 and the magnitude. */
static inline void assert_close(const mrt_tensor *got, const mrt_tensor *expected,
                                double tolerance) {
    for (int64_t i = 0; i < ref_count(got); i++) {
        const double g = ref_load(got, i), e = ref_load(expected, i);
        const bool same = g == e || (g != g && e != e) ||
                          fabs(g - e) <= tolerance * fmax(1, fabs(e));
        ck_assert_msg(same, "element %ld: got %.9g, expected %.9g", (long)i, g, e);
    }
}

#endif
