/* Grid sample, box pools and moved windows against the oracles of test/ref. */
#include "test/ref/ref_float_sample.h"
#include "test/unit/float_case.h"
#include "test/unit/rounds.h"

static double *doubles(int64_t n) {
    double *p = malloc((size_t)(n + 1) * sizeof *p);
    ck_assert_ptr_nonnull(p);
    return p;
}

/* Multiples of 1/64 within +-reach: positions are exact in float. */
static void fill_steps(mrt_tensor *t, int reach) {
    for (int64_t i = 0; i < tensor_count(t); i++) {
        ((float *)t->data)[i] = (float)case_int(-64 * reach, 64 * reach) / 64.0f;
    }
}

/* --- grid sample --- */

static void run_sample(const ref_sample *g) {
    static const char modes[] = "nlc", paddings[] = "zbr";
    const int64_t *s = g->size;
    mrt_tensor x, grid, y;
    if (g->axes == 1) {
        x = F32("x", g->n, g->c, s[0]);
        grid = F32("grid", g->n, g->points, 1);
        y = F32("y", g->n, g->c, g->points);
    } else if (g->axes == 2) {
        x = F32("x", g->n, g->c, s[0], s[1]);
        grid = F32("grid", g->n, 1, g->points, 2);
        y = F32("y", g->n, g->c, 1, g->points);
    } else {
        x = F32("x", g->n, g->c, s[0], s[1], s[2]);
        grid = F32("grid", g->n, g->points, 1, 1, 3);
        y = F32("y", g->n, g->c, g->points, 1, 1);
    }
    tensor_fill(x);
    fill_steps(&grid, 3);
    double *want = doubles(tensor_count(&y));
    ref_grid_sample_run(g, x.data, grid.data, want);
    const mrt_sample_params p = {.mode = strchr(modes, g->mode) - modes,
                                 .padding = strchr(paddings, g->padding) - paddings,
                                 .align_corners = g->align};
    const mrt_tensor *in[2] = {&x, &grid};
    mrt_tensor *out[1] = {&y};
    case_run(mrt_grid_sample_f32_check, mrt_grid_sample_f32_run,
             (mrt_call){.in = in, .n_in = 2, .out = out, .n_out = 1, .params = &p});
    case_close(&y, want, 2e-6);
    free(want);
    tensor_free(&x);
    tensor_free(&grid);
    tensor_free(&y);
}

START_TEST(test_grid_sample_random) {
    case_seed = (uint64_t)_i + 1;
    for (int i = 0; i < TEST_ROUNDS(100); i++) {
        ref_sample g = {.n = case_int(1, 2), .c = case_int(0, 3), .points = case_int(0, 150),
                        .axes = (int)case_int(1, 3), .mode = "nlc"[case_int(0, 2)],
                        .padding = "zbr"[case_int(0, 2)], .align = case_int(0, 1)};
        for (int a = 0; a < 3; a++) {
            g.size[a] = case_int(1, 6);
        }
        run_sample(&g);
    }
}
END_TEST

/* Coordinates that are huge or no numbers stay inside the input. */
START_TEST(test_grid_sample_wild) {
    static const float wild[] = {NAN, INFINITY, -INFINITY, 1e38f, -1e38f, 3e9f, -7e15f, 1e30f};
    for (int i = 0; i < 18; i++) {
        mrt_tensor x = tensor_fill(F32("x", 1, 2, 3, 4));
        mrt_tensor grid = F32("grid", 1, 4, 2, 2), y = F32("y", 1, 2, 4, 2);
        for (int k = 0; k < 16; k++) {
            ((float *)grid.data)[k] = wild[case_int(0, 7)];
        }
        const mrt_sample_params p = {.mode = i % 3, .padding = i / 3 % 3, .align_corners = i / 9};
        const mrt_tensor *in[2] = {&x, &grid};
        mrt_tensor *out[1] = {&y};
        case_run(mrt_grid_sample_f32_check, mrt_grid_sample_f32_run,
                 (mrt_call){.in = in, .n_in = 2, .out = out, .n_out = 1, .params = &p});
        for (int k = 0; k < 16; k++) {
            const float v = ((float *)y.data)[k];
            ck_assert(fabsf(v) < 10.0f && (p.padding != MRT_SAMPLE_ZEROS || v == 0.0f));
        }
        tensor_free(&x);
        tensor_free(&grid);
        tensor_free(&y);
    }
}
END_TEST

/* --- boxes --- */

static mrt_tensor make_rois(int64_t boxes, int64_t columns) {
    mrt_tensor rois = F32("rois", boxes, columns);
    for (int64_t i = 0; i < boxes * columns; i++) {
        ((float *)rois.data)[i] = (float)case_int(-12, 48) / 4.0f;
    }
    return rois;
}

static void run_roi(const ref_roi *g, bool align) {
    const int64_t columns = align ? 4 : 5;
    mrt_tensor x = tensor_fill(F32("x", g->n, g->c, g->h, g->w)), rois = make_rois(g->boxes, columns);
    mrt_tensor y = F32("y", g->boxes, g->c, g->out_h, g->out_w);
    mrt_tensor index = tensor_of("index", MRT_I64, 1, &g->boxes);
    for (int64_t i = 0; i < g->boxes; i++) {
        ((int64_t *)index.data)[i] = case_int(-1, g->n);
        if (!align) {
            ((float *)rois.data)[5 * i] = (float)case_int(-1, g->n);
        }
    }
    double *want = doubles(tensor_count(&y));
    const mrt_roi_params p = {.mode = g->max, .half_pixel = g->half_pixel,
                              .sampling_ratio = g->ratio, .spatial_scale = (double)g->scale};
    const mrt_tensor *in[3] = {&x, &rois, &index};
    mrt_tensor *out[1] = {&y};
    const mrt_call call = {.in = in, .n_in = align ? 3 : 2, .out = out, .n_out = 1, .params = &p};
    if (align) {
        ref_roi_align_run(g, x.data, rois.data, index.data, want);
        case_run(mrt_roi_align_f32_check, mrt_roi_align_f32_run, call);
    } else {
        ref_roi_max_pool_run(g, x.data, rois.data, want);
        case_run(mrt_roi_max_pool_f32_check, mrt_roi_max_pool_f32_run, call);
    }
    case_close(&y, want, 2e-6);
    free(want);
    tensor_free(&x);
    tensor_free(&rois);
    tensor_free(&index);
    tensor_free(&y);
}

START_TEST(test_roi_random) {
    case_seed = (uint64_t)_i + 1;
    for (int i = 0; i < TEST_ROUNDS(100); i++) {
        const ref_roi g = {.n = case_int(1, 2), .c = case_int(0, 9) ? case_int(1, 4) : 35,
                           .h = case_int(1, 9), .w = case_int(1, 9), .boxes = case_int(0, 4),
                           .out_h = 1 << case_int(0, 2), .out_w = 1 << case_int(0, 2),
                           .ratio = case_int(0, 3), .max = case_int(0, 1),
                           .half_pixel = case_int(0, 1), .scale = case_int(0, 1) ? 1 : 0.5f};
        run_roi(&g, case_int(0, 2) != 0);
    }
}
END_TEST

/* --- moved windows --- */

static void run_deform(const ref_deform *g, bool masked) {
    const int64_t taps = g->kernel[0] * g->kernel[1], oh = g->out_h, ow = g->out_w;
    mrt_tensor x = tensor_fill(F32("x", g->n, g->c, g->h, g->w));
    mrt_tensor offset = F32("offset", g->n, g->groups * taps * 2, oh, ow);
    mrt_tensor mask = tensor_fill(F32("mask", g->n, g->groups * taps, oh, ow));
    mrt_tensor y = F32("y", g->n, g->c * taps, oh, ow);
    fill_steps(&offset, 3);
    double *want = doubles(tensor_count(&y));
    ref_deform_run(g, x.data, offset.data, masked ? mask.data : NULL, want);
    mrt_conv_params p = {.spatial = 2, .group = g->groups};
    for (int i = 0; i < 2; i++) {
        p.kernel[i] = g->kernel[i];
        p.stride[i] = g->stride[i];
        p.dilation[i] = g->dilation[i];
        p.pad_begin[i] = p.pad_end[i] = g->pad[i];
    }
    const mrt_tensor *in[3] = {&x, &offset, masked ? &mask : NULL};
    mrt_tensor *out[1] = {&y};
    const mrt_call call = {.in = in, .n_in = 3, .out = out, .n_out = 1, .params = &p};
    case_run(mrt_deform_columns_f32_check, mrt_deform_columns_f32_run, call);
    case_close(&y, want, 2e-6);
    p.group = g->c + 1;
    case_refused(mrt_deform_columns_f32_check, call, "parameter 'group'");
    free(want);
    tensor_free(&x);
    tensor_free(&offset);
    tensor_free(&mask);
    tensor_free(&y);
}

START_TEST(test_deform_random) {
    case_seed = (uint64_t)_i + 1;
    for (int i = 0; i < TEST_ROUNDS(100); i++) {
        ref_deform g = {.n = case_int(1, 2), .groups = case_int(1, 3), .h = case_int(3, 9),
                        .w = case_int(3, 20)};
        g.c = g.groups * case_int(1, 3);
        for (int a = 0; a < 2; a++) {
            g.kernel[a] = case_int(1, 2);
            g.stride[a] = case_int(1, 2);
            g.dilation[a] = case_int(1, 2);
            g.pad[a] = case_int(0, 2);
            const int64_t in = a ? g.w : g.h, reach = (g.kernel[a] - 1) * g.dilation[a] + 1;
            *(a ? &g.out_w : &g.out_h) = (in + 2 * g.pad[a] - reach) / g.stride[a] + 1;
        }
        run_deform(&g, case_int(0, 1));
    }
}
END_TEST

/* --- messages --- */

START_TEST(test_refused) {
    mrt_tensor x = tensor_fill(F32("x", 1, 2, 3, 4)), grid = tensor_fill(F32("grid", 1, 5, 6, 2));
    mrt_tensor y = F32("y", 1, 2, 5, 6), wrong = F32("y", 1, 2, 6, 5);
    mrt_tensor rois = tensor_fill(F32("rois", 3, 4)), index = F32("index", 3);
    const mrt_tensor *in[3] = {&x, &grid, &index};
    mrt_tensor *out[1] = {&wrong};
    mrt_sample_params p = {.mode = MRT_SAMPLE_LINEAR};
    mrt_call call = {.in = in, .n_in = 2, .out = out, .n_out = 1, .params = &p};
    case_refused(mrt_grid_sample_f32_check, call, "operand 'y': expected shape [1, 2, 5, 6]");
    out[0] = &y;
    p.padding = 3;
    case_refused(mrt_grid_sample_f32_check, call, "parameter 'padding'");
    p.padding = 0;
    in[1] = &rois;
    case_refused(mrt_grid_sample_f32_check, call, "operand 'grid': expected rank 4, got 2");
    mrt_roi_params q = {.sampling_ratio = 2000};
    mrt_tensor bins = F32("y", 3, 2, 2, 2);
    out[0] = &bins;
    call.params = &q;
    case_refused(mrt_roi_align_f32_check, call, "parameter 'sampling_ratio'");
    q.sampling_ratio = 0;
    call.n_in = 3;
    case_refused(mrt_roi_align_f32_check, call, "operand 'batch_indices': expected i64 or i32");
    case_refused(mrt_roi_max_pool_f32_check, call, "operand 'rois': expected dimension 1 to be 5");
    mrt_tensor *all[] = {&x, &grid, &y, &wrong, &rois, &index, &bins};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        tensor_free(all[i]);
    }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("kernels_float_sample");
    TCase *cases = tcase_create("all");
    tcase_set_timeout(cases, 120);
    tcase_add_loop_test(cases, test_grid_sample_random, 0, 5);
    tcase_add_test(cases, test_grid_sample_wild);
    tcase_add_loop_test(cases, test_roi_random, 0, 5);
    tcase_add_loop_test(cases, test_deform_random, 0, 5);
    tcase_add_test(cases, test_refused);
    suite_add_tcase(suite, cases);
    return check_run(suite);
}
