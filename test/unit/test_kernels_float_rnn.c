/* LSTM, GRU and RNN kernels against the oracle of test/ref: directions, layouts, optional
 * operands. */
#include "test/unit/float_case.h"
#include "test/ref/ref_float_nn.h"

typedef struct rnn_case {
    ref_rnn g;
    bool rows; /* layout 1 */
    int64_t order;
    int outputs;
} rnn_case;

/* Swaps the first two axes: layout 1 of [a, b, size]. */
static void swap_axes(int64_t a, int64_t b, int64_t size, const float *src, float *dst) {
    for (int64_t i = 0; i < a * b; i++) {
        memcpy(dst + (i % b * a + i / b) * size, src + i * size, (size_t)size * sizeof(float));
    }
}
/* A tensor [a, b, c], or [b, a, c] with the same content when `swap`. */
static mrt_tensor laid_out(const char *name, bool swap, const float *data, int64_t a, int64_t b,
                           int64_t c) {
    mrt_tensor t = swap ? F32(name, b, a, c) : F32(name, a, b, c);
    if (data && swap) {
        swap_axes(a, b, c, data, t.data);
    } else if (data) {
        memcpy(t.data, data, (size_t)(a * b * c) * sizeof(float));
    }
    return t;
}

/* got is [a, b, c] in layout 0; want likewise. */
static void compare(const mrt_tensor *got, bool swap, int64_t a, int64_t b, int64_t c,
                    const double *want) {
    mrt_tensor plain = *got;
    plain.data = malloc((size_t)(a * b * c + 1) * sizeof(float));
    if (swap) {
        swap_axes(b, a, c, got->data, plain.data);
    } else {
        memcpy(plain.data, got->data, (size_t)(a * b * c) * sizeof(float));
    }
    case_close(&plain, want, 2e-5);
    free(plain.data);
}

static void set_params(const rnn_case *c, mrt_rnn_params *p) {
    const ref_rnn *g = &c->g;
    *p = (mrt_rnn_params){.hidden = g->hidden,
                          .direction = g->directions == 2 ? MRT_RNN_BIDIRECTIONAL
                                       : g->reverse       ? MRT_RNN_REVERSE
                                                          : MRT_RNN_FORWARD,
                          .layout = c->rows,
                          .linear_before_reset = g->linear_before_reset,
                          .input_forget = g->input_forget,
                          .clip = g->clip,
                          .float_order = c->order};
    const int per = g->kind == 'l' ? 3 : g->kind == 'g' ? 2 : 1;
    for (int i = 0; i < 2 * per; i++) {
        p->activation[i] =
            g->kind != 'r' && i % per == 0 ? MRT_UNARY_SIGMOID : MRT_UNARY_TANH;
    }
}

static void run_case(rnn_case *c) {
    ref_rnn *g = &c->g;
    const int64_t T = g->steps, N = g->batch, I = g->input, H = g->hidden, D = g->directions;
    const int64_t gates = g->kind == 'l' ? 4 : g->kind == 'g' ? 3 : 1;
    mrt_tensor x0 = tensor_fill(F32("x", T, N, I)), w = tensor_fill(F32("w", D, gates * H, I));
    mrt_tensor r = tensor_fill(F32("r", D, gates * H, H));
    mrt_tensor b = tensor_fill(F32("b", D, 2 * gates * H));
    mrt_tensor h0 = tensor_fill(F32("h", D, N, H)), c0 = tensor_fill(F32("c", D, N, H));
    mrt_tensor p = tensor_fill(F32("p", D, 3 * H)), lens = tensor_of("lens", MRT_I32, 1, &N);
    for (int64_t i = 0; i < N; i++) {
        ((int32_t *)lens.data)[i] = (int32_t)case_int(0, T);
    }
    g->x = x0.data;
    g->w = w.data;
    g->r = r.data;
    const bool use_b = case_int(0, 1), use_h = case_int(0, 1), use_c = case_int(0, 1);
    const bool use_p = g->kind == 'l' && case_int(0, 1), use_lens = case_int(0, 1);
    g->b = use_b ? b.data : NULL;
    g->h0 = use_h ? h0.data : NULL;
    g->c0 = use_c ? c0.data : NULL;
    g->p = use_p ? p.data : NULL;
    g->lens = use_lens ? lens.data : NULL;
    double *y = calloc((size_t)(T * D * N * H + 1), sizeof *y);
    double *yh = calloc((size_t)(D * N * H + 1), sizeof *yh);
    double *yc = calloc((size_t)(D * N * H + 1), sizeof *yc);
    ref_rnn_run(g, y, yh, yc);

    mrt_tensor x = laid_out("x", c->rows, x0.data, T, N, I);
    mrt_tensor h = laid_out("h", c->rows, h0.data, D, N, H);
    mrt_tensor cell = laid_out("c", c->rows, c0.data, D, N, H);
    mrt_tensor out_y = c->rows ? F32("y", N, T, D, H) : F32("y", T, D, N, H);
    mrt_tensor out_h = laid_out("y_h", c->rows, NULL, D, N, H);
    mrt_tensor out_c = laid_out("y_c", c->rows, NULL, D, N, H);
    const mrt_tensor *in[8] = {&x,
                               &w,
                               &r,
                               use_b ? &b : NULL,
                               use_lens ? &lens : NULL,
                               use_h ? &h : NULL,
                               use_c ? &cell : NULL,
                               use_p ? &p : NULL};
    mrt_tensor *out[3] = {&out_y, &out_h, &out_c};
    mrt_rnn_params params;
    set_params(c, &params);
    const mrt_call call = {.in = in, .n_in = g->kind == 'l' ? 8 : 6, .out = out,
                           .n_out = g->kind == 'l' ? c->outputs : c->outputs > 2 ? 2 : c->outputs,
                           .params = &params};
    case_run(g->kind == 'l'   ? mrt_lstm_f32_check
             : g->kind == 'g' ? mrt_gru_f32_check
                              : mrt_rnn_f32_check,
             g->kind == 'l'   ? mrt_lstm_f32_run
             : g->kind == 'g' ? mrt_gru_f32_run
                              : mrt_rnn_f32_run,
             call);
    /* y: [T, D*N, H] against [N, T, D, H]: compare per direction and batch row. */
    for (int64_t i = 0; i < T * D * N * H; i++) {
        const int64_t k = i % H, n = i / H % N, d = i / H / N % D, t = i / H / N / D;
        const int64_t at = c->rows ? ((n * T + t) * D + d) * H + k : i;
        const double got = (double)((float *)out_y.data)[at];
        ck_assert_msg(fabs(got - y[i]) <= 2e-5, "y[%lld %lld %lld %lld]: got %g, want %g",
                      (long long)t, (long long)d, (long long)n, (long long)k, got, y[i]);
    }
    if (call.n_out > 1) {
        compare(&out_h, c->rows, D, N, H, yh);
    }
    if (call.n_out > 2) {
        compare(&out_c, c->rows, D, N, H, yc);
    }
    free(y);
    free(yh);
    free(yc);
    mrt_tensor *all[] = {&x0,   &w, &r, &b,    &h0,    &c0,    &p,
                         &lens, &x, &h, &cell, &out_y, &out_h, &out_c};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        tensor_free(all[i]);
    }
}

START_TEST(test_random) {
    case_seed = (uint64_t)_i;
    for (int i = 0; i < 12; i++) {
        rnn_case c = {.rows = case_int(0, 1), .order = case_int(0, 1)};
        c.outputs = (int)case_int(1, 3);
        c.g = (ref_rnn){.kind = "lgr"[_i % 3],
                        .steps = case_int(1, 7),
                        .batch = case_int(1, 4),
                        .input = case_int(1, 9),
                        .hidden = case_int(1, 20),
                        .directions = case_int(1, 2),
                        .reverse = case_int(0, 1),
                        .linear_before_reset = case_int(0, 1),
                        .input_forget = case_int(0, 2) == 0,
                        .clip = case_int(0, 2) ? 0 : 0.6};
        run_case(&c);
    }
}
END_TEST

/* Products over more than one block. */
START_TEST(test_large) {
    case_seed = 9;
    rnn_case c = {.order = _i / 3, .outputs = 3};
    c.g = (ref_rnn){.kind = "lgr"[_i % 3], .steps = 3, .batch = 50, .input = 30, .hidden = 100,
                    .directions = 1, .linear_before_reset = true};
    run_case(&c);
}
END_TEST

START_TEST(test_activations) {
    /* One step without history: y = f(x). */
    static const struct {
        int64_t code;
        double alpha, beta;
        double want[3]; /* of -2, 0.5, 3 */
    } cases[] = {
        {MRT_UNARY_RELU, 0, 0, {0, 0.5, 3}},
        {MRT_UNARY_LEAKY_RELU, 0.1, 0, {-0.2, 0.5, 3}},
        {MRT_UNARY_THRESHOLDED_RELU, 1, 0, {0, 0, 3}},
        {MRT_UNARY_HARD_SIGMOID, 0.2, 0.5, {0.1, 0.6, 1}},
        {MRT_UNARY_ELU, 1, 0, {-0.86466471676, 0.5, 3}},
        {MRT_UNARY_SOFTSIGN, 0, 0, {-2.0 / 3, 1.0 / 3, 0.75}},
        {MRT_UNARY_SOFTPLUS, 0, 0, {0.12692801104, 0.97407698418, 3.0485873516}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        mrt_tensor x = F32("x", 1, 3, 1), w = F32("w", 1, 1, 1), r = F32("r", 1, 1, 1);
        mrt_tensor y = F32("y", 1, 1, 3, 1);
        memcpy(x.data, (float[]){-2, 0.5f, 3}, 3 * sizeof(float));
        *(float *)w.data = 1;
        *(float *)r.data = 1;
        mrt_rnn_params p = {.hidden = 1, .activation = {cases[i].code}};
        p.alpha[0] = cases[i].alpha;
        p.beta[0] = cases[i].beta;
        const mrt_tensor *in[3] = {&x, &w, &r};
        mrt_tensor *out[1] = {&y};
        mrt_call call = {.in = in, .n_in = 3, .out = out, .n_out = 1, .params = &p};
        case_run(mrt_rnn_f32_check, mrt_rnn_f32_run, call);
        case_close(&y, cases[i].want, 1e-6);
        p.activation[0] = MRT_UNARY_SIN;
        size_t scratch;
        mrt_error err;
        ck_assert_int_eq(mrt_rnn_f32_check(&call, &scratch, &err), MRT_UNSUPPORTED);
        p.activation[0] = MRT_UNARY_RELU;
        p.hidden = 2;
        case_refused(mrt_rnn_f32_check, call, "operand 'w': expected shape [1, 2, 1]");
        p.direction = 3;
        case_refused(mrt_rnn_f32_check, call, "parameter 'direction'");
        mrt_tensor *all[] = {&x, &w, &r, &y};
        for (size_t k = 0; k < sizeof all / sizeof all[0]; k++) {
            tensor_free(all[k]);
        }
    }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("kernels_float_rnn");
    TCase *tests = tcase_create("rnn");
    tcase_set_timeout(tests, 120);
    tcase_add_loop_test(tests, test_random, 0, 15);
    tcase_add_loop_test(tests, test_large, 0, 6);
    tcase_add_test(tests, test_activations);
    suite_add_tcase(suite, tests);
    return check_run(suite);
}
