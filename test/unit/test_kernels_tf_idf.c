/* tf_idf against its oracle; pools that break the rules end without harm. */
#include "runtime/mrt_params.h"
#include "test/ref/ref_tf_idf.h"
#include "test/unit/float_case.h"

enum { WORDS = 3, LENGTHS = 3 };

#define I64(name, count) tensor_of(name, MRT_I64, 1, (int64_t[]){count})

static mrt_tensor weights_of(int64_t grams) {
    mrt_tensor t = F32("weights", grams);
    for (int64_t i = 0; i < grams; i++) {
        ((float *)t.data)[i] = (float)case_int(1, 8);
    }
    return t;
}

/* All n-grams of three words of length 1 to 3 in rising order, of each length `kept` of them. */
typedef struct pool {
    mrt_tensor items, starts, columns, weights;
    int64_t lengths[64], at[64], grams;
} pool;

static pool make_pool(void) {
    int64_t items[256], used = 0;
    pool p = {.starts = I64("starts", LENGTHS)};
    for (int64_t n = 1, all = WORDS; n <= LENGTHS; n++, all *= WORDS) {
        ((int64_t *)p.starts.data)[n - 1] = used;
        for (int64_t code = 0; code < all; code++) {
            if (case_int(0, 2) == 0) {
                continue;
            }
            p.lengths[p.grams] = n;
            p.at[p.grams++] = used;
            for (int64_t i = 0, rest = all / WORDS; i < n; i++, rest /= WORDS) {
                items[used++] = code / rest % WORDS - 1;
            }
        }
    }
    p.items = I64("pool", used);
    memcpy(p.items.data, items, (size_t)used * sizeof *items);
    p.columns = I64("columns", p.grams);
    for (int64_t i = 0; i < p.grams; i++) {
        ((int64_t *)p.columns.data)[i] = (i * 7 + 3) % p.grams;
    }
    /* One column per n-gram: 7 divides no count below 7, and 39 is the largest. */
    for (int64_t i = 0; i < p.grams && p.grams % 7 == 0; i++) {
        ((int64_t *)p.columns.data)[i] = p.grams - 1 - i;
    }
    p.weights = weights_of(p.grams);
    return p;
}

static void free_pool(pool *p) {
    tensor_free(&p->items);
    tensor_free(&p->starts);
    tensor_free(&p->columns);
    tensor_free(&p->weights);
}

static void run_case(bool rows, bool narrow) {
    pool p = make_pool();
    const int64_t n = rows ? case_int(0, 4) : 1, width = case_int(0, 12);
    const int64_t low = case_int(1, LENGTHS);
    const mrt_tf_idf_params params = {.mode = case_int(MRT_TF, MRT_TF_IDF), .min_length = low,
                                      .max_length = case_int(low, LENGTHS + 1),
                                      .max_skip = case_int(0, 5)};
    const int64_t x_dims[] = {n, width}, y_dims[] = {n, p.grams};
    mrt_tensor x = tensor_of("x", narrow ? MRT_I32 : MRT_I64, rows ? 2 : 1, x_dims + !rows);
    mrt_tensor y = tensor_of("y", MRT_F32, rows ? 2 : 1, y_dims + !rows);
    int64_t *wide = malloc((size_t)(n * width + 1) * sizeof *wide);
    double *want = malloc((size_t)(n * p.grams + 1) * sizeof *want);
    for (int64_t i = 0; i < n * width; i++) {
        wide[i] = case_int(-1, WORDS - 1);
        if (narrow) {
            ((int32_t *)x.data)[i] = (int32_t)wide[i];
        } else {
            ((int64_t *)x.data)[i] = wide[i];
        }
    }
    const ref_tf_idf r = {.grams = p.grams, .min_length = low, .max_length = params.max_length,
                          .max_skip = params.max_skip, .width = width, .size = p.grams,
                          .lengths = p.lengths, .at = p.at, .items = p.items.data,
                          .columns = p.columns.data, .weights = p.weights.data,
                          .mode = "tib"[params.mode]};
    for (int64_t i = 0; i < n; i++) {
        ref_tf_idf_run(&r, wide + i * width, want + i * p.grams);
    }
    const mrt_tensor *in[] = {&x, &p.items, &p.starts, &p.columns, &p.weights};
    mrt_tensor *out[] = {&y};
    const mrt_call call = {.in = in, .n_in = 5, .out = out, .n_out = 1, .params = &params};
    case_run(mrt_tf_idf_check, mrt_tf_idf_run, call);
    case_close(&y, want, 0);
    free(wide);
    free(want);
    free_pool(&p);
    tensor_free(&x);
    tensor_free(&y);
}

START_TEST(test_random) {
    case_seed = (uint64_t)_i + 1;
    for (int i = 0; i < 200; i++) {
        run_case(case_int(0, 1) != 0, case_int(0, 1) != 0);
    }
}
END_TEST

START_TEST(test_broken_pools) {
    static const int64_t starts[][LENGTHS] = {
        {0, 100, 200}, {-5, 0, 3}, {9, 3, 0}, {INT64_MIN, 0, INT64_MAX}, {0, 0, 1}};
    const mrt_tf_idf_params params = {.mode = MRT_TF, .min_length = 1, .max_length = LENGTHS,
                                      .max_skip = INT32_MAX};
    case_seed = 7;
    pool p = make_pool();
    mrt_tensor x = I64("x", 9), y = F32("y", 4);
    const mrt_tensor *in[] = {&x, &p.items, &p.starts, &p.columns, &p.weights};
    mrt_tensor *out[] = {&y};
    const mrt_call call = {.in = in, .n_in = 5, .out = out, .n_out = 1, .params = &params};
    memset(x.data, 0, 9 * sizeof(int64_t));
    for (size_t i = 0; i < sizeof starts / sizeof starts[0]; i++) {
        memcpy(p.starts.data, starts[i], sizeof starts[i]);
        ((int64_t *)p.columns.data)[0] = INT64_MIN;
        ((int64_t *)p.columns.data)[1] = INT64_MAX;
        case_run(mrt_tf_idf_check, mrt_tf_idf_run, call);
    }
    free_pool(&p);
    tensor_free(&x);
    tensor_free(&y);
}
END_TEST

START_TEST(test_refused) {
    mrt_tf_idf_params params = {.mode = MRT_TF, .min_length = 1, .max_length = 1};
    pool p = make_pool();
    mrt_tensor x = F32("x", 9), y = F32("y", 4), one = F32("weights", 1), ids = I64("x", 9);
    const mrt_tensor *in[] = {&x, &p.items, &p.starts, &p.columns, &p.weights};
    mrt_tensor *out[] = {&y};
    const mrt_call call = {.in = in, .n_in = 5, .out = out, .n_out = 1, .params = &params};
    case_refused(mrt_tf_idf_check, call, "operand 'x': expected i64 or i32");
    in[0] = &ids;
    in[4] = &one;
    case_refused(mrt_tf_idf_check, call, "operand 'weights'");
    in[4] = &p.weights;
    params.min_length = 2;
    case_refused(mrt_tf_idf_check, call, "parameter 'max_length'");
    params.max_skip = -1;
    params.min_length = 1;
    case_refused(mrt_tf_idf_check, call, "parameter 'max_skip'");
    free_pool(&p);
    tensor_free(&x);
    tensor_free(&y);
    tensor_free(&one);
    tensor_free(&ids);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("kernels_tf_idf");
    TCase *cases = tcase_create("all");
    tcase_set_timeout(cases, 60);
    tcase_add_loop_test(cases, test_random, 0, 4);
    tcase_add_test(cases, test_broken_pools);
    tcase_add_test(cases, test_refused);
    suite_add_tcase(suite, cases);
    return check_run(suite);
}
