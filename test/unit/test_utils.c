/* Memory, containers, strings, numbers. */
#include "utils/arena.h"
#include "utils/checked.h"
#include "utils/half.h"
#include "utils/hash.h"
#include "utils/map.h"
#include "utils/ndarray.h"
#include "utils/prng.h"
#include "utils/progress.h"
#include "utils/status.h"
#include "utils/strbuf.h"
#include "utils/strings.h"
#include "utils/vec.h"
#include "test/unit/check_main.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static mica_status twice(mica_status inner) {
    MICA_TRY(inner);
    return MICA_OK;
}

START_TEST(status_text) {
    mica_error err = {0};
    ck_assert_int_eq(mica_fail(&err, "expected %d, got %s", 3, "four"), MICA_FAIL);
    ck_assert_str_eq(err.text, "expected 3, got four");
    (void)mica_fail(&err, "'%s': %s", "a.npy", err.text);
    ck_assert_str_eq(err.text, "'a.npy': expected 3, got four");
    ck_assert_int_eq(mica_fail(NULL, "dropped"), MICA_FAIL);
    char *longer = mica_alloc(5000);
    memset(longer, 'x', 4999);
    (void)mica_fail(&err, "%s", longer);
    ck_assert_uint_eq(strlen(err.text), sizeof err.text - 1);
    mica_free(longer);
    ck_assert_int_eq(twice(MICA_FAIL), MICA_FAIL);
    ck_assert_int_eq(twice(MICA_OK), MICA_OK);
}
END_TEST

START_TEST(arena_pieces) {
    mica_arena *arena = mica_arena_create();
    mica_prng prng;
    mica_prng_seed(&prng, 1);
    for (int i = 0; i < 2000; i++) {
        size_t n = mica_prng_below(&prng, i % 100 == 0 ? 3000000 : 300);
        unsigned char *p = mica_arena_alloc(arena, n);
        ck_assert_uint_eq((uintptr_t)p % 16, 0);
        unsigned any = 0;
        for (size_t k = 0; k < n; k++) {
            any |= p[k];
        }
        ck_assert_uint_eq(any, 0);
        memset(p, 0xa5, n); /* would show in a later piece if they overlapped */
    }
    ck_assert_str_eq(mica_arena_strdup(arena, "abc"), "abc");
    ck_assert_ptr_null(mica_arena_strdup(arena, NULL));
    ck_assert_str_eq(mica_arena_strndup(arena, "abcdef", 3), "abc");
    ck_assert_str_eq(mica_arena_strndup(arena, "ab", 30), "ab");
    ck_assert_str_eq(mica_arena_printf(arena, "%s-%d", "x", 42), "x-42");
    ck_assert_mem_eq(mica_arena_memdup(arena, "q\0r", 3), "q\0r", 3);
    ck_assert_ptr_nonnull(mica_arena_memdup(arena, NULL, 0));
    mica_arena_destroy(arena);
    mica_arena_destroy(NULL);
}
END_TEST

START_TEST(out_of_memory_exits_3) {
    if (freopen("/dev/null", "w", stderr) == NULL) {
        exit(1);
    }
    static mica_arena *volatile arena; /* stays reachable: no leak when the process ends */
    arena = mica_arena_create();
    mica_arena_array(arena, SIZE_MAX / 4, 8);
}
END_TEST

START_TEST(heap) {
    char *p = mica_alloc(0);
    ck_assert_ptr_nonnull(p);
    p = mica_realloc(p, 100);
    strcpy(p, "kept");
    p = mica_realloc(p, 100000);
    ck_assert_str_eq(p, "kept");
    mica_free(p);
    for (size_t align = 1; align <= 4096; align *= 2) {
        p = mica_alloc_aligned(align + 1, align);
        ck_assert_uint_eq((uintptr_t)p % align, 0);
        mica_free(p);
    }
    mica_free(NULL);
}
END_TEST

typedef struct pair {
    int a, b;
} pair;

START_TEST(vectors) {
    MICA_VEC(pair) v = {0};
    for (int i = 0; i < 1000; i++) {
        mica_vec_push(&v, (pair){i, -i});
    }
    ck_assert_uint_eq(v.len, 1000);
    for (int i = 0; i < 1000; i++) {
        ck_assert_int_eq(v.data[i].a + v.data[i].b, 0);
    }
    mica_vec_push(&v, v.data[7]); /* a value inside the vector, while it may move */
    ck_assert_int_eq(v.data[1000].a, 7);
    mica_vec_reserve(&v, 5000);
    ck_assert_uint_ge(v.cap, 5000);
    mica_vec_free(&v);
    ck_assert_uint_eq(v.len, 0);
    ck_assert_ptr_null(v.data);
}
END_TEST

START_TEST(string_builder) {
    mica_strbuf b = {0};
    ck_assert_str_eq(mica_strbuf_text(&b), "");
    for (int i = 0; i < 1000; i++) {
        mica_strbuf_printf(&b, "%d,", i);
    }
    mica_strbuf_append(&b, "end");
    mica_strbuf_appendn(&b, "\0z", 2);
    ck_assert_uint_eq(b.len, 10 * 2 + 90 * 3 + 900 * 4 + 3 + 2);
    ck_assert_mem_eq(b.data + b.len - 5, "end\0z", 6);
    char *text = mica_strbuf_take(&b);
    ck_assert(mica_starts_with(text, "0,1,2,3,"));
    ck_assert_ptr_null(b.data);
    mica_free(text);
    text = mica_strbuf_take(&b);
    ck_assert_str_eq(text, "");
    mica_free(text);
    mica_strbuf_free(&b);
}
END_TEST

START_TEST(map_order) {
    mica_map *map = mica_map_create();
    char key[32];
    ck_assert_ptr_null(mica_map_get(map, "x"));
    ck_assert(!mica_map_remove(map, "x"));
    for (intptr_t i = 0; i < 1000; i++) {
        snprintf(key, sizeof key, "k%d", (int)(i * 7919 % 1000));
        ck_assert(mica_map_set(map, key, (void *)(i + 1)));
    }
    ck_assert(!mica_map_set(map, "k0", (void *)5));
    ck_assert_uint_eq(mica_map_count(map), 1000);
    for (int i = 1; i < 1000; i += 2) {
        snprintf(key, sizeof key, "k%d", i * 7919 % 1000);
        ck_assert(mica_map_remove(map, key));
        ck_assert(!mica_map_has(map, key));
    }
    const char *at;
    void *value;
    for (int i = 0; i < 500; i++) {
        snprintf(key, sizeof key, "k%d", 2 * i * 7919 % 1000);
        ck_assert(mica_map_at(map, (size_t)i, &at, &value));
        ck_assert_str_eq(at, key);
        ck_assert_ptr_eq(mica_map_get(map, key), value);
    }
    ck_assert(!mica_map_at(map, 500, &at, &value));
    ck_assert(mica_map_set(map, "", NULL));
    ck_assert(mica_map_has(map, ""));
    ck_assert_ptr_null(mica_map_get(map, ""));
    mica_map_destroy(map);
    mica_map_destroy(NULL);
}
END_TEST

START_TEST(checked_arithmetic) {
    int64_t r = 17;
    size_t s = 17;
    ck_assert(mica_mul_ok(INT64_MAX / 2, 2, &r) && r == INT64_MAX - 1);
    ck_assert(!mica_mul_ok(INT64_MAX, 2, &r) && r == INT64_MAX - 1);
    ck_assert(!mica_mul_ok(INT64_MIN, -1, &r));
    ck_assert(mica_add_ok(INT64_MAX, -1, &r) && r == INT64_MAX - 1);
    ck_assert(!mica_add_ok(INT64_MAX, 1, &r));
    ck_assert(!mica_sub_ok(INT64_MIN, 1, &r));
    ck_assert(mica_sub_ok(0, INT64_MAX, &r) && r == -INT64_MAX);
    ck_assert(!mica_size_mul_ok(SIZE_MAX, 2, &s) && s == 17);
    ck_assert(!mica_size_add_ok(SIZE_MAX, 1, &s) && s == 17);
    ck_assert(mica_size_add_ok(SIZE_MAX - 1, 1, &s) && s == SIZE_MAX);
}
END_TEST

START_TEST(nearest_name) {
    const char *list[] = {"--model", "--input_shapes", "--output", "relu", "Conv"};
    size_t n = MICA_COUNT(list);
    ck_assert_str_eq(mica_nearest("--modle", list, n), "--model");
    ck_assert_str_eq(mica_nearest("--input_shape", list, n), "--input_shapes");
    ck_assert_str_eq(mica_nearest("conv", list, n), "Conv");
    ck_assert_ptr_null(mica_nearest("zebra", list, n));
    ck_assert_ptr_null(mica_nearest("", list, n));
    ck_assert_ptr_null(mica_nearest("x", list, 0));
    char big[5000];
    memset(big, 'a', sizeof big - 1);
    big[sizeof big - 1] = '\0';
    ck_assert_ptr_null(mica_nearest(big, list, n));
}
END_TEST

START_TEST(numbers) {
    int64_t i = 5;
    double d = 5;
    ck_assert(mica_parse_i64("-9223372036854775808", &i) && i == INT64_MIN);
    ck_assert(mica_parse_i64("+12", &i) && i == 12);
    const char *bad_i[] = {"", "-", " 1", "1 ", "0x10", "1.0", "9223372036854775808", "--1", "1e3"};
    for (size_t k = 0; k < MICA_COUNT(bad_i); k++) {
        ck_assert_msg(!mica_parse_i64(bad_i[k], &i), "%s", bad_i[k]);
    }
    ck_assert_int_eq(i, 12);
    ck_assert(mica_parse_f64("-0.125", &d) && d == -0.125);
    ck_assert(mica_parse_f64("1e-3", &d) && d == 1e-3);
    ck_assert(mica_parse_f64(".5", &d) && d == 0.5);
    ck_assert(mica_parse_f64("5.", &d) && d == 5);
    ck_assert(mica_parse_f64("1e-400", &d) && d == 0);
    const char *bad_f[] = {"", ".", "-", "1,5", "nan", "inf", "0x1p3", "1e", "1e+", " 1", "1 ",
                           "1e999"};
    for (size_t k = 0; k < MICA_COUNT(bad_f); k++) {
        ck_assert_msg(!mica_parse_f64(bad_f[k], &d), "%s", bad_f[k]);
    }
}
END_TEST

START_TEST(splitting_and_paths) {
    mica_arena *a = mica_arena_create();
    size_t n = 9;
    char **parts = mica_split(a, " a , b c ,, d", ',', &n);
    ck_assert_uint_eq(n, 4);
    ck_assert_str_eq(parts[0], "a");
    ck_assert_str_eq(parts[1], "b c");
    ck_assert_str_eq(parts[2], "");
    ck_assert_str_eq(parts[3], "d");
    ck_assert_ptr_null(parts[4]);
    mica_split(a, "  ", ',', &n);
    ck_assert_uint_eq(n, 0);
    mica_split(a, "x,", ',', &n);
    ck_assert_uint_eq(n, 2);
    ck_assert(mica_starts_with("abc", "ab") && !mica_starts_with("a", "ab"));
    ck_assert(mica_ends_with("a.npz", ".npz") && !mica_ends_with("z", ".npz"));
    ck_assert_str_eq(mica_path_join(a, "d", "f"), "d/f");
    ck_assert_str_eq(mica_path_join(a, "d/", "f"), "d/f");
    ck_assert_str_eq(mica_path_join(a, "d", "/f"), "/f");
    ck_assert_str_eq(mica_path_join(a, "", "f"), "f");
    ck_assert_str_eq(mica_path_dir(a, "a/b/c.npz"), "a/b");
    ck_assert_str_eq(mica_path_dir(a, "c.npz"), ".");
    ck_assert_str_eq(mica_path_dir(a, "/c"), "/");
    ck_assert_str_eq(mica_path_base(a, "a/b/c.npz"), "c.npz");
    ck_assert_str_eq(mica_path_ext(a, "a.b/D.NPZ"), ".npz");
    ck_assert_str_eq(mica_path_ext(a, "a.b/D"), "");
    ck_assert_str_eq(mica_path_ext(a, "a/.profile"), "");
    char text[16];
    ck_assert_str_eq(mica_human_bytes(0, text), "0 B");
    ck_assert_str_eq(mica_human_bytes(1023, text), "1023 B");
    ck_assert_str_eq(mica_human_bytes(1024, text), "1.0 KiB");
    ck_assert_str_eq(mica_human_bytes(1048575, text), "1.0 MiB");
    ck_assert_str_eq(mica_human_bytes(3565158, text), "3.4 MiB");
    ck_assert_str_eq(mica_human_bytes(UINT64_MAX, text), "16.0 EiB");
    mica_arena_destroy(a);
}
END_TEST

/* Value of a finite f16 pattern, from the definition. */
static double f16_value(unsigned bits) {
    int e = (int)(bits >> 10 & 31), m = (int)(bits & 1023);
    double v = e == 0 ? ldexp(m, -24) : ldexp(1024 + m, e - 25);
    return (bits & 0x8000) != 0 ? -v : v;
}

START_TEST(half_rounds_to_even) {
    for (unsigned b = 0; b < 0x10000; b++) {
        float f = mica_f16_to_f32((uint16_t)b);
        if ((b & 0x7fff) > 0x7c00) {
            ck_assert(isnan(f));
            ck_assert_uint_eq(mica_f32_to_f16(f), b | 0x200);
        } else {
            ck_assert((b & 0x7fff) == 0x7c00 ? isinf(f) : (double)f == f16_value(b));
            ck_assert_uint_eq(mica_f32_to_f16(f), b);
        }
    }
    for (unsigned b = 0; b < 0x7bff; b++) {
        float middle = (float)((f16_value(b) + f16_value(b + 1)) / 2); /* exact in f32 */
        unsigned even = b % 2 == 0 ? b : b + 1;
        ck_assert_uint_eq(mica_f32_to_f16(middle), even);
        ck_assert_uint_eq(mica_f32_to_f16(-middle), even | 0x8000);
        ck_assert_uint_eq(mica_f32_to_f16(nextafterf(middle, 0)), b);
        ck_assert_uint_eq(mica_f32_to_f16(nextafterf(middle, INFINITY)), b + 1);
    }
    ck_assert_uint_eq(mica_f32_to_f16(65519.996f), 0x7bff);
    ck_assert_uint_eq(mica_f32_to_f16(65520.0f), 0x7c00);
    ck_assert_uint_eq(mica_f32_to_f16(-3e38f), 0xfc00);
    ck_assert_uint_eq(mica_f32_to_f16(INFINITY), 0x7c00);
}
END_TEST

START_TEST(bfloat_rounds_to_even) {
    for (unsigned b = 0; b < 0x10000; b++) {
        float f = mica_bf16_to_f32((uint16_t)b);
        unsigned quiet = (b & 0x7fff) > 0x7f80 ? b | 0x40 : b;
        ck_assert_uint_eq(mica_f32_to_bf16(f), quiet);
    }
    for (unsigned b = 1; b < 0x7f7f; b++) {
        double a = mica_bf16_to_f32((uint16_t)b), c = mica_bf16_to_f32((uint16_t)(b + 1));
        float middle = (float)((a + c) / 2);
        ck_assert_uint_eq(mica_f32_to_bf16(middle), b % 2 == 0 ? b : b + 1);
        ck_assert_uint_eq(mica_f32_to_bf16(nextafterf(middle, 0)), b);
        ck_assert_uint_eq(mica_f32_to_bf16(nextafterf(-middle, -INFINITY)), (b + 1) | 0x8000);
    }
    ck_assert_uint_eq(mica_f32_to_bf16(3.4028235e38f), 0x7f80);
}
END_TEST

static void array_of(mica_ndarray *a, const char *descr, int64_t n, const void *data) {
    *a = (mica_ndarray){.rank = 1, .dims = {n}, .data = data};
    strcpy(a->descr, descr);
}

START_TEST(array_conversion) {
    mica_ndarray a;
    float f[3];
    int64_t i[3];
    array_of(&a, "<f2", 2, (const uint16_t[]){0x3c00, 0xc100});
    ck_assert(mica_ndarray_to_f32(&a, f) && f[0] == 1.0f && f[1] == -2.5f);
    ck_assert(!mica_ndarray_to_i64(&a, i));
    array_of(&a, "|i1", 2, (const int8_t[]){-128, 127});
    ck_assert(mica_ndarray_to_f32(&a, f) && f[0] == -128 && f[1] == 127);
    ck_assert(mica_ndarray_to_i64(&a, i) && i[0] == -128 && i[1] == 127);
    array_of(&a, "|u1", 1, (const uint8_t[]){200});
    ck_assert(mica_ndarray_to_f32(&a, f) && f[0] == 200);
    array_of(&a, "|b1", 2, (const uint8_t[]){0, 7});
    ck_assert(mica_ndarray_to_f32(&a, f) && f[0] == 0 && f[1] == 1);
    array_of(&a, "<i8", 1, (const int64_t[]){(INT64_C(1) << 24) + 1});
    ck_assert(mica_ndarray_to_f32(&a, f) && f[0] == 16777216.0f);
    array_of(&a, "<u8", 1, (const uint64_t[]){UINT64_MAX});
    ck_assert(mica_ndarray_to_f32(&a, f) && f[0] == 0x1p64f);
    ck_assert(!mica_ndarray_to_i64(&a, i));
    array_of(&a, "<f8", 2, (const double[]){1e300, 0.1});
    ck_assert(mica_ndarray_to_f32(&a, f) && isinf(f[0]) && f[1] == 0.1f);
    array_of(&a, "<f4", 2, (const float[]){3, -0x1p63f});
    ck_assert(mica_ndarray_to_i64(&a, i) && i[0] == 3 && i[1] == INT64_MIN);
    array_of(&a, "<f4", 1, (const float[]){NAN});
    ck_assert(!mica_ndarray_to_i64(&a, i));
    array_of(&a, "<c8", 1, f);
    ck_assert(!mica_ndarray_to_f32(&a, f));
    ck_assert_str_eq(mica_descr_canonical("<i1"), "|i1");
    ck_assert_ptr_null(mica_descr_canonical(">f4"));
    ck_assert_uint_eq(mica_descr_size("<f8"), 8);
    ck_assert_uint_eq(mica_descr_size("|O"), 0);
    ck_assert_uint_eq(mica_descr_size(""), 0);
}
END_TEST

START_TEST(shape_sizes) {
    size_t n = 1;
    int64_t d[9] = {3, 0, 5};
    ck_assert(mica_shape_bytes(3, d, 4, &n) && n == 0);
    ck_assert(mica_shape_bytes(0, d, 4, &n) && n == 4);
    ck_assert(!mica_shape_bytes(9, d, 4, &n));
    ck_assert(!mica_shape_bytes(-1, d, 4, &n));
    ck_assert(!mica_shape_bytes(2, (const int64_t[]){-1, -1}, 4, &n));
    ck_assert(!mica_shape_bytes(2, (const int64_t[]){INT64_C(1) << 40, INT64_C(1) << 40}, 4, &n));
    ck_assert(!mica_shape_bytes(3, (const int64_t[]){INT64_MAX, 0, INT64_MAX}, 1, &n));
    ck_assert_uint_eq(n, 4);
}
END_TEST

START_TEST(hash_is_canonical) {
    char hex[MICA_HASH_HEX];
    mica_hash_hex("", 0, hex); /* published value of XXH3-128 of the empty input */
    ck_assert_str_eq(hex, "99aa06d3014798d86001c324468d497f");
    mica_error err = {0};
    ck_assert_int_eq(mica_hash_file_hex("/nonexistent", hex, &err), MICA_FAIL);
    ck_assert_str_eq(err.text, "cannot open '/nonexistent': No such file or directory");
}
END_TEST

START_TEST(random_numbers) {
    mica_prng p, q;
    mica_prng_seed(&p, 0);
    /* First output after this seeding, from the published reference code. */
    ck_assert_uint_eq(mica_prng_u64(&p), UINT64_C(0x99ec5f36cb75f2b4));
    mica_prng_seed(&p, 7);
    mica_prng_seed(&q, 7);
    double sum = 0, squares = 0;
    for (int i = 0; i < 20000; i++) {
        ck_assert_uint_lt(mica_prng_below(&p, 10), 10);
        int64_t r = mica_prng_range(&p, -2, 2);
        ck_assert(r >= -2 && r <= 2);
        float f = mica_prng_f32(&p);
        ck_assert(f >= 0 && f < 1);
        float g = mica_prng_normal(&p);
        sum += g;
        squares += g * g;
    }
    ck_assert(fabs(sum / 20000) < 0.05 && fabs(squares / 20000 - 1) < 0.05);
    mica_prng_range(&p, INT64_MIN, INT64_MAX);
    ck_assert_uint_ne(mica_prng_u64(&p), mica_prng_u64(&q));
}
END_TEST

START_TEST(progress_lines) {
    char *text = NULL;
    size_t len = 0;
    mica_progress p;
    mica_progress_begin(&p, "calibrate", "images", 4);
    p.out = open_memstream(&text, &len);
    p.tty = false;
    p.start -= 8; /* as if 8 seconds had passed */
    p.last -= 8;
    mica_progress_step(&p, 1);
    mica_progress_step(&p, 1); /* too soon for another line */
    mica_progress_step(&p, 2);
    mica_progress_end(&p);
    fclose(p.out);
    ck_assert_str_eq(text, "calibrate: 1/4 (25%) images, 0.1 images/s, 0:24 left\n"
                           "calibrate: 4/4 (100%) images, 0.5 images/s, 8.0 s\n");
    free(text);
    mica_progress_begin(&p, "x", "y", 0);
    p.out = open_memstream(&text, &len);
    p.tty = true;
    p.last -= 1;
    p.start -= 1;
    mica_progress_step(&p, 5);
    mica_progress_end(&p);
    fclose(p.out);
    ck_assert_str_eq(text, "\rx: 5 y, 5.0 y/s\rx: 5 y, 5.0 y/s, 1.0 s\n");
    free(text);
    ck_assert_uint_gt(mica_peak_rss_bytes(), 100000);
    ck_assert(mica_seconds() > 0);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("utils");
    TCase *tests = tcase_create("utils");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, status_text);
    tcase_add_test(tests, arena_pieces);
    tcase_add_exit_test(tests, out_of_memory_exits_3, 3);
    tcase_add_test(tests, heap);
    tcase_add_test(tests, vectors);
    tcase_add_test(tests, string_builder);
    tcase_add_test(tests, map_order);
    tcase_add_test(tests, checked_arithmetic);
    tcase_add_test(tests, nearest_name);
    tcase_add_test(tests, numbers);
    tcase_add_test(tests, splitting_and_paths);
    tcase_add_test(tests, half_rounds_to_even);
    tcase_add_test(tests, bfloat_rounds_to_even);
    tcase_add_test(tests, array_conversion);
    tcase_add_test(tests, shape_sizes);
    tcase_add_test(tests, hash_is_canonical);
    tcase_add_test(tests, random_numbers);
    tcase_add_test(tests, progress_lines);
    suite_add_tcase(suite, tests);
    return check_run(suite);
}
