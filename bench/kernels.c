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
#include "runtime/mrt_probe.h"

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* What a kernel may use: OpenBLAS fuses, the written order may not. */
enum { FUSED = MRT_WORK_F32, WRITTEN = MRT_WORK_F32_WRITTEN, INTEGER = MRT_WORK_INT8 };

static double best_limit[MRT_WORK_KINDS]; /* GMAC/s of one thread */

static void measure_limits(void) {
    static const char *const names[MRT_WORK_KINDS] = {
        [FUSED] = "f32 multiply-add, fused", [WRITTEN] = "f32 multiply, then add", [INTEGER] = "8-bit products"};
    mrt_limits limits;
    mrt_error err;
    if (mrt_probe(NULL, 0.5, &limits, &err) != MRT_OK) {
        fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
    printf("| limit, registers only | GMAC/s, 1 thread |\n|---|---|\n");
    for (int kind = MRT_WORK_NONE + 1; kind < MRT_WORK_KINDS; ++kind) {
        best_limit[kind] = 1e-9 * limits.macs[kind];
        printf("| %s%s%s | %.0f |\n", names[kind], kind == INTEGER ? ", " : "",
               kind == INTEGER ? limits.int8_isa : "", best_limit[kind]);
    }
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
