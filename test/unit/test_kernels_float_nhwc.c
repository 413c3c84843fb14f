/* Channels-last float execution: every set of inner loops against the definition, and the same bytes for
 * any number of threads. */
#include "runtime/kernels/tile_f32.h"
#include "runtime/mrt_exec.h"
#include "runtime/mrt_params.h"
#include "test/ref/ref_float_conv.h"
#include "test/unit/check_main.h"
#include "test/unit/float_case.h"

#include <stdio.h>

/* One step of a plan with its constants. */
typedef struct step_case {
    mrt_plan *plan;
    int32_t in[3], out;
    int n_in;
} step_case;

static int32_t add(step_case *s, const char *name, mrt_tensor_kind kind, int rank,
                   const int64_t *dims) {
    mrt_tensor t = {.name = name, .dtype = MRT_F32, .shape = {.rank = rank}};
    memcpy(t.shape.dims, dims, sizeof(int64_t) * (size_t)rank);
    if (kind == MRT_CONST) {
        const size_t count = (size_t)mrt_shape_count(&t.shape);
        float *values = malloc((count + 1) * sizeof *values);
        for (size_t i = 0; i < count; i++) {
            values[i] = case_float();
        }
        t.data = (void *)(uintptr_t)mrt_plan_store(s->plan, values, count * sizeof *values);
        free(values);
    }
    return mrt_plan_add_tensor(s->plan, &t, kind);
}

static const float *data_of(const step_case *s, int32_t id) { return s->plan->tensors[id].info.data; }
static int64_t count_of(const step_case *s, int32_t id) {
    return mrt_shape_count(&s->plan->tensors[id].info.shape);
}

/* y of a run with so many threads; *out_packed: a prepared kernel ran. */
static float *run_plan(const step_case *s, const float *x, int threads, bool *out_packed) {
    mrt_error err = {{0}};
    mrt_exec *exec = NULL;
    mrt_pool *pool = mrt_pool_create(threads);
    const size_t bytes = (size_t)count_of(s, s->out) * sizeof(float);
    float *y = malloc(bytes + 1);
    ck_assert_msg(mrt_exec_create(s->plan, pool, &exec, &err) == MRT_OK, "%s", err.text);
    *out_packed = false;
    for (int32_t i = 0; i < mrt_exec_plan(exec)->n_steps; i++) {
        *out_packed = *out_packed || mrt_exec_plan(exec)->steps[i].packed != NULL;
    }
    memcpy(mrt_exec_tensor(exec, s->in[0])->data, x, (size_t)count_of(s, s->in[0]) * sizeof(float));
    mrt_exec_run(exec, NULL, NULL);
    memcpy(y, mrt_exec_tensor(exec, s->out)->data, bytes);
    mrt_exec_destroy(exec);
    mrt_pool_destroy(pool);
    return y;
}

/* The result of one to three threads: the same bytes. */
static float *run_threads(const step_case *s, const float *x, bool *out_packed) {
    float *y = run_plan(s, x, 1, out_packed);
    for (int threads = 2; threads <= 3; threads++) {
        bool packed;
        float *other = run_plan(s, x, threads, &packed);
        ck_assert_int_eq(packed, *out_packed);
        ck_assert_mem_eq(y, other, (size_t)count_of(s, s->out) * sizeof(float));
        free(other);
    }
    return y;
}

static float clamp(double v, int64_t act, double limit) {
    v = act == MRT_ACT_RELU && v < 0 ? 0 : v;
    return (float)(act == MRT_ACT_RELU && limit >= 0 && v > limit ? limit : v);
}

/* A random geometry; depthwise: one channel per group. */
static mrt_conv_params random_conv(ref_conv *g, bool depthwise) {
    mrt_conv_params p = {.spatial = depthwise ? 2 : case_int(1, 3), .group = 1};
    static const int64_t sizes[] = {1, 3, 7, 16, 33, 50, 70, 129};
    const uint32_t most = p.spatial == 3 ? 4 : 8; /* the definition is slow */
    const int64_t channels = sizes[case_next() % most];
    *g = (ref_conv){.batch = case_int(1, 2), .c = channels, .oc = sizes[case_next() % most]};
    p.group = depthwise ? channels : channels == 16 && case_next() % 2 ? 4 : 1;
    g->oc = depthwise ? channels : (g->oc + p.group - 1) / p.group * p.group;
    g->group = p.group;
    for (int axis = 0; axis < 3; axis++) {
        const int i = axis - (3 - (int)p.spatial);
        g->in[axis] = g->out[axis] = g->kernel[axis] = g->stride[axis] = g->dilation[axis] = 1;
        if (i < 0) {
            continue;
        }
        const int64_t k = g->kernel[axis] = p.kernel[i] = 2 * case_int(0, 2) + 1;
        g->stride[axis] = p.stride[i] = case_int(1, 3);
        g->dilation[axis] = p.dilation[i] = case_int(1, 2);
        g->pad[axis] = p.pad_begin[i] = case_int(0, k);
        g->pad_end[axis] = p.pad_end[i] = case_int(0, k);
        const int64_t reach = (k - 1) * p.dilation[i] + 1;
        g->in[axis] = reach + case_int(0, i == (int)p.spatial - 1 ? 20 : 3);
        g->out[axis] = (g->in[axis] + p.pad_begin[i] + p.pad_end[i] - reach) / p.stride[i] + 1;
    }
    p.act = case_next() % 2 ? MRT_ACT_RELU : MRT_ACT_NONE;
    p.act_limit = case_next() % 2 ? -1 : 1.5;
    return p;
}

/* 3x3 windows at every position of an image that is large enough for tiles of 2x2 outputs. */
static mrt_conv_params random_tiled(ref_conv *g) {
    static const int64_t sizes[] = {32, 48, 80, 144};
    mrt_conv_params p = {.spatial = 2, .group = 1, .act = case_next() % 2, .act_limit = -1};
    *g = (ref_conv){.batch = case_int(1, 2), .c = sizes[case_next() % 4], .oc = sizes[case_next() % 4],
                    .group = 1};
    for (int axis = 0; axis < 3; axis++) {
        g->in[axis] = g->out[axis] = g->kernel[axis] = g->stride[axis] = g->dilation[axis] = 1;
    }
    for (int i = 0; i < 2; i++) {
        g->kernel[1 + i] = p.kernel[i] = 3;
        p.stride[i] = p.dilation[i] = 1;
        g->pad[1 + i] = p.pad_begin[i] = case_int(0, 2);
        g->pad_end[1 + i] = p.pad_end[i] = case_int(0, 2);
        g->out[1 + i] = case_int(13, 17);
        g->in[1 + i] = g->out[1 + i] + 2 - p.pad_begin[i] - p.pad_end[i];
    }
    return p;
}

enum { ANY, DEPTHWISE, TILED };

static void check_conv(int kind) {
    ref_conv g;
    const bool depthwise = kind == DEPTHWISE;
    step_case s = {.plan = mrt_plan_create()};
    const mrt_conv_params p = kind == TILED ? random_tiled(&g) : random_conv(&g, depthwise);
    const int first = 3 - (int)p.spatial, rank = (int)p.spatial + 2;
    int64_t x_dims[5] = {g.batch, g.c}, w_dims[5] = {g.oc, g.c / g.group}, y_dims[5] = {g.batch, g.oc};
    for (int i = 0; i < (int)p.spatial; i++) {
        x_dims[2 + i] = g.in[first + i];
        w_dims[2 + i] = g.kernel[first + i];
        y_dims[2 + i] = g.out[first + i];
    }
    s.n_in = case_next() % 2 ? 3 : 2;
    s.in[0] = add(&s, "x", MRT_INPUT, rank, x_dims);
    s.in[1] = add(&s, "w", MRT_CONST, rank, w_dims);
    s.in[2] = add(&s, "bias", MRT_CONST, 1, &g.oc);
    s.out = add(&s, "y", MRT_VALUE, rank, y_dims);
    mrt_plan_add_step(s.plan, MRT_K_conv_f32, &p, s.in, s.n_in, &s.out, 1, "conv");
    mrt_plan_add_output(s.plan, s.out);
    mrt_error err = {{0}};
    ck_assert_msg(mrt_plan_finalize(s.plan, case_next() % 2, &err) == MRT_OK, "%s", err.text);
    const int64_t n_x = count_of(&s, s.in[0]), n_y = count_of(&s, s.out);
    float *x = malloc((size_t)n_x * sizeof *x), *written = malloc((size_t)n_y * sizeof *written);
    double *want = malloc((size_t)n_y * sizeof *want);
    for (int64_t i = 0; i < n_x; i++) {
        x[i] = case_float();
    }
    ref_conv_run(&g, x, data_of(&s, s.in[1]), s.n_in > 2 ? data_of(&s, s.in[2]) : NULL, want,
                 written);
    bool packed;
    float *y = run_threads(&s, x, &packed);
    ck_assert_int_eq(packed, g.group > 1 || g.c > 1 || g.oc > 4);
    const double depth = (double)(count_of(&s, s.in[1]) / g.oc);
    for (int64_t i = 0; i < n_y; i++) {
        const float exact = clamp(depthwise ? (double)written[i] : want[i], p.act, p.act_limit);
        const double bound = depthwise && g.c > 1 ? 0 : 1e-5 * (fabs(want[i]) + sqrt(depth));
        ck_assert_msg(fabs((double)y[i] - (double)exact) <= bound, "element %d: %g, want %g",
                      (int)i, (double)y[i], (double)exact);
    }
    free(x);
    free(y);
    free(want);
    free(written);
    mrt_plan_destroy(s.plan);
}

static void check_matmul(void) {
    static const int64_t sizes[] = {1, 2, 5, 14, 15, 32, 33, 100, 200};
    const int64_t rows = 1 + sizes[case_next() % 9], depth = sizes[case_next() % 9];
    const int64_t columns = sizes[case_next() % 9];
    mrt_matmul_params p = {.trans_b = case_next() % 2, .alpha = 1, .beta = 1,
                           .act = case_next() % 2, .act_limit = -1};
    step_case s = {.plan = mrt_plan_create(), .n_in = case_next() % 2 ? 3 : 2};
    s.in[0] = add(&s, "a", MRT_INPUT, 3, (int64_t[]){2, rows, depth});
    s.in[1] = add(&s, "b", MRT_CONST, 2,
                  (int64_t[]){p.trans_b ? columns : depth, p.trans_b ? depth : columns});
    s.in[2] = add(&s, "bias", MRT_CONST, 1, &columns);
    s.out = add(&s, "y", MRT_VALUE, 3, (int64_t[]){2, rows, columns});
    mrt_plan_add_step(s.plan, MRT_K_matmul_f32, &p, s.in, s.n_in, &s.out, 1, "matmul");
    mrt_plan_add_output(s.plan, s.out);
    mrt_error err = {{0}};
    ck_assert_msg(mrt_plan_finalize(s.plan, false, &err) == MRT_OK, "%s", err.text);
    float *a = malloc((size_t)(2 * rows * depth) * sizeof *a);
    for (int64_t i = 0; i < 2 * rows * depth; i++) {
        a[i] = case_float();
    }
    const float *b = data_of(&s, s.in[1]), *bias = data_of(&s, s.in[2]);
    bool packed;
    float *y = run_threads(&s, a, &packed);
    ck_assert(packed);
    for (int64_t i = 0; i < 2 * rows * columns; i++) {
        const int64_t r = i / columns, n = i % columns;
        double sum = s.n_in > 2 ? (double)bias[n] : 0;
        for (int64_t k = 0; k < depth; k++) {
            sum += (double)a[r * depth + k] * (double)b[p.trans_b ? n * depth + k : k * columns + n];
        }
        const double exact = clamp(sum, p.act, p.act_limit);
        ck_assert_msg(fabs((double)y[i] - exact) <= 1e-5 * (fabs(sum) + sqrt((double)depth)),
                      "element %d: %g, want %g", (int)i, (double)y[i], exact);
    }
    free(a);
    free(y);
    mrt_plan_destroy(s.plan);
}

/* relu(a(x) + b(x)) of two convolutions. extra: the first sum is read by others, too. */
static step_case two_branches(int64_t channels, int64_t side, bool extra) {
    step_case s = {.plan = mrt_plan_create(), .n_in = 1};
    const int64_t x[4] = {1, channels, side, side}, w[4] = {channels, channels, 3, 3};
    mrt_conv_params p = {.spatial = 2, .kernel = {3, 3}, .stride = {1, 1}, .dilation = {1, 1},
                         .pad_begin = {1, 1}, .pad_end = {1, 1}, .group = 1, .act_limit = -1};
    const mrt_binary_params sum = {.op = MRT_BINARY_ADD, .act = MRT_ACT_RELU, .act_limit = 2};
    s.in[0] = add(&s, "x", MRT_INPUT, 4, x);
    int32_t parts[2];
    for (int i = 0; i < 2; i++) {
        const int32_t in[3] = {s.in[0], add(&s, "w", MRT_CONST, 4, w), add(&s, "b", MRT_CONST, 1, &channels)};
        parts[i] = add(&s, i ? "b(x)" : "a(x)", MRT_VALUE, 4, x);
        mrt_plan_add_step(s.plan, MRT_K_conv_f32, &p, in, i ? 3 : 2, &parts[i], 1, "conv");
    }
    s.out = add(&s, "y", MRT_VALUE, 4, x);
    mrt_plan_add_step(s.plan, MRT_K_binary, &sum, parts, 2, &s.out, 1, "add");
    mrt_plan_add_output(s.plan, s.out);
    if (extra) {
        mrt_plan_add_output(s.plan, parts[1]);
    }
    mrt_error err = {{0}};
    ck_assert_msg(mrt_plan_finalize(s.plan, false, &err) == MRT_OK, "%s", err.text);
    return s;
}

static int sums_of(const step_case *s) {
    mrt_error err = {{0}};
    mrt_exec *exec = NULL;
    ck_assert_msg(mrt_exec_create(s->plan, NULL, &exec, &err) == MRT_OK, "%s", err.text);
    int sums = 0;
    for (int32_t i = 0; i < mrt_exec_plan(exec)->n_steps; i++) {
        sums += mrt_exec_plan(exec)->steps[i].kernel->code == MRT_K_binary ? 1 : 0;
    }
    for (int32_t id = 0; id < s->plan->n_tensors; id++) {
        ck_assert_ptr_nonnull(mrt_exec_tensor(exec, id)); /* a value that is left out has no data */
    }
    mrt_exec_destroy(exec);
    return sums;
}

START_TEST(joined_sums) {
    const int64_t channels = _i % 2 ? 32 : 24, side = _i % 2 ? 14 : 5;
    float *x = malloc((size_t)(channels * side * side) * sizeof *x), *want = NULL;
    for (int64_t i = 0; i < channels * side * side; i++) {
        x[i] = case_float();
    }
    const uint64_t seed = case_seed;
    for (int mode = 0; mode < 3; mode++) { /* as it is, joined, not to be joined */
        bool packed;
        case_seed = seed;
        step_case s = two_branches(channels, side, mode == 2);
        s.plan->outputs_only = mode > 0;
        ck_assert_int_eq(sums_of(&s), mode == 1 ? 0 : 1);
        float *y = run_threads(&s, x, &packed);
        ck_assert(packed);
        if (want) {
            ck_assert_mem_eq(y, want, (size_t)count_of(&s, s.out) * sizeof *y);
            free(y);
        } else {
            want = y;
        }
        mrt_plan_destroy(s.plan);
    }
    free(x);
    free(want);
}
END_TEST

START_TEST(every_isa) {
    for (int isa = 0; mrt_tile_f32_isa_at(isa); isa++) {
        if (!mrt_tile_f32_isa_available(mrt_tile_f32_isa_at(isa))) {
            continue;
        }
        setenv("MICA_ISA", mrt_tile_f32_isa_at(isa)->name, 1);
        ck_assert_ptr_eq(mrt_tile_f32_isa_select(), mrt_tile_f32_isa_at(isa));
        case_seed = 1 + (uint64_t)_i;
        for (int k = 0; k < 8; k++) {
            check_conv(ANY);
            check_conv(DEPTHWISE);
            check_matmul();
        }
        check_conv(TILED);
    }
    unsetenv("MICA_ISA");
}
END_TEST

int main(void) {
    Suite *suite = suite_create("kernels_float_nhwc");
    TCase *tcase = tcase_create("channels last");
    tcase_set_timeout(tcase, 120);
    tcase_add_loop_test(tcase, every_isa, 0, 6);
    tcase_add_loop_test(tcase, joined_sums, 0, 2);
    suite_add_tcase(suite, tcase);
    return check_run(suite);
}
