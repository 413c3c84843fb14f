/* Float matmul, softmax, norms and scale against the oracles of test/ref. */
#include "runtime/kernels/float_gemm.h"
#include "test/unit/float_case.h"
#include "test/unit/rounds.h"
#include "test/ref/ref_float_nn.h"

static double *doubles(int64_t n) {
    double *p = malloc((size_t)(n + 1) * sizeof *p);
    ck_assert_ptr_nonnull(p);
    return p;
}

/* --- matrix products --- */

static void run_matmul(const ref_matmul *g, bool bias_used, bool relu, int64_t order) {
    const int64_t am = g->trans_a ? g->k : g->m, ak = g->trans_a ? g->m : g->k;
    const int64_t bk = g->trans_b ? g->n : g->k, bn = g->trans_b ? g->k : g->n;
    mrt_tensor a = tensor_fill(F32("a", g->a_batch[0], g->a_batch[1], am, ak));
    mrt_tensor b = tensor_fill(F32("b", g->b_batch[0], g->b_batch[1], bk, bn));
    const int64_t *d = g->bias_dims;
    mrt_tensor bias = tensor_fill(F32("bias", d[0], d[1], d[2], d[3]));
    mrt_tensor y = F32("y", g->batch[0], g->batch[1], g->m, g->n);
    const int64_t count = tensor_count(&y);
    double *want = doubles(count);
    float *written = malloc((size_t)(count + 1) * sizeof *written);
    ref_matmul_run(g, a.data, b.data, bias_used ? bias.data : NULL, want, written);
    for (int64_t i = 0; relu && i < count; i++) {
        want[i] = fmax(want[i], 0);
        written[i] = fmaxf(written[i], 0);
    }
    mrt_matmul_params p = {.trans_a = g->trans_a, .trans_b = g->trans_b, .alpha = g->alpha,
                           .beta = g->beta,       .act = relu,           .act_limit = -1,
                           .float_order = order};
    const mrt_tensor *in[3] = {&a, &b, bias_used ? &bias : NULL};
    mrt_tensor *out[1] = {&y};
    case_run(mrt_matmul_f32_check, mrt_matmul_f32_run,
             (mrt_call){.in = in, .n_in = 3, .out = out, .n_out = 1, .params = &p});
    case_close(&y, want, 2e-6 * (1 + sqrt((double)g->k)));
    for (int64_t i = 0; order == MRT_ORDER_WRITTEN && i < count; i++) {
        ck_assert_msg(((float *)y.data)[i] == written[i], "y[%lld] is not the written sum",
                      (long long)i);
    }
    free(want);
    free(written);
    tensor_free(&a);
    tensor_free(&b);
    tensor_free(&bias);
    tensor_free(&y);
}

START_TEST(test_matmul_random) {
    case_seed = (uint64_t)_i;
    for (int i = 0; i < TEST_ROUNDS(60); i++) {
        ref_matmul g = {.m = case_int(0, 3) ? case_int(1, 40) : 1, .n = case_int(1, 70),
                        .k = case_int(0, 150)};
        g.trans_a = case_int(0, 1);
        g.trans_b = case_int(0, 1);
        g.alpha = case_int(0, 1) ? 1 : 0.5;
        g.beta = case_int(0, 1) ? 1 : -0.75;
        for (int a = 0; a < 2; a++) {
            g.batch[a] = case_int(1, 3);
            g.a_batch[a] = case_int(0, 2) ? g.batch[a] : 1;
            g.b_batch[a] = g.a_batch[a] == 1 || case_int(0, 1) ? g.batch[a] : 1;
        }
        const int64_t full[4] = {g.batch[0], g.batch[1], g.m, g.n};
        for (int a = 0; a < 4; a++) {
            g.bias_dims[a] = case_int(0, 1) ? full[a] : 1;
        }
        run_matmul(&g, case_int(0, 1), case_int(0, 1), case_int(0, 1));
    }
}
END_TEST

/* Shapes that cross block borders; one row; joined batch. */
START_TEST(test_matmul_blocks) {
    static const int64_t shapes[][5] = {{1, 1, 1, 1000, 1280}, {1, 1, 300, 1, 70},
                                        {2, 3, 150, 40, 33},   {1, 1, 129, 1100, 20},
                                        {1, 1, 300, 200, 0},   {1, 2, 0, 5, 5}};
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        const int64_t *s = shapes[i];
        const ref_matmul g = {.batch = {s[0], s[1]}, .a_batch = {s[0], s[1]}, .b_batch = {1, 1},
                              .m = s[2], .n = s[3], .k = s[4], .bias_dims = {1, 1, 1, s[3]},
                              .trans_b = _i >= 2, .alpha = 1, .beta = 1};
        run_matmul(&g, true, false, _i % 2);
    }
}
END_TEST

/* Rule float-dot gives the same bits at every vector width. */
START_TEST(test_written_widths) {
    case_seed = 5;
    for (int i = 0; i < TEST_ROUNDS(40); i++) {
        const int64_t m = case_int(1, 30), n = case_int(1, 90), k = case_int(1, 300);
        mrt_tensor a = tensor_fill(F32("a", m, k)), b = tensor_fill(F32("b", k, n));
        mrt_tensor c[3] = {F32("c", m, n), F32("c", m, n), F32("c", m, n)};
        const bool ta = case_int(0, 1), tb = case_int(0, 1);
        for (int w = 0; w < 3; w++) {
            const mrt_gemm g = {.order = MRT_ORDER_WRITTEN, .m = m, .n = n, .k = k,
                                .a = a.data, .lda = ta ? m : k, .b = b.data, .ldb = tb ? k : n,
                                .c = c[w].data, .ldc = n, .trans_a = ta, .trans_b = tb};
            mrt_gemm_written_width(&g, 16 << w);
            ck_assert_mem_eq(c[w].data, c[0].data, (size_t)(m * n) * sizeof(float));
        }
        for (int w = 0; w < 3; w++) {
            tensor_free(&c[w]);
        }
        tensor_free(&a);
        tensor_free(&b);
    }
}
END_TEST

/* --- one input, one output --- */

static mrt_call unary_call(const mrt_tensor **in, mrt_tensor **out, const void *params) {
    return (mrt_call){.in = in, .n_in = 1, .out = out, .n_out = 1, .params = params};
}

START_TEST(test_softmax) {
    static const int64_t shapes[][3] = {{3, 1, 1},  {5, 7, 1},   {2, 1001, 1}, {1, 16, 1},
                                        {2, 9, 70}, {3, 33, 130}, {1, 600, 2}, {0, 4, 4}};
    case_seed = 3;
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        const int64_t *s = shapes[i];
        mrt_tensor x = tensor_fill(F32("x", s[0], s[1], s[2])), y = F32("y", s[0], s[1], s[2]);
        for (int64_t k = 0; k < tensor_count(&x); k++) {
            ((float *)x.data)[k] *= 20;
        }
        double *want = doubles(tensor_count(&x));
        ref_softmax_run(s[0], s[1], s[2], _i == 1, x.data, want);
        const mrt_axis_params p = {.axis = 1, .flag = _i};
        const mrt_tensor *in[1] = {&x};
        mrt_tensor *out[1] = {&y};
        case_run(mrt_softmax_f32_check, mrt_softmax_f32_run, unary_call(in, out, &p));
        case_close(&y, want, 5e-7);
        /* In place. */
        mrt_tensor *same[1] = {&x};
        const mrt_call in_place = unary_call(in, same, &p);
        mrt_softmax_f32_run(&in_place);
        ck_assert_mem_eq(x.data, y.data, (size_t)tensor_count(&x) * sizeof(float));
        free(want);
        tensor_free(&x);
        tensor_free(&y);
    }
}
END_TEST

START_TEST(test_layer_norm) {
    case_seed = (uint64_t)_i;
    const bool rms = _i % 2;
    const int64_t a = case_int(1, 5), b = case_int(1, 9), c = _i == 2 ? 3000 : case_int(1, 40);
    mrt_tensor x = tensor_fill(F32("x", a, b, c)), scale = tensor_fill(F32("scale", b, c));
    mrt_tensor bias = tensor_fill(F32("bias", 1, b, c)), y = F32("y", a, b, c);
    mrt_tensor mean = F32("mean", a, 1, 1), inv = F32("inv_std", a, 1, 1);
    double *want = doubles(a * b * c), *want_mean = doubles(a), *want_inv = doubles(a);
    for (int64_t i = 0; i < a * b * c; i++) {
        ((float *)x.data)[i] += 50; /* a mean far from 0 */
    }
    ref_layer_norm_run(a, b * c, 1e-5, rms, x.data, scale.data, rms ? NULL : bias.data, want,
                       want_mean, want_inv);
    const mrt_norm_params p = {.axis = 1, .epsilon = 1e-5};
    const mrt_tensor *in[3] = {&x, &scale, &bias};
    mrt_tensor *out[3] = {&y, &mean, &inv};
    const mrt_call call = {.in = in, .n_in = rms ? 2 : 3, .out = out, .n_out = rms ? 1 : 3,
                           .params = &p};
    case_run(rms ? mrt_rms_norm_f32_check : mrt_layer_norm_f32_check,
             rms ? mrt_rms_norm_f32_run : mrt_layer_norm_f32_run, call);
    case_close(&y, want, 5e-7);
    if (!rms) {
        case_close(&mean, want_mean, 1e-7);
        case_close(&inv, want_inv, 1e-7);
        ref_layer_norm_run(a, b * c, 1e-5, false, x.data, NULL, NULL, want, want_mean, want_inv);
        case_run(mrt_layer_norm_f32_check, mrt_layer_norm_f32_run, unary_call(in, out, &p));
        case_close(&y, want, 5e-7);
        in[1] = &mean;
        case_refused(mrt_layer_norm_f32_check, call, "operand 'scale'");
    }
    free(want);
    free(want_mean);
    free(want_inv);
    mrt_tensor *all[] = {&x, &scale, &bias, &y, &mean, &inv};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        tensor_free(all[i]);
    }
}
END_TEST

/* batch_norm, group_norm and scale share operands; batch_norm is group_norm's formula with given
 * statistics. */
START_TEST(test_channel_norms) {
    case_seed = (uint64_t)_i;
    const int64_t n = case_int(1, 3), groups = case_int(1, 4), c = groups * case_int(1, 5);
    const int64_t size = _i == 0 ? 5000 : case_int(1, 60);
    mrt_tensor x = tensor_fill(F32("x", n, c, size)), y = F32("y", n, c, size);
    mrt_tensor scale = tensor_fill(F32("scale", c)), bias = tensor_fill(F32("bias", c));
    mrt_tensor mean = tensor_fill(F32("mean", c)), var = tensor_fill(F32("var", c));
    double *want = doubles(tensor_count(&x));
    const mrt_norm_params p = {.groups = groups, .epsilon = 1e-3};
    const mrt_tensor *in[5] = {&x, &scale, &bias, &mean, &var};
    mrt_tensor *out[1] = {&y};
    mrt_call call = {.in = in, .n_in = 3, .out = out, .n_out = 1, .params = &p};
    ref_group_norm_run(n, c, size, groups, 1e-3, x.data, scale.data, bias.data, want);
    case_run(mrt_group_norm_f32_check, mrt_group_norm_f32_run, call);
    case_close(&y, want, 1e-6);

    for (int64_t i = 0; i < c; i++) {
        ((float *)var.data)[i] = fabsf(((float *)var.data)[i]);
    }
    for (int64_t i = 0; i < n * c * size; i++) {
        const int64_t k = i / size % c;
        want[i] = ((double)((float *)x.data)[i] - (double)((float *)mean.data)[k]) /
                      sqrt((double)((float *)var.data)[k] + 1e-3) *
                      (double)((float *)scale.data)[k] +
                  (double)((float *)bias.data)[k];
    }
    call.n_in = 5;
    case_run(mrt_batch_norm_f32_check, mrt_batch_norm_f32_run, call);
    case_close(&y, want, 1e-6);

    for (int axis = 1; axis <= 2; axis++) { /* in the middle and last */
        const mrt_axis_params q = {.axis = axis};
        mrt_tensor s = tensor_fill(F32("scale", axis == 1 ? c : size));
        mrt_tensor b = tensor_fill(F32("bias", axis == 1 ? c : size));
        for (int n_in = 2; n_in <= 3; n_in++) {
            for (int64_t i = 0; i < n * c * size; i++) {
                const int64_t k = axis == 1 ? i / size % c : i % size;
                const float product = ((float *)x.data)[i] * ((float *)s.data)[k];
                want[i] = (double)(n_in == 3 ? product + ((float *)b.data)[k] : product);
            }
            const mrt_tensor *in2[3] = {&x, &s, &b};
            case_run(mrt_scale_f32_check, mrt_scale_f32_run,
                     (mrt_call){.in = in2, .n_in = n_in, .out = out, .n_out = 1, .params = &q});
            case_close(&y, want, 0);
        }
        tensor_free(&s);
        tensor_free(&b);
    }
    free(want);
    mrt_tensor *all[] = {&x, &y, &scale, &bias, &mean, &var};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        tensor_free(all[i]);
    }
}
END_TEST

START_TEST(test_lrn) {
    case_seed = (uint64_t)_i;
    const int64_t n = case_int(1, 2), c = case_int(1, 9), size = case_int(1, 300);
    mrt_tensor x = tensor_fill(F32("x", n, c, size)), y = F32("y", n, c, size);
    double *want = doubles(tensor_count(&x));
    const mrt_norm_params p = {.size = case_int(1, 12), .alpha = 0.3, .beta = 0.75, .bias = 1.5};
    ref_lrn_run(n, c, size, p.size, p.alpha, p.beta, p.bias, x.data, want);
    const mrt_tensor *in[1] = {&x};
    mrt_tensor *out[1] = {&y};
    case_run(mrt_lrn_f32_check, mrt_lrn_f32_run, unary_call(in, out, &p));
    case_close(&y, want, 2e-7);
    free(want);
    tensor_free(&x);
    tensor_free(&y);
}
END_TEST

START_TEST(test_refused) {
    mrt_tensor a = F32("a", 2, 3, 4), b = F32("b", 5, 4, 6), y = F32("y", 2, 3, 6), v = F32("v", 3);
    const mrt_tensor *in[3] = {&a, &b, NULL};
    mrt_tensor *out[1] = {&y};
    const mrt_matmul_params p = {.alpha = 1};
    mrt_call call = {.in = in, .n_in = 3, .out = out, .n_out = 1, .params = &p};
    case_refused(mrt_matmul_f32_check, call, "operand 'y': shape [2, 3, 6] is not the batch");
    b.shape.dims[0] = 2;
    in[2] = &v;
    case_refused(mrt_matmul_f32_check, call, "operand 'bias': shape [3] does not broadcast");
    b.shape.dims[1] = 3;
    case_refused(mrt_matmul_f32_check, call, "operand 'b': expected dimension 1 to be 4");
    const mrt_axis_params axis = {.axis = 3};
    in[1] = &a;
    out[0] = &a;
    call.params = &axis;
    case_refused(mrt_softmax_f32_check, call, "parameter 'axis': expected 0 to 2, got 3");
    case_refused(mrt_scale_f32_check, call, "parameter 'axis'");
    const mrt_norm_params norm = {.axis = -1, .groups = 2, .size = 0};
    call.params = &norm;
    case_refused(mrt_layer_norm_f32_check, call, "parameter 'axis'");
    case_refused(mrt_group_norm_f32_check, call, "parameter 'groups'");
    case_refused(mrt_lrn_f32_check, call, "parameter 'size'");
    call.n_in = 5;
    const mrt_tensor *five[5] = {&a, &v, &v, &v, NULL};
    call.in = five;
    case_refused(mrt_batch_norm_f32_check, call, "operand 'var': missing");
    b.shape = (mrt_shape){3, {5, 4, 6}};
    mrt_tensor *all[] = {&a, &b, &y, &v};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        tensor_free(all[i]);
    }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("kernels_float_nn");
    TCase *tests = tcase_create("nn");
    tcase_set_timeout(tests, 120);
    tcase_add_loop_test(tests, test_matmul_random, 0, 6);
    tcase_add_loop_test(tests, test_matmul_blocks, 0, 4);
    tcase_add_test(tests, test_written_widths);
    tcase_add_loop_test(tests, test_softmax, 0, 2);
    tcase_add_loop_test(tests, test_layer_norm, 0, 12);
    tcase_add_loop_test(tests, test_channel_norms, 0, 8);
    tcase_add_loop_test(tests, test_lrn, 0, 8);
    tcase_add_test(tests, test_refused);
    suite_add_tcase(suite, tests);
    return check_run(suite);
}
