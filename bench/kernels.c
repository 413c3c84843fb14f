/* Speed of the convolution and matrix kernels beside what the processor can do at most.
 *
 * The limits are loops on registers only: no kernel can be faster. Prints a Markdown table of GMAC/s with
 * 1 thread and with all of them; every figure is the best of many runs. `share` is our 1-thread figure
 * over the limit of the instructions that the row can use.
 *     build/bench/kernels [THREADS] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "runtime/kernels/int_isa.h"
#include "runtime/mrt_kernel.h"
#include "runtime/mrt_params.h"

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* --- limits --------------------------------------------------------------------------------------- */

enum { LIMIT_ROUNDS = 20000, LIMIT_REPEATS = 200, CHAINS = 10 };

#if defined(__x86_64__)
#include <immintrin.h>

/* CHAINS independent accumulators hide the latency; the empty asm keeps every operation in the loop and
 * its operands in registers. */
#define KEEP(v) __asm__ volatile("" : "+v"(v))
#define CHAIN_LIST(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9)
#define LIMIT_LOOP(NAME, TARGET, TYPE, ZERO, STEP)                                                 \
    __attribute__((target(TARGET))) static void NAME(void) {                                       \
        TYPE a = ZERO, b = ZERO;                                                                   \
        TYPE c0 = a, c1 = a, c2 = a, c3 = a, c4 = a, c5 = a, c6 = a, c7 = a, c8 = a, c9 = a;       \
        for (int round = 0; round < LIMIT_ROUNDS; ++round) {                                       \
            KEEP(a);                                                                               \
            KEEP(b);                                                                               \
            CHAIN_LIST(STEP)                                                                       \
        }                                                                                          \
    }
/* acc = fused(acc, a, b), and acc = acc + product(a, b) in two instructions */
#define FUSED_STEP(i, op) c##i = op; KEEP(c##i);
#define FMA_512(i) FUSED_STEP(i, _mm512_fmadd_ps(a, b, c##i))
#define FMA_256(i) FUSED_STEP(i, _mm256_fmadd_ps(a, b, c##i))
#define VNNI_512(i) FUSED_STEP(i, _mm512_dpbusd_epi32(c##i, a, b))
#define PAIR_STEP(i, type, product, sum) { type p = product; KEEP(p); c##i = sum; KEEP(c##i); }
#define MUL_ADD_512(i) PAIR_STEP(i, __m512, _mm512_mul_ps(a, b), _mm512_add_ps(c##i, p))
#define MUL_ADD_256(i) PAIR_STEP(i, __m256, _mm256_mul_ps(a, b), _mm256_add_ps(c##i, p))
#define MADD_512(i) PAIR_STEP(i, __m512i, _mm512_madd_epi16(a, b), _mm512_add_epi32(c##i, p))
#define MADD_256(i) PAIR_STEP(i, __m256i, _mm256_madd_epi16(a, b), _mm256_add_epi32(c##i, p))

LIMIT_LOOP(fma_512, "avx512f", __m512, _mm512_setzero_ps(), FMA_512)
LIMIT_LOOP(mul_add_512, "avx512f", __m512, _mm512_setzero_ps(), MUL_ADD_512)
LIMIT_LOOP(vnni_512, "avx512f,avx512vnni", __m512i, _mm512_setzero_si512(), VNNI_512)
LIMIT_LOOP(madd_512, "avx512f,avx512bw", __m512i, _mm512_setzero_si512(), MADD_512)
LIMIT_LOOP(fma_256, "avx2,fma", __m256, _mm256_setzero_ps(), FMA_256)
LIMIT_LOOP(mul_add_256, "avx2", __m256, _mm256_setzero_ps(), MUL_ADD_256)
LIMIT_LOOP(madd_256, "avx2", __m256i, _mm256_setzero_si256(), MADD_256)

static bool has_avx512(void) {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw");
}
static bool has_vnni(void) { return has_avx512() && __builtin_cpu_supports("avx512vnni"); }
static bool has_avx2(void) { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
#define LIMIT_LIST(X)                                                                              \
    X(FUSED, "f32 multiply-add, fused, 512 bits", fma_512, 16, has_avx512)                         \
    X(WRITTEN, "f32 multiply, then add, 512 bits", mul_add_512, 16, has_avx512)                    \
    X(INTEGER, "u8 x i8 vpdpbusd, 512 bits", vnni_512, 64, has_vnni)                               \
    X(INTEGER, "i16 vpmaddwd + add, 512 bits", madd_512, 32, has_avx512)                           \
    X(FUSED, "f32 multiply-add, fused, 256 bits", fma_256, 8, has_avx2)                            \
    X(WRITTEN, "f32 multiply, then add, 256 bits", mul_add_256, 8, has_avx2)                       \
    X(INTEGER, "i16 vpmaddwd + add, 256 bits", madd_256, 16, has_avx2)
#else
#define LIMIT_LIST(X)
#endif

/* What a kernel may use: OpenBLAS fuses, the written order may not, integers take the widest. */
enum { FUSED, WRITTEN, INTEGER, LIMIT_CLASSES };

static double best_limit[LIMIT_CLASSES]; /* GMAC/s of one thread */

static double measure_limit(void (*loop)(void), int macs) {
    double best = 1e30;
    for (int i = 0; i < LIMIT_REPEATS; ++i) {
        const double start = now();
        loop();
        const double seconds = now() - start;
        best = seconds < best ? seconds : best;
    }
    return 1e-9 * LIMIT_ROUNDS * CHAINS * macs / best;
}

static void measure_limits(void) {
    printf("| limit, registers only | GMAC/s, 1 thread |\n|---|---|\n");
#define X(kind, text, loop, macs, available)                                                       \
    if (available()) {                                                                             \
        const double rate = measure_limit(loop, macs);                                             \
        printf("| %s | %.0f |\n", text, rate);                                                     \
        best_limit[kind] = rate > best_limit[kind] ? rate : best_limit[kind];                      \
    }
    LIMIT_LIST(X)
#undef X
}

/* --- kernels -------------------------------------------------------------------------------------- */

enum { MAX_OPERANDS = 5, REPEATS = 60 };

typedef struct bench_case {
    const char *name;
    uint16_t kernel;
    int limit;
    double macs;
    mrt_tensor tensors[MAX_OPERANDS], result;
    int n_in;
    union {
        mrt_conv_params conv;
        mrt_conv_int_params conv_int;
        mrt_matmul_params matmul;
        mrt_matmul_int_params matmul_int;
    } params;
} bench_case;

static mrt_tensor tensor_of(mrt_dtype dtype, int rank, int64_t d0, int64_t d1, int64_t d2, int64_t d3) {
    mrt_tensor t = {.name = "", .dtype = dtype, .shape = {.rank = rank, .dims = {d0, d1, d2, d3}}};
    int64_t bytes = 0;
    if (!mrt_shape_bytes(&t.shape, dtype, &bytes)) {
        exit(1);
    }
    t.data = aligned_alloc(64, (size_t)(bytes + 127) / 64 * 64);
    const int64_t count = mrt_shape_count(&t.shape);
    uint32_t seed = 12345;
    for (int64_t i = 0; i < count; ++i) {
        seed = seed * 1664525u + 1013904223u;
        switch (dtype) {
        case MRT_F32:
            ((float *)t.data)[i] = (float)(seed >> 8) / 16777216.0f - 0.5f;
            break;
        case MRT_I32:
            ((int32_t *)t.data)[i] = (int32_t)(seed >> 20);
            break;
        default:
            ((uint8_t *)t.data)[i] = (uint8_t)(seed >> 24);
        }
    }
    t.scale = dtype == MRT_F32 || dtype == MRT_I32 ? 0.0 : 0.05;
    return t;
}

static void fill_i32(mrt_tensor *t, int32_t value) {
    const int64_t count = mrt_shape_count(&t->shape);
    for (int64_t i = 0; i < count; ++i) {
        ((int32_t *)t->data)[i] = value;
    }
}

/* Bias, multipliers and shifts of n channels: 2^-10 as requantization. */
static void add_requant(bench_case *c, int64_t n) {
    for (int i = 2; i < 5; ++i) {
        c->tensors[i] = tensor_of(MRT_I32, 1, n, 0, 0, 0);
    }
    fill_i32(&c->tensors[3], 1 << 30);
    fill_i32(&c->tensors[4], 40);
    c->n_in = 5;
}

/* n x n images of `in` channels, k x k windows, padded to keep the size. */
static bench_case conv_case(const char *name, bool integer, int order, int64_t in, int64_t out, int64_t n,
                            int64_t k, int64_t group) {
    bench_case c = {.name = name, .n_in = 3};
    const mrt_conv_params conv = {.spatial = 2, .kernel = {k, k, 1}, .stride = {1, 1, 1}, .dilation = {1, 1, 1},
                                  .pad_begin = {k / 2, k / 2, 0}, .pad_end = {k / 2, k / 2, 0}, .group = group,
                                  .act_limit = -1.0, .float_order = order};
    const mrt_dtype dtype = integer ? MRT_U8 : MRT_F32;
    c.macs = (double)out * (double)(in / group) * (double)(k * k) * (double)(n * n);
    c.tensors[0] = tensor_of(dtype, 4, 1, in, n, n);
    c.tensors[1] = tensor_of(integer ? MRT_I8 : MRT_F32, 4, out, in / group, k, k);
    c.result = tensor_of(dtype, 4, 1, out, n, n);
    c.kernel = integer ? MRT_K_conv_int : MRT_K_conv_f32;
    c.limit = integer ? INTEGER : (order == MRT_ORDER_WRITTEN || group > 1 ? WRITTEN : FUSED);
    if (integer) {
        add_requant(&c, out);
        c.params.conv_int = (mrt_conv_int_params){.conv = conv, .clamp_max = 255};
    } else {
        c.tensors[2] = tensor_of(MRT_F32, 1, out, 0, 0, 0);
        c.params.conv = conv;
    }
    return c;
}

static bench_case matmul_case(const char *name, bool integer, int order, int64_t m, int64_t k, int64_t n) {
    bench_case c = {.name = name, .n_in = 2, .macs = (double)m * (double)k * (double)n};
    c.tensors[0] = tensor_of(integer ? MRT_U8 : MRT_F32, 2, m, k, 0, 0);
    c.tensors[1] = tensor_of(integer ? MRT_I8 : MRT_F32, 2, k, n, 0, 0);
    c.result = tensor_of(integer ? MRT_U8 : MRT_F32, 2, m, n, 0, 0);
    c.kernel = integer ? MRT_K_matmul_int : MRT_K_matmul_f32;
    c.limit = integer ? INTEGER : (order == MRT_ORDER_WRITTEN ? WRITTEN : FUSED);
    if (integer) {
        add_requant(&c, n);
        c.params.matmul_int = (mrt_matmul_int_params){.clamp_max = 255};
    } else {
        c.params.matmul =
            (mrt_matmul_params){.alpha = 1.0, .beta = 1.0, .act_limit = -1.0, .float_order = order};
    }
    return c;
}

/* GMAC/s of the fastest run. */
static double measure(bench_case *c, mrt_pool *pool) {
    const mrt_kernel *kernel = mrt_kernel_find(c->kernel);
    const mrt_tensor *in[MAX_OPERANDS] = {0};
    mrt_tensor *out[1] = {&c->result};
    for (int i = 0; i < c->n_in; ++i) {
        in[i] = &c->tensors[i];
    }
    mrt_call call = {.in = in, .n_in = c->n_in, .out = out, .n_out = 1, .params = &c->params, .pool = pool};
    mrt_error err;
    size_t scratch = 0;
    if (kernel->check(&call, &scratch, &err) != MRT_OK) {
        fprintf(stderr, "%s: %s\n", c->name, err.text);
        exit(1);
    }
    call.scratch = aligned_alloc(64, (scratch + 127) / 64 * 64);
    double best = 1e30;
    const double begin = now();
    for (int i = 0; i < REPEATS || now() - begin < 0.5; ++i) {
        const double start = now();
        kernel->run(&call);
        const double seconds = now() - start;
        best = seconds < best ? seconds : best;
    }
    free(call.scratch);
    return 1e-9 * c->macs / best;
}

static void print_case(bench_case c, mrt_pool *pool) {
    const double one = measure(&c, NULL);
    const double all = measure(&c, pool);
    const double limit = best_limit[c.limit];
    printf("| %s | %.1f | %.1f | ", c.name, one, all);
    printf(limit > 0.0 ? "%.0f | %.0f %% |\n" : "- | - |\n", limit, 100.0 * one / limit);
    for (int i = 0; i < c.n_in; ++i) {
        free(c.tensors[i].data);
    }
    free(c.result.data);
}

int main(int argc, char **argv) {
    const int threads = argc > 1 ? atoi(argv[1]) : (int)sysconf(_SC_NPROCESSORS_ONLN);
    mrt_pool *pool = mrt_pool_create(threads < 1 ? 1 : threads);
    const int blas = MRT_ORDER_BLAS;
    const int written = MRT_ORDER_WRITTEN;
    measure_limits();
    printf("\ninteger kernels: %s\n\n| kernel | 1 thread | %d threads | limit, 1 thread | share |\n"
           "|---|---|---|---|---|\n", mrt_int_isa_select()->name, mrt_pool_threads(pool));
    print_case(conv_case("conv 3x3, 64 -> 64, 56x56, int8", true, 0, 64, 64, 56, 3, 1), pool);
    print_case(conv_case("conv 1x1, 256 -> 64, 56x56, int8", true, 0, 256, 64, 56, 1, 1), pool);
    print_case(conv_case("conv 1x1, 512 -> 512, 7x7, int8", true, 0, 512, 512, 7, 1, 1), pool);
    print_case(conv_case("depthwise 3x3, 144, 56x56, int8", true, 0, 144, 144, 56, 3, 144), pool);
    print_case(conv_case("depthwise 5x5, 240, 28x28, int8", true, 0, 240, 240, 28, 5, 240), pool);
    print_case(matmul_case("matmul 197x384x1536, int8", true, 0, 197, 384, 1536), pool);
    print_case(conv_case("conv 3x3, 64 -> 64, 56x56, f32 BLAS", false, blas, 64, 64, 56, 3, 1), pool);
    print_case(conv_case("conv 3x3, 64 -> 64, 56x56, f32 written", false, written, 64, 64, 56, 3, 1), pool);
    print_case(conv_case("conv 1x1, 256 -> 64, 56x56, f32 BLAS", false, blas, 256, 64, 56, 1, 1), pool);
    print_case(conv_case("conv 1x1, 256 -> 64, 56x56, f32 written", false, written, 256, 64, 56, 1, 1), pool);
    print_case(conv_case("depthwise 3x3, 144, 56x56, f32", false, blas, 144, 144, 56, 3, 144), pool);
    print_case(matmul_case("matmul 197x384x1536, f32 BLAS", false, blas, 197, 384, 1536), pool);
    print_case(matmul_case("matmul 197x384x1536, f32 written", false, written, 197, 384, 1536), pool);
    mrt_pool_destroy(pool);
    return 0;
}
