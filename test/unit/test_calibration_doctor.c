/* Every finding of the doctor on a set made for it, and none on a sound one. */
#include "test/unit/check_main.h"
#include "test/unit/ir_case.h"
#include "test/unit/test_utils_dir.h"

#include "dialects/dialects.h"
#include "ir/weights.h"
#include "passes/calibration/doctor.h"
#include "utils/file.h"
#include "utils/image.h"
#include "utils/npy.h"
#include "utils/prng.h"

#include <math.h>
#include <png.h>

enum { SIDE = 16, VALUES = 3 * SIDE * SIDE, SAMPLES = 20 };

static mica_error err;
static mica_prng prng;

static void begin(void) {
    setup();
    mica_register_dialects(context);
    scratch_clear();
    err.text[0] = '\0';
    mica_prng_seed(&prng, 1);
}

/* A convolution whose rows have the length 1: its answer deviates by about what the input does. */
static mica_module *model(const char *input_attributes) {
    char text[2048];
    snprintf(text, sizeof text,
             "func.func @main(%%a: tensor<1x3x16x16xf32> loc(\"x\")) -> tensor<1x4x14x14xf32> {\n"
             "  %%0 = \"top.Input\"(%%a) {%s} : (tensor<1x3x16x16xf32>) -> tensor<1x3x16x16xf32> loc(\"x\")\n"
             "  %%1 = \"top.Weight\"() : () -> tensor<4x3x3x3xf32> loc(\"w\")\n"
             "  %%2 = \"top.Weight\"() : () -> tensor<4xf32> loc(\"b\")\n"
             "  %%3 = \"top.Conv\"(%%0, %%1, %%2) {kernel_shape = array<i64: 3, 3>} : (tensor<1x3x16x16xf32>, "
             "tensor<4x3x3x3xf32>, tensor<4xf32>) -> tensor<1x4x14x14xf32> loc(\"conv\")\n"
             "  %%4 = \"top.Relu\"(%%3) : (tensor<1x4x14x14xf32>) -> tensor<1x4x14x14xf32> loc(\"out\")\n"
             "  return %%4 : tensor<1x4x14x14xf32>\n}\n", input_attributes);
    mica_module *module = parse(text);
    ck_assert_msg(module != NULL, "%s", last_diag);
    float w[4 * 27];
    const float b[4] = {0.0f, 0.1f, 0.2f, 0.3f};
    for (int i = 0; i < 4 * 27; ++i) {
        w[i] = mica_prng_normal(&prng) / sqrtf(27.0f);
    }
    mica_weights_set(module->weights, "w", "<f4", 4, (const int64_t[]){4, 3, 3, 3}, w, true);
    mica_weights_set(module->weights, "b", "<f4", 1, (const int64_t[]){4}, b, true);
    return module;
}

/* 16 rows that make more of the first channel than of the last; the bias has swallowed a mean of 0.5. */
static mica_module *trained_model(const char *input_attributes) {
    char text[2048];
    snprintf(text, sizeof text,
             "func.func @main(%%a: tensor<1x3x16x16xf32> loc(\"x\")) -> tensor<1x16x14x14xf32> {\n"
             "  %%0 = \"top.Input\"(%%a) {%s} : (tensor<1x3x16x16xf32>) -> tensor<1x3x16x16xf32> loc(\"x\")\n"
             "  %%1 = \"top.Weight\"() : () -> tensor<16x3x3x3xf32> loc(\"w\")\n"
             "  %%2 = \"top.Weight\"() : () -> tensor<16xf32> loc(\"b\")\n"
             "  %%3 = \"top.Conv\"(%%0, %%1, %%2) {kernel_shape = array<i64: 3, 3>} : (tensor<1x3x16x16xf32>, "
             "tensor<16x3x3x3xf32>, tensor<16xf32>) -> tensor<1x16x14x14xf32> loc(\"conv\")\n"
             "  return %%3 : tensor<1x16x14x14xf32>\n}\n", input_attributes);
    mica_module *module = parse(text);
    ck_assert_msg(module != NULL, "%s", last_diag);
    float w[16 * 27];
    float b[16];
    for (int o = 0; o < 16; ++o) {
        float sum = 0.0f;
        for (int i = 0; i < 27; ++i) {
            w[o * 27 + i] = (i < 9 ? 0.3f : i < 18 ? 0.25f : 0.15f) * mica_prng_normal(&prng);
            sum += w[o * 27 + i];
        }
        b[o] = 0.05f * mica_prng_normal(&prng) - 0.5f * sum;
    }
    mica_weights_set(module->weights, "w", "<f4", 4, (const int64_t[]){16, 3, 3, 3}, w, true);
    mica_weights_set(module->weights, "b", "<f4", 1, (const int64_t[]){16}, b, true);
    return module;
}

typedef mica_module *model_fn(const char *input_attributes);

typedef void fill_fn(int sample, float *x);

static void noise(int sample, float *x) {
    (void)sample;
    for (int i = 0; i < VALUES; ++i) {
        x[i] = mica_prng_normal(&prng);
    }
}

static void write_set(fill_fn *fill, int n) {
    for (int i = 0; i < n; ++i) {
        float x[VALUES];
        char file[32];
        fill(i, x);
        snprintf(file, sizeof file, "s%02d.npy", i);
        ck_assert(mica_npy_write(scratch_path(file), "<f4", 4, (const int64_t[]){1, 3, SIDE, SIDE}, x, &err) ==
                  MICA_OK);
    }
}

static void write_png(const char *name, int width, int height, uint8_t seed) {
    uint8_t *pixels = malloc((size_t)(3 * width * height));
    for (int i = 0; i < 3 * width * height; ++i) {
        pixels[i] = (uint8_t)(i * 31 + seed * 7 + (i % 113) * (i % 113));
    }
    png_image image = {.version = PNG_IMAGE_VERSION, .width = (png_uint_32)width,
                       .height = (png_uint_32)height, .format = PNG_FORMAT_RGB};
    ck_assert(png_image_write_to_file(&image, scratch_path(name), 0, pixels, 0, NULL));
    free(pixels);
}

/* What the doctor says about the folder, one line each. */
static char *examine_by(model_fn *make, const char *input_attributes) {
    mica_module *module = make(input_attributes);
    mica_dataset *d = mica_dataset_open(module, scratch, NULL, 0, &err);
    ck_assert_msg(d != NULL, "%s", err.text);
    char *text[2] = {NULL, NULL};
    for (int i = 0; i < 2; ++i) {
        mica_strbuf findings = {0};
        ck_assert_msg(mica_doctor_check(module, d, 1 + 2 * i, &findings, &err) == MICA_OK, "%s", err.text);
        text[i] = mica_strbuf_take(&findings);
    }
    ck_assert_str_eq(text[0], text[1]); /* of any number of threads */
    mica_free(text[1]);
    mica_dataset_close(d);
    mica_module_destroy(module);
    return text[0];
}

static char *examine(const char *input_attributes) { return examine_by(model, input_attributes); }

static void check_says(char *text, const char *expected) {
    ck_assert_msg((expected[0] == '\0') == (text[0] == '\0'), "got: %s\nexpected: %s", text, expected);
    ck_assert_msg(strncmp(text, expected, strlen(expected)) == 0, "got: %s\nexpected: %s", text, expected);
    ck_assert_msg(text[0] == '\0' || strchr(text, '\n') == text + strlen(text) - 1, "one line: %s", text);
    mica_free(text);
}

START_TEST(a_sound_set) {
    write_set(noise, SAMPLES);
    char *text = examine("");
    ck_assert_str_eq(text, "");
    mica_free(text);
}
END_TEST

START_TEST(duplicates) {
    write_set(noise, SAMPLES);
    char *bytes = NULL;
    size_t size = 0;
    ck_assert(mica_read_file(scratch_path("s03.npy"), 1 << 20, &bytes, &size, &err) == MICA_OK);
    scratch_write("s11.npy", bytes, size);
    scratch_write("s17.npy", bytes, size);
    mica_free(bytes);
    check_says(examine(""), "duplicates: 2 of 20 samples have the content of another one; 's11.npy' is 's03.npy' again\n");
}
END_TEST

static void one_constant(int sample, float *x) {
    noise(sample, x);
    for (int i = 0; i < VALUES && sample == 5; ++i) {
        x[i] = 0.25f;
    }
}

START_TEST(constant) {
    write_set(one_constant, SAMPLES);
    check_says(examine(""), "constant: input 'x' has one value only in 1 of the first 16 samples; in 's05.npy' it is 0.25\n");
}
END_TEST

/* All values but a few at the ends of the set. */
static void clipped(int sample, float *x) {
    noise(sample, x);
    for (int i = 0; i < VALUES; ++i) {
        const bool sharp = sample % 8 == 2 && i > 4;
        x[i] = sharp ? (x[i] > 0.0f ? 1.0f : -1.0f) : fmaxf(fminf(0.3f * x[i], 1.0f), -1.0f);
    }
}

START_TEST(saturated) {
    write_set(clipped, SAMPLES);
    check_says(examine(""), "saturated: more than 98 % of input 'x' lie at its ends -1 and 1 in 2 of the first 16 samples, as in 's02.npy'\n");
}
END_TEST

static void pixels(int sample, float *x) {
    noise(sample, x);
    for (int i = 0; i < VALUES; ++i) {
        x[i] = roundf(fmaxf(fminf(127.0f + 60.0f * x[i], 255.0f), 0.0f));
    }
}

START_TEST(no_normalization) {
    write_set(pixels, SAMPLES);
    check_says(examine(""), "normalization: missing: input 'x' reaches from ");
}
END_TEST

static void twice(int sample, float *x) {
    pixels(sample, x);
    for (int i = 0; i < VALUES; ++i) {
        x[i] = (x[i] - 127.0f) / 128.0f / 128.0f;
    }
}

START_TEST(double_normalization) {
    write_set(twice, SAMPLES);
    check_says(examine(""), "normalization: done twice or too strong: input 'x' reaches from ");
}
END_TEST

#define PIXELS "scale = array<f64: 0.017, 0.017, 0.017>, mean = array<f64: 123.675, 116.28, 103.53>"

START_TEST(swapped_channels) {
    for (int i = 0; i < 4; ++i) {
        char name[16];
        snprintf(name, sizeof name, "p%d.png", i);
        write_png(name, SIDE, SIDE, (uint8_t)i);
    }
    check_says(examine(PIXELS ", pixel_format = \"bgr\""),
               "channels: input 'x' is bgr, but its mean 123.675,116.28,103.53 is that of ImageNet in rgb order\n");
    check_says(examine(PIXELS ", pixel_format = \"rgb\""), "");
    check_says(examine("scale = array<f64: 0.017, 0.017, 0.017>, mean = array<f64: 103.53, 116.28, 123.675>, "
                       "pixel_format = \"rgb\""),
               "channels: input 'x' is rgb, but its mean 103.53,116.28,123.675 is that of ImageNet in bgr order\n");
}
END_TEST

#define EVEN "scale = array<f64: 0.02, 0.02, 0.02>, mean = array<f64: 103.0, 103.0, 103.0>"

START_TEST(order_that_the_layer_tells) {
    for (int i = 0; i < 4; ++i) {
        char name[16];
        snprintf(name, sizeof name, "p%d.png", i);
        write_png(name, SIDE, SIDE, (uint8_t)i);
    }
    check_says(examine_by(trained_model, EVEN ", pixel_format = \"rgb\""), "");
    check_says(examine_by(trained_model, EVEN ", pixel_format = \"bgr\""), "channels: the first layer 'conv' makes 0.");
    /* some networks were trained with the means of ImageNet in the other order: the layer knows better */
    check_says(examine_by(trained_model, "scale = array<f64: 0.017, 0.017, 0.017>, mean = array<f64: 103.53, 116.28, "
                                         "123.675>, pixel_format = \"rgb\""), "");
}
END_TEST

static void about_half(int sample, float *x) {
    noise(sample, x);
    for (int i = 0; i < VALUES; ++i) {
        x[i] += 0.5f;
    }
}

static void far_off(int sample, float *x) {
    noise(sample, x);
    for (int i = 0; i < VALUES; ++i) {
        x[i] -= 1.0f;
    }
}

START_TEST(mean_of_the_biases) {
    write_set(about_half, SAMPLES);
    check_says(examine_by(trained_model, ""), "");
    write_set(far_off, SAMPLES);
    check_says(examine_by(trained_model, ""), "normalization: the mean of input 'x' is -");
}
END_TEST

START_TEST(sizes) {
    write_png("a.png", 64, 60, 1);
    write_png("b.png", 60, 64, 2);
    write_png("c.png", 300, 60, 3);
    check_says(examine(PIXELS ", pixel_format = \"rgb\""),
               "sizes: images of unlike shapes are stretched to 16 x 16: 'c.png' has 300 x 60 pixels, 'a.png' 64 x 60");
    check_says(examine(PIXELS ", pixel_format = \"rgb\", keep_aspect_ratio = true"), "");
    scratch_clear();
    write_png("a.png", 64, 60, 1);
    write_png("b.png", 5, 5, 2);
    check_says(examine(PIXELS ", pixel_format = \"rgb\""),
               "sizes: 1 of the first 2 images are enlarged more than 2.5 times, others are not; 'b.png' has 5 x 5 pixels\n");
}
END_TEST

START_TEST(size_of_headers) {
    int w = 0;
    int h = 0;
    write_png("a.png", 37, 21, 1);
    ck_assert(mica_image_size(scratch_path("a.png"), &w, &h));
    ck_assert_int_eq(w, 37);
    ck_assert_int_eq(h, 21);
    /* SOI, an APP0 of 4 bytes, a frame header of 8 bits, 258 x 515, 3 components */
    const char jpeg[] = "\xff\xd8\xff\xe0\0\4ab\xff\xc2\0\21\10\2\3\1\2\3\1\"\0\2\21\1\3\21\1\xff\xda";
    scratch_write("b.jpg", jpeg, sizeof jpeg - 1);
    ck_assert(mica_image_size(scratch_path("b.jpg"), &w, &h));
    ck_assert_int_eq(w, 258);
    ck_assert_int_eq(h, 515);
    for (size_t n = 0; n < 17; ++n) {
        scratch_write("c.jpg", jpeg, n);
        ck_assert(!mica_image_size(scratch_path("c.jpg"), &w, &h));
    }
    ck_assert(!mica_image_size(scratch_path("none.jpg"), &w, &h));
}
END_TEST

/* Samples of one spread are alike; where one in seven is far larger, its luck decides. */
static void restless(int sample, float *x) {
    noise(sample, x);
    for (int i = 0; i < VALUES; ++i) {
        x[i] *= expf(1.5f * (float)(sample % 8));
    }
}

static mica_stability stability(fill_fn *fill, int n, const char *method) {
    scratch_clear();
    write_set(fill, n);
    mica_module *module = model("");
    mica_dataset *d = mica_dataset_open(module, scratch, NULL, 0, &err);
    mica_statistics statistics;
    const mica_collect_options options = {.threads = 2, .quiet = true, .groups = true};
    ck_assert(mica_collect(module, d, &options, &statistics, &err) == MICA_OK);
    const mica_stability one = mica_doctor_stability(&statistics, mica_method_find(method), 1);
    const mica_stability two = mica_doctor_stability(&statistics, mica_method_find(method), 3);
    ck_assert_double_eq(one.deviation, two.deviation);
    mica_statistics_free(&statistics);
    mica_dataset_close(d);
    mica_module_destroy(module);
    return one;
}

START_TEST(thresholds_that_move) {
    const mica_stability calm = stability(noise, 64, "mse");
    ck_assert_uint_gt(calm.tensors, 0);
    ck_assert_uint_gt(calm.samples, 0);
    ck_assert_double_le(calm.deviation, 0.05);
    const mica_stability wild = stability(restless, 16, "mse");
    ck_assert_uint_eq(wild.samples, 0);
    ck_assert_double_gt(wild.deviation, 0.1);
    ck_assert_uint_gt(wild.wanted, 16);
    ck_assert_uint_eq(stability(noise, 5, "mse").tensors, 0);
}
END_TEST

int main(void) {
    const TTest *const tests[] = {a_sound_set, duplicates, constant, saturated, no_normalization,
                                  double_normalization, swapped_channels, order_that_the_layer_tells,
                                  mean_of_the_biases, sizes, size_of_headers,
                                  thresholds_that_move};
    Suite *suite = suite_create("calibration doctor");
    TCase *tcase = tcase_create("all");
    tcase_add_checked_fixture(tcase, begin, teardown);
    for (size_t i = 0; i < MICA_COUNT(tests); ++i) {
        tcase_add_test(tcase, tests[i]);
    }
    suite_add_tcase(suite, tcase);
    scratch_make();
    const int status = check_run(suite);
    scratch_remove();
    return status;
}
