/* reduce, pool_max, arg, topk, cumsum and resize against naive oracles. */
#include "test/ref/ref_elem_ops.h"
#include "test/unit/check_main.h"
#include "test/unit/elem_case.h"
#include "test/unit/rounds.h"

#define ROUNDS TEST_ROUNDS(400)

static const mrt_dtype all_types[] = {MRT_F32, MRT_F64, MRT_I8,  MRT_U8,  MRT_I16, MRT_U16,
                                      MRT_I32, MRT_U32, MRT_I64, MRT_U64};

static void one_reduce(rng *r, const mrt_shape *shape, int64_t mode, mrt_dtype dtype, bool keep) {
    mrt_reduce_params p = {.mode = mode, .axes = below(r, INT64_C(1) << shape->rank)};
    mrt_shape kept = *shape, dropped = {.rank = 0};
    for (int i = 0; i < shape->rank; i++) {
        if (p.axes >> i & 1) {
            kept.dims[i] = 1;
        } else {
            dropped.dims[dropped.rank++] = shape->dims[i];
        }
    }
    mrt_tensor x = new_tensor(dtype, shape), y = new_tensor(dtype, keep ? &kept : &dropped);
    mrt_tensor e = new_tensor(dtype, &kept);
    const bool logs = mode == MRT_REDUCE_LOG_SUM || mode == MRT_REDUCE_LOG_SUM_EXP;
    fill_small(r, &x, logs && !ref_is_float(dtype) ? 1 : -9, 9);
    for (int64_t i = 0; i < ref_count(&x) && mode == MRT_REDUCE_PROD; i++) {
        ref_store(&x, i, below(r, 20) == 0 ? 1.5 : 1); /* a product that stays in range */
    }
    if (ref_is_float(dtype) && below(r, 8) == 0 && ref_count(&x) > 0) {
        ref_store(&x, below(r, ref_count(&x)), (double)(below(r, 2) ? NAN : INFINITY));
    }
    run_case(&(kernel_case){mrt_reduce_check, mrt_reduce_run, &p, {&x}, 1, {&y}, 1});
    ref_reduce(mode, p.axes, &x, &e);
    y.shape = kept; /* the same elements */
    assert_close(&y, &e, dtype == MRT_F32 ? 1e-6 : dtype == MRT_F64 ? 1e-13 : 0);
    free_tensor(&x);
    free_tensor(&y);
    free_tensor(&e);
}

START_TEST(test_reduce) {
    static const mrt_dtype sums[] = {MRT_F32, MRT_F64, MRT_I32, MRT_I64, MRT_U32, MRT_U64};
    rng r = {1};
    for (int round = 0; round < 3 * ROUNDS; round++) {
        const mrt_shape shape = random_shape(&r, 0, 6);
        const int64_t mode = round % 10;
        const bool order = mode == MRT_REDUCE_MAX || mode == MRT_REDUCE_MIN;
        const mrt_dtype dtype = !order          ? sums[below(&r, 6)]
                                : round % 7 == 0 ? MRT_BOOL
                                                 : all_types[below(&r, 10)];
        one_reduce(&r, &shape, mode, dtype, below(&r, 2));
    }
    for (int64_t mode = 0; mode < 10; mode++) { /* several tiles and column blocks */
        const mrt_shape wide = {3, {3, 7, 700}}, deep = {2, {30, 300}};
        one_reduce(&r, &wide, mode, MRT_F32, true);
        one_reduce(&r, &wide, mode, MRT_F32, false);
        one_reduce(&r, &deep, mode, MRT_F32, true);
    }
}
END_TEST

START_TEST(test_pool_max) {
    rng r = {2};
    for (int round = 0; round < 2 * ROUNDS; round++) {
        mrt_pool_params p = {.mode = MRT_POOL_MAX, .spatial = between(&r, 1, 3), .act_limit = -1};
        mrt_shape in = {(int32_t)p.spatial + 2, {between(&r, 0, 2), between(&r, 1, 3)}};
        mrt_shape out = in;
        if (in.dims[0] == 0 && round % 8) {
            in.dims[0] = out.dims[0] = 1;
        }
        for (int i = 0; i < p.spatial; i++) {
            p.kernel[i] = between(&r, 1, 4);
            p.stride[i] = between(&r, 1, 3);
            p.dilation[i] = between(&r, 1, 2);
            p.pad_begin[i] = below(&r, p.kernel[i] + 1);
            p.pad_end[i] = below(&r, p.kernel[i] + 1);
            const int64_t reach = (p.kernel[i] - 1) * p.dilation[i] + 1;
            in.dims[i + 2] = reach + below(&r, round % 10 == 0 && p.spatial < 3 ? 60 : 7);
            const int64_t room = in.dims[i + 2] + p.pad_begin[i] + p.pad_end[i] - reach;
            int64_t n = room / p.stride[i] + 1;
            const bool more = room % p.stride[i] != 0 &&
                              n * p.stride[i] < in.dims[i + 2] + p.pad_begin[i];
            out.dims[i + 2] = n + (more && below(&r, 2));
        }
        mrt_tensor x = new_tensor(all_types[below(&r, 10)], &in);
        mrt_tensor y = new_tensor(x.dtype, &out), e = new_tensor(x.dtype, &out);
        mrt_tensor at = new_tensor(MRT_I64, &out), where = new_tensor(MRT_I64, &out);
        fill_small(&r, &x, -99, 99);
        if (ref_is_float(x.dtype) && ref_count(&x) > 0 && below(&r, 5) == 0) {
            ref_store(&x, below(&r, ref_count(&x)), (double)(below(&r, 2) ? NAN : -INFINITY));
        }
        ref_pool_max(&p, &x, &e, &where);
        kernel_case k = {mrt_pool_max_check, mrt_pool_max_run, &p, {&x}, 1, {&y, &at}, 1};
        run_case(&k);
        assert_close(&y, &e, 0);
        k.n_out = 2;
        run_case(&k);
        assert_close(&y, &e, 0);
        ck_assert(same_bytes(&at, &where));
        mrt_tensor *all[] = {&x, &y, &e, &at, &where};
        for (int i = 0; i < 5; i++) {
            free_tensor(all[i]);
        }
    }
}
END_TEST

/* Values that often tie, and now and then a NaN. */
static void fill_order(rng *r, mrt_tensor *x) {
    fill_small(r, x, -3, 3);
    for (int64_t i = 0; i < ref_count(x) && ref_is_float(x->dtype); i++) {
        const double v = ref_load(x, i);
        ref_store(x, i, below(r, 40) == 0 ? (double)NAN : floor(v) * (below(r, 2) ? 1 : -1));
    }
}

START_TEST(test_arg) {
    rng r = {3};
    for (int round = 0; round < ROUNDS; round++) {
        mrt_shape shape = random_shape(&r, 1, 5);
        const mrt_axis_params p = {below(&r, shape.rank), below(&r, 2), below(&r, 2)};
        if (shape.dims[p.axis] == 0) {
            shape.dims[p.axis] = 1;
        }
        mrt_shape kept = shape, dropped = {.rank = shape.rank - 1};
        kept.dims[p.axis] = 1;
        for (int i = 0; i < dropped.rank; i++) {
            dropped.dims[i] = shape.dims[i + (i >= p.axis)];
        }
        mrt_tensor x = new_tensor(all_types[below(&r, 10)], &shape);
        mrt_tensor y = new_tensor(MRT_I64, below(&r, 2) ? &kept : &dropped);
        mrt_tensor e = new_tensor(MRT_I64, &kept);
        fill_order(&r, &x);
        run_case(&(kernel_case){mrt_arg_check, mrt_arg_run, &p, {&x}, 1, {&y}, 1});
        ref_arg(&x, (int)p.axis, p.flag != 0, p.flag2 != 0, &e);
        ck_assert(same_bytes(&y, &e));
        free_tensor(&x);
        free_tensor(&y);
        free_tensor(&e);
    }
}
END_TEST

START_TEST(test_topk) {
    rng r = {4};
    for (int round = 0; round < ROUNDS; round++) {
        const mrt_shape shape = random_shape(&r, 1, 4);
        const mrt_topk_params p = {below(&r, shape.rank), below(&r, 2), 1};
        mrt_shape to = shape;
        to.dims[p.axis] = below(&r, shape.dims[p.axis] + 1);
        mrt_tensor x = new_tensor(all_types[below(&r, 10)], &shape);
        mrt_tensor v = new_tensor(x.dtype, &to), i = new_tensor(MRT_I64, &to);
        mrt_tensor ev = new_tensor(x.dtype, &to), ei = new_tensor(MRT_I64, &to);
        fill_order(&r, &x);
        run_case(&(kernel_case){mrt_topk_check, mrt_topk_run, &p, {&x}, 1, {&v, &i}, 2});
        ref_topk(&x, (int)p.axis, p.largest != 0, &ev, &ei);
        ck_assert(same_bytes(&v, &ev));
        ck_assert(same_bytes(&i, &ei));
        mrt_tensor *all[] = {&x, &v, &i, &ev, &ei};
        for (int k = 0; k < 5; k++) {
            free_tensor(all[k]);
        }
    }
}
END_TEST

START_TEST(test_cumsum) {
    rng r = {5};
    for (int round = 0; round < ROUNDS; round++) {
        const mrt_shape shape = random_shape(&r, 1, 5);
        const mrt_axis_params p = {below(&r, shape.rank), below(&r, 2), below(&r, 2)};
        mrt_tensor x = new_tensor(all_types[below(&r, 10)], &shape);
        mrt_tensor y = new_tensor(x.dtype, &shape), e = new_tensor(x.dtype, &shape);
        fill_small(&r, &x, -99, 99);
        run_case(&(kernel_case){mrt_cumsum_check, mrt_cumsum_run, &p, {&x}, 1, {&y}, 1});
        ref_cumsum(&x, (int)p.axis, p.flag != 0, p.flag2 != 0, &e);
        ck_assert(same_bytes(&y, &e));
        free_tensor(&x);
        free_tensor(&y);
        free_tensor(&e);
    }
}
END_TEST

/* One axis: by scale or by size, up or down. Scales are such that no position lies within rounding
 * of a place where nearest modes jump, unless it is exactly there. */
static void random_axis(rng *r, mrt_resize_params *p, int k, int64_t in, int64_t *out) {
    static const double scales[] = {2, 3, 0.5, 1.5, 0.75, 0.625, 4, 2.25};
    p->roi_begin[k] = 0;
    p->roi_end[k] = 1;
    p->scale[k] = 1;
    *out = in;
    if (below(r, 3) == 0) {
        return;
    }
    p->scale[k] = scales[below(r, 8)];
    *out = (int64_t)floor(p->scale[k] * (double)in);
    if (*out == 0) {
        *out = 1;
    }
    if (p->coord == MRT_COORD_TF_CROP) {
        p->roi_begin[k] = (double)between(r, -4, 4) / 16;
        p->roi_end[k] = (double)between(r, 8, 20) / 16;
    }
}

static void one_resize(rng *r, const mrt_shape *shape, mrt_resize_params *p, bool any_type) {
    mrt_shape to = *shape;
    for (int k = 0; k < shape->rank; k++) {
        random_axis(r, p, k, shape->dims[k], &to.dims[k]);
    }
    const mrt_dtype dtype = any_type ? all_types[below(r, 10)] : MRT_F32;
    mrt_tensor x = new_tensor(dtype, shape), y = new_tensor(dtype, &to);
    mrt_tensor e = new_tensor(dtype, &to);
    fill_small(r, &x, -9, 9);
    run_case(&(kernel_case){any_type ? mrt_resize_nearest_check : mrt_resize_f32_check,
                            any_type ? mrt_resize_nearest_run : mrt_resize_f32_run,
                            p, {&x}, 1, {&y}, 1});
    ref_resize(p, &x, &e);
    assert_close(&y, &e, p->mode == MRT_RESIZE_NEAREST ? 0 : 4e-5);
    free_tensor(&x);
    free_tensor(&y);
    free_tensor(&e);
}

static mrt_resize_params random_resize(rng *r, int64_t mode) {
    mrt_resize_params p = {.mode = mode, .coord = below(r, 6), .nearest = below(r, 4),
                           .cubic_a = -0.75, .extrapolation = 7};
    p.exclude_outside = mode != MRT_RESIZE_NEAREST && below(r, 2);
    p.antialias = below(r, 2);
    if (mode == MRT_RESIZE_NEAREST && p.coord == MRT_COORD_HALF_PIXEL_SYMMETRIC) {
        p.coord = MRT_COORD_HALF_PIXEL; /* the oracle's formula rounds next to the jumps */
    }
    return p;
}

START_TEST(test_resize) {
    rng r = {6};
    for (int round = 0; round < 4 * ROUNDS; round++) {
        mrt_shape shape = {.rank = (int32_t)between(&r, 0, 4)};
        for (int i = 0; i < shape.rank; i++) {
            shape.dims[i] = between(&r, i < 2 ? 1 : 2, 5);
        }
        mrt_resize_params p = random_resize(&r, below(&r, 3));
        one_resize(&r, &shape, &p, p.mode == MRT_RESIZE_NEAREST && below(&r, 2));
    }
    for (int round = 0; round < 12; round++) { /* images: tiles of rows and blocks of columns */
        const mrt_shape image = {4, {1, 2, between(&r, 5, 12), between(&r, 20, 60)}};
        const mrt_shape wide = {2, {2, 700}};
        mrt_resize_params p = random_resize(&r, round % 3);
        one_resize(&r, &image, &p, false);
        p = random_resize(&r, MRT_RESIZE_LINEAR);
        one_resize(&r, &wide, &p, false);
    }
}
END_TEST

/* Sizes that are no multiple: integer coordinates must come out exact. */
START_TEST(test_resize_sizes) {
    for (int64_t in = 1; in < 40; in++) {
        for (int64_t out = 1; out < 40; out++) {
            mrt_tensor x = new_dims(MRT_I64, 1, &in), y = new_dims(MRT_I64, 1, &out);
            mrt_resize_params p = {.mode = MRT_RESIZE_NEAREST, .coord = MRT_COORD_ASYMMETRIC,
                                   .nearest = MRT_NEAREST_FLOOR};
            p.scale[0] = (double)out / (double)in;
            for (int64_t i = 0; i < in; i++) {
                ref_store(&x, i, (double)i);
            }
            run_case(&(kernel_case){mrt_resize_nearest_check, mrt_resize_nearest_run, &p, {&x}, 1,
                                    {&y}, 1});
            for (int64_t i = 0; i < out; i++) {
                ck_assert(ref_load(&y, i) == (double)(i * in / out));
            }
            free_tensor(&x);
            free_tensor(&y);
        }
    }
}
END_TEST

START_TEST(test_refusals) {
    mrt_tensor x = new_dims(MRT_F32, DIMS(1, 1, 4, 4)), y = new_dims(MRT_F32, DIMS(1, 1, 2, 2));
    mrt_tensor i = new_dims(MRT_I32, DIMS(1, 1, 4, 4)), flat = new_dims(MRT_F32, DIMS(16));
    mrt_tensor at = new_dims(MRT_I64, DIMS(1, 1, 4, 4));
    const mrt_reduce_params far = {.axes = 16}, none = {.mode = 10}, two = {.axes = 8};
    mrt_pool_params pool = {.mode = MRT_POOL_MAX, .spatial = 2, .kernel = {3, 3},
                            .stride = {1, 1}, .dilation = {1, 1}};
    mrt_pool_params still = pool, huge = pool;
    still.stride[0] = 0;
    huge.kernel[1] = INT64_MAX;
    const mrt_axis_params axis = {.axis = 4}, minus = {.axis = -1};
    const mrt_topk_params k = {3, 1, 1};
    mrt_resize_params zero = {.mode = MRT_RESIZE_LINEAR}, tiny = zero;
    for (int a = 0; a < 4; a++) {
        tiny.scale[a] = 1e-300;
    }
    tiny.antialias = 1;
    const kernel_case cases[] = {
        {mrt_reduce_check, NULL, &far, {&x}, 1, {&x}, 1},
        {mrt_reduce_check, NULL, &none, {&x}, 1, {&x}, 1},
        {mrt_reduce_check, NULL, &two, {&x}, 1, {&y}, 1},
        {mrt_pool_max_check, NULL, &pool, {&x}, 1, {&x}, 1},
        {mrt_pool_max_check, NULL, &still, {&x}, 1, {&y}, 1},
        {mrt_pool_max_check, NULL, &huge, {&x}, 1, {&y}, 1},
        {mrt_pool_max_check, NULL, &pool, {&x}, 1, {&y, &at}, 2},
        {mrt_arg_check, NULL, &axis, {&x}, 1, {&at}, 1},
        {mrt_arg_check, NULL, &minus, {&x}, 1, {&at}, 1},
        {mrt_topk_check, NULL, &k, {&y}, 1, {&x, &at}, 2},
        {mrt_cumsum_check, NULL, &axis, {&x}, 1, {&x}, 1},
        {mrt_resize_f32_check, NULL, &zero, {&x}, 1, {&y}, 1},
        {mrt_resize_f32_check, NULL, &tiny, {&x}, 1, {&y}, 1},
        {mrt_resize_f32_check, NULL, &tiny, {&i}, 1, {&i}, 1},
        {mrt_resize_nearest_check, NULL, &tiny, {&x}, 1, {&y}, 1},
        {mrt_resize_nearest_check, NULL, &zero, {&x}, 1, {&flat}, 1},
    };
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        mrt_error err = {""};
        ck_assert_msg(check_case(&cases[c], &err) != MRT_OK, "case %zu", c);
        ck_assert_msg(err.text[0] != '\0', "case %zu", c);
    }
    mrt_tensor *all[] = {&x, &y, &i, &flat, &at};
    for (size_t c = 0; c < 5; c++) {
        free_tensor(all[c]);
    }
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("elem_axis");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, test_reduce);
    tcase_add_test(tests, test_pool_max);
    tcase_add_test(tests, test_arg);
    tcase_add_test(tests, test_topk);
    tcase_add_test(tests, test_cumsum);
    tcase_add_test(tests, test_resize);
    tcase_add_test(tests, test_resize_sizes);
    tcase_add_test(tests, test_refusals);
    Suite *suite = suite_create("kernels_elem_axis");
    suite_add_tcase(suite, tests);
    return check_run(suite);
}
