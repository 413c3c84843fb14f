/* The element-wise, pooling, reducing and resizing integer kernels against their oracles. */
#include "test/unit/check_main.h"
#include "test/unit/int_test_util.h"
#include "test/unit/rounds.h"

#include "runtime/kernels/tile_isa.h"

#include <math.h>

#include "test/ref/ref_int.h"

static int32_t clamp32(int64_t v, int64_t low, int64_t high) {
    return (int32_t)(v < low ? low : (v > high ? high : v));
}

/* Shapes that broadcast together: rank, a, b, y. */
typedef struct broadcast_case {
    int rank_a, rank_b, rank_y;
    int64_t a[4], b[4], y[4];
} broadcast_case;

static const broadcast_case broadcasts[] = {
    {1, 1, 1, {1}, {1}, {1}},
    {1, 1, 1, {1000}, {1000}, {1000}},
    {4, 4, 4, {2, 3, 5, 7}, {2, 3, 5, 7}, {2, 3, 5, 7}},
    {4, 1, 4, {2, 3, 5, 7}, {7}, {2, 3, 5, 7}},
    {4, 3, 4, {2, 3, 5, 7}, {3, 1, 1}, {2, 3, 5, 7}},
    {4, 4, 4, {1, 3, 1, 7}, {2, 1, 5, 1}, {2, 3, 5, 7}},
    {0, 2, 2, {0}, {33, 300}, {33, 300}},
    {2, 2, 2, {1, 40000}, {2, 1}, {2, 40000}},
    {2, 2, 2, {0, 4}, {1, 4}, {0, 4}},
};

/* Index of the operand element for output element `i`. */
static int64_t broadcast_index(int64_t i, const broadcast_case *c, const int64_t *dims, int rank) {
    int64_t at = 0;
    int64_t stride = 1;
    for (int axis = c->rank_y - 1; axis >= 0; --axis) {
        const int from = axis - (c->rank_y - rank);
        const int64_t index = i % c->y[axis];
        i /= c->y[axis];
        if (from >= 0) {
            at += dims[from] == 1 ? 0 : index * stride;
            stride *= dims[from];
        }
    }
    return at;
}

static void check_binary(const broadcast_case *c, bool is_add) {
    mrt_tensor a = tensor_new(rnd_dtype(), c->rank_a, c->a);
    mrt_tensor b = tensor_new(rnd_dtype(), c->rank_b, c->b);
    mrt_tensor y = tensor_new(rnd_dtype(), c->rank_y, c->y);
    int32_t *as = tensor_random(&a);
    int32_t *bs = tensor_random(&b);
    int32_t low, high;
    mrt_binary_int_params p = {0};
    range_of(a.dtype, &low, &high);
    p.zero_point_a = rnd_value(low, high);
    range_of(b.dtype, &low, &high);
    p.zero_point_b = rnd_value(low, high);
    range_of(y.dtype, &low, &high);
    p.zero_point_out = rnd_value(low, high);
    p.clamp_min = low;
    p.clamp_max = rnd() % 2 ? high : rnd_in(low, high);
    if (is_add) {
        p.multiplier_a = rnd_in(-((int64_t)1 << 31), (int64_t)1 << 31);
        p.multiplier_b = rnd() % 4 ? rnd_in(1, 1 << 30) : (int64_t)1 << 46;
        p.shift = rnd() % 2 ? rnd_in(28, 34) : rnd_in(0, 48);
    } else {
        p.multiplier_a = rnd() % 2 ? 1 << 30 : rnd_in(1 << 30, INT32_MAX);
        p.shift = rnd_in(30, 40);
    }
    const int64_t count = mrt_shape_count(&y.shape);
    int32_t *expected = malloc(((size_t)count + 1) * sizeof(int32_t));
    for (int64_t i = 0; i < count; ++i) {
        const int64_t va = as[broadcast_index(i, c, c->a, c->rank_a)] - p.zero_point_a;
        const int64_t vb = bs[broadcast_index(i, c, c->b, c->rank_b)] - p.zero_point_b;
        const int64_t sum =
            is_add ? va * p.multiplier_a + vb * p.multiplier_b : va * vb * p.multiplier_a;
        expected[i] = clamp32(ref_int_half_up(sum, (int)p.shift) + p.zero_point_out, p.clamp_min,
                              p.clamp_max);
    }
    const mrt_tensor *in[2] = {&a, &b};
    mrt_tensor *outs[1] = {&y};
    mrt_call call = {.in = in, .n_in = 2, .out = outs, .n_out = 1, .params = &p};
    run_and_compare(&call, is_add ? mrt_add_int_check : mrt_mul_int_check,
                    is_add ? mrt_add_int_run : mrt_mul_int_run, expected);
    free(expected), free(as), free(bs);
    tensor_free(&a), tensor_free(&b), tensor_free(&y);
}

START_TEST(add_and_mul) {
    for (size_t i = 0; i < sizeof(broadcasts) / sizeof(broadcasts[0]); ++i) {
        for (int repeat = 0; repeat < TEST_ROUNDS(12); ++repeat) {
            check_binary(&broadcasts[i], repeat % 2 == 0);
        }
    }
}
END_TEST

static void check_pool(int64_t n, const int64_t *in, const int64_t *kernel, const int64_t *stride,
                       const int64_t *dilation, const int64_t *pad, const int64_t *pad_end,
                       bool ceil_mode, bool include_pad, bool relu) {
    ref_int_pool r = {.include_pad = include_pad};
    int64_t xd[5] = {n, 3};
    int64_t yd[5] = {n, 3};
    mrt_pool_params p = {.mode = MRT_POOL_AVG, .spatial = 3, .count_include_pad = include_pad};
    for (int i = 0; i < 3; ++i) {
        const int64_t reach = (kernel[i] - 1) * dilation[i] + 1;
        const int64_t room = in[i] + pad[i] + pad_end[i] - reach;
        if (room < 0) {
            return;
        }
        int64_t out = room / stride[i] + 1;
        if (ceil_mode && room % stride[i] != 0 && out * stride[i] < in[i] + pad[i]) {
            ++out;
        }
        r.in[i] = xd[2 + i] = in[i];
        r.out[i] = yd[2 + i] = out;
        r.kernel[i] = p.kernel[i] = kernel[i];
        r.stride[i] = p.stride[i] = stride[i];
        r.dilation[i] = p.dilation[i] = dilation[i];
        r.pad[i] = p.pad_begin[i] = pad[i];
        r.pad_end[i] = p.pad_end[i] = pad_end[i];
    }
    mrt_tensor x = tensor_new(rnd_dtype(), 5, xd);
    mrt_tensor y = tensor_new(rnd_dtype(), 5, yd);
    int32_t *xs = tensor_random(&x);
    range_of(x.dtype, &r.low, &r.high);
    p.zero_point_in = r.zero_point_in = rnd_value(r.low, r.high);
    range_of(y.dtype, &r.low, &r.high);
    p.zero_point_out = r.zero_point_out = rnd_value(r.low, r.high);
    int32_t m = 0;
    int32_t shift = 0;
    const double ratio = rnd() % 2 ? 1.0 : (double)rnd_in(1, 3000) / 1000.0;
    ck_assert_int_eq(
        mrt_multiplier_from_scale(ratio / (double)(kernel[0] * kernel[1] * kernel[2]), 31, &m,
                                  &shift),
        MRT_OK);
    p.multiplier = r.multiplier = m;
    p.shift = r.shift = shift;
    if (relu) {
        p.act = MRT_ACT_RELU;
        p.act_limit = 6.0;
        y.scale = 0.1;
        r.low = r.zero_point_out;
        r.high = clamp32(r.zero_point_out + 60, -128, r.high);
    }
    const int64_t in_plane = in[0] * in[1] * in[2];
    const int64_t out_plane = r.out[0] * r.out[1] * r.out[2];
    int32_t *expected = malloc((size_t)(n * 3 * out_plane) * sizeof(int32_t));
    for (int64_t plane = 0; plane < n * 3; ++plane) {
        r.x = xs + plane * in_plane;
        ref_int_pool_run(&r, expected + plane * out_plane);
    }
    const mrt_tensor *ins[1] = {&x};
    mrt_tensor *outs[1] = {&y};
    mrt_call call = {.in = ins, .n_in = 1, .out = outs, .n_out = 1, .params = &p};
    run_and_compare(&call, mrt_pool_avg_int_check, mrt_pool_avg_int_run, expected);
    free(expected), free(xs);
    tensor_free(&x), tensor_free(&y);
}

START_TEST(average_pool) {
    for (int i = 0; i < TEST_ROUNDS(300); ++i) {
        int64_t in[3], kernel[3], stride[3], dilation[3], pad[3], pad_end[3];
        for (int axis = 0; axis < 3; ++axis) {
            in[axis] = rnd_in(1, axis == 2 ? 20 : 7);
            kernel[axis] = rnd_in(1, 3);
            stride[axis] = rnd_in(1, 3);
            dilation[axis] = rnd() % 3 ? 1 : 2;
            pad[axis] = rnd() % 2 ? 0 : rnd_in(0, kernel[axis] - 1);
            pad_end[axis] = rnd() % 2 ? 0 : rnd_in(0, kernel[axis] - 1);
        }
        check_pool(rnd_in(1, 2), in, kernel, stride, dilation, pad, pad_end, rnd() % 2, rnd() % 2,
                   rnd() % 4 == 0);
    }
    static const int64_t in[3] = {1, 30, 41};
    static const int64_t one[3] = {1, 1, 1};
    static const int64_t none[3] = {0, 0, 0};
    check_pool(1, in, in, one, one, none, none, false, false, false); /* global */
}
END_TEST

START_TEST(reduce_axes) {
    for (int axes = 0; axes < 16; ++axes) {
        for (int repeat = 0; repeat < TEST_ROUNDS(4); ++repeat) {
            const int64_t dims[4] = {2, 5, rnd_in(1, 6), rnd_in(1, 40)};
            int64_t kept[4];
            int64_t dropped[4];
            int rank = 0;
            int64_t elements = 1;
            for (int i = 0; i < 4; ++i) {
                kept[i] = axes >> i & 1 ? 1 : dims[i];
                elements *= dims[i] / kept[i];
                if (!(axes >> i & 1)) {
                    dropped[rank++] = dims[i];
                }
            }
            mrt_tensor x = tensor_new(rnd_dtype(), 4, dims);
            mrt_tensor y = repeat % 2 ? tensor_new(rnd_dtype(), 4, kept)
                                      : tensor_new(rnd_dtype(), rank, dropped);
            int32_t *xs = tensor_random(&x);
            int32_t low, high;
            int32_t m = 0;
            int32_t shift = 0;
            mrt_reduce_params p = {.mode = repeat < 2 ? MRT_REDUCE_SUM : MRT_REDUCE_MEAN,
                                   .axes = axes};
            range_of(x.dtype, &low, &high);
            p.zero_point_in = rnd_value(low, high);
            range_of(y.dtype, &low, &high);
            p.zero_point_out = rnd_value(low, high);
            ck_assert_int_eq(mrt_multiplier_from_scale(1.0 / (double)elements, 31, &m, &shift),
                             MRT_OK);
            p.multiplier = m;
            p.shift = shift;
            const int64_t count = mrt_shape_count(&y.shape);
            int64_t *sums = calloc((size_t)count, sizeof(int64_t));
            int32_t *expected = malloc((size_t)count * sizeof(int32_t));
            for (int64_t i = 0; i < mrt_shape_count(&x.shape); ++i) {
                int64_t rest = i;
                int64_t at = 0;
                int64_t step = 1;
                for (int axis = 3; axis >= 0; --axis) {
                    at += kept[axis] == 1 ? 0 : rest % dims[axis] * step;
                    step *= kept[axis];
                    rest /= dims[axis];
                }
                sums[at] += xs[i] - p.zero_point_in;
            }
            for (int64_t i = 0; i < count; ++i) {
                expected[i] = clamp32(ref_int_requant(sums[i], m, shift) + p.zero_point_out, low,
                                      high);
            }
            const mrt_tensor *in[1] = {&x};
            mrt_tensor *outs[1] = {&y};
            mrt_call call = {.in = in, .n_in = 1, .out = outs, .n_out = 1, .params = &p};
            run_and_compare(&call, mrt_reduce_int_check, mrt_reduce_int_run, expected);
            free(sums), free(expected), free(xs);
            tensor_free(&x), tensor_free(&y);
        }
    }
}
END_TEST

START_TEST(resize_linear) {
    for (int i = 0; i < TEST_ROUNDS(120); ++i) {
        const int64_t h = rnd_in(1, 9), w = rnd_in(1, 20);
        const int64_t oh = rnd() % 4 ? rnd_in(1, 20) : h;
        const int64_t ow = rnd() % 4 ? rnd_in(1, 30) : w;
        const int align = (int)(rnd() % 2);
        mrt_tensor x = tensor_new(rnd_dtype(), 4, (int64_t[]){1, 3, h, w});
        mrt_tensor y = tensor_new(x.dtype, 4, (int64_t[]){1, 3, oh, ow});
        int32_t *xs = tensor_random(&x);
        int32_t *expected = malloc((size_t)(3 * oh * ow) * sizeof(int32_t));
        for (int c = 0; c < 3; ++c) {
            ref_int_resize(xs + c * h * w, h, w, oh, ow, align, expected + c * oh * ow);
        }
        mrt_resize_params p = {.mode = MRT_RESIZE_LINEAR,
                               .coord = align ? MRT_COORD_ALIGN_CORNERS : MRT_COORD_HALF_PIXEL,
                               .scale = {1.0, 1.0, (double)oh / (double)h, (double)ow / (double)w}};
        const mrt_tensor *in[1] = {&x};
        mrt_tensor *outs[1] = {&y};
        mrt_call call = {.in = in, .n_in = 1, .out = outs, .n_out = 1, .params = &p};
        run_and_compare(&call, mrt_resize_int_check, mrt_resize_int_run, expected);
        free(expected), free(xs);
        tensor_free(&x), tensor_free(&y);
    }
}
END_TEST

/* The same image resized as [N,C,H,W], [N,H,W,C] and with a third axis doubled. */
START_TEST(resize_axes) {
    mrt_tensor x = tensor_new(MRT_U8, 3, (int64_t[]){2, 3, 2});
    mrt_tensor y = tensor_new(MRT_U8, 3, (int64_t[]){4, 6, 4});
    static const uint8_t values[12] = {0, 255, 10, 20, 255, 255, 1, 2, 3, 4, 5, 200};
    memcpy(x.data, values, 12);
    mrt_resize_params p = {.mode = MRT_RESIZE_LINEAR, .coord = MRT_COORD_ASYMMETRIC,
                           .scale = {2.0, 2.0, 2.0}};
    int32_t expected[96];
    for (int i = 0; i < 96; ++i) {
        const int o[3] = {i / 24, i / 4 % 6, i % 4};
        int sum = 0;
        for (int k = 0; k < 8; ++k) { /* neighbours floor(o/2) and ceil(o/2), half each */
            const int d = o[0] / 2 + ((k & 1) && o[0] % 2 && o[0] / 2 < 1);
            const int h = o[1] / 2 + ((k & 2) && o[1] % 2 && o[1] / 2 < 2);
            const int w = o[2] / 2 + ((k & 4) && o[2] % 2 && o[2] / 2 < 1);
            sum += values[(d * 3 + h) * 2 + w];
        }
        expected[i] = (int32_t)ref_int_half_up(sum, 3);
    }
    const mrt_tensor *in[1] = {&x};
    mrt_tensor *outs[1] = {&y};
    mrt_call call = {.in = in, .n_in = 1, .out = outs, .n_out = 1, .params = &p};
    run_and_compare(&call, mrt_resize_int_check, mrt_resize_int_run, expected);
    y.shape.dims[2] = 2; /* the last axis untouched */
    p.scale[2] = 1.0;
    for (int i = 0; i < 48; ++i) {
        const int o[3] = {i / 12, i / 2 % 6, i % 2};
        int sum = 0;
        for (int k = 0; k < 4; ++k) {
            const int d = o[0] / 2 + ((k & 1) && o[0] % 2 && o[0] / 2 < 1);
            const int h = o[1] / 2 + ((k & 2) && o[1] % 2 && o[1] / 2 < 2);
            sum += values[(d * 3 + h) * 2 + o[2]];
        }
        expected[i] = (int32_t)ref_int_half_up(sum, 2);
    }
    mrt_tensor small = tensor_new(MRT_U8, 3, (int64_t[]){4, 6, 2});
    outs[0] = &small;
    run_and_compare(&call, mrt_resize_int_check, mrt_resize_int_run, expected);
    tensor_free(&x), tensor_free(&y), tensor_free(&small);
}
END_TEST

START_TEST(quantize_and_back) {
    static const mrt_dtype types[] = {MRT_I8, MRT_U8, MRT_I16};
    const int64_t count = 40000;
    for (int kind = 0; kind < 3; ++kind) {
        mrt_tensor x = tensor_1d(MRT_F32, count);
        mrt_tensor y = tensor_1d(types[kind], count);
        int32_t low, high;
        range_of(y.dtype, &low, &high);
        y.scale = 0.0371;
        y.zero_point = rnd_value(low, high);
        int32_t *expected = malloc((size_t)count * sizeof(int32_t));
        float *values = x.data;
        for (int64_t i = 0; i < count; ++i) {
            values[i] = i % 2 ? (float)((double)rnd_in(-70000, 70000) * 0.5 * y.scale)
                              : (float)rnd_in(-1000, 1000) / 97.0f;
        }
        values[0] = NAN, values[1] = INFINITY, values[2] = -INFINITY, values[3] = -0.0f;
        values[4] = 3.4e38f, values[5] = 1e-45f;
        for (int64_t i = 0; i < count; ++i) {
            expected[i] = ref_int_quantize((double)values[i], y.scale, y.zero_point, low, high);
        }
        const mrt_tensor *in[1] = {&x};
        mrt_tensor *outs[1] = {&y};
        mrt_call call = {.in = in, .n_in = 1, .out = outs, .n_out = 1};
        run_and_compare(&call, mrt_quantize_check, mrt_quantize_run, expected);

        mrt_tensor back = tensor_1d(MRT_F32, count);
        size_t scratch = 0;
        in[0] = &y;
        outs[0] = &back;
        ck_assert_int_eq(mrt_dequantize_check(&call, &scratch, NULL), MRT_OK);
        mrt_dequantize_run(&call);
        for (int64_t i = 0; i < count; ++i) {
            const float want = (float)((expected[i] - y.zero_point) * y.scale);
            ck_assert(memcmp(&((float *)back.data)[i], &want, 4) == 0);
        }
        y.scale = 0.0;
        ck_assert_int_eq(mrt_dequantize_check(&call, &scratch, NULL), MRT_INVALID);
        free(expected);
        tensor_free(&x), tensor_free(&y), tensor_free(&back);
    }
}
END_TEST

START_TEST(lookup) {
    static const mrt_dtype types[] = {MRT_I8, MRT_U8, MRT_I16, MRT_I32};
    for (int kind = 0; kind < 8; ++kind) {
        mrt_tensor x = tensor_1d(kind & 1 ? MRT_I8 : MRT_U8, 20000);
        mrt_tensor table = tensor_1d(types[kind >> 1], 256);
        mrt_tensor y = tensor_1d(types[kind >> 1], 20000);
        int32_t *xs = tensor_random(&x);
        int32_t *ts = tensor_random(&table);
        for (int i = 0; i < 20000; ++i) {
            xs[i] = ts[(uint8_t)xs[i]];
        }
        const mrt_tensor *in[2] = {&x, &table};
        mrt_tensor *outs[1] = {&y};
        mrt_call call = {.in = in, .n_in = 2, .out = outs, .n_out = 1};
        run_and_compare(&call, mrt_lut_8_check, mrt_lut_8_run, xs);
        if (kind < 4) { /* in place */
            outs[0] = &x;
            x.dtype = y.dtype;
            mrt_lut_8_run(&call);
            ck_assert(memcmp(x.data, y.data, 20000) == 0);
        }
        free(xs), free(ts);
        tensor_free(&x), tensor_free(&table), tensor_free(&y);
    }
}
END_TEST

/* Every row of the table of inner loops, every tail, at odd addresses, in place. */
START_TEST(lookup_rows) {
    uint8_t table[256], x[400], want[400], y[400];
    for (int i = 0; i < 256; ++i) {
        table[i] = (uint8_t)rnd();
    }
    for (int isa = 0; mrt_tile_isa_at(isa); ++isa) {
        for (int count = 0; count < 330 && mrt_tile_isa_available(mrt_tile_isa_at(isa)); ++count) {
            const int at = count % 7;
            for (int i = 0; i < 400; ++i) {
                x[i] = y[i] = want[i] = (uint8_t)(i < 256 + at ? i - at : (int)rnd());
            }
            for (int i = at; i < at + count; ++i) {
                want[i] = table[x[i]];
            }
            mrt_tile_isa_at(isa)->lut(table, x + at, y + at, count);
            ck_assert(memcmp(y, want, 400) == 0);
            mrt_tile_isa_at(isa)->lut(table, x + at, x + at, count);
            ck_assert(memcmp(x, want, 400) == 0);
        }
    }
}
END_TEST

/* Broken calls are refused, each with text. */
START_TEST(refusals) {
    mrt_tensor x = tensor_new(MRT_I8, 3, (int64_t[]){1, 2, 9});
    mrt_tensor y = tensor_new(MRT_I8, 3, (int64_t[]){1, 2, 7});
    mrt_pool_params p = {.mode = MRT_POOL_AVG, .spatial = 1, .kernel = {3}, .stride = {1},
                         .dilation = {1}, .multiplier = 1 << 30, .shift = 31};
    const mrt_tensor *in[2] = {&x, &x};
    mrt_tensor *outs[1] = {&y};
    mrt_call call = {.in = in, .n_in = 1, .out = outs, .n_out = 1, .params = &p};
    mrt_error err = {{0}};
    size_t scratch = 0;
    ck_assert_int_eq(mrt_pool_avg_int_check(&call, &scratch, &err), MRT_OK);
    p.pad_begin[0] = 1; /* partial windows and a shift that cannot be divided exactly */
    y.shape.dims[2] = 8;
    ck_assert_int_eq(mrt_pool_avg_int_check(&call, &scratch, &err), MRT_OK);
    p.shift = 62;
    ck_assert_int_eq(mrt_pool_avg_int_check(&call, &scratch, &err), MRT_UNSUPPORTED);
    p.shift = 63;
    ck_assert_int_eq(mrt_pool_avg_int_check(&call, &scratch, &err), MRT_INVALID);
    p.shift = 31, p.mode = MRT_POOL_LP;
    ck_assert_int_eq(mrt_pool_avg_int_check(&call, &scratch, &err), MRT_INVALID);

    mrt_binary_int_params b = {.clamp_min = -128, .clamp_max = 127, .multiplier_a = 1};
    call.params = &b;
    call.n_in = 2;
    ck_assert_int_eq(mrt_add_int_check(&call, &scratch, &err), MRT_INVALID); /* shape of y */
    y.shape.dims[2] = 9;
    ck_assert_int_eq(mrt_add_int_check(&call, &scratch, &err), MRT_OK);
    b.multiplier_a = INT64_MAX;
    ck_assert_int_eq(mrt_add_int_check(&call, &scratch, &err), MRT_INVALID);
    b.multiplier_a = (int64_t)1 << 31;
    ck_assert_int_eq(mrt_mul_int_check(&call, &scratch, &err), MRT_INVALID);

    mrt_reduce_params r = {.mode = MRT_REDUCE_MEAN, .axes = 8};
    call.params = &r;
    call.n_in = 1;
    ck_assert_int_eq(mrt_reduce_int_check(&call, &scratch, &err), MRT_INVALID);
    r.axes = 4;
    ck_assert_int_eq(mrt_reduce_int_check(&call, &scratch, &err), MRT_INVALID);

    mrt_resize_params z = {.mode = MRT_RESIZE_LINEAR, .scale = {1.0, 1.0, 0.0}};
    call.params = &z;
    ck_assert_int_eq(mrt_resize_int_check(&call, &scratch, &err), MRT_INVALID);
    z.scale[2] = 1.0;
    ck_assert_int_eq(mrt_resize_int_check(&call, &scratch, &err), MRT_OK);
    y.scale = 0.5;
    ck_assert_int_eq(mrt_resize_int_check(&call, &scratch, &err), MRT_INVALID);
    tensor_free(&x), tensor_free(&y);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("kernels_int_elem");
    TCase *chance = tcase_create("random");
    tcase_set_timeout(chance, 900);
    tcase_add_test(chance, add_and_mul);
    tcase_add_test(chance, average_pool);
    tcase_add_test(chance, reduce_axes);
    tcase_add_test(chance, resize_linear);
    tcase_add_test(chance, quantize_and_back);
    tcase_add_test(chance, lookup);
    suite_add_tcase(suite, chance);
    TCase *tcase = tcase_create("kernels");
    tcase_set_timeout(tcase, 900);
    tcase_add_test(tcase, resize_axes);
    tcase_add_test(tcase, lookup_rows);
    tcase_add_test(tcase, refusals);
    suite_add_tcase(suite, tcase);
    return check_run(suite);
}
