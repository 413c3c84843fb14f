/* Bundles: what is written is what is read, the same input gives the same bytes, and no damaged
 * file does harm. */
#include "backends/bundle/bundle_writer.h"
#include "runtime/mrt_bundle_index.h"
#include "runtime/mrt_exec.h"
#include "runtime/mrt_params.h"
#include "test/unit/check_main.h"

#include <inttypes.h>
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ck_assert reports even success to the parent process: too slow for inner loops. */
#define EXPECT(condition)                                                                          \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            ck_abort_msg("%s", #condition);                                                        \
        }                                                                                          \
    } while (0)

/* --- a small model with all kinds of tensors --- */

static const float weights[24] = {1, -2, 3, -4, 5, -6, 7, -8, 9, -10, 11, -12,
                                  13, -14, 15, -16, 17, -18, 19, -20, 21, -22, 23, -24};
static const uint16_t halves[4] = {0xbc00, 0x3c00, 0x4000, 0xc248};

static const int8_t fours[5] = {-8, 7, 0, -1, 3};

static mrt_tensor tensor(const char *name, mrt_dtype dtype, int32_t rank, int64_t d0, int64_t d1) {
    return (mrt_tensor){
        .name = name, .dtype = dtype, .shape = {.rank = rank, .dims = {d0, rank > 1 ? d1 : 0}}};
}

static int32_t add(mrt_plan *plan, mrt_tensor info, mrt_tensor_kind kind, const void *data) {
    info.data = (void *)(uintptr_t)data;
    const int32_t id = mrt_plan_add_tensor(plan, &info, kind);
    EXPECT(id >= 0);
    return id;
}

static void unary(mrt_plan *plan, int64_t op, int32_t from, int32_t to, const char *name) {
    const mrt_unary_params params = {.op = op, .alpha = 0.5, .beta = -1};
    mrt_plan_add_step(plan, MRT_K_unary, &params, &from, 1, &to, 1, name);
}

static mrt_plan *build(void) {
    mrt_plan *plan = mrt_plan_create();
    const int32_t x = add(plan, tensor("x", MRT_F32, 2, 4, 6), MRT_INPUT, NULL);
    const int32_t w = add(plan, tensor("w", MRT_F32, 2, 4, 6), MRT_CONST, weights);
    const int32_t w2 = add(plan, tensor("same", MRT_F32, 2, 4, 6), MRT_CONST, weights);
    const int32_t h = add(plan, tensor("h", MRT_F16, 1, 4, 0), MRT_CONST, halves);
    const int32_t q = add(plan, tensor("q", MRT_I8, 1, 16, 0), MRT_INPUT, NULL);
    const int32_t relu = add(plan, tensor("relu", MRT_F32, 2, 4, 6), MRT_VALUE, NULL);
    unary(plan, MRT_UNARY_LEAKY_RELU, x, relu, "Relu_0");
    const int32_t cat = add(plan, tensor("cat", MRT_F32, 2, 12, 6), MRT_VALUE, NULL);
    const mrt_axis_params axis = {.axis = 0};
    mrt_plan_add_step(plan, MRT_K_concat, &axis, (int32_t[]){relu, w, w2}, 3, &cat, 1, "Concat_1");
    const mrt_tensor view = tensor("view", MRT_F32, 2, 6, 12);
    const int32_t alias = mrt_plan_add_alias(plan, &view, cat);
    const int32_t turned = add(plan, tensor("turned", MRT_F32, 2, 12, 6), MRT_VALUE, NULL);
    const mrt_permute_params order = {.order = {1, 0, 2, 3, 4, 5, 6, 7}};
    mrt_plan_add_step(plan, MRT_K_permute, &order, &alias, 1, &turned, 1, "Transpose_2");
    const int32_t half = add(plan, tensor("half", MRT_F16, 1, 4, 0), MRT_VALUE, NULL);
    unary(plan, MRT_UNARY_ABS, h, half, "Abs_3");
    mrt_tensor quantized = tensor("copy", MRT_I8, 1, 16, 0);
    quantized.scale = 0.125;
    quantized.zero_point = -3;
    const int32_t copy = add(plan, quantized, MRT_VALUE, NULL);
    mrt_plan_add_step(plan, MRT_K_copy, NULL, &q, 1, &copy, 1, "Copy_4");
    mrt_tensor four = tensor("four", MRT_I8, 1, 5, 0);
    four.bits = 4;
    add(plan, four, MRT_CONST, fours);
    mrt_plan_add_output(plan, turned);
    mrt_plan_add_output(plan, half);
    mrt_plan_add_output(plan, copy);
    mrt_error err = {{0}};
    ck_assert_msg(mrt_plan_finalize(plan, false, &err) == MRT_OK, "%s", err.text);
    return plan;
}

static const float golden_x[24] = {-1, 2, -3, 4, -5, 6, -7, 8, -9, 10, -11, 12,
                                   1, -2, 3, -4, 5, -6, 7, -8, 9, -10, 11, -12};
static const int8_t golden_q[16] = {-128, 127, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13};

static char *temp_path(const char *name) {
    const char *folder = getenv("TMPDIR");
    char *path = malloc(4096);
    snprintf(path, 4096, "%s/mica_test_%ld_%s.bmodel", folder != NULL ? folder : "/tmp",
             (long)getpid(), name);
    return path;
}

static void write_bundle(const char *path, const mrt_plan *plan, bool golden) {
    static const mrt_bundle_op ops[] = {{"Relu_0", "LeakyRelu", "F32"}, {"Abs_3", "Abs", "F16"}};
    static const mrt_bundle_attribute attributes[] = {{"color", "blue"}, {"note", ""}};
    const mica_bundle_desc desc = {
        .name = "tiny",
        .processor = "bm1684x",
        .producer = "test 1",
        .plan = plan,
        .ops = ops,
        .n_ops = 2,
        .attributes = attributes,
        .n_attributes = 2,
        .preprocess = (const char *const[]){"mean=0 scale=1", NULL},
        .golden_inputs = golden ? (const void *const[]){golden_x, golden_q} : NULL,
    };
    mica_error err = {{0}};
    ck_assert_msg(mica_bundle_write(&desc, path, &err) == MICA_OK, "%s", err.text);
}

/* The whole file, 64-byte aligned, in memory of exactly its size. */
static uint8_t *read_all(const char *path, size_t *size) {
    FILE *file = fopen(path, "rb");
    EXPECT(file != NULL && fseek(file, 0, SEEK_END) == 0);
    *size = (size_t)ftell(file);
    rewind(file);
    void *data = NULL;
    EXPECT(posix_memalign(&data, 64, *size) == 0 && fread(data, 1, *size, file) == *size);
    fclose(file);
    return data;
}

static uint8_t *sample(size_t *size) {
    char *path = temp_path("sample");
    mrt_plan *plan = build();
    write_bundle(path, plan, true);
    uint8_t *data = read_all(path, size);
    unlink(path);
    free(path);
    mrt_plan_destroy(plan);
    return data;
}

/* --- faithful --- */

static void run_golden(mrt_exec *exec, const mrt_plan *plan) {
    memcpy(mrt_exec_tensor(exec, plan->inputs[0])->data, golden_x, sizeof golden_x);
    memcpy(mrt_exec_tensor(exec, plan->inputs[1])->data, golden_q, sizeof golden_q);
    mrt_exec_run(exec, NULL, NULL);
}

static void expect_same_plan(const mrt_plan *a, const mrt_plan *b) {
    ck_assert_int_eq(a->n_tensors, b->n_tensors);
    ck_assert_int_eq(a->n_steps, b->n_steps);
    ck_assert_int_eq(a->n_inputs, b->n_inputs);
    ck_assert_int_eq(a->n_outputs, b->n_outputs);
    ck_assert_int_eq(a->arena_bytes, b->arena_bytes);
    for (int32_t i = 0; i < a->n_tensors; i++) {
        const mrt_plan_tensor *s = &a->tensors[i], *t = &b->tensors[i];
        ck_assert_str_eq(s->info.name, t->info.name);
        EXPECT(s->info.dtype == t->info.dtype && s->kind == t->kind);
        EXPECT(mrt_shape_equal(&s->info.shape, &t->info.shape));
        EXPECT(s->info.bits == t->info.bits);
        EXPECT(s->info.scale == t->info.scale && s->info.zero_point == t->info.zero_point);
        EXPECT(s->alias_of == t->alias_of && s->is_output == t->is_output);
        if (s->kind == MRT_CONST) {
            ck_assert_mem_eq(s->info.data, t->info.data, (size_t)s->bytes);
            ck_assert_int_eq((uintptr_t)t->info.data % 64, 0);
        }
    }
    for (int32_t i = 0; i < a->n_steps; i++) {
        const mrt_step *s = &a->steps[i], *t = &b->steps[i];
        ck_assert_ptr_eq(s->kernel, t->kernel);
        ck_assert_str_eq(s->op, t->op);
        EXPECT(s->n_in == t->n_in && s->n_out == t->n_out);
        EXPECT(memcmp(s->in, t->in, (size_t)s->n_in * sizeof s->in[0]) == 0);
        EXPECT(memcmp(s->out, t->out, (size_t)s->n_out * sizeof s->out[0]) == 0);
        EXPECT(memcmp(s->params, t->params, s->kernel->param_bytes) == 0);
    }
}

START_TEST(round_trip) {
    char *path = temp_path("round");
    mrt_plan *plan = build();
    write_bundle(path, plan, true);
    mrt_bundle *bundle = NULL;
    mrt_error err = {{0}};
    ck_assert_msg(mrt_bundle_open(path, 0, &bundle, &err) == MRT_OK, "%s", err.text);
    const mrt_plan *read = mrt_bundle_plan(bundle);
    expect_same_plan(plan, read);
    ck_assert_ptr_eq(read->tensors[1].info.data, read->tensors[2].info.data); /* shared */
    const mrt_bundle_info *info = mrt_bundle_get_info(bundle);
    ck_assert_str_eq(info->name, "tiny");
    ck_assert_str_eq(info->processor, "bm1684x");
    ck_assert_str_eq(info->producer, "test 1");
    ck_assert_str_eq(info->preprocess[0], "mean=0 scale=1");
    ck_assert_str_eq(info->preprocess[1], "");
    ck_assert_uint_eq(info->n_ops, 2);
    ck_assert_str_eq(info->ops[1].mode, "F16");
    ck_assert_uint_eq(info->n_sections, 2);
    ck_assert_uint_eq(info->sections[0].bytes, 192 + 3); /* 96, 8, 5 packed */
    ck_assert_uint_eq(info->sections[0].offset % 4096, 0);
    ck_assert_str_eq(mrt_bundle_find_attribute(bundle, "color"), "blue");
    ck_assert_ptr_null(mrt_bundle_find_attribute(bundle, "shape"));
    ck_assert_mem_eq(mrt_bundle_golden_input(bundle, 1), golden_q, sizeof golden_q);
    ck_assert_ptr_null(mrt_bundle_golden_input(bundle, 2));

    mrt_exec *ours = NULL, *theirs = NULL;
    ck_assert_int_eq(mrt_exec_create(plan, NULL, &ours, &err), MRT_OK);
    ck_assert_int_eq(mrt_exec_create(read, NULL, &theirs, &err), MRT_OK);
    run_golden(ours, plan);
    run_golden(theirs, read);
    for (int32_t i = 0; i < plan->n_outputs; i++) {
        ck_assert_mem_eq(mrt_exec_tensor(ours, plan->outputs[i])->data,
                         mrt_exec_tensor(theirs, read->outputs[i])->data,
                         (size_t)plan->tensors[plan->outputs[i]].bytes);
    }
    mrt_exec_destroy(ours);
    mrt_exec_destroy(theirs);
    mrt_bundle_close(bundle);
    mrt_plan_destroy(plan);
    unlink(path);
    free(path);
}
END_TEST

#if defined(__linux__)
/* True when the byte lies in a read-only mapping of the file at `path`. */
static bool is_mapped(const void *data, const char *path) {
    const char *name = strrchr(path, '/');
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[4096], access[5];
    bool found = false;
    ck_assert_ptr_nonnull(maps);
    while (!found && fgets(line, sizeof line, maps) != NULL) {
        uintptr_t first, last;
        found = sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %4s", &first, &last, access) == 3 &&
                (uintptr_t)data >= first && (uintptr_t)data < last && access[1] == '-' &&
                strstr(line, name) != NULL;
    }
    fclose(maps);
    return found;
}

/* Constants are pages of the file, which all who open it share, not copies. */
START_TEST(constants_are_mapped) {
    char *path = temp_path("mapped");
    mrt_plan *plan = build();
    mrt_bundle *bundles[2] = {NULL};
    mrt_error err = {{0}};
    int constants = 0;
    write_bundle(path, plan, true);
    for (int k = 0; k < 2; k++) {
        ck_assert_int_eq(mrt_bundle_open(path, MRT_BUNDLE_TRUST_HASHES, &bundles[k], &err), MRT_OK);
        const mrt_plan *read = mrt_bundle_plan(bundles[k]);
        for (int32_t i = 0; i < read->n_tensors; i++) {
            if (read->tensors[i].kind == MRT_CONST) {
                EXPECT(is_mapped(read->tensors[i].info.data, path) == (read->tensors[i].info.bits == 0));
                constants++;
            }
        }
    }
    ck_assert_int_gt(constants, 1);
    EXPECT(!is_mapped(path, path));
    mrt_bundle_close(bundles[0]);
    mrt_bundle_close(bundles[1]);
    mrt_plan_destroy(plan);
    unlink(path);
    free(path);
}
END_TEST
#endif

START_TEST(same_input_same_bytes) {
    size_t size, again;
    uint8_t *a = sample(&size), *b = sample(&again);
    ck_assert_uint_eq(size, again);
    ck_assert_mem_eq(a, b, size);
    /* A bundle written from a bundle's plan is that bundle. */
    mrt_bundle *bundle = NULL;
    mrt_error err = {{0}};
    ck_assert_int_eq(mrt_bundle_open_memory(a, size, 0, &bundle, &err), MRT_OK);
    char *path = temp_path("again");
    write_bundle(path, mrt_bundle_plan(bundle), true);
    free(b);
    b = read_all(path, &again);
    ck_assert_uint_eq(size, again);
    ck_assert_mem_eq(a, b, size);
    mrt_bundle_close(bundle);
    unlink(path);
    free(path);
    free(a);
    free(b);
}
END_TEST

/* --- golden input --- */

static mrt_bundle_header *header_of(uint8_t *data) {
    return (mrt_bundle_header *)(void *)data;
}

/* Makes the header match changed contents again. */
static void reseal(uint8_t *data) {
    mrt_bundle_header *header = header_of(data);
    header->hash = mrt_bundle_index_hash(header, data + header->index_offset);
}

START_TEST(verify_golden) {
    size_t size;
    uint8_t *data = sample(&size);
    mrt_bundle *bundle = NULL;
    mrt_bundle_report report;
    mrt_error err = {{0}};
    ck_assert_int_eq(mrt_bundle_open_memory(data, size, 0, &bundle, &err), MRT_OK);
    ck_assert_int_eq(mrt_bundle_verify(bundle, NULL, &report, &err), MRT_OK);
    ck_assert(report.equal);
    ck_assert_int_eq(report.checked, 5);
    ck_assert_int_eq(report.tensor, -1);
    /* Another weight (w[1][4]) changes the concat and what follows; its third row holds w. */
    const mrt_bundle_info *info = mrt_bundle_get_info(bundle);
    float value = 99;
    memcpy(data + info->sections[0].offset + 10 * sizeof value, &value, sizeof value);
    mrt_bundle_close(bundle);
    ck_assert_int_eq(mrt_bundle_open_memory(data, size, 0, &bundle, &err), MRT_CORRUPT);
    ck_assert_ptr_nonnull(strstr(err.text, "weights"));
    ck_assert_int_eq(mrt_bundle_open_memory(data, size, MRT_BUNDLE_TRUST_HASHES, &bundle, &err),
                     MRT_OK);
    mrt_pool *pool = mrt_pool_create(2);
    ck_assert_int_eq(mrt_bundle_verify(bundle, pool, &report, &err), MRT_OK);
    ck_assert(!report.equal);
    ck_assert_int_eq(report.different, 2);
    ck_assert_str_eq(report.name, "cat");
    ck_assert_str_eq(report.op, "Concat_1");
    ck_assert_int_eq(report.step, 1);
    ck_assert_int_le(report.first, 24 + 10);
    ck_assert_int_gt(report.last, 24 + 10);
    ck_assert_int_le(report.last - report.first, 2);
    mrt_pool_destroy(pool);
    mrt_bundle_close(bundle);
    free(data);
}
END_TEST

START_TEST(without_golden) {
    char *path = temp_path("plain");
    mrt_plan *plan = build();
    write_bundle(path, plan, false);
    mrt_bundle *bundle = NULL;
    mrt_bundle_report report;
    mrt_error err = {{0}};
    ck_assert_int_eq(mrt_bundle_open(path, MRT_BUNDLE_KEEP_ALL, &bundle, &err), MRT_OK);
    ck_assert(mrt_bundle_plan(bundle)->keep_all);
    ck_assert_int_eq(mrt_bundle_verify(bundle, NULL, &report, &err), MRT_UNSUPPORTED);
    mrt_bundle_close(bundle);
    mrt_plan_destroy(plan);
    unlink(path);
    free(path);
}
END_TEST

/* --- damage --- */

static mrt_status open_copy(const uint8_t *data, size_t size, uint32_t flags, mrt_error *err) {
    void *copy = NULL;
    EXPECT(posix_memalign(&copy, 64, size > 0 ? size : 1) == 0);
    memcpy(copy, data, size);
    mrt_bundle *bundle = NULL;
    const mrt_status status = mrt_bundle_open_memory(copy, size, flags, &bundle, err);
    EXPECT((bundle != NULL) == (status == MRT_OK));
    /* What opened must also run: all checks of the kernels are behind us. */
    if (status == MRT_OK && mrt_bundle_plan(bundle)->arena_bytes < 1 << 20 &&
        mrt_bundle_plan(bundle)->scratch_bytes < 1 << 20) {
        mrt_bundle_report report;
        mrt_bundle_verify(bundle, NULL, &report, err);
    }
    mrt_bundle_close(bundle);
    free(copy);
    return status;
}

START_TEST(wrong_files) {
    size_t size;
    uint8_t *data = sample(&size);
    mrt_bundle_header *header = header_of(data);
    mrt_bundle *bundle = NULL;
    mrt_error err = {{0}};
    ck_assert_int_eq(mrt_bundle_open("/nonexistent/x.bmodel", 0, &bundle, &err), MRT_IO);
    ck_assert_int_eq(mrt_bundle_open("/", 0, &bundle, &err), MRT_IO);
    ck_assert_int_eq(open_copy(data, 0, 0, &err), MRT_CORRUPT);
    ck_assert_int_eq(open_copy((const uint8_t *)"{\"json\": 1}                        "
                                                "                                   ",
                               70, 0, &err),
                     MRT_CORRUPT);
    const uint32_t written = header->format;
    header->format = MRT_BUNDLE_FORMAT + 1;
    ck_assert_int_eq(open_copy(data, size, 0, &err), MRT_VERSION);
    ck_assert_ptr_nonnull(strstr(err.text, "format"));
    header->format = written;
    ck_assert_int_eq(open_copy(data, size, 0, &err), MRT_OK);
    /* Misaligned memory is copied. */
    uint8_t *shifted = malloc(size + 1);
    memcpy(shifted + 1, data, size);
    ck_assert_int_eq(mrt_bundle_open_memory(shifted + 1, size, 0, &bundle, &err), MRT_OK);
    mrt_bundle_close(bundle);
    free(shifted);
    /* Any other byte of the header, of the contents and of the padding is covered. */
    for (size_t i = 0; i < size; i++) {
        data[i] ^= 4;
        EXPECT(open_copy(data, size, 0, &err) != MRT_OK);
        data[i] ^= 4;
    }
    free(data);
}
END_TEST

/* [pack-int4] Packed constants of a file that does not know them, with bits set behind the last value, of a
 * wrong number of bytes, of bytes used twice. */
START_TEST(packed_constants) {
    size_t size;
    uint8_t *data = sample(&size);
    mrt_bundle_header *header = header_of(data);
    uint8_t *index = data + header->index_offset;
    mrt_error err = {{0}};
    uint8_t *last = data + 4096 + 192 + 2;
    ck_assert_int_eq(*last, 3);
    *last |= 0x40;
    ck_assert_int_eq(open_copy(data, size, MRT_BUNDLE_TRUST_HASHES, &err), MRT_CORRUPT);
    ck_assert_str_eq(err.text, "bundle: unused bits are set behind constant 'four'");
    *last = 3;
    int old = 0;
    int wrong = 0;
    for (size_t at = 0; at + 4 <= header->index_bytes; at += 4) {
        uint32_t word;
        memcpy(&word, index + at, sizeof word);
        if (word != 3) {
            continue;
        }
        const uint32_t two = 2;
        memcpy(index + at, &two, sizeof two);
        for (header->format = 2; header->format <= 3; header->format++) {
            reseal(data);
            if (open_copy(data, size, 0, &err) == MRT_OK) {
                continue; /* another 3 */
            }
            old += strcmp(err.text, "bundle: impossible number of bits of tensor 'four'") == 0;
            wrong += strcmp(err.text, "bundle: shape and bytes disagree for constant 'four'") == 0;
        }
        header->format = 3;
        memcpy(index + at, &word, sizeof word);
    }
    ck_assert_int_eq(old, 1);
    ck_assert_int_eq(wrong, 1);
    free(data);
}
END_TEST

START_TEST(truncations) {
    size_t size;
    uint8_t *data = sample(&size);
    mrt_error err;
    for (size_t cut = 0; cut < size; cut += 7) {
        EXPECT(open_copy(data, cut, 0, &err) == MRT_CORRUPT);
        EXPECT(open_copy(data, cut, MRT_BUNDLE_TRUST_HASHES, &err) == MRT_CORRUPT);
    }
    /* The same with a header that agrees; the last bytes may be padding that nobody reads. */
    mrt_bundle_header *header = header_of(data);
    const uint64_t offset = header->index_offset;
    for (size_t cut = offset; cut < size; cut++) {
        header->file_bytes = cut;
        header->index_bytes = cut - offset;
        reseal(data);
        EXPECT(open_copy(data, cut, 0, &err) == MRT_CORRUPT || cut + 8 > size);
    }
    free(data);
}
END_TEST

static uint32_t draw(uint32_t *state, uint32_t below) {
    *state = *state * 1664525u + 1013904223u;
    return (uint32_t)(((uint64_t)*state * below) >> 32);
}

/* One to four changed bits, or a number replaced by a nasty one. */
static void damage(uint8_t *data, size_t first, size_t last, uint32_t *seed) {
    static const int64_t nasty[] = {-1, INT64_MAX, INT64_MIN, INT32_MAX, INT32_MIN,
                                    0,  1,         1 << 20,   255,       65536};
    if (draw(seed, 3) == 0) {
        const size_t bytes = (size_t)1 << draw(seed, 4);
        const size_t at = first + draw(seed, (uint32_t)(last - first)) / bytes * bytes;
        if (at + bytes <= last) {
            memcpy(data + at, &nasty[draw(seed, 10)], bytes);
        }
        return;
    }
    for (uint32_t n = 1 + draw(seed, 4); n > 0; n--) {
        data[first + draw(seed, (uint32_t)(last - first))] ^= (uint8_t)(1u << draw(seed, 8));
    }
}

START_TEST(random_damage) {
    size_t size;
    uint8_t *data = sample(&size), *copy = malloc(size);
    const size_t index = header_of(data)->index_offset;
    uint32_t seed = 12345;
    int opened = 0;
    mrt_error err;
    for (int trial = 0; trial < 20000; trial++) {
        memcpy(copy, data, size);
        if (trial % 8 == 0) {
            damage(copy, 0, sizeof(mrt_bundle_header), &seed);
        } else {
            damage(copy, index, size, &seed);
        }
        opened += open_copy(copy, size, MRT_BUNDLE_TRUST_HASHES, &err) == MRT_OK;
    }
    /* Names and notes may change freely; most other damage is noticed. */
    ck_assert_int_gt(opened, 100);
    ck_assert_int_lt(opened, 16000);
    free(copy);
    free(data);
}
END_TEST

START_TEST(resealed_damage_is_reported) {
    /* With good hashes over wrong contents the plan's own checks remain. */
    size_t size;
    uint8_t *data = sample(&size);
    uint8_t *index = data + header_of(data)->index_offset;
    const size_t n = size - header_of(data)->index_offset;
    mrt_error err = {{0}};
    int found = 0;
    for (size_t i = 0; i + 2 <= n; i += 2) {
        uint16_t code;
        memcpy(&code, index + i, sizeof code);
        if (code != MRT_K_permute) {
            continue;
        }
        const uint16_t unknown = 0x6666;
        memcpy(index + i, &unknown, sizeof unknown);
        reseal(data);
        if (open_copy(data, size, 0, &err) == MRT_VERSION) {
            ck_assert_ptr_nonnull(strstr(err.text, "0x6666"));
            found++;
        }
        memcpy(index + i, &code, sizeof code);
    }
    ck_assert_int_eq(found, 1);
    free(data);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("runtime_bundle");
    TCase *tests = tcase_create("runtime_bundle");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, round_trip);
#if defined(__linux__)
    tcase_add_test(tests, constants_are_mapped);
#endif
    tcase_add_test(tests, same_input_same_bytes);
    tcase_add_test(tests, verify_golden);
    tcase_add_test(tests, without_golden);
    tcase_add_test(tests, wrong_files);
    tcase_add_test(tests, packed_constants);
    tcase_add_test(tests, truncations);
    tcase_add_test(tests, random_damage);
    tcase_add_test(tests, resealed_damage_is_reported);
    suite_add_tcase(suite, tests);
    return check_run(suite);
}
