/* Movement kernels against naive oracles: random shapes of rank 0 to 6 with empty and unit axes. */
#include "test/ref/ref_move_all.h"
#include "test/unit/check_main.h"
#include "test/unit/elem_case.h"

enum { ROUNDS = 400 };

static const mrt_dtype move_types[] = {MRT_F32, MRT_U8,   MRT_BF16,     MRT_I64,
                                       MRT_BOOL, MRT_I16, MRT_F8E4M3FN, MRT_U4};

static mrt_dtype any_type(rng *r) {
    return move_types[below(r, (int64_t)(sizeof move_types / sizeof move_types[0]))];
}

static mrt_tensor random_tensor(rng *r, mrt_dtype dtype, const mrt_shape *shape) {
    mrt_tensor t = new_tensor(dtype, shape);
    fill_bytes(r, &t);
    return t;
}

/* Runs the kernel, compares y with `expected`, frees both. */
static void finish(kernel_case k, mrt_tensor *expected) {
    run_case(&k);
    ck_assert(same_bytes(k.out[0], expected));
    free_tensor(k.out[0]);
    free_tensor(expected);
}

START_TEST(test_permute) {
    rng r = {1};
    for (int round = 0; round < ROUNDS; round++) {
        mrt_shape shape = random_shape(&r, 0, 6), to = shape;
        if (round % 40 == 0) { /* big planes: blocks, tails and several tiles */
            shape = (mrt_shape){3, {between(&r, 1, 3), between(&r, 60, 200), between(&r, 60, 200)}};
            to = shape;
        }
        mrt_tensor x = random_tensor(&r, any_type(&r), &shape);
        mrt_permute_params p = {{0, 1, 2, 3, 4, 5, 6, 7}};
        for (int i = shape.rank - 1; i > 0; i--) {
            const int64_t j = below(&r, i + 1), t = p.order[i];
            p.order[i] = p.order[j];
            p.order[j] = t;
        }
        for (int i = 0; i < shape.rank; i++) {
            to.dims[i] = shape.dims[p.order[i]];
        }
        mrt_tensor y = new_tensor(x.dtype, &to), e = new_tensor(x.dtype, &to);
        ref_permute(&x, p.order, &e);
        finish((kernel_case){mrt_permute_check, mrt_permute_run, &p, {&x}, 1, {&y}, 1}, &e);
        free_tensor(&x);
    }
}
END_TEST

START_TEST(test_concat) {
    rng r = {2};
    for (int round = 0; round < ROUNDS; round++) {
        mrt_shape shape = random_shape(&r, 1, 6);
        const mrt_dtype dtype = any_type(&r);
        mrt_axis_params p = {.axis = below(&r, shape.rank)};
        const int n = (int)between(&r, 1, 5);
        mrt_tensor x[5];
        kernel_case k = {mrt_concat_check, mrt_concat_run, &p, {NULL}, n, {NULL}, 1};
        int64_t total = 0;
        for (int i = 0; i < n; i++) {
            shape.dims[p.axis] = below(&r, 5) * (shape.rank < 3 ? 500 : 1);
            total += shape.dims[p.axis];
            x[i] = random_tensor(&r, dtype, &shape);
            k.in[i] = &x[i];
        }
        shape.dims[p.axis] = total;
        mrt_tensor y = new_tensor(dtype, &shape), e = new_tensor(dtype, &shape);
        ref_concat(k.in, n, (int)p.axis, &e);
        k.out[0] = &y;
        finish(k, &e);
        for (int i = 0; i < n; i++) {
            free_tensor(&x[i]);
        }
    }
}
END_TEST

START_TEST(test_slice) {
    rng r = {3};
    for (int round = 0; round < ROUNDS; round++) {
        const mrt_shape shape = random_shape(&r, 0, 6);
        mrt_shape to = shape;
        mrt_tensor x = random_tensor(&r, any_type(&r), &shape);
        mrt_slice_params p;
        for (int i = 0; i < shape.rank; i++) {
            const int64_t dim = shape.dims[i];
            p.start[i] = dim > 0 ? below(&r, dim) : 0;
            p.step[i] = below(&r, 3) > 0 ? 1 : between(&r, 1, 3) * (below(&r, 2) ? 1 : -1);
            const int64_t room = p.step[i] > 0 ? (dim - 1 - p.start[i]) / p.step[i]
                                               : p.start[i] / -p.step[i];
            to.dims[i] = dim == 0 ? 0 : between(&r, below(&r, 9) == 0 ? 0 : 1, room + 1);
        }
        mrt_tensor y = new_tensor(x.dtype, &to), e = new_tensor(x.dtype, &to);
        ref_slice(&x, p.start, p.step, &e);
        finish((kernel_case){mrt_slice_check, mrt_slice_run, &p, {&x}, 1, {&y}, 1}, &e);
        free_tensor(&x);
    }
}
END_TEST

START_TEST(test_pad) {
    static const mrt_dtype types[] = {MRT_F32, MRT_U8, MRT_I16, MRT_I64};
    rng r = {4};
    for (int round = 0; round < 2 * ROUNDS; round++) {
        const mrt_shape shape = random_shape(&r, 0, 5);
        mrt_shape to = shape;
        mrt_tensor x = random_tensor(&r, types[below(&r, 4)], &shape);
        mrt_pad_params p = {.mode = below(&r, 4), .value = (double)below(&r, 100)};
        for (int i = 0; i < shape.rank; i++) {
            if (below(&r, 2) == 0) {
                continue;
            }
            p.begin[i] = between(&r, -1, 4);
            p.end[i] = between(&r, -1, 9);
            const int64_t n = shape.dims[i] + p.begin[i] + p.end[i];
            if (n < 0 || (shape.dims[i] == 0 && n > 0 && p.mode != MRT_PAD_CONSTANT)) {
                p.begin[i] = p.end[i] = 0;
            }
            to.dims[i] += p.begin[i] + p.end[i];
        }
        mrt_tensor y = new_tensor(x.dtype, &to), e = new_tensor(x.dtype, &to);
        ref_pad(&x, (int)p.mode, p.begin, p.value, &e);
        finish((kernel_case){mrt_pad_check, mrt_pad_run, &p, {&x}, 1, {&y}, 1}, &e);
        free_tensor(&x);
    }
}
END_TEST

START_TEST(test_expand_tile_copy) {
    rng r = {5};
    for (int round = 0; round < ROUNDS; round++) {
        const mrt_shape shape = random_shape(&r, 0, 5);
        mrt_shape to = {.rank = (int32_t)between(&r, shape.rank, 6)}, repeat = shape;
        const int lead = to.rank - shape.rank;
        for (int i = 0; i < to.rank; i++) {
            const int64_t dim = i < lead ? 1 : shape.dims[i - lead];
            to.dims[i] = dim == 1 ? between(&r, 1, 5) : dim;
        }
        for (int i = 0; i < shape.rank; i++) {
            repeat.dims[i] *= below(&r, 12) == 0 ? 0 : between(&r, 1, 3);
        }
        mrt_tensor x = random_tensor(&r, any_type(&r), &shape);
        mrt_tensor y = new_tensor(x.dtype, &to), e = new_tensor(x.dtype, &to);
        ref_expand(&x, &e);
        finish((kernel_case){mrt_expand_check, mrt_expand_run, NULL, {&x}, 1, {&y}, 1}, &e);
        y = new_tensor(x.dtype, &repeat);
        e = new_tensor(x.dtype, &repeat);
        ref_tile(&x, &e);
        finish((kernel_case){mrt_tile_check, mrt_tile_run, NULL, {&x}, 1, {&y}, 1}, &e);
        const mrt_shape flat = {1, {ref_count(&x)}};
        y = new_tensor(x.dtype, &flat);
        kernel_case k = {mrt_copy_check, mrt_copy_run, NULL, {&x}, 1, {&y}, 1};
        run_case(&k);
        ck_assert(same_bytes(&y, &x));
        free_tensor(&y);
        free_tensor(&x);
    }
}
END_TEST

/* Indices in [-dim, dim), sometimes out of range. */
static mrt_tensor random_indices(rng *r, const mrt_shape *shape, int64_t dim) {
    mrt_tensor t = new_tensor(below(r, 2) ? MRT_I64 : MRT_I32, shape);
    for (int64_t i = 0; i < ref_count(&t); i++) {
        int64_t at = dim > 0 ? between(r, -dim, dim - 1) : 0;
        if (below(r, 10) == 0) {
            at = below(r, 2) ? dim : t.dtype == MRT_I64 ? INT64_MIN : INT32_MIN;
        }
        ref_store_bits(&t, i, (uint64_t)at);
    }
    return t;
}

START_TEST(test_gather) {
    rng r = {6};
    for (int round = 0; round < ROUNDS; round++) {
        const mrt_shape shape = random_shape(&r, 1, 4);
        mrt_gather_params p = {.axis = below(&r, shape.rank)};
        p.batch_dims = below(&r, 2) ? 0 : below(&r, p.axis + 1);
        mrt_shape where = random_shape(&r, (int)p.batch_dims, 4);
        mrt_shape to = {.rank = 0};
        for (int i = 0; i < p.axis; i++) {
            to.dims[to.rank++] = shape.dims[i];
        }
        for (int i = 0; i < where.rank; i++) {
            if (i < p.batch_dims) {
                where.dims[i] = shape.dims[i];
            } else {
                to.dims[to.rank++] = where.dims[i];
            }
        }
        for (int i = (int)p.axis + 1; i < shape.rank; i++) {
            to.dims[to.rank++] = shape.dims[i];
        }
        mrt_tensor x = random_tensor(&r, any_type(&r), &shape);
        mrt_tensor indices = random_indices(&r, &where, shape.dims[p.axis]);
        mrt_tensor y = new_tensor(x.dtype, &to), e = new_tensor(x.dtype, &to);
        ref_gather(&x, &indices, (int)p.axis, (int)p.batch_dims, &e);
        finish((kernel_case){mrt_gather_check, mrt_gather_run, &p, {&x, &indices}, 2, {&y}, 1}, &e);
        free_tensor(&x);
        free_tensor(&indices);
    }
}
END_TEST

START_TEST(test_gather_elements) {
    rng r = {7};
    for (int round = 0; round < ROUNDS; round++) {
        const mrt_shape shape = random_shape(&r, 1, 5);
        mrt_gather_params p = {.axis = below(&r, shape.rank)};
        mrt_shape where = shape;
        for (int i = 0; i < shape.rank; i++) {
            where.dims[i] = i == p.axis ? between(&r, 0, 7) : between(&r, 0, shape.dims[i]);
        }
        mrt_tensor x = random_tensor(&r, any_type(&r), &shape);
        mrt_tensor indices = random_indices(&r, &where, shape.dims[p.axis]);
        mrt_tensor y = new_tensor(x.dtype, &where), e = new_tensor(x.dtype, &where);
        ref_gather_elements(&x, &indices, (int)p.axis, &e);
        finish((kernel_case){mrt_gather_elements_check, mrt_gather_elements_run, &p,
                             {&x, &indices}, 2, {&y}, 1}, &e);
        free_tensor(&x);
        free_tensor(&indices);
    }
}
END_TEST

/* Shapes of an index tensor [lead.., depth] and of what it addresses [lead.., rest of x]. */
static void nd_shapes(rng *r, const mrt_shape *x, int batch, mrt_shape *where, mrt_shape *values) {
    const int depth = (int)between(r, 1, x->rank - batch);
    *where = random_shape(r, batch, 3);
    for (int i = 0; i < batch; i++) {
        where->dims[i] = x->dims[i];
    }
    *values = *where;
    where->dims[where->rank++] = depth;
    for (int i = batch + depth; i < x->rank; i++) {
        values->dims[values->rank++] = x->dims[i];
    }
}

START_TEST(test_gather_nd) {
    rng r = {8};
    for (int round = 0; round < ROUNDS; round++) {
        const mrt_shape shape = random_shape(&r, 1, 4);
        mrt_gather_params p = {.batch_dims = below(&r, shape.rank > 2 ? 3 : shape.rank)};
        mrt_shape where, to;
        nd_shapes(&r, &shape, (int)p.batch_dims, &where, &to);
        mrt_tensor x = random_tensor(&r, any_type(&r), &shape);
        mrt_tensor indices = random_indices(&r, &where, 3);
        mrt_tensor y = new_tensor(x.dtype, &to), e = new_tensor(x.dtype, &to);
        ref_gather_nd(&x, &indices, (int)p.batch_dims, &e);
        finish((kernel_case){mrt_gather_nd_check, mrt_gather_nd_run, &p, {&x, &indices}, 2, {&y},
                             1}, &e);
        free_tensor(&x);
        free_tensor(&indices);
    }
}
END_TEST

START_TEST(test_scatter) {
    static const mrt_dtype types[] = {MRT_F32, MRT_F64, MRT_I8, MRT_U8, MRT_I32, MRT_I64, MRT_U16};
    rng r = {9};
    for (int round = 0; round < 2 * ROUNDS; round++) {
        const mrt_shape shape = random_shape(&r, 1, 4);
        mrt_scatter_params p = {.axis = below(&r, shape.rank), .reduction = below(&r, 5)};
        const bool nd = round % 2 != 0;
        mrt_shape where = shape, values;
        if (nd) {
            nd_shapes(&r, &shape, 0, &where, &values);
        } else {
            for (int i = 0; i < shape.rank; i++) {
                where.dims[i] = i == p.axis ? between(&r, 0, 7) : between(&r, 0, shape.dims[i]);
            }
            values = where;
        }
        mrt_tensor x = new_tensor(types[below(&r, 7)], &shape), u = new_tensor(x.dtype, &values);
        fill_small(&r, &x, -9, 9);
        fill_small(&r, &u, -9, 9);
        mrt_tensor indices = random_indices(&r, &where, nd ? 3 : shape.dims[p.axis]);
        mrt_tensor y = new_tensor(x.dtype, &shape), e = new_tensor(x.dtype, &shape);
        kernel_case k = {nd ? mrt_scatter_nd_check : mrt_scatter_elements_check,
                         nd ? mrt_scatter_nd_run : mrt_scatter_elements_run,
                         &p, {&x, &indices, &u}, 3, {&y}, 1};
        if (nd) {
            ref_scatter_nd(&x, &indices, &u, (int)p.reduction, &e);
        } else {
            ref_scatter_elements(&x, &indices, &u, (int)p.axis, (int)p.reduction, &e);
        }
        finish(k, &e);
        free_tensor(&x);
        free_tensor(&u);
        free_tensor(&indices);
    }
}
END_TEST

START_TEST(test_scatter_half) {
    /* 1 + 2 at place 1, then 3 + 4; 65504 + 65504 overflows to infinity */
    const uint16_t data[3] = {0x3c00, 0x3c00, 0x7bff}, update[3] = {0x4000, 0x4200, 0x7bff};
    const int64_t index[3] = {1, 1, -1};
    mrt_tensor x = new_dims(MRT_F16, DIMS(3)), u = new_dims(MRT_F16, DIMS(3));
    mrt_tensor indices = new_dims(MRT_I64, DIMS(3)), y = new_dims(MRT_F16, DIMS(3));
    memcpy(x.data, data, sizeof data);
    memcpy(u.data, update, sizeof update);
    memcpy(indices.data, index, sizeof index);
    const mrt_scatter_params p = {0, MRT_SCATTER_ADD};
    kernel_case k = {mrt_scatter_elements_check, mrt_scatter_elements_run, &p,
                     {&x, &indices, &u}, 3, {&y}, 1};
    run_case(&k);
    const uint16_t expected[3] = {0x3c00, 0x4600, 0x7c00};
    ck_assert(memcmp(y.data, expected, sizeof expected) == 0);
    free_tensor(&x);
    free_tensor(&u);
    free_tensor(&indices);
    free_tensor(&y);
}
END_TEST

START_TEST(test_blocks) {
    rng r = {10};
    for (int round = 0; round < ROUNDS; round++) {
        const mrt_block_params p = {between(&r, 1, 3), below(&r, 2)};
        const int64_t n = between(&r, 1, 2), c = between(&r, 0, 4), h = between(&r, 1, 5),
                      w = between(&r, 1, 5), b = p.block;
        const mrt_dtype dtype = any_type(&r);
        const mrt_shape deep = {4, {n, c * b * b, h, w}}, wide = {4, {n, c, h * b, w * b}};
        mrt_tensor x = random_tensor(&r, dtype, &deep);
        mrt_tensor y = new_tensor(dtype, &wide), e = new_tensor(dtype, &wide);
        ref_depth_to_space(&x, b, p.mode == 1, &e);
        finish((kernel_case){mrt_depth_to_space_check, mrt_depth_to_space_run, &p, {&x}, 1, {&y},
                             1}, &e);
        free_tensor(&x);
        x = random_tensor(&r, dtype, &wide);
        y = new_tensor(dtype, &deep);
        e = new_tensor(dtype, &deep);
        ref_space_to_depth(&x, b, p.mode == 1, &e);
        finish((kernel_case){mrt_space_to_depth_check, mrt_space_to_depth_run, &p, {&x}, 1, {&y},
                             1}, &e);
        free_tensor(&x);
    }
}
END_TEST

START_TEST(test_trilu_one_hot) {
    rng r = {11};
    for (int round = 0; round < ROUNDS; round++) {
        const mrt_shape shape = random_shape(&r, 2, 5), small = random_shape(&r, 0, 4);
        mrt_axis_params p = {.axis = between(&r, -7, 7), .flag = below(&r, 2)};
        if (round % 50 == 0) {
            p.axis = below(&r, 2) ? INT64_MAX : INT64_MIN;
        }
        mrt_tensor x = random_tensor(&r, any_type(&r), &shape);
        mrt_tensor y = new_tensor(x.dtype, &shape), e = new_tensor(x.dtype, &shape);
        ref_trilu(&x, p.axis, p.flag != 0, &e);
        finish((kernel_case){mrt_trilu_check, mrt_trilu_run, &p, {&x}, 1, {&y}, 1}, &e);
        free_tensor(&x);

        static const mrt_dtype types[] = {MRT_I32, MRT_I64, MRT_F32, MRT_U8};
        x = new_tensor(types[below(&r, 4)], &small);
        for (int64_t i = 0; i < ref_count(&x); i++) {
            ref_store(&x, i, (double)(x.dtype == MRT_U8 ? below(&r, 9) : between(&r, -8, 8)));
        }
        p.axis = below(&r, small.rank + 1);
        mrt_shape to = {.rank = small.rank + 1};
        for (int i = 0; i < to.rank; i++) {
            to.dims[i] = i == p.axis ? between(&r, 0, 6) : small.dims[i - (i > p.axis)];
        }
        const mrt_shape two = {1, {2}};
        mrt_tensor values = random_tensor(&r, any_type(&r), &two);
        y = new_tensor(values.dtype, &to);
        e = new_tensor(values.dtype, &to);
        ref_one_hot(&x, &values, (int)p.axis, &e);
        finish((kernel_case){mrt_one_hot_check, mrt_one_hot_run, &p, {&x, &values}, 2, {&y}, 1},
               &e);
        free_tensor(&x);
        free_tensor(&values);
    }
}
END_TEST

/* Wrong shapes, types and parameters are refused with a message. */
START_TEST(test_refusals) {
    mrt_tensor x = new_dims(MRT_F32, DIMS(2, 3)), y = new_dims(MRT_F32, DIMS(3, 2));
    mrt_tensor odd = new_dims(MRT_I32, DIMS(3, 2)), flat = new_dims(MRT_F32, DIMS(7));
    const mrt_permute_params twice = {{0, 0}}, far = {{1, 9}}, fine = {{1, 0}};
    const mrt_slice_params wild = {{0, 0}, {1, INT64_MAX}}, still = {{0, 0}, {0, 1}};
    const mrt_pad_params pad = {MRT_PAD_CONSTANT, {INT64_MAX, 0}, {1, 0}, 0};
    const mrt_axis_params axis = {.axis = 2};
    const mrt_block_params block = {0, 0};
    const kernel_case cases[] = {
        {mrt_permute_check, NULL, &twice, {&x}, 1, {&y}, 1},
        {mrt_permute_check, NULL, &far, {&x}, 1, {&y}, 1},
        {mrt_permute_check, NULL, &fine, {&x}, 1, {&odd}, 1},
        {mrt_permute_check, NULL, &fine, {&x}, 1, {&x}, 1},
        {mrt_permute_check, NULL, &fine, {NULL}, 1, {&y}, 1},
        {mrt_permute_check, NULL, &fine, {NULL}, 0, {&y}, 0},
        {mrt_slice_check, NULL, &wild, {&x}, 1, {&x}, 1},
        {mrt_slice_check, NULL, &still, {&x}, 1, {&x}, 1},
        {mrt_slice_check, NULL, &still, {&x}, 1, {&flat}, 1},
        {mrt_pad_check, NULL, &pad, {&x}, 1, {&x}, 1},
        {mrt_concat_check, NULL, &axis, {&x, &x}, 2, {&x}, 1},
        {mrt_copy_check, NULL, NULL, {&x}, 1, {&flat}, 1},
        {mrt_expand_check, NULL, NULL, {&x}, 1, {&y}, 1},
        {mrt_tile_check, NULL, NULL, {&x}, 1, {&y}, 1},
        {mrt_gather_check, NULL, &axis, {&x, &odd}, 2, {&y}, 1},
        {mrt_gather_nd_check, NULL, &axis, {&x, &x}, 2, {&y}, 1},
        {mrt_depth_to_space_check, NULL, &block, {&x}, 1, {&y}, 1},
        {mrt_one_hot_check, NULL, &axis, {&x, &flat}, 2, {&y}, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        mrt_error err = {""};
        ck_assert_msg(check_case(&cases[i], &err) != MRT_OK, "case %zu", i);
        ck_assert_msg(err.text[0] != '\0', "case %zu", i);
    }
    free_tensor(&x);
    free_tensor(&y);
    free_tensor(&odd);
    free_tensor(&flat);
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("move");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, test_permute);
    tcase_add_test(tests, test_concat);
    tcase_add_test(tests, test_slice);
    tcase_add_test(tests, test_pad);
    tcase_add_test(tests, test_expand_tile_copy);
    tcase_add_test(tests, test_gather);
    tcase_add_test(tests, test_gather_elements);
    tcase_add_test(tests, test_gather_nd);
    tcase_add_test(tests, test_scatter);
    tcase_add_test(tests, test_scatter_half);
    tcase_add_test(tests, test_blocks);
    tcase_add_test(tests, test_trilu_one_hot);
    tcase_add_test(tests, test_refusals);
    Suite *suite = suite_create("kernels_move");
    suite_add_tcase(suite, tests);
    return check_run(suite);
}
