/* Statistics that are merged, interrupted, kept in a file: always those of one pass over all samples. */
#include "test/unit/check_main.h"
#include "test/unit/ir_case.h"
#include "test/unit/test_utils_dir.h"

#include "dialects/dialects.h"
#include "passes/calibration/statistics_cache.h"
#include "utils/file.h"
#include "utils/npy.h"
#include "utils/prng.h"
#include "utils/strbuf.h"

#include <math.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SAMPLES = 21, VALUES = 24 };

static mica_error err;
static float data[SAMPLES][VALUES];

static bool says(const char *part) {
    if (strstr(err.text, part) != NULL) {
        return true;
    }
    printf("got: %s\nexpected: %s\n", err.text, part);
    return false;
}

static mica_module *model(void) {
    mica_module *module = parse(
        "func.func @main(%a: tensor<1x4x2x3xf32> loc(\"x\")) -> tensor<1x4x2x3xf32> {\n"
        "  %0 = \"top.Input\"(%a) : (tensor<1x4x2x3xf32>) -> tensor<1x4x2x3xf32> loc(\"x\")\n"
        "  %1 = \"top.Exp\"(%0) : (tensor<1x4x2x3xf32>) -> tensor<1x4x2x3xf32> loc(\"y\")\n"
        "  %2 = \"top.Relu\"(%1) : (tensor<1x4x2x3xf32>) -> tensor<1x4x2x3xf32> loc(\"z\")\n"
        "  %3 = \"top.Neg\"(%2) : (tensor<1x4x2x3xf32>) -> tensor<1x4x2x3xf32> loc(\"out\")\n"
        "  return %3 : tensor<1x4x2x3xf32>\n}\n");
    ck_assert_msg(module != NULL, "%s", last_diag);
    return module;
}

static void write_sample(int i, const float *values) {
    char file[32];
    const int64_t dims[4] = {1, 4, 2, 3};
    snprintf(file, sizeof file, "s%02d.npy", i);
    ck_assert(mica_npy_write(scratch_path(file), "<f4", 4, dims, values, &err) == MICA_OK);
}

static const char *list_of(int first, int end) {
    mica_strbuf text = {0};
    char name[32];
    for (int i = first; i < end; ++i) {
        mica_strbuf_printf(&text, "s%02d.npy\n", i);
    }
    snprintf(name, sizeof name, "list_%d_%d.txt", first, end);
    const char *path = scratch_write(name, mica_strbuf_text(&text), text.len);
    mica_strbuf_free(&text);
    return path;
}

static void begin(void) {
    setup();
    mica_register_dialects(context);
    scratch_clear();
    err.text[0] = '\0';
    mica_prng prng;
    mica_prng_seed(&prng, 3);
    for (int i = 0; i < SAMPLES; ++i) {
        for (int k = 0; k < VALUES; ++k) {
            data[i][k] = mica_prng_normal(&prng) * (float)(1 + k / 6);
        }
        write_sample(i, data[i]);
    }
}

static const mica_collect_options PLAIN = {.threads = 2, .quiet = true, .per_channel = true, .groups = true};

static mica_statistics collect(mica_module *module, const char *list, const mica_collect_options *options) {
    mica_statistics statistics;
    mica_dataset *d = mica_dataset_open(module, NULL, list, 0, &err);
    ck_assert_msg(d != NULL, "%s", err.text);
    ck_assert_msg(mica_collect(module, d, options, &statistics, &err) == MICA_OK, "%s", err.text);
    mica_dataset_close(d);
    return statistics;
}

static void check_equal(const mica_statistics *a, const mica_statistics *b, bool groups) {
    ck_assert_uint_eq(a->count, b->count);
    ck_assert_uint_eq(a->samples, b->samples);
    for (size_t i = 0; i < a->count; ++i) {
        const mica_tensor_statistics *s = &a->tensors[i];
        const mica_tensor_statistics *t = &b->tensors[i];
        ck_assert_str_eq(s->name, t->name);
        ck_assert(s->is_border == t->is_border);
        ck_assert_int_eq(memcmp(&s->histogram, &t->histogram, sizeof(mica_histogram)), 0);
        ck_assert_int_eq(s->n_channels, t->n_channels);
        ck_assert_int_eq(memcmp(s->channels, t->channels, (size_t)s->n_channels * sizeof(mica_channel)), 0);
        ck_assert_int_eq(s->groups != NULL, t->groups != NULL);
        if (groups && s->groups != NULL) {
            ck_assert_int_eq(memcmp(s->groups, t->groups, MICA_SAMPLE_GROUPS * sizeof(mica_histogram)), 0);
        }
    }
}

START_TEST(two_halves_are_the_whole) {
    mica_module *module = model();
    mica_statistics whole = collect(module, list_of(0, SAMPLES), &PLAIN);
    for (int cut = 1; cut < SAMPLES; cut += 7) {
        mica_statistics sum = collect(module, list_of(0, cut), &PLAIN);
        mica_statistics rest = collect(module, list_of(cut, SAMPLES), &PLAIN);
        ck_assert(mica_statistics_merge(&sum, &rest, &err) == MICA_OK);
        check_equal(&whole, &sum, false);
        mica_statistics_free(&sum);
        mica_statistics_free(&rest);
    }
    mica_statistics plain = collect(module, list_of(0, 2), &(mica_collect_options){.threads = 1, .quiet = true});
    ck_assert(mica_statistics_merge(&whole, &plain, &err) == MICA_FAIL);
    ck_assert(says("cannot be merged"));
    mica_statistics_free(&plain);
    mica_statistics_free(&whole);
    mica_module_destroy(module);
}
END_TEST

/* Channel c of the input has the values 6 c .. 6 c + 5 of each sample. */
START_TEST(channels) {
    mica_module *module = model();
    mica_statistics whole = collect(module, list_of(0, SAMPLES), &PLAIN);
    const mica_tensor_statistics *x = &whole.tensors[0];
    ck_assert_int_eq(x->n_channels, 4);
    ck_assert_int_eq(x->channel_axis, 1);
    for (int c = 0; c < 4; ++c) {
        double sum[3] = {0.0, 0.0, 0.0};
        float low = INFINITY;
        float high = -INFINITY;
        for (int i = 0; i < SAMPLES; ++i) {
            for (int k = 6 * c; k < 6 * c + 6; ++k) {
                const double v = (double)data[i][k];
                low = fminf(low, data[i][k]);
                high = fmaxf(high, data[i][k]);
                sum[0] += v;
                sum[1] += v * v;
                sum[2] += v * v * v * v;
            }
        }
        const mica_channel *got = &x->channels[c];
        ck_assert_uint_eq(got->count, 6 * SAMPLES);
        ck_assert_float_eq(got->min, low);
        ck_assert_float_eq(got->max, high);
        ck_assert_double_eq_tol(ldexp((double)got->sum, -64), sum[0], 1e-9);
        ck_assert_double_eq_tol(ldexp((double)got->square, -64), sum[1], 1e-9);
        ck_assert_double_eq_tol(ldexp((double)got->fourth, -64), sum[2], 1e-6);
    }
    mica_statistics_free(&whole);
    mica_module_destroy(module);
}
END_TEST

/* --- the file ----------------------------------------------------------------------------------- */

typedef struct file_case {
    mica_module *module;
    mica_dataset *dataset;
    mica_cache_key key;
    const char *mlir, *path;
} file_case;

static file_case open_case(const char *list) {
    file_case c = {.module = model()};
    c.mlir = scratch_write("m.mlir", "text", 4);
    c.path = scratch_path("cache");
    c.dataset = mica_dataset_open(c.module, NULL, list, 0, &err);
    ck_assert_msg(c.dataset != NULL, "%s", err.text);
    ck_assert(mica_cache_key_make(c.mlir, NULL, c.dataset, true, &c.key, &err) == MICA_OK);
    return c;
}

static void close_case(file_case *c) {
    mica_cache_key_free(&c->key);
    mica_dataset_close(c->dataset);
    mica_module_destroy(c->module);
}

static mica_cache_state load(const file_case *c, mica_statistics *out) {
    err.text[0] = '\0';
    return mica_cache_read(c->path, &c->key, c->module->arena, out, &err);
}

static mica_status write_and_die(void *user, const mica_statistics *so_far, mica_error *error) {
    const file_case *c = user;
    MICA_TRY(mica_cache_write(c->path, &c->key, so_far, error));
    if (so_far->samples >= SAMPLES / 3) {
        kill(getpid(), SIGKILL);
    }
    return MICA_OK;
}

/* kill -9 after a third; the rest gives the same bytes, with any number of threads. */
START_TEST(killed_and_resumed) {
    const char *list = list_of(0, SAMPLES);
    for (int threads = 1; threads <= 3; ++threads) {
        file_case c = open_case(list);
        unlink(c.path);
        mica_collect_options options = PLAIN;
        mica_statistics whole = collect(c.module, list, &options);
        options.threads = threads;
        const pid_t child = fork();
        if (child == 0) {
            options.checkpoint = write_and_die;
            options.user = &c;
            mica_statistics lost;
            (void)!mica_collect(c.module, c.dataset, &options, &lost, &err);
            _exit(0);
        }
        int how = 0;
        ck_assert_int_eq(waitpid(child, &how, 0), child);
        ck_assert(WIFSIGNALED(how) && WTERMSIG(how) == SIGKILL);
        mica_statistics begun;
        ck_assert_int_eq(load(&c, &begun), MICA_CACHE_PART);
        ck_assert_uint_ge(begun.samples, SAMPLES / 3);
        ck_assert_uint_lt(begun.samples, SAMPLES);
        options.begun = &begun;
        mica_statistics resumed = collect(c.module, list, &options);
        check_equal(&whole, &resumed, true);
        mica_statistics_free(&begun);
        mica_statistics_free(&resumed);
        mica_statistics_free(&whole);
        close_case(&c);
    }
}
END_TEST

START_TEST(round_trip) {
    const char *list = list_of(0, SAMPLES);
    file_case c = open_case(list);
    mica_statistics whole = collect(c.module, list, &PLAIN);
    mica_statistics read;
    ck_assert_int_eq(load(&c, &read), MICA_CACHE_ABSENT);
    ck_assert(mica_cache_write(c.path, &c.key, &whole, &err) == MICA_OK);
    ck_assert_int_eq(load(&c, &read), MICA_CACHE_WHOLE);
    check_equal(&whole, &read, true);
    mica_statistics_free(&read);
    mica_statistics_free(&whole);
    close_case(&c);
}
END_TEST

/* The key of other samples, another order, another model, other options. */
START_TEST(stale) {
    file_case c = open_case(list_of(0, SAMPLES));
    mica_statistics whole = collect(c.module, list_of(0, SAMPLES), &PLAIN);
    ck_assert(mica_cache_write(c.path, &c.key, &whole, &err) == MICA_OK);
    mica_statistics read;

    mica_cache_key_free(&c.key);
    data[4][0] += 1.0f;
    write_sample(4, data[4]);
    ck_assert(mica_cache_key_make(c.mlir, NULL, c.dataset, true, &c.key, &err) == MICA_OK);
    ck_assert_int_eq(load(&c, &read), MICA_CACHE_REFUSED);
    ck_assert(says("the samples changed (1 of it are gone, 1 are new)"));
    data[4][0] -= 1.0f;
    write_sample(4, data[4]);

    mica_cache_key_free(&c.key);
    scratch_write("m.mlir", "other", 5);
    ck_assert(mica_cache_key_make(c.mlir, NULL, c.dataset, true, &c.key, &err) == MICA_OK);
    ck_assert_int_eq(load(&c, &read), MICA_CACHE_REFUSED);
    ck_assert(says("it belongs to another model"));
    scratch_write("m.mlir", "text", 4);

    mica_cache_key_free(&c.key);
    ck_assert(mica_cache_key_make(c.mlir, NULL, c.dataset, false, &c.key, &err) == MICA_OK);
    ck_assert_int_eq(load(&c, &read), MICA_CACHE_REFUSED);
    ck_assert(says("it was made with --per_channel_activation"));

    c.key.per_channel = true;
    char first[MICA_HASH_HEX];
    memcpy(first, c.key.samples[0], sizeof first);
    memcpy(c.key.samples[0], c.key.samples[1], sizeof first);
    memcpy(c.key.samples[1], first, sizeof first);
    ck_assert_int_eq(load(&c, &read), MICA_CACHE_WHOLE); /* statistics do not depend on the order */
    mica_statistics_free(&read);
    whole.samples = 2;
    ck_assert(mica_cache_write(c.path, &c.key, &whole, &err) == MICA_OK);
    memcpy(first, c.key.samples[0], sizeof first);
    memcpy(c.key.samples[0], c.key.samples[5], sizeof first);
    memcpy(c.key.samples[5], first, sizeof first);
    ck_assert_int_eq(load(&c, &read), MICA_CACHE_REFUSED);
    ck_assert(says("the order of the samples changed"));
    mica_statistics_free(&whole);
    close_case(&c);
}
END_TEST

START_TEST(damaged) {
    const char *list = list_of(0, 3);
    file_case c = open_case(list);
    mica_statistics whole = collect(c.module, list, &PLAIN);
    ck_assert(mica_cache_write(c.path, &c.key, &whole, &err) == MICA_OK);
    mica_statistics_free(&whole);
    char *bytes = NULL;
    size_t size = 0;
    ck_assert(mica_read_file(c.path, 1 << 24, &bytes, &size, &err) == MICA_OK);
    mica_statistics read;
    enum { HEAD = 8 + MICA_HASH_HEX };
    for (size_t i = 8; i < size; i += 1 + size / 100) {
        bytes[i] = (char)(bytes[i] ^ 4);
        scratch_write("cache", bytes, size);
        ck_assert_int_eq(load(&c, &read), MICA_CACHE_REFUSED);
        ck_assert(says("it is damaged"));
        /* The same behind a hash that fits: refused or read, never worse. */
        char kept[MICA_HASH_HEX];
        memcpy(kept, bytes + 8, sizeof kept);
        mica_hash_hex(bytes + HEAD, size - HEAD, bytes + 8);
        scratch_write("cache", bytes, size);
        (void)load(&c, &read);
        mica_statistics_free(&read);
        memcpy(bytes + 8, kept, sizeof kept);
        bytes[i] = (char)(bytes[i] ^ 4);
        scratch_write("cache", bytes, i);
        ck_assert_int_eq(load(&c, &read), MICA_CACHE_REFUSED);
    }
    scratch_write("cache", "{\"json\": 1}", 11);
    ck_assert_int_eq(load(&c, &read), MICA_CACHE_FOREIGN);
    ck_assert(says("is no statistics cache"));
    mica_free(bytes);
    close_case(&c);
}
END_TEST

int main(void) {
    const TTest *const tests[] = {two_halves_are_the_whole, channels, killed_and_resumed, round_trip, stale,
                                  damaged};
    Suite *suite = suite_create("calibration cache");
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
