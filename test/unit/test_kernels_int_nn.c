/* Integer softmax, quantization next to ties and changes of layout against their oracles. */
#include "test/unit/check_main.h"
#include "test/unit/int_test_util.h"
#include "test/unit/rounds.h"

#include <float.h>
#include <math.h>

#include "test/ref/ref_int.h"

enum { ONE = 1 << MRT_SOFTMAX_BITS };

static void exponentials(double scale, int32_t *table) {
    for (int i = 0; i < 32; ++i) {
        table[i] = (int32_t)rint(exp(-(i < 16 ? i : (i - 16) * 16) * scale) * ONE);
    }
}

static void check_softmax(int64_t rows, int64_t size) {
    const int64_t dims[2] = {rows, size};
    mrt_tensor x = tensor_new(rnd_dtype(), 2, dims);
    mrt_tensor y = tensor_new(rnd_dtype(), 2, dims);
    mrt_tensor table = tensor_1d(MRT_I32, 32);
    int32_t low, high, multiplier, shift;
    int32_t *xs = tensor_random(&x);
    const int32_t narrow = rnd() % 3 ? 0 : rnd_in(1, 100); /* rows of nearly equal elements */
    for (int64_t i = 0; narrow > 0 && i < rows * size; ++i) {
        xs[i] = xs[i] / narrow;
        tensor_set(&x, i, xs[i]);
    }
    exponentials(rnd() % 4 ? (double)rnd_in(1, 1000) / 2000.0 : 0.0, table.data);
    range_of(y.dtype, &low, &high);
    const double scale = rnd() % 2 ? 1.0 / 255.0 : (double)rnd_in(1, 1000) / 1e6;
    ck_assert(mrt_multiplier_from_scale(1.0 / scale, 31, &multiplier, &shift) == MRT_OK);
    mrt_softmax_int_params p = {multiplier, shift + MRT_SOFTMAX_BITS, rnd_value(low, high)};
    int32_t *expected = malloc(((size_t)(rows * size) + 1) * sizeof(int32_t));
    for (int64_t r = 0; r < rows && size > 0; ++r) {
        ref_int_softmax(xs + r * size, size, table.data, p.multiplier, (int)p.shift,
                        (int32_t)p.zero_point_out, high, expected + r * size);
    }
    const mrt_tensor *in[2] = {&x, &table};
    mrt_tensor *outs[1] = {&y};
    mrt_call call = {.in = in, .n_in = 2, .out = outs, .n_out = 1, .params = &p};
    run_and_compare(&call, mrt_softmax_int_check, mrt_softmax_int_run, expected);
    tensor_check_zones(&x);
    free(expected), free(xs);
    tensor_free(&x), tensor_free(&y), tensor_free(&table);
}

START_TEST(softmax) {
    static const int64_t sizes[] = {1, 2, 15, 16, 17, 50, 63, 64, 65, 196, 511, 512, 513, 1025, 5000};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; ++i) {
        for (int repeat = 0; repeat < TEST_ROUNDS(4); ++repeat) {
            check_softmax(rnd_in(1, 9), sizes[i]);
        }
    }
    check_softmax(3, 0);
    check_softmax(0, 7);
}
END_TEST

/* The steps of a float softmax next to the integer rule: at most one unit apart. */
START_TEST(softmax_is_close) {
    const int64_t dims[2] = {4, 300};
    for (int repeat = 0; repeat < TEST_ROUNDS(20); ++repeat) {
        mrt_tensor x = tensor_new(MRT_I8, 2, dims), y = tensor_new(MRT_U8, 2, dims);
        mrt_tensor table = tensor_1d(MRT_I32, 32);
        const double scale = (double)rnd_in(1, 100) / 400.0, scale_y = (double)rnd_in(10, 400) / 1e5;
        int32_t *xs = tensor_random(&x), multiplier, shift;
        exponentials(scale, table.data);
        ck_assert(mrt_multiplier_from_scale(1.0 / scale_y, 31, &multiplier, &shift) == MRT_OK);
        mrt_softmax_int_params p = {multiplier, shift + MRT_SOFTMAX_BITS, 0};
        const mrt_tensor *in[2] = {&x, &table};
        mrt_tensor *outs[1] = {&y};
        mrt_call call = {.in = in, .n_in = 2, .out = outs, .n_out = 1, .params = &p};
        mrt_softmax_int_run(&call);
        for (int64_t i = 0; i < 4 * 300; ++i) {
            double sum = 0;
            for (int64_t k = i / 300 * 300; k < i / 300 * 300 + 300; ++k) {
                sum += exp((xs[k] - xs[i]) * scale);
            }
            const double real = fmin(255.0, 1.0 / sum / scale_y);
            ck_assert_msg(fabs(real - tensor_get(&y, i)) < 0.502, "%g is %d", real,
                          tensor_get(&y, i));
        }
        free(xs), tensor_free(&x), tensor_free(&y), tensor_free(&table);
    }
}
END_TEST

START_TEST(softmax_refusals) {
    const int64_t dims[2] = {2, 8};
    mrt_tensor x = tensor_new(MRT_I8, 2, dims), y = tensor_new(MRT_U8, 2, dims);
    mrt_tensor table = tensor_1d(MRT_I32, 32);
    mrt_softmax_int_params p = {1 << 30, 45, 0};
    const mrt_tensor *in[2] = {&x, &table};
    mrt_tensor *outs[1] = {&y};
    mrt_call call = {.in = in, .n_in = 2, .out = outs, .n_out = 1, .params = &p};
    size_t scratch = 0;
    mrt_error err = {{0}};
    int32_t *values = table.data;
    exponentials(0.1, values);
    ck_assert_int_eq(mrt_softmax_int_check(&call, &scratch, &err), MRT_OK);
    p.shift = MRT_SOFTMAX_BITS; /* results beyond 2^30 */
    ck_assert_int_eq(mrt_softmax_int_check(&call, &scratch, &err), MRT_INVALID);
    p.shift = 63;
    ck_assert_int_eq(mrt_softmax_int_check(&call, &scratch, &err), MRT_INVALID);
    p.shift = 45, p.multiplier = -1;
    ck_assert_int_eq(mrt_softmax_int_check(&call, &scratch, &err), MRT_INVALID);
    p.multiplier = 1, p.zero_point_out = 256;
    ck_assert_int_eq(mrt_softmax_int_check(&call, &scratch, &err), MRT_INVALID);
    p.zero_point_out = 0, values[16] = 0; /* a sum could be 0 */
    ck_assert_int_eq(mrt_softmax_int_check(&call, &scratch, &err), MRT_INVALID);
    values[16] = ONE, values[3] = -1;
    ck_assert_int_eq(mrt_softmax_int_check(&call, &scratch, &err), MRT_INVALID);
    values[3] = ONE + 1;
    ck_assert_int_eq(mrt_softmax_int_check(&call, &scratch, &err), MRT_INVALID);
    values[3] = 5, x.dtype = MRT_I32;
    ck_assert_int_eq(mrt_softmax_int_check(&call, &scratch, &err), MRT_INVALID);
    x.dtype = MRT_I8, y.shape.dims[1] = 7;
    ck_assert_int_eq(mrt_softmax_int_check(&call, &scratch, &err), MRT_INVALID);
    tensor_free(&x), tensor_free(&y), tensor_free(&table);
}
END_TEST

/* Values on ties, next to them and anywhere, by scales of every kind. */
static float near_tie(double scale, int64_t range) {
    float x = (float)(((double)rnd_in(-range, range) + 0.5) * scale);
    for (int64_t steps = rnd_in(-2, 2); steps != 0; steps += steps > 0 ? -1 : 1) {
        x = nextafterf(x, steps > 0 ? INFINITY : -INFINITY);
    }
    return x;
}

static double any_scale(void) {
    switch (rnd() % 6) {
    case 0: return ldexp(1.0, (int)rnd_in(-20, 10)); /* every tie is exact */
    case 1: return ldexp((double)rnd_in(1, 255), (int)rnd_in(-20, 2));
    case 2: return (double)rnd_in(1, 1000000) / 1e7; /* more bits than an f32 */
    case 3: return (double)(float)ldexp((double)rnd_in(1 << 22, 1 << 24), (int)rnd_in(-149, 100));
    default: return (double)(float)((double)rnd_in(1, 1000000) / 1e7);
    }
}

START_TEST(quantize_near_ties) {
    static const mrt_dtype types[] = {MRT_I8, MRT_U8, MRT_I16};
    static const float special[] = {NAN, INFINITY, -INFINITY, 0.0f, -0.0f, FLT_MAX, -FLT_MAX,
                                    1e-45f};
    const int64_t count = 700;
    for (int repeat = 0; repeat < TEST_ROUNDS(90); ++repeat) {
        mrt_tensor x = tensor_1d(MRT_F32, count), y = tensor_1d(types[repeat % 3], count);
        int32_t expected[700], low, high;
        float *xs = x.data;
        range_of(y.dtype, &low, &high);
        y.scale = any_scale();
        y.zero_point = rnd() % 2 ? 0 : rnd_value(low, high);
        for (int64_t i = 0; i < count; ++i) {
            const bool tie = repeat % 5 == 0 ? i % 100 == 50 : rnd() % 2;
            xs[i] = tie ? near_tie(y.scale, 2 * (high - low))
                        : (float)((double)rnd_in(-40000, 40000) * 0.01 * y.scale);
            xs[i] = rnd() % 64 ? xs[i] : special[rnd() % 8];
            expected[i] = ref_int_quantize((double)xs[i], y.scale, y.zero_point, low, high);
        }
        const mrt_tensor *in[1] = {&x};
        mrt_tensor *outs[1] = {&y};
        mrt_call call = {.in = in, .n_in = 1, .out = outs, .n_out = 1};
        run_and_compare(&call, mrt_quantize_check, mrt_quantize_run, expected);
        tensor_free(&x), tensor_free(&y);
    }
}
END_TEST

static void run_both(mrt_call *call, int threads, const int32_t *expected) {
    size_t scratch = 1;
    mrt_tensor *y = call->out[0];
    ck_assert_int_eq(mrt_relayout_check(call, &scratch, NULL), MRT_OK);
    ck_assert_uint_eq(scratch, 0);
    call->pool = test_pool(threads);
    memset(y->data, RED_BYTE, (size_t)mrt_shape_count(&y->shape));
    mrt_relayout_run(call);
    for (int64_t i = 0; i < mrt_shape_count(&y->shape); ++i) {
        if (tensor_get(y, i) != expected[i]) { /* ck_assert is too slow for millions of elements */
            ck_abort_msg("element %lld is %d, expected %d", (long long)i, tensor_get(y, i),
                         expected[i]);
        }
    }
    tensor_check_zones(y);
}

/* Row-major i8 or u8 to channels-last u8 and back. */
static void check_relayout(int64_t images, int64_t channels, int64_t positions) {
    const int64_t dims[3] = {images, channels, positions}, last[3] = {images, positions, channels};
    mrt_tensor x = tensor_new(rnd_dtype(), 3, dims), y = tensor_new(MRT_U8, 3, last);
    mrt_tensor back = tensor_new(x.dtype, 3, dims);
    int32_t *xs = tensor_random(&x);
    int32_t *turned = malloc(((size_t)(images * channels * positions) + 1) * sizeof turned[0]);
    const int32_t offset = x.dtype == MRT_I8 ? 128 : 0;
    for (int64_t i = 0; i < images * channels * positions; ++i) {
        const int64_t p = i % positions, c = i / positions % channels, n = i / positions / channels;
        turned[(n * positions + p) * channels + c] = xs[i] + offset;
    }
    mrt_axis_params to_last = {.flag = 1}, to_rows = {.flag = 0};
    const mrt_tensor *in[1] = {&x}, *from[1] = {&y};
    mrt_tensor *outs[1] = {&y}, *backs[1] = {&back};
    mrt_call call = {.in = in, .n_in = 1, .out = outs, .n_out = 1, .params = &to_last};
    mrt_call reverse = {.in = from, .n_in = 1, .out = backs, .n_out = 1, .params = &to_rows};
    for (int threads = 1; threads <= 3; ++threads) {
        run_both(&call, threads, turned);
        run_both(&reverse, threads, xs);
    }
    free(xs), free(turned);
    tensor_free(&x), tensor_free(&y), tensor_free(&back);
}

START_TEST(relayout) {
    static const int64_t channels[] = {1, 2, 3, 4, 16, 63, 64, 65, 130};
    static const int64_t positions[] = {1, 7, 63, 64, 65, 4095, 4099};
    for (size_t c = 0; c < sizeof channels / sizeof channels[0]; ++c) {
        for (size_t p = 0; p < sizeof positions / sizeof positions[0]; ++p) {
            check_relayout(positions[p] < 100 ? rnd_in(1, 2) : 1, channels[c], positions[p]);
        }
    }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("kernels_int_nn");
    TCase *tcase = tcase_create("kernels");
    tcase_set_timeout(tcase, 900);
    tcase_add_test(tcase, softmax);
    tcase_add_test(tcase, softmax_is_close);
    tcase_add_test(tcase, softmax_refusals);
    tcase_add_test(tcase, quantize_near_ties);
    tcase_add_test(tcase, relayout);
    suite_add_tcase(suite, tcase);
    return check_run(suite);
}
