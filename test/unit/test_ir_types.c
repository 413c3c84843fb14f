/* Uniquing and text of types, attributes and locations; float formats. */
#include "ir/attr.h"
#include "ir/float_format.h"
#include "ir/location.h"
#include "ir/text.h"
#include "utils/half.h"
#include "utils/prng.h"
#include "test/unit/check_main.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static mica_context *context;

static void setup(void) {
    context = mica_context_create();
}

static void teardown(void) {
    mica_context_destroy(context);
}

START_TEST(types_are_unique) {
    int64_t dims[] = {1, 3, MICA_DYNAMIC};
    mica_type f32 = mica_type_f32(context);
    mica_type a = mica_type_tensor(context, 3, dims, f32, NULL);
    dims[2] = -7; /* any negative dimension is unknown */
    ck_assert_ptr_eq(a, mica_type_tensor(context, 3, dims, f32, NULL));
    dims[2] = 4;
    ck_assert_ptr_ne(a, mica_type_tensor(context, 3, dims, f32, NULL));
    ck_assert_ptr_ne(a, mica_type_tensor(context, 3, dims, f32, mica_attr_i64(context, 1)));
    ck_assert_ptr_eq(f32, mica_type_float(context, MICA_F32));
    ck_assert_ptr_ne(mica_type_integer(context, 8, MICA_SIGNED),
                     mica_type_integer(context, 8, MICA_SIGNLESS));
    mica_type pair[] = {f32, a};
    ck_assert_ptr_ne(mica_type_function(context, pair, 2, NULL, 0),
                     mica_type_function(context, pair, 1, pair + 1, 1));
    ck_assert_ptr_ne(mica_type_uniform(context, mica_type_integer(context, 8, MICA_SIGNED), f32,
                                       0.1, 0),
                     mica_type_uniform(context, mica_type_integer(context, 8, MICA_SIGNED), f32,
                                       nextafter(0.1, 1.0), 0));
}
END_TEST

START_TEST(type_text_reads_back) {
    static const char *const texts[] = {
        "none",
        "index",
        "i1",
        "si8",
        "ui32",
        "bf16",
        "f8E4M3FN",
        "f8E4M3FNUZ",
        "f8E5M2",
        "f8E5M2FNUZ",
        "tensor<2xf8E8M0FNU>",
        "tensor<2xf6E2M3FN>",
        "f6E3M2FN",
        "tensor<3x2xf4E2M1FN>",
        "tensor<4xi4>",
        "ui4",
        "tensor<ui2>",
        "i2",
        "tensor<f32>",
        "tensor<*xf32>",
        "tensor<1x?x0x4xi64>",
        "tensor<1x8xsi8, 4096 : i64>",
        "(f32, (i32) -> i64) -> (none, f32)",
        "() -> ()",
        "(none) -> ((f32) -> f32)",
        "!quant.calibrated<f32<-0.012345678901234567:1.5>>",
        "!quant.uniform<i8:f32, 0.1:-5>",
        "!quant.uniform<u8<1:254>:f32, 1.0e-30>",
        "tensor<2x3x!quant.uniform<i8<-127:127>:f32:1, {0.1,0.2:1,3.0}>>",
        "!quant.uniform<u4:f16:0, {1.0:15}>",
    };
    for (size_t i = 0; i < MICA_COUNT(texts); i++) {
        mica_type type = mica_parse_type(context, texts[i]);
        ck_assert_ptr_nonnull(type);
        ck_assert_str_eq(mica_type_text(type), texts[i]);
        ck_assert_ptr_eq(mica_type_text(type), mica_type_text(type));
    }
}
END_TEST

START_TEST(type_questions) {
    mica_type type = mica_parse_type(context, "tensor<2x0x3xf32>");
    ck_assert_int_eq(mica_type_count(type), 0);
    ck_assert_int_eq(mica_type_count(mica_parse_type(context, "tensor<f32>")), 1);
    ck_assert(!mica_type_is_static(mica_parse_type(context, "tensor<?xf32>")));
    ck_assert(!mica_type_is_static(mica_parse_type(context, "tensor<*xf32>")));
    int64_t huge[] = {INT64_MAX, 4};
    mica_type big = mica_type_tensor(context, 2, huge, mica_type_f32(context), NULL);
    ck_assert_int_eq(mica_type_count(big), INT64_MAX);
    mica_type as_i8 =
        mica_type_with_element(type, mica_type_integer(context, 8, MICA_SIGNED));
    ck_assert_str_eq(mica_type_text(as_i8), "tensor<2x0x3xsi8>");
    mica_type i8 = mica_type_integer(context, 8, MICA_SIGNLESS);
    mica_type quant = mica_type_uniform(context, i8, mica_type_f32(context), 0.5, 3);
    ck_assert(mica_type_is_quant(quant));
    ck_assert_int_eq(quant->storage_min, -128);
    ck_assert_int_eq(quant->storage_max, 127);
    double scales[] = {0.5, 0.25};
    mica_type axis =
        mica_type_uniform_axis(context, i8, mica_type_f32(context), 0, scales, NULL, 2);
    ck_assert_str_eq(mica_type_text(axis), "!quant.uniform<i8:f32:0, {0.5,0.25}>");
}
END_TEST

START_TEST(attributes_are_unique) {
    int64_t ones[] = {1, 1};
    double reals[] = {0.5, -0.0};
    ck_assert_ptr_eq(mica_attr_i64(context, 7), mica_attr_i64(context, 7));
    ck_assert_ptr_ne(mica_attr_i64s(context, ones, 2), mica_attr_i32s(context, ones, 2));
    ck_assert_ptr_ne(mica_attr_i64s(context, ones, 0), mica_attr_i64s(context, ones, 1));
    ck_assert_ptr_eq(mica_attr_f64s(context, reals, 2), mica_attr_f64s(context, reals, 2));
    ck_assert_ptr_ne(mica_attr_f64(context, 0.0), mica_attr_f64(context, -0.0));
    ck_assert_ptr_eq(mica_attr_f64(context, (double)NAN), mica_attr_f64(context, (double)NAN));
    mica_named_attr ab[] = {{"b", mica_attr_unit(context)}, {"a", mica_attr_i64(context, 1)}};
    mica_named_attr ba[] = {ab[1], ab[0]};
    mica_attr dict = mica_attr_dict(context, ab, 2);
    ck_assert_ptr_eq(dict, mica_attr_dict(context, ba, 2));
    ck_assert_str_eq(mica_attr_text(dict), "{a = 1 : i64, b}");
    ck_assert_ptr_eq(mica_attr_dict_get(dict, "a"), mica_attr_i64(context, 1));
    ck_assert_ptr_null(mica_attr_dict_get(dict, "c"));
    ck_assert_ptr_eq(mica_attr_integer(context, 3, mica_type_integer(context, 1, MICA_SIGNLESS)),
                     mica_attr_bool(context, true));
    ck_assert_int_eq(
        mica_attr_integer(context, 255, mica_type_integer(context, 8, MICA_SIGNLESS))->integer, -1);
}
END_TEST

START_TEST(attribute_text_reads_back) {
    static const char *const texts[] = {
        "unit",
        "true",
        "-1 : i64",
        "255 : ui8",
        "18446744073709551615 : ui64",
        "-9223372036854775808 : i64",
        "5 : index",
        "0.1 : f64",
        "1.0e+300 : f64",
        "0.1 : f32",
        "-0.0 : f32",
        "0x7F800000 : f32",
        "0xFFC00001 : f32",
        "0x7C01 : f16",
        "0x7FF8000000000001 : f64",
        "0x7F : f8E4M3FN",
        "\"a\\0A\\22\\\\ \\C3\\A9\"",
        "[1 : i64, [], \"x\", {}]",
        "{\"a b\" = 1 : i64, c, d.e = @f}",
        "@\"a b\"",
        "array<i64: 1, -2>",
        "array<i32>",
        "array<i8: -128, 127>",
        "array<f64: 0.1, 0x7FF0000000000000>",
        "array<f32: 0.1>",
        "dense<[[1, 2], [3, 4]]> : tensor<2x2xi64>",
        "dense<> : tensor<0xf32>",
        "dense_resource<w0> : tensor<4xf32>",
        "#foo.bar<a, b<c>, \">\">",
        "affine_map<(d0) -> (d0)>",
        "tensor<1xf32>",
        "(i32) -> i64",
    };
    for (size_t i = 0; i < MICA_COUNT(texts); i++) {
        mica_attr attr = mica_parse_attr(context, texts[i]);
        ck_assert_ptr_nonnull(attr);
        ck_assert_str_eq(mica_attr_text(attr), texts[i]);
        ck_assert_ptr_eq(attr, mica_parse_attr(context, mica_attr_text(attr)));
    }
}
END_TEST

START_TEST(dense_has_one_spelling) {
    static const char *const pairs[][2] = {
        {"dense<[1,2]> : tensor<2xi64>", "dense<[1, 2]> : tensor<2xi64>"},
        {"dense<[3, 3]> : tensor<2xi64>", "dense<3> : tensor<2xi64>"},
        {"dense<1.000000e-01> : tensor<f32>", "dense<0.1> : tensor<f32>"},
        {"dense<[-1.0, - 2.50]> : tensor<2xf64>", "dense<[-1.0, -2.5]> : tensor<2xf64>"},
    };
    for (size_t i = 0; i < MICA_COUNT(pairs); i++) {
        mica_attr attr = mica_parse_attr(context, pairs[i][0]);
        ck_assert_ptr_nonnull(attr);
        ck_assert_str_eq(mica_attr_text(attr), pairs[i][1]);
    }
}
END_TEST

START_TEST(locations) {
    mica_loc a = mica_loc_name(context, "a", NULL);
    mica_loc b = mica_loc_name(context, "b", mica_loc_file(context, "f", 1, 2));
    mica_loc unknown = mica_loc_unknown(context);
    mica_loc both[] = {a, unknown, b, a};
    mica_loc fused = mica_loc_fused(context, both, 4);
    ck_assert_str_eq(mica_loc_text(fused), "fused[\"a\", \"b\"(\"f\":1:2)]");
    mica_loc nested[] = {fused, mica_loc_name(context, "c", unknown)};
    ck_assert_str_eq(mica_loc_text(mica_loc_fused(context, nested, 2)),
                     "fused[\"a\", \"b\"(\"f\":1:2), \"c\"]");
    ck_assert_ptr_eq(mica_loc_fused(context, &a, 1), a);
    ck_assert_ptr_eq(mica_loc_fused(context, &unknown, 1), unknown);
    ck_assert_str_eq(mica_loc_get_name(fused), "a");
    ck_assert_str_eq(mica_loc_get_name_at(fused, 1), "b");
    ck_assert_str_eq(mica_loc_get_name_at(fused, 2), "");
    ck_assert_str_eq(mica_loc_get_name_at(a, 1), "");
    ck_assert_str_eq(mica_loc_get_name(unknown), "");
}
END_TEST

/* Oracle: the independent conversions of utils/half.h. */
START_TEST(half_formats_agree) {
    for (uint32_t bits = 0; bits < 65536; bits++) {
        float f16 = mica_f16_to_f32((uint16_t)bits);
        float bf16 = mica_bf16_to_f32((uint16_t)bits);
        double got16 = mica_float_from_bits(MICA_F16, bits);
        double got_bf = mica_float_from_bits(MICA_BF16, bits);
        ck_assert(isnan(f16) ? isnan(got16) : (double)f16 == got16);
        ck_assert(isnan(bf16) ? isnan(got_bf) : (double)bf16 == got_bf);
        if (isnan(f16) || isinf(f16)) {
            ck_assert_uint_eq(mica_float_special_bits(MICA_F16, got16), bits);
        }
        if (isnan(bf16) || isinf(bf16)) {
            ck_assert_uint_eq(mica_float_special_bits(MICA_BF16, got_bf), bits);
        }
    }
}
END_TEST

START_TEST(rounding_agrees) {
    mica_prng prng;
    mica_prng_seed(&prng, 1);
    for (int i = 0; i < 200000; i++) {
        uint32_t bits = (uint32_t)mica_prng_u64(&prng);
        float value;
        memcpy(&value, &bits, sizeof value);
        if (isnan(value)) {
            continue;
        }
        double f16 = (double)mica_f16_to_f32(mica_f32_to_f16(value));
        double bf16 = (double)mica_bf16_to_f32(mica_f32_to_bf16(value));
        ck_assert(mica_float_round(MICA_F16, (double)value) == f16);
        ck_assert(mica_float_round(MICA_BF16, (double)value) == bf16);
        double wide = (double)value * 1.0000001;
        ck_assert(mica_float_round(MICA_F32, wide) == (double)(float)wide);
    }
    ck_assert(mica_float_round(MICA_F8E4M3FN, 448.0) == 448.0);
    ck_assert(isnan(mica_float_round(MICA_F8E4M3FN, 470.0)));
    ck_assert(isinf(mica_float_round(MICA_F8E5M2, 65536.0)));
    ck_assert(mica_float_round(MICA_F8E4M3FNUZ, 247.0) == 240.0);
    ck_assert(isnan(mica_float_round(MICA_F8E4M3FNUZ, 248.0)));
    ck_assert(!signbit(mica_float_round(MICA_F8E5M2FNUZ, -0.0)));
    ck_assert(mica_float_round(MICA_F8E5M2FNUZ, -57344.0) == -57344.0);
    ck_assert(mica_float_round(MICA_F4E2M1FN, 100.0) == 6.0);
    ck_assert(mica_float_round(MICA_F6E2M3FN, -100.0) == -7.5);
    ck_assert(mica_float_round(MICA_F6E3M2FN, 0.03125) == 0.0);
    ck_assert(mica_float_round(MICA_F8E8M0FNU, 3.0) == 4.0);
    ck_assert(mica_float_round(MICA_F8E8M0FNU, 2.9) == 2.0);
    ck_assert(mica_float_from_bits(MICA_F8E8M0FNU, 0) == 0x1p-127);
    ck_assert(isnan(mica_float_from_bits(MICA_F8E5M2FNUZ, 0x80)));
    ck_assert(mica_float_from_bits(MICA_F4E2M1FN, 0xf) == -6.0);
}
END_TEST

START_TEST(printed_numbers_read_back) {
    mica_prng prng;
    mica_prng_seed(&prng, 2);
    for (int i = 0; i < 20000; i++) {
        uint64_t bits = mica_prng_u64(&prng);
        double value;
        memcpy(&value, &bits, sizeof value);
        mica_attr f64 = mica_attr_f64(context, value);
        ck_assert_ptr_eq(f64, mica_parse_attr(context, mica_attr_text(f64)));
        uint32_t low = (uint32_t)bits;
        mica_attr f32 = mica_attr_float(context, mica_float_from_bits(MICA_F32, low),
                                        mica_type_f32(context));
        ck_assert_ptr_eq(f32, mica_parse_attr(context, mica_attr_text(f32)));
    }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("ir_types");
    TCase *tcase = tcase_create("all");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, types_are_unique);
    tcase_add_test(tcase, type_text_reads_back);
    tcase_add_test(tcase, type_questions);
    tcase_add_test(tcase, attributes_are_unique);
    tcase_add_test(tcase, attribute_text_reads_back);
    tcase_add_test(tcase, dense_has_one_spelling);
    tcase_add_test(tcase, locations);
    tcase_add_test(tcase, half_formats_agree);
    tcase_add_test(tcase, rounding_agrees);
    tcase_add_test(tcase, printed_numbers_read_back);
    suite_add_tcase(suite, tcase);
    return check_run(suite);
}
