/* Batches run part by part: which plans are cut, and that parts give what the whole gives. */
#include "test/unit/check_main.h"
#include "test/unit/int_test_util.h"

#include "runtime/mrt_batch.h"

#include <stdio.h>

enum { IMAGES = 6 };

/* A plan of one input [IMAGES, 4, 3] and the steps that a case adds. */
typedef struct net {
    mrt_plan *plan;
    int32_t x;
} net;

static int32_t add(net *n, int rank, const int64_t *dims, mrt_tensor_kind kind, const float *data) {
    char name[16];
    snprintf(name, sizeof name, "t%d", (int)n->plan->n_tensors);
    mrt_tensor t = {.name = name, .dtype = MRT_F32, .shape = {.rank = rank}};
    memcpy(t.shape.dims, dims, (size_t)rank * sizeof dims[0]);
    if (kind == MRT_CONST) {
        t.data = (void *)(uintptr_t)mrt_plan_store(n->plan, data, (size_t)mrt_shape_count(&t.shape) * 4);
    }
    return mrt_plan_add_tensor(n->plan, &t, kind);
}

static int32_t step(net *n, uint16_t kernel, const void *params, int32_t a, int32_t b, int rank, const int64_t *dims) {
    const int32_t y = add(n, rank, dims, MRT_VALUE, NULL);
    const int32_t in[2] = {a, b};
    mrt_plan_add_step(n->plan, kernel, params, in, b >= 0 ? 2 : 1, &y, 1, "op");
    return y;
}

static const int64_t DIMS[3] = {IMAGES, 4, 3};

static int32_t softmax(net *n, int64_t axis) {
    const mrt_axis_params p = {.axis = axis};
    return step(n, MRT_K_softmax_f32, &p, n->x, -1, 3, DIMS);
}
static int32_t softmax_0(net *n) { return softmax(n, 0); }
static int32_t softmax_2(net *n) { return softmax(n, 2); }

static int32_t reduce(net *n, int64_t axes, int64_t images, int64_t rows) {
    const mrt_reduce_params p = {.mode = MRT_REDUCE_MEAN, .axes = axes};
    const int64_t dims[3] = {images, rows, 3};
    return step(n, MRT_K_reduce, &p, n->x, -1, 3, dims);
}
static int32_t reduce_0(net *n) { return reduce(n, 1, 1, 4); }
static int32_t reduce_1(net *n) { return reduce(n, 2, IMAGES, 1); }

static int32_t permute(net *n, int64_t a, int64_t b, int64_t c) {
    const mrt_permute_params p = {.order = {a, b, c}};
    const int64_t dims[3] = {DIMS[a], DIMS[b], DIMS[c]};
    return step(n, MRT_K_permute, &p, n->x, -1, 3, dims);
}
static int32_t permute_021(net *n) { return permute(n, 0, 2, 1); }
static int32_t permute_102(net *n) { return permute(n, 1, 0, 2); }

/* A sum with a constant of the given rank; equal: the same for all images. */
static int32_t sum(net *n, int rank, int64_t images, bool equal) {
    float values[IMAGES * 12];
    const int64_t dims[3] = {images, 4, 3};
    for (int i = 0; i < IMAGES * 12; ++i) {
        values[i] = equal ? (float)(i % 12) : (float)i;
    }
    const mrt_binary_params p = {.op = MRT_BINARY_ADD};
    return step(n, MRT_K_binary, &p, n->x, add(n, rank, dims + 3 - rank, MRT_CONST, values), 3, DIMS);
}
static int32_t sum_row(net *n) { return sum(n, 1, 1, true); }
static int32_t sum_one(net *n) { return sum(n, 3, 1, true); }
static int32_t sum_equal(net *n) { return sum(n, 3, IMAGES, true); }
static int32_t sum_unequal(net *n) { return sum(n, 3, IMAGES, false); }
static int32_t sum_itself(net *n) {
    const mrt_binary_params p = {.op = MRT_BINARY_MUL};
    return step(n, MRT_K_binary, &p, softmax_2(n), n->x, 3, DIMS);
}

static int32_t concat(net *n, int64_t axis) {
    const mrt_axis_params p = {.axis = axis};
    int64_t dims[3] = {IMAGES, 4, 3};
    dims[axis] *= 2;
    return step(n, MRT_K_concat, &p, n->x, softmax_2(n), 3, dims);
}
static int32_t concat_0(net *n) { return concat(n, 0); }
static int32_t concat_1(net *n) { return concat(n, 1); }

/* The images' rows stand below each other between two reshapes. */
static int32_t matmul_rows(net *n) {
    const int64_t rows[2] = {IMAGES * 4, 3}, square[2] = {3, 3};
    const float values[9] = {1, 2, 3, 4, 5, 6, 7, 8, 10};
    const mrt_matmul_params p = {.alpha = 1, .beta = 1};
    mrt_tensor t = {.name = "rows", .dtype = MRT_F32, .shape = {.rank = 2, .dims = {rows[0], rows[1]}}};
    const int32_t flat = mrt_plan_add_alias(n->plan, &t, n->x);
    const int32_t y = step(n, MRT_K_matmul_f32, &p, flat, add(n, 2, square, MRT_CONST, values), 2, rows);
    t = (mrt_tensor){.name = "back", .dtype = MRT_F32, .shape = {.rank = 3, .dims = {IMAGES, 4, 3}}};
    return mrt_plan_add_alias(n->plan, &t, y);
}
/* Gram matrix over all images. */
static int32_t matmul_transposed(net *n) {
    const int64_t gram[2] = {3, 3};
    const mrt_matmul_params p = {.alpha = 1, .beta = 1, .trans_a = 1};
    mrt_tensor t = {.name = "rows", .dtype = MRT_F32, .shape = {.rank = 2, .dims = {IMAGES * 4, 3}}};
    const int32_t flat = mrt_plan_add_alias(n->plan, &t, n->x);
    return step(n, MRT_K_matmul_f32, &p, flat, flat, 2, gram);
}
static int32_t matmul_batched(net *n) {
    const int64_t dims[3] = {IMAGES, 4, 4};
    const mrt_matmul_params p = {.alpha = 1, .beta = 1, .trans_b = 1};
    return step(n, MRT_K_matmul_f32, &p, n->x, softmax_2(n), 3, dims);
}
static int32_t slice(net *n, int64_t axis) {
    mrt_slice_params p = {.step = {1, 1, 1}};
    int64_t dims[3] = {IMAGES, 4, 3};
    p.start[axis] = 1;
    dims[axis] -= 1;
    return step(n, MRT_K_slice, &p, n->x, -1, 3, dims);
}
static int32_t slice_0(net *n) { return slice(n, 0); }
static int32_t slice_2(net *n) { return slice(n, 2); }
static int32_t reversed(net *n) {
    const mrt_slice_params p = {.start = {IMAGES - 1}, .step = {-1, 1, 1}};
    return step(n, MRT_K_slice, &p, n->x, -1, 3, DIMS);
}
static int32_t cumsum(net *n) { /* a kernel without the flag */
    const mrt_axis_params p = {.axis = 1};
    return step(n, MRT_K_cumsum, &p, n->x, -1, 3, DIMS);
}
/* One pass over many weights is best. */
static int32_t heavy(net *n) {
    enum { WIDE = 100 };
    static float values[3 * WIDE];
    const int64_t w[2] = {3, WIDE}, dims[3] = {IMAGES, 1, WIDE};
    const mrt_matmul_params p = {.alpha = 1, .beta = 1};
    return step(n, MRT_K_matmul_f32, &p, reduce_1(n), add(n, 2, w, MRT_CONST, values), 3, dims);
}

static const struct {
    const char *name;
    int32_t (*build)(net *n);
    int32_t parts; /* 1: not cut */
} CASES[] = {
    {"softmax 0", softmax_0, 1}, {"softmax 2", softmax_2, 6}, {"reduce 0", reduce_0, 1},
    {"reduce 1", reduce_1, 6}, {"permute 021", permute_021, 6}, {"permute 102", permute_102, 1},
    {"sum row", sum_row, 6}, {"sum one", sum_one, 6}, {"sum equal", sum_equal, 6},
    {"sum unequal", sum_unequal, 1}, {"sum itself", sum_itself, 6}, {"concat 0", concat_0, 1},
    {"concat 1", concat_1, 6}, {"matmul rows", matmul_rows, 6},
    {"matmul transposed", matmul_transposed, 1}, {"matmul batched", matmul_batched, 6},
    {"slice 0", slice_0, 1}, {"slice 2", slice_2, 6}, {"reversed", reversed, 1}, {"cumsum", cumsum, 1},
    {"heavy", heavy, 2},
};

static void watch(void *user, int32_t id, const mrt_tensor *t) {
    const mrt_plan *plan = ((void **)user)[0];
    uint8_t *bytes = ((void **)user)[1];
    if (id == plan->outputs[0]) {
        memcpy(bytes, t->data, (size_t)plan->tensors[id].bytes);
    }
}

/* Kernels may work in place on inputs. */
static void run(mrt_exec *exec, int32_t id, const float *x, mrt_observer_fn *observer, void *user) {
    memcpy(mrt_exec_tensor(exec, id)->data, x, sizeof(float) * IMAGES * 12);
    mrt_exec_run(exec, observer, user);
}

static void run_case(int i, int threads) {
    net n = {.plan = mrt_plan_create()};
    mrt_error err = {{0}};
    n.x = add(&n, 3, DIMS, MRT_INPUT, NULL);
    const int32_t y = CASES[i].build(&n);
    mrt_plan_add_output(n.plan, y);
    ck_assert_msg(mrt_plan_finalize(n.plan, false, &err) == MRT_OK, "%s: %s", CASES[i].name, err.text);

    mrt_plan *part = NULL;
    int32_t parts = 0;
    ck_assert_int_eq(mrt_batch_derive(n.plan, &part, &parts, &err), MRT_OK);
    ck_assert_msg(parts == CASES[i].parts, "%s: %d parts", CASES[i].name, (int)parts);
    ck_assert((part != NULL) == (parts > 1));
    mrt_plan_destroy(part);

    mrt_exec *exec = NULL;
    ck_assert_int_eq(mrt_exec_create(n.plan, test_pool(threads), &exec, &err), MRT_OK);
    float x[IMAGES * 12];
    for (int k = 0; k < IMAGES * 12; ++k) {
        x[k] = (float)rnd_in(-1000, 1000) / 64.0f;
    }
    const size_t bytes = (size_t)n.plan->tensors[y].bytes;
    uint8_t *whole = malloc(bytes), *cut = malloc(bytes);
    void *user[2] = {n.plan, whole};
    run(exec, n.x, x, NULL, NULL);
    memcpy(cut, mrt_exec_tensor(exec, y)->data, bytes);
    run(exec, n.x, x, watch, user); /* the whole batch at once */
    ck_assert_msg(memcmp(whole, cut, bytes) == 0, "%s: parts differ", CASES[i].name);
    ck_assert_int_eq(memcmp(whole, mrt_exec_tensor(exec, y)->data, bytes), 0);

    double seconds[8];
    mrt_exec_set_timing(exec, seconds);
    run(exec, n.x, x, NULL, NULL);
    for (int32_t s = 0; s < n.plan->n_steps; ++s) {
        ck_assert(seconds[s] > 0 && seconds[s] < 10);
    }
    ck_assert_int_eq(memcmp(whole, mrt_exec_tensor(exec, y)->data, bytes), 0);
    free(whole);
    free(cut);
    mrt_exec_destroy(exec);
    mrt_plan_destroy(n.plan);
}

START_TEST(parts_equal_the_whole) {
    for (int threads = 1; threads <= 3; ++threads) {
        run_case(_i, threads);
    }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("runtime batch");
    TCase *tcase = tcase_create("batch");
    tcase_add_loop_test(tcase, parts_equal_the_whole, 0, (int)(sizeof CASES / sizeof CASES[0]));
    suite_add_tcase(suite, tcase);
    return check_run(suite);
}
