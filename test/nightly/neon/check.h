/* As much of the Check library as the kernel tests use, for cross-built programs: one process, tests one
 * after the other, the first failure ends the program. CK_RUN_CASE is honoured, time limits are not. */
#ifndef NEON_CHECK_H
#define NEON_CHECK_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ck_assert_msg(condition, ...)                                                              \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            printf("%s:%d:F: ", __FILE__, __LINE__);                                               \
            printf(__VA_ARGS__);                                                                   \
            printf("\n0%%: Checks: 1, Failures: 1, Errors: 0\n");                                  \
            exit(EXIT_FAILURE);                                                                    \
        }                                                                                          \
    } while (0)
#define ck_assert(condition) ck_assert_msg(condition, "%s", #condition)
#define ck_assert_int_eq(a, b) ck_assert_msg((a) == (b), "%s is not %s", #a, #b)
#define ck_assert_uint_eq(a, b) ck_assert_int_eq(a, b)
#define ck_assert_int_ne(a, b) ck_assert_msg((a) != (b), "%s is %s", #a, #b)
#define ck_assert_ptr_eq(a, b) ck_assert_msg((a) == (b), "%s is not %s", #a, #b)
#define ck_assert_ptr_nonnull(a) ck_assert_msg((a) != NULL, "%s is NULL", #a)
#define ck_assert_str_ne(a, b) ck_assert_msg(strcmp(a, b) != 0, "%s is %s", #a, #b)
#define ck_assert_mem_eq(a, b, size) ck_assert_msg(memcmp(a, b, size) == 0, "%s is not %s", #a, #b)

#define START_TEST(name) static void name(int _i __attribute__((unused)))
#define END_TEST

enum { CHECK_CASES = 8, CHECK_TESTS = 64, CK_NORMAL = 0, CK_ENV = 0 };

typedef struct check_test {
    void (*run)(int i);
    const char *name;
    int first, end;
} check_test;
typedef struct TCase {
    const char *name;
    check_test test[CHECK_TESTS];
    int tests;
} TCase;
typedef struct Suite {
    const char *name;
    TCase *tcase[CHECK_CASES];
    int cases;
} Suite;
typedef Suite SRunner;

static inline Suite *suite_create(const char *name) {
    Suite *s = calloc(1, sizeof *s);
    s->name = name;
    return s;
}
static inline TCase *tcase_create(const char *name) {
    TCase *t = calloc(1, sizeof *t);
    t->name = name;
    return t;
}
static inline void check_add(TCase *t, void (*run)(int), const char *name, int first, int end) {
    t->test[t->tests++] = (check_test){run, name, first, end};
}
#define tcase_add_test(tcase, name) check_add(tcase, name, #name, 0, 1)
#define tcase_add_loop_test(tcase, name, first, end) check_add(tcase, name, #name, first, end)
#define tcase_set_timeout(tcase, seconds) ((void)(tcase))
static inline void suite_add_tcase(Suite *s, TCase *t) { s->tcase[s->cases++] = t; }

static inline SRunner *srunner_create(Suite *s) { return s; }
static inline void srunner_run_all(SRunner *s, int mode) {
    const char *only = getenv("CK_RUN_CASE");
    int tests = 0;
    (void)mode;
    for (int c = 0; c < s->cases; ++c) {
        for (int t = 0; t < s->tcase[c]->tests && (!only || !strcmp(only, s->tcase[c]->name)); ++t) {
            const check_test *test = &s->tcase[c]->test[t];
            for (int i = test->first; i < test->end; ++i, ++tests) {
                test->run(i);
            }
        }
    }
    printf("%s\n100%%: Checks: %d, Failures: 0, Errors: 0\n", s->name, tests);
}
static inline int srunner_ntests_failed(const SRunner *s) {
    (void)s;
    return 0;
}
static inline void srunner_free(SRunner *s) {
    for (int c = 0; c < s->cases; ++c) {
        free(s->tcase[c]);
    }
    free(s);
}

#endif
