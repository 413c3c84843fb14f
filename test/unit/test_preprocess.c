/* Image preprocessing against an oracle that works pixel by pixel, and its errors. */
#include "test/unit/check_main.h"
#include "test/unit/ir_case.h"
#include "test/unit/test_utils_dir.h"

#include "dialects/dialects.h"
#include "passes/calibration/preprocess.h"
#include "test/ref/ref_preprocess.h"
#include "utils/prng.h"

#include <png.h>

static mica_error err;

static void begin(void) {
    setup();
    mica_register_dialects(context);
}

static void write_png(const char *path, int width, int height, int channels, const uint8_t *pixels) {
    png_image image = {.version = PNG_IMAGE_VERSION, .width = (png_uint_32)width,
                       .height = (png_uint_32)height,
                       .format = channels == 1 ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB};
    ck_assert(png_image_write_to_file(&image, path, 0, pixels, 0, NULL));
}

/* A module with one input of this type and attributes. */
static mica_module *module_of(const char *type, const char *attrs) {
    char text[1024];
    snprintf(text, sizeof text,
             "func.func @main(%%a: %s loc(\"in\")) -> %s {\n"
             "  %%0 = \"top.Input\"(%%a) {%s} : (%s) -> %s loc(\"in\")\n  return %%0 : %s\n}\n",
             type, type, attrs, type, type, type);
    mica_module *module = parse(text);
    ck_assert_msg(module != NULL, "%s", last_diag);
    return module;
}

static mica_op *input_of(mica_module *module) {
    return mica_func_body(mica_module_func(module, "main"))->first;
}

static void check_case(const ref_preprocess *r, const char *attrs, uint64_t seed) {
    char type[96];
    if (r->nhwc) {
        snprintf(type, sizeof type, "tensor<1x%dx%dx%dxf32>", r->net_height, r->net_width, r->net_channels);
    } else {
        snprintf(type, sizeof type, "tensor<1x%dx%dx%dxf32>", r->net_channels, r->net_height, r->net_width);
    }
    mica_module *module = module_of(type, attrs);
    mica_preprocess p;
    ck_assert_msg(mica_preprocess_of(input_of(module), &p, &err) == MICA_OK, "%s", err.text);
    const size_t bytes = (size_t)(r->width * r->height * r->channels);
    uint8_t *pixels = malloc(bytes);
    mica_prng prng;
    mica_prng_seed(&prng, seed);
    for (size_t i = 0; i < bytes; ++i) {
        pixels[i] = (uint8_t)mica_prng_below(&prng, 256);
    }
    write_png(scratch_path("x.png"), r->width, r->height, r->channels, pixels);
    const size_t count = (size_t)(r->net_width * r->net_height * r->net_channels);
    float *got = malloc(count * sizeof *got);
    float *expected = malloc(count * sizeof *expected);
    ck_assert_msg(mica_preprocess_image(&p, scratch_path("x.png"), got, &err) == MICA_OK, "%s", err.text);
    ref_preprocess_run(r, pixels, expected);
    for (size_t i = 0; i < count; ++i) {
        ck_assert_msg(memcmp(&got[i], &expected[i], sizeof got[i]) == 0,
                      "%s, %dx%d to %s: [%zu] is %g, expected %g", attrs, r->width, r->height, type, i,
                      (double)got[i], (double)expected[i]);
    }
    free(expected);
    free(got);
    free(pixels);
    mica_module_destroy(module);
}

/* Sizes of picture and network: same, larger, smaller, wide, tall, a line. */
static const int sizes[][2] = {{8, 8}, {31, 17}, {17, 31}, {5, 3}, {64, 9}, {1, 1}, {3, 40}};

START_TEST(stretch_and_layouts) {
    for (size_t i = 0; i < MICA_COUNT(sizes); ++i) {
        for (int variant = 0; variant < 16; ++variant) {
            const bool nhwc = (variant & 1) != 0;
            const bool bgr = (variant & 2) != 0;
            const int net_channels = (variant & 4) != 0 ? 1 : 3;
            const int channels = (variant & 8) != 0 ? 1 : 3;
            char attrs[256];
            snprintf(attrs, sizeof attrs, "pixel_format = \"%s\", channel_format = \"%s\", "
                                          "mean = array<f64: 1.5, 2.25, 100.0>, "
                                          "scale = array<f64: 0.017, 0.5, 1.0>",
                     net_channels == 1 ? "gray" : (bgr ? "bgr" : "rgb"), nhwc ? "nhwc" : "nchw");
            const ref_preprocess r = {.width = sizes[i][0], .height = sizes[i][1], .channels = channels,
                                      .net_width = 8, .net_height = 8, .net_channels = net_channels,
                                      .resize_width = 8, .resize_height = 8, .bgr = bgr, .nhwc = nhwc,
                                      .mean = {1.5f, 2.25f, 100.0f}, .scale = {0.017f, 0.5f, 1.0f}};
            check_case(&r, attrs, (uint64_t)variant + i * 16);
        }
    }
}
END_TEST

START_TEST(resize_then_crop) {
    for (size_t i = 0; i < MICA_COUNT(sizes); ++i) {
        const ref_preprocess r = {.width = sizes[i][0], .height = sizes[i][1], .channels = 3,
                                  .net_width = 11, .net_height = 6, .net_channels = 3,
                                  .resize_width = 16, .resize_height = 9,
                                  .scale = {0.25f, 0.25f, 0.25f}};
        check_case(&r, "pixel_format = \"rgb\", resize_dims = array<i64: 9, 16>, scale = array<f64: 0.25>",
                   i);
    }
}
END_TEST

START_TEST(aspect_ratio) {
    static const struct { const char *attrs; int kind; bool center; } kinds[] = {
        {"", REF_LETTERBOX, true},
        {"pad_type = \"normal\", ", REF_LETTERBOX, false},
        {"keep_ratio_mode = \"short_side_scale\", ", REF_SHORT_SIDE, false}};
    for (size_t i = 0; i < MICA_COUNT(sizes); ++i) {
        for (size_t k = 0; k < MICA_COUNT(kinds); ++k) {
            char attrs[256];
            snprintf(attrs, sizeof attrs,
                     "%skeep_aspect_ratio = true, pad_value = 114, pixel_format = \"bgr\", "
                     "resize_dims = array<i64: 12, 10>", kinds[k].attrs);
            ref_preprocess r = {.width = sizes[i][0], .height = sizes[i][1], .channels = 3,
                                .net_width = 10, .net_height = 9, .net_channels = 3,
                                .resize_width = 10, .resize_height = 12, .pad_center = kinds[k].center,
                                .pad_value = 114, .bgr = true, .scale = {1.0f, 1.0f, 1.0f}};
            r.resize = kinds[k].kind == REF_LETTERBOX ? REF_LETTERBOX : REF_SHORT_SIDE;
            check_case(&r, attrs, i * 4 + k);
        }
    }
}
END_TEST

START_TEST(refused_inputs) {
    static const struct { const char *type, *attrs, *error; } cases[] = {
        {"tensor<1x10xf32>", "", "input 'in' has type tensor<1x10xf32>: an image needs 4 axes and batch 1"},
        {"tensor<2x3x8x8xf32>", "", "an image needs 4 axes and batch 1"},
        {"tensor<1x3x?x8xf32>", "", "an image needs 4 axes and batch 1"},
        {"tensor<1x4x8x8xf32>", "", "has 4 channels: an image gives 1 or 3 (channel format nchw)"},
        {"tensor<1x3x8x8xf32>", "channel_format = \"nhwc\"", "has 8 channels"},
        {"tensor<1x3x8x8xf32>", "pixel_format = \"gray\"", "has 3 channels, but its pixel format is gray"},
        {"tensor<1x3x8x8xf32>", "resize_dims = array<i64: 8, 7>",
         "resize_dims 8x7 are smaller than the network's 8x8"},
        {"tensor<1x3x8x8xf32>", "resize_dims = array<i64: 8, 4294967304>", "resize_dims are height and width"},
        {"tensor<1x3x8x8xf32>", "resize_dims = array<i64: 9>", "resize_dims are height and width"},
        {"tensor<1x3x8x8xf32>", "pad_value = 256", "pad_value 256 is no pixel value (0 to 255)"},
        {"tensor<1x3x8x8xf32>", "mean = array<f64: 1.0, 2.0>", "mean has 2 values for 3 channels"},
        {"tensor<1x3x8x8xf32>", "scale = array<f64: 1.0, 2.0>", "scale has 2 values for 3 channels"},
    };
    for (size_t i = 0; i < MICA_COUNT(cases); ++i) {
        mica_module *module = module_of(cases[i].type, cases[i].attrs);
        mica_preprocess p;
        ck_assert(mica_preprocess_of(input_of(module), &p, &err) == MICA_FAIL);
        ck_assert_msg(strstr(err.text, cases[i].error) != NULL, "case %zu: %s", i, err.text);
        mica_module_destroy(module);
    }
}
END_TEST

START_TEST(refused_files) {
    mica_module *module = module_of("tensor<1x3x8x8xf32>", "");
    mica_preprocess p;
    float out[192];
    ck_assert(mica_preprocess_of(input_of(module), &p, &err) == MICA_OK);
    ck_assert(mica_preprocess_image(&p, scratch_path("absent.png"), out, &err) == MICA_FAIL);
    ck_assert_ptr_nonnull(strstr(err.text, "absent.png"));
    const char *path = scratch_write("x.jpg", "this is no picture", 18);
    ck_assert(mica_preprocess_image(&p, path, out, &err) == MICA_FAIL);
    ck_assert_ptr_nonnull(strstr(err.text, "x.jpg"));
    mica_module_destroy(module);
}
END_TEST

START_TEST(text_form) {
    mica_module *module = module_of("tensor<1x3x8x8xf32>",
                                    "pixel_format = \"bgr\", keep_aspect_ratio = true, "
                                    "resize_dims = array<i64: 16, 12>, mean = array<f64: 0.5, 1.0, 2.0>");
    mica_preprocess p;
    ck_assert(mica_preprocess_of(input_of(module), &p, &err) == MICA_OK);
    ck_assert_str_eq(mica_preprocess_text(&p, module->arena),
                     "resize 16x12 letterbox, crop 8x8, bgr, nchw, mean 0.5 1 2, scale 1 1 1");
    mica_module_destroy(module);
}
END_TEST

int main(void) {
    const TTest *const tests[] = {stretch_and_layouts, resize_then_crop, aspect_ratio, refused_inputs,
                                  refused_files, text_form};
    Suite *suite = suite_create("preprocess");
    TCase *tcase = tcase_create("all");
    tcase_add_checked_fixture(tcase, begin, teardown);
    tcase_set_timeout(tcase, 60);
    for (size_t i = 0; i < MICA_COUNT(tests); ++i) {
        tcase_add_test(tcase, tests[i]);
    }
    suite_add_tcase(suite, tcase);
    scratch_make();
    const int status = check_run(suite);
    scratch_remove();
    return status;
}
