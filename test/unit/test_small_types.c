/* Conversions of 8-, 6- and 4-bit floats and 4- and 2-bit integers against an oracle by search:
 * every code, every f16, f32 and f64 at and beside every boundary. */
#include "runtime/mrt_params.h"
#include "runtime/mrt_small.h"
#include "test/ref/ref_small.h"
#include "test/unit/check_main.h"
#include "test/unit/elem_case.h"

static const mrt_dtype floats[] = {MRT_F8E4M3FN, MRT_F8E4M3FNUZ, MRT_F8E5M2,   MRT_F8E5M2FNUZ,
                                   MRT_F6E2M3FN, MRT_F6E3M2FN,   MRT_F4E2M1FN, MRT_F8E8M0FNU};
static const mrt_dtype integers[] = {MRT_I4, MRT_U4, MRT_I2, MRT_U2};
enum { N_FLOATS = 8, N_INTEGERS = 4 };

static void cast(const mrt_tensor *x, mrt_tensor *y, int64_t flags) {
    const mrt_cast_params p = {flags};
    run_case(&(kernel_case){mrt_cast_check, mrt_cast_run, &p, {x}, 1, {y}, 1});
}

/* Code of a float as the oracle gives it for the kernel's flags. */
static unsigned expected(mrt_dtype dtype, double v, int64_t flags) {
    const int round = flags & MRT_CAST_ROUND_DOWN      ? REF_DOWN
                      : flags & MRT_CAST_ROUND_NEAREST ? REF_NEAREST
                                                       : REF_UP;
    return ref_small_code(dtype, dtype == MRT_F8E8M0FNU ? fabs(v) : v,
                          (flags & MRT_CAST_NO_SATURATE) == 0, round);
}

static void check_codes(const mrt_tensor *x, mrt_dtype to) {
    mrt_tensor y = new_tensor(to, &x->shape);
    for (int64_t flags = 0; flags < 6; flags++) { /* both saturations, three roundings */
        if (flags >= 2 && to != MRT_F8E8M0FNU) {
            break;
        }
        cast(x, &y, flags);
        for (int64_t i = 0; i < ref_count(x); i++) {
            const double v = ref_load(x, i);
            const unsigned got = ((const unsigned char *)y.data)[i];
            ck_assert_msg(got == expected(to, v, flags), "%s to %s, flags %d, %a: %02x, not %02x",
                          mrt_dtype_name(x->dtype), mrt_dtype_name(to), (int)flags, v, got,
                          expected(to, v, flags));
        }
    }
    free_tensor(&y);
}

/* The oracle itself, at numbers that the documents print. */
START_TEST(oracle) {
    ck_assert(ref_small_value(MRT_F8E4M3FN, 0x7e) == 448.0);
    ck_assert(ref_small_value(MRT_F8E4M3FNUZ, 0x7f) == 240.0);
    ck_assert(ref_small_value(MRT_F8E5M2, 0x7b) == 57344.0);
    ck_assert(ref_small_value(MRT_F8E5M2FNUZ, 0x7f) == 57344.0);
    ck_assert(ref_small_value(MRT_F6E2M3FN, 0x1f) == 7.5);
    ck_assert(ref_small_value(MRT_F6E3M2FN, 0x1f) == 28.0);
    ck_assert(ref_small_value(MRT_F4E2M1FN, 0x7) == 6.0);
    ck_assert(ref_small_value(MRT_F8E4M3FN, 0x08) == 0x1p-6);
    ck_assert(ref_small_value(MRT_F8E5M2, 0x04) == 0x1p-14);
    ck_assert(ref_small_value(MRT_F8E8M0FNU, 0x7f) == 1.0);
}
END_TEST

START_TEST(every_code_to_wide_types) {
    static const mrt_dtype wide[] = {MRT_F32, MRT_F64, MRT_BF16};
    for (int f = 0; f < N_FLOATS; f++) {
        const unsigned codes = 1u << ref_small_bits(floats[f]);
        mrt_tensor x = new_dims(floats[f], DIMS(3, 256));
        for (unsigned i = 0; i < 3 * 256; i++) {
            ((unsigned char *)x.data)[i] = (unsigned char)(i % codes);
        }
        for (int t = 0; t < 3; t++) {
            mrt_tensor y = new_dims(wide[t], DIMS(3, 256));
            cast(&x, &y, 0);
            for (unsigned i = 0; i < 3 * 256; i++) {
                const double got = ref_load(&y, i), want = ref_small_value(floats[f], i % codes);
                ck_assert_msg(got == want ? signbit(got) == signbit(want) : got != got && want != want,
                              "%s %02x: %a, not %a", mrt_dtype_name(floats[f]), i % codes, got, want);
            }
            free_tensor(&y);
        }
        for (int t = 0; t < N_FLOATS; t++) { /* to each other: by way of the exact value */
            mrt_tensor y = new_dims(floats[t], DIMS(3, 256));
            cast(&x, &y, 0);
            for (unsigned i = 0; i < 3 * 256; i++) {
                const double v = ref_small_value(floats[f], i % codes);
                const unsigned got = ((const unsigned char *)y.data)[i];
                const bool same = f == t || v != v; /* the sign of a NaN is not asked for */
                ck_assert(same || got == expected(floats[t], v, 0));
            }
            free_tensor(&y);
        }
        free_tensor(&x);
    }
}
END_TEST

/* Every f16; of bf16, most of which lies outside of every range, one in 11. */
START_TEST(every_16_bit_float) {
    for (int half = 0; half < 2; half++) {
        const int64_t step = half ? 1 : 11;
        mrt_tensor x = new_dims(half ? MRT_F16 : MRT_BF16, DIMS(65536 / step));
        for (int64_t i = 0; i < ref_count(&x); i++) {
            ((uint16_t *)x.data)[i] = (uint16_t)(i * step);
        }
        for (int f = 0; f < N_FLOATS; f++) {
            check_codes(&x, floats[f]);
        }
        free_tensor(&x);
    }
}
END_TEST

/* Values, ties and their neighbours, of both signs, where a format changes its mind. */
static int64_t boundaries(mrt_dtype dtype, mrt_dtype wide, mrt_tensor *x) {
    const unsigned codes = 1u << ref_small_bits(dtype);
    int64_t n = 0;
    for (unsigned c = 0; c + 1 < codes; c++) {
        const double a = ref_small_value(dtype, c), b = ref_small_value(dtype, c + 1);
        const double step = isfinite(a) && isfinite(b) ? b - a : c > 0 ? a / 2 : 0;
        const double spots[] = {a, a + step / 2, a + step * 0.75};
        for (int k = 0; k < 3; k++) {
            const double v = spots[k];
            for (int side = -1; side <= 1; side++) {
                const double far = side * (double)INFINITY;
                const double beside = side == 0           ? v
                                      : wide == MRT_F32 ? (double)nextafterf((float)v, (float)far)
                                                        : nextafter(v, far);
                if (x != NULL) {
                    ref_store(x, n, beside);
                    ref_store(x, n + 1, -beside);
                }
                n += 2;
            }
        }
    }
    const double ends[] = {0, -0.0, (double)INFINITY, -(double)INFINITY, (double)NAN, 1e-40, 1e30,
                           1e39, 0x1p-127, 0x1p-128, 0x1.8p-127, 0x1p127, 0x1.8p127, 0x1.000002p127};
    for (size_t k = 0; k < sizeof ends / sizeof ends[0]; k++) {
        if (x != NULL) {
            ref_store(x, n, ends[k]);
        }
        n++;
    }
    return n;
}

START_TEST(ties_and_boundaries) {
    static const mrt_dtype wide[] = {MRT_F32, MRT_F64};
    for (int f = 0; f < N_FLOATS; f++) {
        for (int w = 0; w < 2; w++) {
            const int64_t n = boundaries(floats[f], wide[w], NULL);
            mrt_tensor x = new_dims(wide[w], DIMS(n));
            boundaries(floats[f], wide[w], &x);
            check_codes(&x, floats[f]);
            free_tensor(&x);
        }
    }
}
END_TEST

START_TEST(integers_to_small_floats) {
    static const mrt_dtype types[] = {MRT_I8, MRT_U8, MRT_I16, MRT_I32, MRT_U32, MRT_I64, MRT_U64};
    for (int t = 0; t < 7; t++) {
        mrt_tensor x = new_dims(types[t], DIMS(4096));
        for (int64_t i = 0; i < 4096; i++) {
            const int64_t far = types[t] == MRT_U64 ? i : i - 3072; /* the oracle reads doubles */
            ref_store_bits(&x, i, (uint64_t)(i < 2048 ? i : far * 41));
        }
        for (int f = 0; f < N_FLOATS; f++) {
            check_codes(&x, floats[f]);
        }
        free_tensor(&x);
    }
}
END_TEST

START_TEST(small_integers) {
    static const mrt_dtype types[] = {MRT_I8, MRT_U8, MRT_I16, MRT_U16, MRT_I32, MRT_I64, MRT_U64};
    for (int s = 0; s < N_INTEGERS; s++) {
        mrt_tensor small = new_dims(integers[s], DIMS(512));
        for (int t = 0; t < 7; t++) { /* the low bits go in, the value comes out */
            mrt_tensor x = new_dims(types[t], DIMS(512)), back = new_dims(types[t], DIMS(512));
            for (int64_t i = 0; i < 512; i++) {
                ref_store_bits(&x, i, (uint64_t)(i - 256));
            }
            cast(&x, &small, 0);
            cast(&small, &back, 0);
            for (int64_t i = 0; i < 512; i++) {
                const unsigned char want = ref_small_int(integers[s], i - 256);
                const bool is_signed = integers[s] == MRT_I4 || integers[s] == MRT_I2;
                const int64_t value = is_signed ? (signed char)want : want;
                ck_assert_uint_eq(((unsigned char *)small.data)[i], want);
                ref_store_bits(&x, i, (uint64_t)value);
                ck_assert(ref_load_bits(&back, i) == ref_load_bits(&x, i));
            }
            free_tensor(&x);
            free_tensor(&back);
        }
        mrt_tensor f = new_dims(MRT_F32, DIMS(512)), narrow = new_dims(MRT_F8E5M2, DIMS(512));
        mrt_tensor other = new_dims(integers[(s + 1) % N_INTEGERS], DIMS(512));
        for (int64_t i = 0; i < 512; i++) { /* truncated, then the low bits */
            ref_store(&f, i, i % 2 ? (double)(i % 120) + 0.75 : -(double)(i % 120) - 0.75);
        }
        cast(&f, &small, 0);
        cast(&small, &narrow, 0);
        cast(&small, &other, 0);
        for (int64_t i = 0; i < 512; i++) {
            const unsigned char want = ref_small_int(integers[s], i % 2 ? i % 120 : -(i % 120));
            const bool is_signed = integers[s] == MRT_I4 || integers[s] == MRT_I2;
            const int value = is_signed ? (signed char)want : want;
            ck_assert_uint_eq(((unsigned char *)small.data)[i], want);
            ck_assert_uint_eq(((unsigned char *)narrow.data)[i],
                              ref_small_code(MRT_F8E5M2, value, true, 0));
            ck_assert_uint_eq(((unsigned char *)other.data)[i], ref_small_int(other.dtype, value));
        }
        free_tensor(&f);
        free_tensor(&narrow);
        free_tensor(&other);
        free_tensor(&small);
    }
}
END_TEST

START_TEST(packed_elements) {
    static const unsigned char bytes[] = {0x21, 0xf3, 0x87, 0x0a};
    static const signed char fours[] = {1, 2, 3, -1, 7, -8, -6};
    static const signed char twos[] = {1, 0, -2, 0, -1, 0, -1, -1, -1};
    /* 24 bits 87 f3 21 cut into sixes from the lowest: 21, 0c, 3f, 21 */
    static const unsigned char sixes[] = {0x21, 0x0c, 0x3f, 0x21, 0x0a};
    unsigned char out[16];
    mrt_small_unpack(MRT_I4, bytes, out, 7);
    ck_assert(memcmp(out, fours, 7) == 0);
    mrt_small_unpack(MRT_I2, bytes, out, 9);
    ck_assert(memcmp(out, twos, 9) == 0);
    mrt_small_unpack(MRT_F6E2M3FN, bytes, out, 5);
    ck_assert(memcmp(out, sixes, 5) == 0);
    mrt_small_unpack(MRT_U4, bytes, out, 3);
    ck_assert(out[0] == 1 && out[1] == 2 && out[2] == 3);
}
END_TEST

START_TEST(no_arithmetic) {
    mrt_error err;
    mrt_tensor a = new_dims(MRT_F8E5M2, DIMS(4)), b = new_dims(MRT_U2, DIMS(4));
    const mrt_binary_params add = {.op = MRT_BINARY_ADD};
    const mrt_unary_params neg = {.op = MRT_UNARY_NEG};
    ck_assert(check_case(&(kernel_case){mrt_binary_check, NULL, &add, {&a, &a}, 2, {&a}, 1},
                         &err) == MRT_UNSUPPORTED);
    ck_assert_str_eq(err.text, "operand 'a': no arithmetic on f8E5M2, only conversion");
    ck_assert(check_case(&(kernel_case){mrt_unary_check, NULL, &neg, {&b}, 1, {&b}, 1}, &err) ==
              MRT_UNSUPPORTED);
    const mrt_cast_params wrong = {8};
    ck_assert(check_case(&(kernel_case){mrt_cast_check, NULL, &wrong, {&a}, 1, {&b}, 1}, &err) ==
              MRT_INVALID);
    free_tensor(&a);
    free_tensor(&b);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("small_types");
    TCase *tcase = tcase_create("all");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, oracle);
    tcase_add_test(tcase, every_code_to_wide_types);
    tcase_add_test(tcase, every_16_bit_float);
    tcase_add_test(tcase, ties_and_boundaries);
    tcase_add_test(tcase, integers_to_small_floats);
    tcase_add_test(tcase, small_integers);
    tcase_add_test(tcase, packed_elements);
    tcase_add_test(tcase, no_arithmetic);
    suite_add_tcase(suite, tcase);
    return check_run(suite);
}
