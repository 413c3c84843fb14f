/* Float convolution, deconvolution and pooling against the oracles of test/ref. */
#include "runtime/kernels/kernel_util.h"
#include "test/unit/float_case.h"
#include "test/unit/rounds.h"
#include "test/ref/ref_float_conv.h"

/* One call of a window kernel with geometry g, random data and all its checks. */
typedef struct window_case {
    ref_conv g;
    int spatial;
    bool deconv, bias, relu;
    int64_t order;
} window_case;

static void set_params(const window_case *c, mrt_conv_params *p) {
    *p = (mrt_conv_params){.spatial = c->spatial,
                           .group = c->g.group,
                           .act = c->relu ? MRT_ACT_RELU : MRT_ACT_NONE,
                           .act_limit = c->relu ? 0.75 : -1,
                           .float_order = c->order};
    for (int i = 0; i < c->spatial; i++) {
        const int a = 3 - c->spatial + i;
        p->kernel[i] = c->g.kernel[a];
        p->stride[i] = c->g.stride[a];
        p->dilation[i] = c->g.dilation[a];
        p->pad_begin[i] = c->g.pad[a];
        p->pad_end[i] = c->g.pad_end[a];
    }
}

static mrt_tensor window_tensor(const char *name, int64_t a, int64_t b, const int64_t size[3],
                                int spatial) {
    int64_t dims[5] = {a, b};
    for (int i = 0; i < spatial; i++) {
        dims[2 + i] = size[3 - spatial + i];
    }
    return tensor_of(name, MRT_F32, spatial + 2, dims);
}

static void run_conv(const window_case *c) {
    const ref_conv *g = &c->g;
    mrt_tensor x = tensor_fill(window_tensor("x", g->batch, g->c, g->in, c->spatial));
    mrt_tensor w = tensor_fill(window_tensor("w", c->deconv ? g->c : g->oc,
                                             (c->deconv ? g->oc : g->c) / g->group, g->kernel,
                                             c->spatial));
    mrt_tensor bias = tensor_fill(F32("bias", g->oc));
    mrt_tensor y = window_tensor("y", g->batch, g->oc, g->out, c->spatial);
    const int64_t count = tensor_count(&y);
    double *want = malloc((size_t)(count + 1) * sizeof *want);
    float *written = malloc((size_t)(count + 1) * sizeof *written);
    (c->deconv ? ref_deconv_run : ref_conv_run)(g, x.data, w.data, c->bias ? bias.data : NULL, want,
                                                written);
    for (int64_t i = 0; c->relu && i < count; i++) {
        want[i] = fmin(fmax(want[i], 0), 0.75);
        written[i] = fminf(fmaxf(written[i], 0), 0.75f);
    }
    mrt_conv_params p;
    set_params(c, &p);
    const mrt_tensor *in[3] = {&x, &w, c->bias ? &bias : NULL};
    mrt_tensor *out[1] = {&y};
    const mrt_call call = {.in = in, .n_in = 3, .out = out, .n_out = 1, .params = &p};
    case_run(c->deconv ? mrt_deconv_f32_check : mrt_conv_f32_check,
             c->deconv ? mrt_deconv_f32_run : mrt_conv_f32_run, call);
    /* Rounding errors of a sum grow like the root of its length. */
    const double length = (double)tensor_count(&w) / (double)(c->deconv ? g->c : g->oc);
    case_close(&y, want, 2e-5 * (1 + sqrt(length) / 16));
    for (int64_t i = 0; c->order == MRT_ORDER_WRITTEN && i < count; i++) {
        const float got = ((float *)y.data)[i];
        ck_assert_msg(got == written[i], "y[%lld] = %a, written order gives %a", (long long)i,
                      (double)got, (double)written[i]);
    }
    free(want);
    free(written);
    tensor_free(&x);
    tensor_free(&w);
    tensor_free(&bias);
    tensor_free(&y);
}

/* Random axis sizes; returns false when the window does not fit. */
static bool random_axes(window_case *c, int64_t largest) {
    ref_conv *g = &c->g;
    for (int a = 0; a < 3; a++) {
        g->in[a] = g->out[a] = g->kernel[a] = g->stride[a] = g->dilation[a] = 1;
        g->pad[a] = g->pad_end[a] = 0;
        if (a < 3 - c->spatial) {
            continue;
        }
        g->in[a] = case_int(1, largest);
        g->kernel[a] = case_int(1, 5);
        g->stride[a] = case_int(1, 4); /* may be larger than the kernel */
        g->dilation[a] = case_int(1, 3);
        g->pad[a] = case_int(0, 1) ? case_int(0, 6) : 0; /* may be larger than the input */
        g->pad_end[a] = case_int(0, 1) ? case_int(0, 6) : 0;
        const int64_t reach = (g->kernel[a] - 1) * g->dilation[a] + 1;
        const int64_t pads = g->pad[a] + g->pad_end[a];
        if (c->deconv) {
            g->out[a] = (g->in[a] - 1) * g->stride[a] + reach - pads + case_int(0, 2);
        } else {
            g->out[a] = g->in[a] + pads < reach ? 0 : (g->in[a] + pads - reach) / g->stride[a] + 1;
        }
        if (g->out[a] < 1) {
            return false;
        }
    }
    return true;
}

static window_case random_case(bool deconv, int spatial) {
    window_case c;
    do {
        c = (window_case){.deconv = deconv, .spatial = spatial};
        c.g.batch = case_int(1, 2);
        c.g.group = case_int(0, 2) ? 1 : case_int(1, 4);
        c.g.c = c.g.group * case_int(1, 5);
        c.g.oc = c.g.group * case_int(1, 6);
        c.bias = case_int(0, 1);
        c.relu = case_int(0, 3) == 0;
        c.order = case_int(0, 1);
    } while (!random_axes(&c, spatial == 1 ? 60 : spatial == 2 ? 19 : 8));
    return c;
}

START_TEST(test_conv_random) {
    case_seed = (uint64_t)_i;
    for (int i = 0; i < TEST_ROUNDS(20); i++) {
        const window_case c = random_case(_i % 2, 1 + _i / 2 % 3);
        run_conv(&c);
    }
}
END_TEST

/* Depthwise: strides, dilation, bands, several outputs per input. */
START_TEST(test_conv_depthwise) {
    case_seed = (uint64_t)_i;
    for (int i = 0; i < TEST_ROUNDS(20); i++) {
        window_case c = random_case(false, 1 + (i & 1));
        do {
            c.g.group = c.g.c = case_int(1, 6);
            c.g.oc = c.g.c * case_int(1, 5);
        } while (!random_axes(&c, i == 0 ? 150 : 24));
        run_conv(&c);
    }
}
END_TEST

/* Shapes that cross block borders, the pointwise way, size 1. */
START_TEST(test_conv_blocks) {
    static const int64_t shapes[][7] = {
        /* C, OC, H, W, kernel, stride, pad */
        {16, 96, 40, 53, 1, 1, 0}, {300, 150, 7, 7, 1, 1, 0}, {40, 33, 33, 31, 3, 1, 1},
        {3, 32, 57, 57, 3, 2, 1},  {64, 20, 14, 14, 5, 1, 2}, {1, 1, 1, 1, 1, 1, 0},
        {5, 1, 30, 30, 3, 1, 1},   {2, 260, 9, 9, 3, 1, 1},   {7, 8, 12, 12, 1, 2, 0},
        {1, 6, 28, 28, 5, 1, 0},   {700, 3, 5, 5, 3, 1, 1},
    };
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        const int64_t *s = shapes[i];
        const int64_t oh = (s[2] + 2 * s[6] - s[4]) / s[5] + 1;
        const int64_t ow = (s[3] + 2 * s[6] - s[4]) / s[5] + 1;
        const ref_conv g = {1,          s[0],         s[1],         1,         {1, s[2], s[3]},
                            {1, oh, ow}, {1, s[4], s[4]}, {1, s[5], s[5]}, {1, 1, 1},
                            {0, s[6], s[6]}, {0, s[6], s[6]}};
        const window_case c = {.g = g, .spatial = 2, .bias = true, .order = _i};
        run_conv(&c);
    }
}
END_TEST

static void run_pool(window_case *c, bool ceil_mode, bool include_pad, int lp) {
    ref_conv *g = &c->g;
    for (int a = 3 - c->spatial; a < 3; a++) {
        const int64_t reach = (g->kernel[a] - 1) * g->dilation[a] + 1;
        const int64_t room = g->in[a] + g->pad[a] + g->pad_end[a] - reach;
        g->out[a] = (room + (ceil_mode ? g->stride[a] - 1 : 0)) / g->stride[a] + 1;
        if ((g->out[a] - 1) * g->stride[a] >= g->in[a] + g->pad[a]) {
            g->out[a]--; /* a window must start inside */
        }
        if (room < 0 || g->out[a] < room / g->stride[a] + 1) {
            return;
        }
    }
    mrt_tensor x = tensor_fill(window_tensor("x", g->batch, g->c, g->in, c->spatial));
    mrt_tensor y = window_tensor("y", g->batch, g->c, g->out, c->spatial);
    double *want = malloc((size_t)(tensor_count(&y) + 1) * sizeof *want);
    ref_pool_run(g, include_pad, lp, x.data, want);
    for (int64_t i = 0; c->relu && i < tensor_count(&y); i++) {
        want[i] = fmin(fmax(want[i], 0), 0.75);
    }
    mrt_conv_params window;
    set_params(c, &window);
    mrt_pool_params p = {.mode = lp ? MRT_POOL_LP : MRT_POOL_AVG,
                         .lp = lp,
                         .spatial = c->spatial,
                         .count_include_pad = include_pad,
                         .act = window.act,
                         .act_limit = window.act_limit};
    memcpy(p.kernel, window.kernel, sizeof p.kernel);
    memcpy(p.stride, window.stride, sizeof p.stride);
    memcpy(p.dilation, window.dilation, sizeof p.dilation);
    memcpy(p.pad_begin, window.pad_begin, sizeof p.pad_begin);
    memcpy(p.pad_end, window.pad_end, sizeof p.pad_end);
    const mrt_tensor *in[1] = {&x};
    mrt_tensor *out[1] = {&y};
    case_run(mrt_pool_f32_check, mrt_pool_f32_run,
             (mrt_call){.in = in, .n_in = 1, .out = out, .n_out = 1, .params = &p});
    case_close(&y, want, 1e-6);
    free(want);
    tensor_free(&x);
    tensor_free(&y);
}

START_TEST(test_pool_random) {
    case_seed = (uint64_t)_i;
    for (int i = 0; i < TEST_ROUNDS(60); i++) {
        window_case c = random_case(false, 1 + _i % 3);
        run_pool(&c, case_int(0, 1), case_int(0, 1), (int)mrt_max64(0, case_int(-3, 4)));
    }
}
END_TEST

/* Global average, and a kernel wider than the table of column ranges. */
START_TEST(test_pool_large) {
    const ref_conv global = {2,         5,         5,         1,         {1, 7, 9}, {1, 1, 1},
                             {1, 7, 9}, {1, 1, 1}, {1, 1, 1}, {0, 0, 0}, {0, 0, 0}};
    window_case c = {.g = global, .spatial = 2};
    run_pool(&c, false, false, 0);
    const ref_conv wide = {1,           2,         2,         1,          {1, 1, 300}, {1, 1, 1},
                           {1, 1, 90}, {1, 1, 2}, {1, 1, 1}, {0, 0, 40}, {0, 0, 7}};
    c = (window_case){.g = wide, .spatial = 1};
    run_pool(&c, true, false, 0);
    run_pool(&c, true, true, 2);
}
END_TEST

START_TEST(test_conv_refused) {
    mrt_tensor x = F32("x", 1, 4, 8, 8), w = F32("w", 6, 4, 3, 3), y = F32("y", 1, 6, 6, 6);
    mrt_tensor bias = F32("bias", 5), half = x;
    half.dtype = MRT_F16;
    const mrt_tensor *in[3] = {&x, &w, NULL};
    mrt_tensor *out[1] = {&y};
    const mrt_conv_params good = {.spatial = 2, .kernel = {3, 3}, .stride = {1, 1},
                                  .dilation = {1, 1}, .group = 1};
    mrt_conv_params p = good;
    const mrt_call call = {.in = in, .n_in = 3, .out = out, .n_out = 1, .params = &p};
    size_t scratch;
    ck_assert_int_eq(mrt_conv_f32_check(&call, &scratch, NULL), MRT_OK);
    p.pad_begin[1] = -1;
    case_refused(mrt_conv_f32_check, call, "parameter 'pad_begin'");
    p = good;
    p.stride[0] = 0;
    case_refused(mrt_conv_f32_check, call, "parameter 'stride'");
    p = good;
    p.spatial = 4;
    case_refused(mrt_conv_f32_check, call, "parameter 'spatial'");
    p = good;
    p.group = 3;
    case_refused(mrt_conv_f32_check, call, "parameter 'group'");
    p = good;
    p.dilation[0] = INT64_MAX;
    case_refused(mrt_conv_f32_check, call, "parameter 'dilation'");
    p = good;
    p.pad_end[0] = 5;
    case_refused(mrt_conv_f32_check, call, "operand 'y'");
    p = good;
    p.kernel[0] = 2;
    case_refused(mrt_conv_f32_check, call, "operand 'w'");
    p = good;
    p.act = 9;
    case_refused(mrt_conv_f32_check, call, "parameter 'act'");
    p = good;
    in[2] = &bias;
    case_refused(mrt_conv_f32_check, call, "operand 'bias': expected shape [6], got [5]");
    in[2] = NULL;
    in[0] = &half;
    case_refused(mrt_conv_f32_check, call, "operand 'x': expected f32, got f16");
    in[0] = NULL;
    case_refused(mrt_conv_f32_check, call, "operand 'x': missing");
    tensor_free(&x);
    tensor_free(&w);
    tensor_free(&y);
    tensor_free(&bias);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("kernels_float");
    TCase *tests = tcase_create("window");
    tcase_set_timeout(tests, 120);
    tcase_add_loop_test(tests, test_conv_random, 0, 12);
    tcase_add_loop_test(tests, test_conv_depthwise, 0, 6);
    tcase_add_loop_test(tests, test_conv_blocks, 0, 2);
    tcase_add_loop_test(tests, test_pool_random, 0, 6);
    tcase_add_test(tests, test_pool_large);
    tcase_add_test(tests, test_conv_refused);
    suite_add_tcase(suite, tests);
    return check_run(suite);
}
