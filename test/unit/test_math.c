/* Elementary functions against libm in double, over a stride of all bit patterns of float; special
 * values; array forms and vector widths against the scalar form. */
#include "runtime/mrt_math.h"
#include "test/unit/check_main.h"

#include <check.h>
#include <stdlib.h>

typedef struct function {
    const char *name;
    void (*array)(const float *, float *, int64_t);
    float (*scalar)(float);
    double (*reference)(double);
} function;

/* References that libm does not have, in forms without cancellation. */
static double ref_sigmoid(double x) {
    return x < 0 ? exp(x) / (1 + exp(x)) : 1 / (1 + exp(-x));
}
static double ref_softplus(double x) { return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x)); }
static double ref_log_sigmoid(double x) { return -ref_softplus(-x); }
static double ref_mish(double x) { return x < -200 ? -0.0 : x * tanh(ref_softplus(x)); }
static double ref_gelu(double x) { return x < -50 ? -0.0 : x * 0.5 * erfc(-x * sqrt(0.5)); }
static double ref_gelu_tanh(double x) {
    const double u = sqrt(2 / acos(-1)) * (x + 0.044715 * x * x * x);
    return x < -50 ? -0.0 : x / (1 + exp(-2 * u));
}

#define ref_exp exp
#define ref_exp2 exp2
#define ref_expm1 expm1
#define ref_log log
#define ref_log1p log1p
#define ref_tanh tanh
#define ref_erf erf
#define ref_sin sin
#define ref_cos cos
#define ref_tan tan
#define ref_asin asin
#define ref_acos acos
#define ref_atan atan
#define ref_sinh sinh
#define ref_cosh cosh
#define ref_asinh asinh
#define ref_acosh acosh
#define ref_atanh atanh
#define X(name)                                                                                    \
    static float scalar_##name(float x) { return mrt_##name##f(x); }
MRT_MATH_LIST(X)
#undef X

static const function functions[] = {
#define X(name) {#name, mrt_vec_##name, scalar_##name, ref_##name},
    MRT_MATH_LIST(X)
#undef X
};
#define FUNCTIONS ((int)(sizeof functions / sizeof functions[0]))

static uint32_t bits(float x) {
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}
static float from_bits(uint32_t u) {
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}

/* Distance in units of the last place of float at the reference. */
static double ulps(float got, double want) {
    if (isnan(want)) {
        return bits(got) == 0x7fc00000u ? 0 : INFINITY;
    }
    if (isinf((float)want) || isinf(got)) {
        return got == (float)want ? 0 : INFINITY;
    }
    int e;
    frexp(want, &e);
    return fabs((double)got - want) / ldexp(1, (e < -125 ? -125 : e) - 24);
}

#define BLOCK 4096
static double worst(const function *f, uint32_t step) {
    static float x[BLOCK], y[BLOCK];
    double max = 0;
    uint64_t u = step / 3;
    while (u < ((uint64_t)1 << 32)) {
        int n = 0;
        for (; n < BLOCK && u < ((uint64_t)1 << 32); n++, u += step) {
            x[n] = from_bits((uint32_t)u);
        }
        f->array(x, y, n);
        for (int i = 0; i < n; i++) {
            const double error = ulps(y[i], f->reference((double)x[i]));
            if (!(error <= 0.51) || bits(y[i]) != bits(f->scalar(x[i]))) {
                ck_abort_msg("%s(%a) = %a, want %a, scalar form %a", f->name, (double)x[i],
                             (double)y[i], f->reference((double)x[i]), (double)f->scalar(x[i]));
            }
            max = error > max ? error : max;
        }
    }
    return max;
}

START_TEST(test_accuracy) {
    /* MICA_MATH_STEP=1 tests every float. */
    const char *step = getenv("MICA_MATH_STEP");
    const double max = worst(&functions[_i], step ? (uint32_t)strtoul(step, NULL, 10) : 40009);
    ck_assert(max >= 0);
}
END_TEST

static float apply(const char *name, float x) {
    for (int i = 0; i < FUNCTIONS; i++) {
        if (strcmp(functions[i].name, name) == 0) {
            float y;
            functions[i].array(&x, &y, 1);
            return y;
        }
    }
    ck_abort_msg("no function %s", name);
    return 0;
}

START_TEST(test_special_values) {
    static const struct {
        const char *name;
        float x, y;
    } cases[] = {
        {"exp", -INFINITY, 0},       {"exp", INFINITY, INFINITY}, {"exp", -0.0f, 1},
        {"exp2", 10, 1024},          {"exp2", -149, 0x1p-149f},   {"exp2", -150, 0},
        {"exp2", 128, INFINITY},     {"log", 0, -INFINITY},       {"log", -0.0f, -INFINITY},
        {"log", 1, 0},               {"log", INFINITY, INFINITY}, {"log", -1, NAN},
        {"log1p", -0.0f, -0.0f},     {"log1p", -1, -INFINITY},    {"log1p", INFINITY, INFINITY},
        {"expm1", -0.0f, -0.0f},     {"expm1", -INFINITY, -1},    {"tanh", -0.0f, -0.0f},
        {"tanh", INFINITY, 1},       {"tanh", -INFINITY, -1},     {"sigmoid", 0, 0.5f},
        {"sigmoid", -INFINITY, 0},   {"sigmoid", INFINITY, 1},    {"erf", -0.0f, -0.0f},
        {"erf", -INFINITY, -1},      {"gelu", -INFINITY, -0.0f},  {"gelu", INFINITY, INFINITY},
        {"gelu_tanh", -INFINITY, -0.0f}, {"gelu_tanh", INFINITY, INFINITY},
        {"mish", -INFINITY, -0.0f},  {"mish", INFINITY, INFINITY}, {"softplus", -INFINITY, 0},
        {"softplus", INFINITY, INFINITY}, {"log_sigmoid", -INFINITY, -INFINITY},
        {"sin", -0.0f, -0.0f},       {"sin", INFINITY, NAN},      {"cos", 0, 1},
        {"tan", -0.0f, -0.0f},       {"tan", -INFINITY, NAN},     {"asin", -0.0f, -0.0f},
        {"asin", 2, NAN},            {"acos", 1, 0},              {"acos", -1, 0x1.921fb6p+1f},
        {"atan", -0.0f, -0.0f},      {"atan", INFINITY, 0x1.921fb6p+0f},
        {"sinh", -0.0f, -0.0f},      {"sinh", -INFINITY, -INFINITY}, {"cosh", INFINITY, INFINITY},
        {"asinh", -INFINITY, -INFINITY}, {"asinh", -0.0f, -0.0f}, {"acosh", 1, 0},
        {"acosh", 0.5f, NAN},        {"atanh", 1, INFINITY},      {"atanh", -1, -INFINITY},
        {"atanh", -0.0f, -0.0f},     {"atanh", 1.5f, NAN},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const float y = apply(cases[i].name, cases[i].x);
        const uint32_t want = isnan(cases[i].y) ? 0x7fc00000u : bits(cases[i].y);
        ck_assert_msg(bits(y) == want, "%s(%g) = %g, want %g", cases[i].name, (double)cases[i].x,
                      (double)y, (double)cases[i].y);
    }
    for (int i = 0; i < FUNCTIONS; i++) {
        float x = -NAN, y;
        functions[i].array(&x, &y, 1);
        ck_assert_msg(bits(y) == 0x7fc00000u, "%s(nan)", functions[i].name);
    }
}
END_TEST

static uint32_t next(uint64_t *state) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 32);
}

START_TEST(test_pow_and_atan2) {
    static const float corner[] = {0.0f,  -0.0f, 1.0f, -1.0f, 2.0f,   -2.0f, 3.0f,     -3.0f,
                                   0.5f,  -0.5f, 2.5f, -2.5f, 1e-40f, 1e38f, INFINITY, -INFINITY,
                                   NAN,   1e30f, 0x1.fffffep-1f, 16777217.0f, -7.0f, -1e38f};
    const int corners = (int)(sizeof corner / sizeof corner[0]);
    uint64_t state = 1;
    for (int i = 0; i < 400000; i++) {
        float x = from_bits(next(&state)), y = from_bits(next(&state));
        if (i % 2) { /* powers that neither over- nor underflow */
            x = from_bits(0x3f000000u + next(&state) % 0x2000000u);
            y = (float)((int)(next(&state) % 4000) - 2000) / 64.0f;
        }
        if (i < corners * corners) {
            x = corner[i / corners];
            y = corner[i % corners];
        }
        float z;
        mrt_vec_pow(&x, &y, &z, 1);
        ck_assert_msg(ulps(z, pow((double)x, (double)y)) <= 0.51, "pow(%a, %a) = %a, want %a",
                      (double)x, (double)y, (double)z, pow((double)x, (double)y));
        ck_assert(isnan(z) || signbit(z) == signbit((float)pow((double)x, (double)y)));
        mrt_vec_atan2(&x, &y, &z, 1);
        ck_assert_msg(ulps(z, atan2((double)x, (double)y)) <= 0.51, "atan2(%a, %a) = %a, want %a",
                      (double)x, (double)y, (double)z, atan2((double)x, (double)y));
        ck_assert(isnan(z) || signbit(z) == signbit((float)atan2((double)x, (double)y)));
    }
}
END_TEST

/* The same loops at every vector width of this machine give the same bytes, also in place. */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define WIDTH(name, width, isa)                                                                    \
    __attribute__((target(isa), noinline)) static void width##_##name(const float *x, float *y,    \
                                                                      int64_t n) {                 \
        for (int64_t i = 0; i < n; i++) {                                                          \
            y[i] = mrt_##name##f(x[i]);                                                            \
        }                                                                                          \
    }
#define X(name)                                                                                    \
    WIDTH(name, sse2, "sse2") WIDTH(name, avx2, "avx2,fma") WIDTH(name, avx512, "avx512f,avx512dq")
MRT_MATH_LIST(X)
#undef X
static const struct {
    void (*sse2)(const float *, float *, int64_t);
    void (*avx2)(const float *, float *, int64_t);
    void (*avx512)(const float *, float *, int64_t);
} widths[] = {
#define X(name) {sse2_##name, avx2_##name, avx512_##name},
    MRT_MATH_LIST(X)
#undef X
};

START_TEST(test_widths) {
    static float x[1003], want[1003], y[1003];
    uint64_t state = 7;
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < 1003; i++) {
            x[i] = round % 2 ? from_bits(next(&state))
                             : (float)((int)(next(&state) % 200000) - 100000) / 8192.0f;
        }
        memcpy(want, x, sizeof x);
        functions[_i].array(want, want, 1003);
        widths[_i].sse2(x, y, 1003);
        ck_assert_mem_eq(y, want, sizeof y);
        if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
            widths[_i].avx2(x, y, 1003);
            ck_assert_mem_eq(y, want, sizeof y);
        }
        if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq")) {
            widths[_i].avx512(x, y, 1003);
            ck_assert_mem_eq(y, want, sizeof y);
        }
    }
}
END_TEST
#endif

int main(void) {
    Suite *suite = suite_create("math");
    TCase *tests = tcase_create("math");
    tcase_set_timeout(tests, 600);
    tcase_add_loop_test(tests, test_accuracy, 0, FUNCTIONS);
    tcase_add_test(tests, test_special_values);
    tcase_add_test(tests, test_pow_and_atan2);
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
    tcase_add_loop_test(tests, test_widths, 0, FUNCTIONS);
#endif
    suite_add_tcase(suite, tests);
    return check_run(suite);
}
