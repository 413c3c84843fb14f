/* Speed of the large convolution and matrix kernels alone, beside what the processor can do at most.
 *
 * The kernels are those that networks run (channels-last, packed weights), with every set of inner loops
 * that this processor has. The limits are loops on registers only: no kernel can be faster. Prints a
 * Markdown table of GMAC/s with 1 thread and with all; every figure is the best of many runs, threads
 * taking turns. `share` is the figure of 1 thread over the limit of the row's own instructions.
 *     build/bench/kernels [THREADS [WORD...]]      only rows that contain every WORD */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "runtime/kernels/tile_f32.h"
#include "runtime/mrt_kernel.h"
#include "runtime/mrt_params.h"
#include "runtime/mrt_probe.h"

enum { MAX_OPERANDS = 5, ROUNDS = 8 };

/* n x n images, k x k windows, padded to keep the size; k 0: n rows times a matrix. */
typedef struct bench_shape {
    const char *name;
    int64_t in, out, n, k, stride, group;
} bench_shape;

static const bench_shape shapes[] = {
    {"conv 3x3, 64 to 64, 56x56", 64, 64, 56, 3, 1, 1},
    {"conv 3x3, 128 to 128, 28x28", 128, 128, 28, 3, 1, 1},
    {"conv 3x3, 256 to 256, 14x14", 256, 256, 14, 3, 1, 1},
    {"conv 3x3, 512 to 512, 7x7", 512, 512, 7, 3, 1, 1},
    {"conv 3x3 / 2, 128 to 128, 56x56", 128, 128, 56, 3, 2, 1},
    {"conv 1x1, 256 to 64, 56x56", 256, 64, 56, 1, 1, 1},
    {"conv 1x1, 64 to 256, 56x56", 64, 256, 56, 1, 1, 1},
    {"conv 1x1, 1024 to 256, 14x14", 1024, 256, 14, 1, 1, 1},
    {"conv 1x1, 512 to 2048, 7x7", 512, 2048, 7, 1, 1, 1},
    {"depthwise 3x3, 144, 56x56", 144, 144, 56, 3, 1, 144},
    {"depthwise 5x5, 240, 28x28", 240, 240, 28, 5, 1, 240},
    {"matmul 197 x 384 x 1536", 384, 1536, 197, 0, 1, 1},
    {"matmul 128 x 1536 x 384", 1536, 384, 128, 0, 1, 1},
};

typedef struct bench_case {
    const bench_shape *shape;
    uint16_t kernel;
    double macs;
    mrt_tensor tensors[MAX_OPERANDS], result;
    int n_in;
    void *scratch, *packed;
    union {
        mrt_conv_params conv;
        mrt_conv_int_params conv_int;
        mrt_matmul_params matmul;
        mrt_matmul_int_params matmul_int;
    } params;
} bench_case;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void fail(const char *what, const char *why) {
    fprintf(stderr, "%s: %s\n", what, why);
    exit(1);
}

static void *bytes_of(size_t bytes) {
    void *memory = aligned_alloc(64, (bytes + 8192) / 64 * 64); /* kernels read ahead */
    if (!memory) {
        fail("bench", "no memory");
    }
    return memset(memory, 0, (bytes + 8192) / 64 * 64);
}

static mrt_tensor tensor_of(mrt_dtype dtype, int rank, int64_t d0, int64_t d1, int64_t d2, int64_t d3) {
    mrt_tensor t = {.name = "", .dtype = dtype, .shape = {.rank = rank, .dims = {d0, d1, d2, d3}}};
    const int64_t count = mrt_shape_count(&t.shape);
    uint32_t seed = 12345;
    t.data = bytes_of((size_t)count * mrt_dtype_bytes(dtype));
    for (int64_t i = 0; i < count; ++i) {
        seed = seed * 1664525u + 1013904223u;
        switch (dtype) {
        case MRT_F32: ((float *)t.data)[i] = (float)(seed >> 8) / 16777216.0f - 0.5f; break;
        case MRT_I32: ((int32_t *)t.data)[i] = (int32_t)(seed >> 20); break;
        case MRT_I8: ((int8_t *)t.data)[i] = (int8_t)((int)(seed >> 24) % 127); break;
        default: ((uint8_t *)t.data)[i] = (uint8_t)(seed >> 24);
        }
    }
    t.scale = dtype == MRT_F32 || dtype == MRT_I32 ? 0.0 : 0.05;
    return t;
}

/* Bias, multipliers and shifts of n channels: 2^-10 as requantization. */
static void add_requant(bench_case *c, int64_t n) {
    for (int i = 2; i < 5; ++i) {
        c->tensors[i] = tensor_of(MRT_I32, 1, n, 0, 0, 0);
        for (int64_t k = 0; k < n && i > 2; ++k) {
            ((int32_t *)c->tensors[i].data)[k] = i == 3 ? 1 << 30 : 40;
        }
    }
    c->n_in = 5;
}

static void make_conv(bench_case *c, bool integer) {
    const bench_shape *s = c->shape;
    const int64_t k = s->k, n = s->n, to = (n - 1) / s->stride + 1;
    const mrt_conv_params conv = {.spatial = 2, .kernel = {k, k, 1}, .stride = {s->stride, s->stride, 1},
                                  .dilation = {1, 1, 1}, .pad_begin = {k / 2, k / 2, 0},
                                  .pad_end = {k / 2, k / 2, 0}, .group = s->group,
                                  .act_limit = -1.0, .float_order = MRT_ORDER_BLAS};
    const mrt_dtype dtype = integer ? MRT_U8 : MRT_F32;
    c->macs = (double)s->out * (double)(s->in / s->group) * (double)(k * k) * (double)(to * to);
    c->tensors[0] = tensor_of(dtype, 4, 1, n, n, s->in);
    c->tensors[1] = tensor_of(integer ? MRT_I8 : MRT_F32, 4, s->out, s->in / s->group, k, k);
    c->result = tensor_of(dtype, 4, 1, to, to, s->out);
    c->kernel = integer ? MRT_K_conv_nhwc : MRT_K_conv_nhwc_f32;
    c->params.conv = conv;
    if (integer) {
        c->params.conv_int = (mrt_conv_int_params){.conv = conv, .clamp_max = 255};
    }
}

static void make_matmul(bench_case *c, bool integer) {
    const bench_shape *s = c->shape;
    c->macs = (double)s->n * (double)s->in * (double)s->out;
    c->tensors[0] = tensor_of(integer ? MRT_U8 : MRT_F32, 2, s->n, s->in, 0, 0);
    c->tensors[1] = tensor_of(integer ? MRT_I8 : MRT_F32, 2, s->in, s->out, 0, 0);
    c->result = tensor_of(integer ? MRT_U8 : MRT_F32, 2, s->n, s->out, 0, 0);
    c->kernel = integer ? MRT_K_matmul_packed : MRT_K_matmul_packed_f32;
    if (integer) {
        c->params.matmul_int = (mrt_matmul_int_params){.clamp_max = 255};
    } else {
        c->params.matmul = (mrt_matmul_params){.alpha = 1.0, .beta = 1.0, .act_limit = -1.0,
                                               .float_order = MRT_ORDER_BLAS};
    }
}

static bench_case make_case(const bench_shape *shape, bool integer) {
    bench_case c = {.shape = shape, .n_in = 2};
    if (shape->k > 0) {
        make_conv(&c, integer);
    } else {
        make_matmul(&c, integer);
    }
    if (integer) {
        add_requant(&c, shape->out);
    } else {
        c.tensors[2] = tensor_of(MRT_F32, 1, shape->out, 0, 0, 0);
        c.n_in = 3;
    }
    return c;
}

static mrt_call call_of(bench_case *c, const mrt_tensor **in, mrt_tensor **out) {
    for (int i = 0; i < c->n_in; ++i) {
        in[i] = &c->tensors[i];
    }
    out[0] = &c->result;
    return (mrt_call){.in = in, .n_in = c->n_in, .out = out, .n_out = 1, .params = &c->params,
                      .scratch = c->scratch, .packed = c->packed};
}

static void prepare(bench_case *c) {
    const mrt_kernel *kernel = mrt_kernel_find(c->kernel);
    const mrt_tensor *in[MAX_OPERANDS];
    mrt_tensor *out[1];
    mrt_error err = {{0}};
    size_t scratch = 0;
    const mrt_call call = call_of(c, in, out);
    if (kernel->check(&call, &scratch, &err) != MRT_OK) {
        fail(c->shape->name, err.text);
    }
    c->scratch = bytes_of(scratch);
    c->packed = bytes_of(kernel->pack(&call, NULL));
    kernel->pack(&call, c->packed);
}

/* The fastest of the runs within some 30 ms. */
static double least_seconds(bench_case *c, mrt_pool *pool) {
    const mrt_kernel *kernel = mrt_kernel_find(c->kernel);
    const mrt_tensor *in[MAX_OPERANDS];
    mrt_tensor *out[1];
    mrt_call call = call_of(c, in, out);
    double best = 1e30;
    call.pool = pool;
    const double begin = now();
    do {
        const double start = now();
        kernel->run(&call);
        const double seconds = now() - start;
        best = seconds < best ? seconds : best;
    } while (now() - begin < 0.03);
    return best;
}

static void print_case(const bench_shape *shape, bool integer, const char *isa, double limit,
                       mrt_pool *pool) {
    bench_case c = make_case(shape, integer);
    double one = 1e30, all = 1e30;
    prepare(&c);
    for (int i = 0; i < ROUNDS; ++i) {
        const double first = least_seconds(&c, NULL), second = least_seconds(&c, pool);
        one = first < one ? first : one;
        all = second < all ? second : all;
    }
    const double rate = 1e-9 * c.macs / one;
    printf("| %s | %s %s | %.1f | %.0f %% | %.1f | %.2f |\n", shape->name, integer ? "int8" : "float", isa,
           rate, 100.0 * rate / limit, 1e-9 * c.macs / all, one / all);
    fflush(stdout);
    for (int i = 0; i < c.n_in; ++i) {
        free(c.tensors[i].data);
    }
    free(c.result.data);
    free(c.scratch);
    free(c.packed);
}

typedef struct bench_wish {
    int n_words;
    char **words;
} bench_wish;

static bool is_wanted(const bench_wish *w, const char *name, const char *type, const char *isa) {
    char row[200];
    snprintf(row, sizeof row, "%s | %s %s", name, type, isa);
    for (int i = 0; i < w->n_words; ++i) {
        if (!strstr(row, w->words[i])) {
            return false;
        }
    }
    return true;
}

static void print_isa(bool integer, const char *isa, const bench_wish *wish, mrt_pool *pool) {
    const char *type = integer ? "int8" : "float";
    double limit = 0;
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; ++i) {
        if (!is_wanted(wish, shapes[i].name, type, isa)) {
            continue;
        }
        if (limit <= 0) {
            mrt_limits limits;
            mrt_error err = {{0}};
            setenv("MICA_ISA", isa, 1);
            if (mrt_probe(NULL, 0.2, &limits, &err) != MRT_OK) {
                fail("limits", err.text);
            }
            limit = 1e-9 * limits.macs[integer ? MRT_WORK_INT8 : MRT_WORK_F32];
            printf("| limit, registers only | %s %s | %.0f | | | |\n", type, isa, limit);
        }
        print_case(&shapes[i], integer, isa, limit, pool);
    }
}

int main(int argc, char **argv) {
    const int threads = argc > 1 ? atoi(argv[1]) : (int)sysconf(_SC_NPROCESSORS_ONLN);
    const bench_wish wish = {argc > 2 ? argc - 2 : 0, argv + 2};
    mrt_pool *pool = mrt_pool_create(threads < 1 ? 1 : threads);
    printf("| kernel | inner loops | GMAC/s, 1 thread | share | %d threads | scaling |\n"
           "|---|---|---|---|---|---|\n", mrt_pool_threads(pool));
    for (int i = 0; mrt_tile_f32_isa_at(i); ++i) {
        if (mrt_tile_f32_isa_available(mrt_tile_f32_isa_at(i))) {
            print_isa(false, mrt_tile_f32_isa_at(i)->name, &wish, pool);
        }
    }
    for (int i = 0; mrt_tile_isa_at(i); ++i) {
        if (mrt_tile_isa_available(mrt_tile_isa_at(i))) {
            print_isa(true, mrt_tile_isa_at(i)->name, &wish, pool);
        }
    }
    mrt_pool_destroy(pool);
    return 0;
}
