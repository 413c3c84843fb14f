/* Samples: folders, lists and files of every kind, and every way in which they can be wrong; statistics
 * that depend neither on the order of the samples nor on the threads. */
#include "test/unit/check_main.h"
#include "test/unit/ir_case.h"
#include "test/unit/test_utils_dir.h"

#include "dialects/dialects.h"
#include "passes/calibration/calibrate.h"
#include "passes/calibration/dataset.h"
#include "utils/npy.h"
#include "utils/npz.h"
#include "utils/prng.h"

#include <math.h>
#include <png.h>

static mica_error err;

static void begin(void) {
    setup();
    mica_register_dialects(context);
    scratch_clear();
    err.text[0] = '\0';
}

static bool says(const char *part) {
    if (strstr(err.text, part) != NULL) {
        return true;
    }
    printf("got: %s\nexpected: %s\n", err.text, part);
    return false;
}

static mica_module *module_of(const char *text) {
    mica_module *module = parse(text);
    ck_assert_msg(module != NULL, "%s", last_diag);
    return module;
}

static mica_module *one_input(void) {
    return module_of(
        "func.func @main(%a: tensor<1x2x3xf32> loc(\"x\")) -> tensor<6xf32> {\n"
        "  %0 = \"top.Input\"(%a) : (tensor<1x2x3xf32>) -> tensor<1x2x3xf32> loc(\"x\")\n"
        "  %1 = \"top.Exp\"(%0) : (tensor<1x2x3xf32>) -> tensor<1x2x3xf32> loc(\"y\")\n"
        "  %2 = \"top.Reshape\"(%1) {shape = array<i64: 6>} : (tensor<1x2x3xf32>) -> tensor<6xf32> loc(\"z\")\n"
        "  %3 = \"top.Neg\"(%2) : (tensor<6xf32>) -> tensor<6xf32> loc(\"out\")\n"
        "  return %3 : tensor<6xf32>\n}\n");
}

static mica_module *two_inputs(void) {
    return module_of(
        "func.func @main(%a: tensor<4xf32> loc(\"x\"), %b: tensor<4xi32> loc(\"ids\")) -> tensor<4xf32> {\n"
        "  %0 = \"top.Input\"(%a) : (tensor<4xf32>) -> tensor<4xf32> loc(\"x\")\n"
        "  %1 = \"top.Input\"(%b) : (tensor<4xi32>) -> tensor<4xi32> loc(\"ids\")\n"
        "  %2 = \"top.Gather\"(%0, %1) {axis = 0 : i64} : (tensor<4xf32>, tensor<4xi32>) -> tensor<4xf32> "
        "loc(\"y\")\n"
        "  return %2 : tensor<4xf32>\n}\n");
}

static void npy_f32(const char *name_of_file, int rank, const int64_t *dims, const float *data) {
    ck_assert(mica_npy_write(scratch_path(name_of_file), "<f4", rank, dims, data, &err) == MICA_OK);
}

static void npy_6(const char *name_of_file, float first) {
    const int64_t dims[3] = {1, 2, 3};
    const float data[6] = {first, 0.5f, -0.5f, 0.25f, 1.0f, 2.0f};
    npy_f32(name_of_file, 3, dims, data);
}

typedef struct entry {
    const char *key, *descr;
    int rank;
    int64_t dims[4];
    const void *data;
} entry;

static void npz(const char *name_of_file, const entry *entries, size_t n) {
    mica_npz_writer *writer = mica_npz_create(scratch_path(name_of_file), false, &err);
    for (size_t i = 0; i < n; ++i) {
        ck_assert(mica_npz_add(writer, entries[i].key, entries[i].descr, entries[i].rank, entries[i].dims,
                               entries[i].data, &err) == MICA_OK);
    }
    ck_assert(mica_npz_finish(writer, &err) == MICA_OK);
}

/* Reads sample i; the values stay in these buffers. */
static float got_f32[64];
static int32_t got_i32[64];

static mica_status read_one(const mica_dataset *d, size_t i) {
    mrt_tensor x = {.name = "x", .dtype = MRT_F32, .data = got_f32, .shape = {3, {1, 2, 3}}};
    mrt_tensor *inputs[1] = {&x};
    return mica_dataset_read(d, i, inputs, 1, &err);
}

static mica_status read_two(const mica_dataset *d, size_t i) {
    mrt_tensor x = {.name = "x", .dtype = MRT_F32, .data = got_f32, .shape = {1, {4}}};
    mrt_tensor ids = {.name = "ids", .dtype = MRT_I32, .data = got_i32, .shape = {1, {4}}};
    mrt_tensor *inputs[2] = {&x, &ids};
    return mica_dataset_read(d, i, inputs, 2, &err);
}

/* --- opening ------------------------------------------------------------------------------------ */

START_TEST(folder) {
    mica_module *module = one_input();
    npy_6("b.npy", 2.0f);
    npy_6("a.npy", 1.0f);
    npy_6("c.NPY", 3.0f);
    scratch_write("labels.txt", "x", 1);
    mica_dataset *d = mica_dataset_open(module, scratch, NULL, 0, &err);
    ck_assert_msg(d != NULL, "%s", err.text);
    ck_assert_uint_eq(mica_dataset_count(d), 3);
    ck_assert_str_eq(mica_dataset_name(d, 0), "a.npy"); /* sorted, other files passed over */
    for (size_t i = 0; i < 3; ++i) {
        ck_assert(read_one(d, i) == MICA_OK);
        ck_assert_float_eq(got_f32[0], (float)i + 1.0f);
    }
    mica_dataset_close(d);
    d = mica_dataset_open(module, scratch, NULL, 2, &err);
    ck_assert_uint_eq(mica_dataset_count(d), 2);
    mica_dataset_close(d);
    mica_dataset_close(NULL);
    mica_module_destroy(module);
}
END_TEST

START_TEST(list) {
    mica_module *module = two_inputs();
    const int64_t dims[1] = {4};
    const float x[4] = {1.0f, 2.0f, 3.0f, 4.0f};
    const int64_t ids[4] = {3, 2, 1, 0};
    npy_f32("x.npy", 1, dims, x);
    ck_assert(mica_npy_write(scratch_path("ids.npy"), "<i8", 1, dims, ids, &err) == MICA_OK);
    const char *text = "# comment\n\n x.npy , ids.npy \r\nx.npy,ids.npy";
    mica_dataset *d = mica_dataset_open(module, NULL, scratch_write("list.txt", text, strlen(text)), 0, &err);
    ck_assert_msg(d != NULL, "%s", err.text); /* files are relative to the list */
    ck_assert_uint_eq(mica_dataset_count(d), 2);
    ck_assert(read_two(d, 1) == MICA_OK);
    ck_assert_float_eq(got_f32[3], 4.0f);
    ck_assert_int_eq(got_i32[0], 3);
    mica_dataset_close(d);
    mica_module_destroy(module);
}
END_TEST

START_TEST(what_cannot_be_opened) {
    mica_module *module = one_input();
    mica_module *pair = two_inputs();
    ck_assert_ptr_null(mica_dataset_open(module, scratch, NULL, 0, &err));
    ck_assert(says("holds no jpg, png, npy or npz file (0 other files)"));
    scratch_write("readme", "", 0);
    ck_assert_ptr_null(mica_dataset_open(module, scratch, NULL, 0, &err));
    ck_assert(says("(1 other files)"));
    ck_assert_ptr_null(mica_dataset_open(module, scratch_path("absent"), NULL, 0, &err));
    ck_assert(says("is not a folder"));
    ck_assert_ptr_null(mica_dataset_open(module, scratch_path("readme"), NULL, 0, &err));
    ck_assert(says("is not a folder"));
    npy_6("a.npy", 1.0f);
    ck_assert_ptr_null(mica_dataset_open(pair, scratch, NULL, 0, &err));
    ck_assert(says("the model has 2 inputs, so a folder must hold one npz per sample; found 'a.npy'"));
    ck_assert_ptr_null(mica_dataset_open(module, NULL, scratch_path("absent"), 0, &err));
    ck_assert(says("absent"));
    const char *path = scratch_write("list", "\n# nothing\n", 11);
    ck_assert_ptr_null(mica_dataset_open(module, NULL, path, 0, &err));
    ck_assert(says("names no sample"));
    path = scratch_write("list", "a.npy\nb.npy\nc.npy\nd.npy\ne.npy\n", 30);
    ck_assert_ptr_null(mica_dataset_open(module, NULL, path, 0, &err));
    ck_assert(says("4 file(s) of 5 samples do not exist: "));
    ck_assert(says("b.npy', '"));
    ck_assert(says("d.npy', ..."));
    path = scratch_write("list", "a.npy\nb.npy\n", 12);
    ck_assert_ptr_null(mica_dataset_open(module, NULL, path, 0, &err));
    ck_assert(says("1 file(s) of 2 samples do not exist: '"));
    mica_dataset *first = mica_dataset_open(module, NULL, path, 1, &err); /* the rest is not looked at */
    ck_assert_ptr_nonnull(first);
    mica_dataset_close(first);
    path = scratch_write("list", "a.npy,a.npy\n", 12);
    ck_assert_ptr_null(mica_dataset_open(module, NULL, path, 0, &err));
    ck_assert(says("sample 'a.npy,a.npy' names 2 file(s), but the model has 1 input(s)"));
    path = scratch_write("list", "a.txt\n", 6);
    ck_assert_ptr_null(mica_dataset_open(module, NULL, path, 0, &err));
    ck_assert(says("a.txt' is no sample: expected .jpg, .jpeg, .png, .npy or .npz"));
    ck_assert_ptr_null(mica_dataset_of_files(pair, "a.npy", &err));
    ck_assert(says("sample 'a.npy' names 1 file(s), but the model has 2 input(s)"));
    mica_module_destroy(pair);
    mica_module_destroy(module);
}
END_TEST

/* --- reading ------------------------------------------------------------------------------------ */

static void check_sample(mica_module *module, const char *file, const char *error) {
    mica_dataset *d = mica_dataset_of_files(module, scratch_path(file), &err);
    ck_assert_msg(d != NULL, "%s", err.text);
    const bool pair = mica_func_body(mica_module_func(module, "main"))->n_args == 2;
    const mica_status status = pair ? read_two(d, 0) : read_one(d, 0);
    ck_assert_msg(status == (error == NULL ? MICA_OK : MICA_FAIL), "%s: %s", file, err.text);
    ck_assert(error == NULL || (says(error) && says(file)));
    mica_dataset_close(d);
}

START_TEST(shapes) {
    mica_module *module = one_input();
    static const struct { int rank; int64_t dims[4]; bool good; } cases[] = {
        {3, {1, 2, 3}, true}, {2, {2, 3}, true}, {4, {2, 1, 3, 1}, true},
        {3, {1, 3, 2}, false}, {1, {6}, false}, {3, {2, 2, 3}, false}, {3, {1, 2, 4}, false}};
    const float data[12] = {0.0f};
    for (size_t i = 0; i < MICA_COUNT(cases); ++i) {
        npy_f32("x.npy", cases[i].rank, cases[i].dims, data);
        check_sample(module, "x.npy", cases[i].good ? NULL : "input 'x' expects shape [1,2,3], got [");
    }
    mica_module_destroy(module);
}
END_TEST

START_TEST(element_types) {
    mica_module *module = one_input();
    const int64_t dims[3] = {1, 2, 3};
    const double wide[6] = {1.0, 2.0, 3.0, 4.0, 5.0, 0.5};
    const uint8_t bytes[6] = {1, 2, 3, 4, 5, 255};
    ck_assert(mica_npy_write(scratch_path("d.npy"), "<f8", 3, dims, wide, &err) == MICA_OK);
    check_sample(module, "d.npy", NULL);
    ck_assert_float_eq(got_f32[5], 0.5f);
    ck_assert(mica_npy_write(scratch_path("u.npy"), "|u1", 3, dims, bytes, &err) == MICA_OK);
    check_sample(module, "u.npy", NULL);
    ck_assert_float_eq(got_f32[5], 255.0f);
    mica_module_destroy(module);
}
END_TEST

START_TEST(not_finite) {
    mica_module *module = one_input();
    const int64_t dims[3] = {1, 2, 3};
    const float data[6] = {0.0f, NAN, 1.0f, INFINITY, -INFINITY, 0.0f};
    npy_f32("x.npy", 3, dims, data);
    check_sample(module, "x.npy", "holds 3 of 6 values that are NaN or infinite");
    mica_module_destroy(module);
}
END_TEST

START_TEST(npz_keys) {
    mica_module *pair = two_inputs();
    const float x[4] = {1.0f, 2.0f, 3.0f, 4.0f};
    const int64_t ids[4] = {0, 1, 2, 3};
    const int64_t far[4] = {0, 1, 2, (int64_t)1 << 32};
    const float real[4] = {0.0f, 1.5f, 0.0f, 0.0f};
    const entry good[3] = {{"x", "<f4", 1, {4}, x}, {"ids", "<i8", 1, {4}, ids}, {"y", "<f4", 1, {4}, x}};
    npz("s.npz", good, 2);
    check_sample(pair, "s.npz", NULL);
    ck_assert_int_eq(got_i32[3], 3);
    npz("s.npz", good, 3); /* another tensor of the model beside the inputs */
    check_sample(pair, "s.npz", NULL);
    npz("s.npz", good, 1);
    check_sample(pair, "s.npz", "'ids'");
    const entry renamed[2] = {{"x", "<f4", 1, {4}, x}, {"idz", "<i8", 1, {4}, ids}};
    npz("s.npz", renamed, 2);
    check_sample(pair, "s.npz", "idz"); /* the nearest key is named */
    const entry extra[3] = {good[0], good[1], {"other", "<f4", 1, {4}, x}};
    npz("s.npz", extra, 3);
    check_sample(pair, "s.npz", "key 'other' is no input and no other tensor of the model");
    const entry shaped[2] = {{"x", "<f4", 1, {3}, x}, good[1]};
    npz("s.npz", shaped, 2);
    check_sample(pair, "s.npz", "input 'x' expects shape [4], got [3]");
    const entry floats[2] = {good[0], {"ids", "<f4", 1, {4}, real}};
    npz("s.npz", floats, 2);
    check_sample(pair, "s.npz", "input 'ids' expects integers");
    const entry large[2] = {good[0], {"ids", "<i8", 1, {4}, far}};
    npz("s.npz", large, 2);
    check_sample(pair, "s.npz", "input 'ids' is i32, which cannot hold its value 4294967296");
    scratch_write("bad.npz", "PK nonsense", 11);
    check_sample(pair, "bad.npz", "");
    check_sample(pair, "absent.npz", "");
    mica_module_destroy(pair);
}
END_TEST

START_TEST(images) {
    mica_module *module = one_input();
    const uint8_t pixels[12] = {0};
    png_image image = {.version = PNG_IMAGE_VERSION, .width = 2, .height = 2, .format = PNG_FORMAT_RGB};
    ck_assert(png_image_write_to_file(&image, scratch_path("x.png"), 0, pixels, 0, NULL));
    mica_dataset *d = mica_dataset_of_files(module, scratch_path("x.png"), &err);
    ck_assert(read_one(d, 0) == MICA_FAIL);
    ck_assert(says("input 'x' has type tensor<1x2x3xf32>: an image needs 4 axes and batch 1"));
    mica_dataset_close(d);
    mica_module_destroy(module);
}
END_TEST

/* --- statistics --------------------------------------------------------------------------------- */

static void write_samples(int n) {
    mica_prng prng;
    mica_prng_seed(&prng, 7);
    for (int i = 0; i < n; ++i) {
        char file[32];
        float data[6];
        const int64_t dims[3] = {1, 2, 3};
        for (int k = 0; k < 6; ++k) {
            data[k] = mica_prng_normal(&prng);
        }
        snprintf(file, sizeof file, "s%02d.npy", i);
        npy_f32(file, 3, dims, data);
    }
}

static mica_statistics collect(mica_module *module, const char *from, const char *list_file,
                               int threads) {
    mica_statistics statistics;
    mica_dataset *d = mica_dataset_open(module, from, list_file, 0, &err);
    ck_assert_msg(d != NULL, "%s", err.text);
    ck_assert_msg(mica_collect_statistics(module, d, threads, true, &statistics, &err) == MICA_OK, "%s",
                  err.text);
    mica_dataset_close(d);
    return statistics;
}

static void check_equal(const mica_statistics *a, const mica_statistics *b) {
    ck_assert_uint_eq(a->count, b->count);
    for (size_t i = 0; i < a->count; ++i) {
        ck_assert_str_eq(a->tensors[i].name, b->tensors[i].name);
        ck_assert_int_eq(memcmp(&a->tensors[i].histogram, &b->tensors[i].histogram, sizeof(mica_histogram)), 0);
    }
}

START_TEST(statistics_of_all_tensors) {
    mica_module *module = one_input();
    write_samples(20);
    mica_statistics one = collect(module, scratch, NULL, 1);
    mica_statistics three = collect(module, scratch, NULL, 3);
    check_equal(&one, &three);
    mica_statistics_free(&three);
    char text[512] = "";
    for (int i = 19; i >= 0; --i) {
        snprintf(text + strlen(text), sizeof text - strlen(text), "s%02d.npy\n", i);
    }
    mica_statistics backwards = collect(module, NULL, scratch_write("list.txt", text, strlen(text)), 2);
    check_equal(&one, &backwards);
    mica_statistics_free(&backwards);
    ck_assert_uint_eq(one.samples, 20);
    ck_assert_uint_eq(one.count, 4); /* x, y, its reshaped alias z, out */
    for (size_t i = 0; i < one.count; ++i) {
        const mica_tensor_statistics *t = &one.tensors[i];
        ck_assert_uint_eq(t->histogram.count, 120);
        ck_assert_int_eq(t->is_border, strcmp(t->name, "x") == 0 || strcmp(t->name, "out") == 0);
    }
    ck_assert_int_eq(memcmp(&one.tensors[1].histogram, &one.tensors[2].histogram, sizeof(mica_histogram)), 0);
    /* borders keep their range whatever the method */
    mica_cali_table *table = mica_make_table(&one, mica_method_find("percentile9999"), 2);
    ck_assert_double_eq(mica_cali_table_get(table, "out")->min, one.tensors[3].histogram.min);
    ck_assert_double_eq(mica_cali_table_get(table, "x")->max, one.tensors[0].histogram.max);
    mica_cali_table_destroy(table);
    mica_statistics_free(&one);
    mica_module_destroy(module);
}
END_TEST

/* exp(200) overflows inside and reaches the output. */
START_TEST(statistics_not_finite) {
    mica_module *module = one_input();
    npy_6("a.npy", 1.0f);
    npy_6("b.npy", 200.0f);
    mica_dataset *d = mica_dataset_open(module, scratch, NULL, 0, &err);
    mica_statistics statistics;
    ck_assert(mica_collect_statistics(module, d, 1, true, &statistics, &err) == MICA_FAIL);
    ck_assert(says("sample 'b.npy' gives 1 values in tensor 'y' that are not finite"));
    mica_dataset_close(d);
    mica_module_destroy(module);
}
END_TEST

START_TEST(statistics_of_a_bad_sample) {
    mica_module *module = one_input();
    npy_6("a.npy", 1.0f);
    scratch_write("b.npy", "nonsense", 8);
    scratch_write("c.npy", "nonsense", 8);
    scratch_write("d.npy", "nonsense", 8);
    mica_dataset *d = mica_dataset_open(module, scratch, NULL, 0, &err);
    mica_statistics statistics;
    for (int threads = 1; threads <= 4; ++threads) {
        ck_assert(mica_collect_statistics(module, d, threads, true, &statistics, &err) == MICA_FAIL);
        ck_assert(says("b.npy"));
    }
    mica_dataset_close(d);
    mica_module_destroy(module);
}
END_TEST

int main(void) {
    const TTest *const tests[] = {folder, list, what_cannot_be_opened, shapes, element_types, not_finite,
                                  npz_keys, images, statistics_of_all_tensors, statistics_not_finite,
                                  statistics_of_a_bad_sample};
    Suite *suite = suite_create("calibration dataset");
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
