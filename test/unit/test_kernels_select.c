/* Kernels that find how large their result is, against naive oracles. */
#include "test/ref/ref_select.h"
#include "test/unit/check_main.h"
#include "test/unit/elem_case.h"

enum { ROUNDS = 300, ROOM = 4096 };

static const mrt_dtype types[] = {MRT_F32, MRT_U8,  MRT_I64, MRT_BOOL,
                                  MRT_I16, MRT_F16, MRT_F64, MRT_I8};

static mrt_tensor random_tensor(rng *r, mrt_dtype dtype, const mrt_shape *shape) {
    mrt_tensor t = new_tensor(dtype, shape);
    for (int64_t i = 0; i < ref_count(&t); i++) {
        const int64_t v = between(r, ref_is_unsigned(dtype) || dtype == MRT_BOOL ? 0 : -2, 2);
        if (dtype == MRT_F16) {
            static const uint16_t halves[] = {0x0000, 0x8000, 0x3c00, 0xbc00, 0x7e00};
            ((uint16_t *)t.data)[i] = halves[v + 2];
        } else {
            ref_store(&t, i, dtype == MRT_BOOL ? (double)(v > 0) : (double)v);
        }
        if (dtype == MRT_F32 && below(r, 12) == 0) {
            ((float *)t.data)[i] = below(r, 2) ? NAN : -0.0f;
        }
    }
    return t;
}

/* Runs once, with scratch exactly as asked for; the outputs have the sizes that were found. */
static void run(mrt_check_fn *check, mrt_run_fn *kernel, const void *params,
                const mrt_tensor *const *in, int n_in, mrt_tensor *const *out, int n_out) {
    mrt_call call = {.in = in, .n_in = n_in, .out = out, .n_out = n_out, .params = params};
    size_t scratch = 0;
    mrt_error err = {""};
    ck_assert_msg(check(&call, &scratch, &err) == MRT_OK, "%s", err.text);
    unsigned char *memory = aligned_alloc(64, ((scratch + 63) & ~(size_t)63) + 2 * ZONE);
    memset(memory, MARK, scratch + 2 * ZONE);
    call.scratch = memory + ZONE;
    kernel(&call);
    for (size_t i = 0; i < ZONE; i++) {
        ck_assert(memory[i] == MARK && memory[ZONE + scratch + i] == MARK);
    }
    free(memory);
}

START_TEST(test_non_zero) {
    rng r = {1};
    for (int round = 0; round < ROUNDS; round++) {
        const mrt_shape shape = random_shape(&r, 1, 5);
        mrt_tensor x = random_tensor(&r, types[below(&r, 8)], &shape);
        const int64_t count = ref_count(&x);
        const mrt_shape room = {2, {shape.rank, count}};
        mrt_tensor y = new_tensor(MRT_I64, &room);
        int64_t *tuples = calloc((size_t)(count * shape.rank) + 1, sizeof *tuples);
        const int64_t n = ref_non_zero(&x, tuples);
        run(mrt_non_zero_check, mrt_non_zero_run, NULL, (const mrt_tensor *[]){&x}, 1,
            (mrt_tensor *[]){&y}, 1);
        ck_assert_int_eq(y.shape.dims[1], n);
        for (int64_t i = 0; i < n; i++) {
            for (int axis = 0; axis < shape.rank; axis++) {
                ck_assert_int_eq(((int64_t *)y.data)[axis * n + i], tuples[i * shape.rank + axis]);
            }
        }
        y.shape = room;
        ck_assert(zones_intact(&y));
        free(tuples);
        free_tensor(&x);
        free_tensor(&y);
    }
}
END_TEST

/* Slices `picked` of x along the axis are y, bit by bit. */
static void check_slices(const mrt_tensor *x, int axis, const int64_t *picked, int64_t n,
                         const mrt_tensor *y) {
    ck_assert_int_eq(y->shape.dims[axis], n);
    mrt_tensor one = *y;
    for (int64_t i = 0; i < ref_count(y); i++) {
        int64_t index[MRT_MAX_RANK];
        ref_unravel(&one, i, index);
        index[axis] = picked[index[axis]];
        const int64_t bytes = ref_elem_bytes(x->dtype);
        ck_assert(memcmp((char *)y->data + i * bytes,
                         (char *)x->data + ref_ravel(x, index) * bytes, (size_t)bytes) == 0);
    }
}

START_TEST(test_compress) {
    rng r = {2};
    for (int round = 0; round < ROUNDS; round++) {
        const mrt_shape shape = random_shape(&r, 1, 5);
        mrt_tensor x = random_tensor(&r, types[below(&r, 8)], &shape);
        const mrt_axis_params p = {.axis = below(&r, shape.rank)};
        const mrt_shape length = {1, {below(&r, shape.dims[p.axis] + 3)}};
        mrt_tensor c = new_tensor(MRT_BOOL, &length), y = new_tensor(x.dtype, &shape);
        fill_bytes(&r, &c);
        int64_t picked[ROOM];
        const int64_t n =
            ref_compress(shape.dims[p.axis], c.data, length.dims[0], picked);
        run(mrt_compress_check, mrt_compress_run, &p, (const mrt_tensor *[]){&x, &c}, 2,
            (mrt_tensor *[]){&y}, 1);
        check_slices(&x, (int)p.axis, picked, n, &y);
        y.shape = shape;
        ck_assert(zones_intact(&y));
        free_tensor(&x);
        free_tensor(&c);
        free_tensor(&y);
    }
}
END_TEST

START_TEST(test_unique) {
    rng r = {3};
    for (int round = 0; round < ROUNDS; round++) {
        const mrt_shape shape = random_shape(&r, 1, 3);
        mrt_tensor x = random_tensor(&r, types[below(&r, 8)], &shape);
        const mrt_axis_params p = {.axis = below(&r, shape.rank), .flag = below(&r, 2)};
        const mrt_shape list = {1, {shape.dims[p.axis]}};
        mrt_tensor y = new_tensor(x.dtype, &shape), first = new_tensor(MRT_I64, &list);
        mrt_tensor inverse = new_tensor(MRT_I64, &list), counts = new_tensor(MRT_I64, &list);
        int64_t e_first[ROOM], e_inverse[ROOM], e_counts[ROOM];
        const int64_t n = ref_unique(&x, (int)p.axis, p.flag != 0, e_first, e_inverse, e_counts);
        run(mrt_unique_check, mrt_unique_run, &p, (const mrt_tensor *[]){&x}, 1,
            (mrt_tensor *[]){&y, &first, &inverse, &counts}, 1 + (int)below(&r, 4));
        check_slices(&x, (int)p.axis, e_first, n, &y);
        run(mrt_unique_check, mrt_unique_run, &p, (const mrt_tensor *[]){&x}, 1,
            (mrt_tensor *[]){&(mrt_tensor){.dtype = y.dtype, .shape = shape, .data = y.data},
                             &(mrt_tensor){.dtype = MRT_I64, .shape = list, .data = first.data},
                             &inverse,
                             &(mrt_tensor){.dtype = MRT_I64, .shape = list, .data = counts.data}},
            4);
        ck_assert_mem_eq(first.data, e_first, (size_t)n * 8);
        ck_assert_mem_eq(counts.data, e_counts, (size_t)n * 8);
        ck_assert_mem_eq(inverse.data, e_inverse, (size_t)list.dims[0] * 8);
        y.shape = shape;
        ck_assert(zones_intact(&y));
        free_tensor(&x);
        free_tensor(&y);
        first.shape = counts.shape = list;
        free_tensor(&first);
        free_tensor(&inverse);
        free_tensor(&counts);
    }
}
END_TEST

START_TEST(test_nms) {
    rng r = {4};
    for (int round = 0; round < ROUNDS; round++) {
        const int64_t b = between(&r, 1, 3), c = between(&r, 1, 3), n = below(&r, 40);
        const mrt_shape s_boxes = {3, {b, n, 4}}, s_scores = {3, {b, c, n}}, s_one = {0, {0}};
        mrt_tensor boxes = new_tensor(MRT_F32, &s_boxes), scores = new_tensor(MRT_F32, &s_scores);
        for (int64_t i = 0; i < ref_count(&boxes); i++) { /* in halves: many equal boxes */
            ((float *)boxes.data)[i] = (float)between(&r, 0, 16) / 2;
        }
        for (int64_t i = 0; i < ref_count(&scores); i++) {
            ((float *)scores.data)[i] = (float)between(&r, 0, 16) / 16;
        }
        int64_t most = between(&r, -1, 12);
        float iou = (float)below(&r, 5) / 4, low = (float)below(&r, 5) / 8;
        const mrt_tensor t_most = {.dtype = MRT_I64, .shape = s_one, .data = &most};
        const mrt_tensor t_iou = {.dtype = MRT_F32, .shape = s_one, .data = &iou};
        const mrt_tensor t_low = {.dtype = MRT_F32, .shape = s_one, .data = &low};
        const int n_in = (int)between(&r, 2, 5);
        const mrt_axis_params p = {.flag = below(&r, 2)};
        const mrt_shape room = {2, {b * c * n, 3}};
        mrt_tensor y = new_tensor(MRT_I64, &room);
        run(mrt_nms_check, mrt_nms_run, &p,
            (const mrt_tensor *[]){&boxes, &scores, &t_most, &t_iou, &t_low}, n_in,
            (mrt_tensor *[]){&y}, 1);
        int64_t at = 0, picked[64];
        for (int64_t i = 0; i < b * c; i++) {
            const int64_t kept =
                ref_nms((float *)boxes.data + i / c * n * 4, (float *)scores.data + i * n, n,
                        n_in > 2 ? most : 0, n_in > 3 ? iou : 0.0f, n_in > 4 ? &low : NULL,
                        p.flag != 0, picked);
            for (int64_t k = 0; k < kept; k++, at++) {
                ck_assert_int_eq(((int64_t *)y.data)[3 * at], i / c);
                ck_assert_int_eq(((int64_t *)y.data)[3 * at + 1], i % c);
                ck_assert_int_eq(((int64_t *)y.data)[3 * at + 2], picked[k]);
            }
        }
        ck_assert_int_eq(y.shape.dims[0], at);
        y.shape = room;
        ck_assert(zones_intact(&y));
        free_tensor(&boxes);
        free_tensor(&scores);
        free_tensor(&y);
    }
}
END_TEST

START_TEST(test_slice_live) {
    for (int64_t n = 0; n < 12; n++) {
        const mrt_shape s_x = {1, {n}}, room = {1, {4}};
        mrt_tensor x = new_tensor(MRT_I64, &s_x), y = new_tensor(MRT_I64, &room);
        for (int64_t i = 0; i < n; i++) {
            ((int64_t *)x.data)[i] = i;
        }
        const mrt_slice_params p = {{1}, {2, 1, 1, 1, 1, 1, 1, 1}};
        run(mrt_slice_live_check, mrt_slice_live_run, &p, (const mrt_tensor *[]){&x}, 1,
            (mrt_tensor *[]){&y}, 1);
        ck_assert_int_eq(y.shape.dims[0], n / 2 < 4 ? n / 2 : 4);
        for (int64_t i = 0; i < y.shape.dims[0]; i++) {
            ck_assert_int_eq(((int64_t *)y.data)[i], 1 + 2 * i);
        }
        y.shape = room;
        free_tensor(&x);
        free_tensor(&y);
    }
}
END_TEST

static void expect_refused(mrt_check_fn *check, const void *params, const mrt_tensor *const *in,
                           int n_in, mrt_tensor *const *out, int n_out, const char *reason) {
    const mrt_call call = {.in = in, .n_in = n_in, .out = out, .n_out = n_out, .params = params};
    size_t scratch = 0;
    mrt_error err = {""};
    ck_assert(check(&call, &scratch, &err) != MRT_OK);
    ck_assert_msg(strstr(err.text, reason) != NULL, "%s", err.text);
}

START_TEST(test_checks) {
    mrt_tensor x = {.dtype = MRT_F32, .shape = {2, {3, 4}}};
    mrt_tensor small = {.dtype = MRT_I64, .shape = {2, {2, 11}}};
    mrt_tensor condition = {.dtype = MRT_BOOL, .shape = {1, {4}}};
    mrt_tensor y = {.dtype = MRT_F32, .shape = {2, {3, 3}}};
    const mrt_axis_params axis1 = {.axis = 1}, axis2 = {.axis = 2};
    expect_refused(mrt_non_zero_check, NULL, (const mrt_tensor *[]){&x}, 1,
                   (mrt_tensor *[]){&small}, 1, "expected room for 12");
    expect_refused(mrt_compress_check, &axis1, (const mrt_tensor *[]){&x, &condition}, 2,
                   (mrt_tensor *[]){&y}, 1, "expected room for 4");
    expect_refused(mrt_compress_check, &axis2, (const mrt_tensor *[]){&x, &condition}, 2,
                   (mrt_tensor *[]){&y}, 1, "axis");
    expect_refused(mrt_unique_check, &axis1, (const mrt_tensor *[]){&x}, 1, (mrt_tensor *[]){&y},
                   1, "expected room for 4");
    mrt_tensor boxes = {.dtype = MRT_F32, .shape = {3, {1, 5, 4}}};
    mrt_tensor scores = {.dtype = MRT_F32, .shape = {3, {1, 2, 6}}};
    mrt_tensor found = {.dtype = MRT_I64, .shape = {2, {10, 3}}};
    expect_refused(mrt_nms_check, &axis1, (const mrt_tensor *[]){&boxes, &scores}, 2,
                   (mrt_tensor *[]){&found}, 1, "boxes");
}
END_TEST

int main(void) {
    Suite *suite = suite_create("kernels_select");
    TCase *all = tcase_create("all");
    tcase_set_timeout(all, 120);
    tcase_add_test(all, test_non_zero);
    tcase_add_test(all, test_compress);
    tcase_add_test(all, test_unique);
    tcase_add_test(all, test_nms);
    tcase_add_test(all, test_slice_live);
    tcase_add_test(all, test_checks);
    suite_add_tcase(suite, all);
    return check_run(suite);
}
