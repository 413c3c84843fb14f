#include "runtime/mrt_probe.h"

#include "runtime/kernels/tile_f32.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* --- arithmetic -------------------------------------------------------------------------------- */

/* One loop on registers: CHAINS independent sums hide the latency of an operation. */
enum { ROUNDS = 200000, CHAINS = 10 };

typedef struct probe_loop {
    mrt_work_kind kind;
    const char *isa; /* row of the table of tiles, NULL: any */
    void (*run)(void);
    int macs; /* of one step of one chain */
    bool (*available)(void);
} probe_loop;

static bool always(void) { return true; }

/* For processors without a loop of their own; the compiler chooses the vectors. */
static void plain(void) {
    float sums[32] = {0};
    volatile float factor = 0.5f;
    for (int round = 0; round < ROUNDS; round++) {
        const float f = factor;
        for (int i = 0; i < 32; i++) {
            sums[i] = sums[i] * f + f;
        }
        __asm__ volatile("" : : "r"(sums) : "memory");
    }
}

#if defined(MRT_TILE_X86)
#include <immintrin.h>

/* The empty asm keeps every operation in the loop and its operands in registers. */
#define KEEP(v) __asm__ volatile("" : "+v"(v))
#define CHAIN_LIST(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9)
#define LOOP(NAME, TARGET, TYPE, ZERO, STEP)                                                       \
    __attribute__((target(TARGET))) static void NAME(void) {                                       \
        TYPE a = ZERO, b = ZERO;                                                                   \
        TYPE c0 = a, c1 = a, c2 = a, c3 = a, c4 = a, c5 = a, c6 = a, c7 = a, c8 = a, c9 = a;       \
        for (int round = 0; round < ROUNDS; round++) {                                             \
            KEEP(a);                                                                               \
            KEEP(b);                                                                               \
            CHAIN_LIST(STEP)                                                                       \
        }                                                                                          \
    }
#define ONE(i, op) c##i = op; KEEP(c##i);
#define TWO(i, type, product, sum) { type p = product; KEEP(p); c##i = sum; KEEP(c##i); }
#define FMA_512(i) ONE(i, _mm512_fmadd_ps(a, b, c##i))
#define FMA_256(i) ONE(i, _mm256_fmadd_ps(a, b, c##i))
#define VNNI_512(i) ONE(i, _mm512_dpbusd_epi32(c##i, a, b))
#define WRITTEN_512(i) TWO(i, __m512, _mm512_mul_ps(a, b), _mm512_add_ps(c##i, p))
#define WRITTEN_256(i) TWO(i, __m256, _mm256_mul_ps(a, b), _mm256_add_ps(c##i, p))
#define BYTES(i, type, pairs, words, sum)                                                          \
    { type p = pairs; KEEP(p); p = words; KEEP(p); c##i = sum; KEEP(c##i); }
#define BYTES_512(i)                                                                               \
    BYTES(i, __m512i, _mm512_maddubs_epi16(a, b), _mm512_madd_epi16(p, a), _mm512_add_epi32(c##i, p))
#define BYTES_256(i)                                                                               \
    BYTES(i, __m256i, _mm256_maddubs_epi16(a, b), _mm256_madd_epi16(p, a), _mm256_add_epi32(c##i, p))

LOOP(fma_512, "avx512f", __m512, _mm512_setzero_ps(), FMA_512)
LOOP(written_512, "avx512f", __m512, _mm512_setzero_ps(), WRITTEN_512)
LOOP(vnni_512, "avx512f,avx512vnni", __m512i, _mm512_setzero_si512(), VNNI_512)
LOOP(bytes_512, "avx512f,avx512bw", __m512i, _mm512_setzero_si512(), BYTES_512)
LOOP(fma_256, "avx2,fma", __m256, _mm256_setzero_ps(), FMA_256)
LOOP(written_256, "avx2", __m256, _mm256_setzero_ps(), WRITTEN_256)
LOOP(bytes_256, "avx2", __m256i, _mm256_setzero_si256(), BYTES_256)

static bool has_avx512(void) { return __builtin_cpu_supports("avx512f"); }
static bool has_fma(void) {
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}
static bool has_avx2(void) { return __builtin_cpu_supports("avx2"); }
/* Integer loops belong to the row that was chosen, so its features are there. */
#define PROBE_LIST(X)                                                                              \
    X(MRT_WORK_INT8, "vnni", vnni_512, 64, always)                                                 \
    X(MRT_WORK_INT8, "avx512", bytes_512, 64, always)                                              \
    X(MRT_WORK_INT8, "avx2", bytes_256, 32, always)                                                \
    X(MRT_WORK_F32, "avx512", fma_512, 16, has_avx512)                                             \
    X(MRT_WORK_F32, "avx2", fma_256, 8, has_fma)                                                   \
    X(MRT_WORK_F32_WRITTEN, NULL, written_512, 16, has_avx512)                                     \
    X(MRT_WORK_F32_WRITTEN, NULL, written_256, 8, has_avx2)
#else
#define PROBE_LIST(X)
#endif

/* Per kind the first that fits is taken. */
static const probe_loop loops[] = {
#define X(kind, isa, run, macs, available) {kind, isa, run, macs, available},
    PROBE_LIST(X)
#undef X
    {MRT_WORK_F32, NULL, plain, 32 / CHAINS, always},
    {MRT_WORK_F32_WRITTEN, NULL, plain, 32 / CHAINS, always},
};

/* --- timing ------------------------------------------------------------------------------------ */

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Least seconds of one call on all threads, among as many as fit into `budget`. */
static double least_seconds(mrt_pool *pool, int64_t tiles, mrt_tile_fn *body, void *context,
                            double budget) {
    double best = 1e30;
    const double begin = now();
    do {
        const double start = now();
        mrt_parallel_for(pool, tiles, body, context);
        const double seconds = now() - start;
        best = seconds < best ? seconds : best;
    } while (now() - begin < budget);
    return best > 1e-9 ? best : 1e-9;
}

static void loop_body(void *context, int64_t tile) {
    (void)tile;
    ((const probe_loop *)context)->run();
}

/* --- the tile call of a table row -------------------------------------------------------------- */

enum { TILE_QUADS = 64, TILE_CALLS = 400 };

typedef struct tile_probe {
    const mrt_tile_isa *isa;
    void *a, *w;
} tile_probe;

static void tile_body(void *context, int64_t index) {
    const tile_probe *p = context;
    const int64_t run = 0;
    _Alignas(64) int32_t c[MRT_TILE_ROWS * MRT_TILE_BLOCKS * MRT_TILE_BLOCK];
    const size_t element = mrt_tile_element(p->isa);
    const mrt_tile t = {.a = p->a, .a_stride = TILE_QUADS * 4 * element, .run = &run, .runs = 1,
                        .quads = TILE_QUADS, .w = p->w,
                        .w_stride = mrt_tile_block_bytes(p->isa, 1, TILE_QUADS), .c = c};
    (void)index;
    mrt_tile_enter(p->isa);
    for (int i = 0; i < TILE_CALLS; i++) {
        p->isa->tile(&t, p->isa->heights[0], p->isa->blocks);
    }
    mrt_tile_leave(p->isa);
}

static mrt_status probe_tile(mrt_pool *pool, const mrt_tile_isa *isa, double budget, double *out,
                             mrt_error *err) {
    const size_t bytes = 64 * 1024;
    tile_probe probe = {.isa = isa, .a = aligned_alloc(64, bytes), .w = aligned_alloc(64, bytes)};
    if (probe.a == NULL || probe.w == NULL) {
        free(probe.a);
        free(probe.w);
        return mrt_fail(err, MRT_NO_MEMORY, "no memory to measure the machine");
    }
    memset(probe.a, 0, bytes);
    memset(probe.w, 0, bytes);
    const int threads = mrt_pool_threads(pool);
    const double seconds = least_seconds(pool, threads, tile_body, &probe, budget);
    const double macs = (double)isa->heights[0] * isa->blocks * MRT_TILE_BLOCK * TILE_QUADS * 4;
    *out = threads * (macs * TILE_CALLS) / seconds;
    free(probe.a);
    free(probe.w);
    return MRT_OK;
}

/* --- memory ------------------------------------------------------------------------------------ */

enum {
    FAR_BYTES = 16 << 20,
    FAR_TILES = 64,
    NEAR_BYTES = 128 << 10, /* one block of each thread: two of them fit into any second cache */
    NEAR_REPEATS = 64,
};

typedef struct copy_probe {
    char *from, *to;
    size_t bytes;
    int repeats;
} copy_probe;

static void copy_body(void *context, int64_t tile) {
    const copy_probe *p = context;
    const size_t at = (size_t)tile * p->bytes;
    for (int i = 0; i < p->repeats; i++) {
        memcpy(p->to + at, p->from + at, p->bytes);
        __asm__ volatile("" : : : "memory"); /* every copy is made */
    }
}

static mrt_status probe_copies(mrt_pool *pool, double budget, mrt_limits *out, mrt_error *err) {
    const int threads = mrt_pool_threads(pool);
    const size_t near = (size_t)threads * NEAR_BYTES;
    const size_t bytes = near > FAR_BYTES ? near : FAR_BYTES;
    copy_probe p = {.from = malloc(bytes), .to = malloc(bytes)};
    if (p.from == NULL || p.to == NULL) {
        free(p.from);
        free(p.to);
        return mrt_fail(err, MRT_NO_MEMORY, "no memory to measure the machine");
    }
    memset(p.from, 1, bytes); /* pages that exist, and are not one page of zeros */
    memset(p.to, 2, bytes);
    p.bytes = FAR_BYTES / FAR_TILES;
    p.repeats = 1;
    out->far_bytes = 2.0 * FAR_BYTES / least_seconds(pool, FAR_TILES, copy_body, &p, budget);
    p.bytes = NEAR_BYTES;
    p.repeats = NEAR_REPEATS;
    out->near_bytes = 2.0 * NEAR_REPEATS * (double)near /
                      least_seconds(pool, threads, copy_body, &p, budget / 4);
    out->near_bytes = out->near_bytes > out->far_bytes ? out->near_bytes : out->far_bytes;
    const long cache = sysconf(_SC_LEVEL2_CACHE_SIZE);
    out->cache = (double)threads * (cache > 0 ? (double)cache : 2.0 * NEAR_BYTES);
    free(p.from);
    free(p.to);
    return MRT_OK;
}

mrt_status mrt_probe(mrt_pool *pool, double seconds, mrt_limits *out, mrt_error *err) {
    const mrt_tile_isa *isa = mrt_tile_isa_select();
    const double budget = seconds / MRT_WORK_KINDS;
    const int threads = mrt_pool_threads(pool);
    *out = (mrt_limits){.int8_isa = isa->name, .threads = threads};
    for (size_t i = 0; i < sizeof loops / sizeof loops[0]; i++) {
        const probe_loop *loop = &loops[i];
        const char *row = loop->kind == MRT_WORK_F32 ? mrt_tile_f32_isa_select()->name : isa->name;
        if (out->macs[loop->kind] > 0 || (loop->isa != NULL && strcmp(loop->isa, row) != 0) ||
            !loop->available()) {
            continue;
        }
        const double best = least_seconds(pool, threads, loop_body, (void *)(uintptr_t)loop, budget);
        out->macs[loop->kind] = (double)threads * ROUNDS * CHAINS * loop->macs / best;
    }
    if (out->macs[MRT_WORK_INT8] <= 0) {
        MRT_TRY(probe_tile(pool, isa, budget, &out->macs[MRT_WORK_INT8], err));
    }
    return probe_copies(pool, budget, out, err);
}

double mrt_limits_seconds(const mrt_limits *limits, const mrt_work *work, bool *out_memory) {
    const double rate = limits->macs[work->kind];
    const double compute = rate > 0 ? work->macs / rate : 0;
    const double bytes = work->bytes_read + work->bytes_written;
    const double memory = bytes / (bytes <= limits->cache ? limits->near_bytes : limits->far_bytes);
    if (out_memory != NULL) {
        *out_memory = memory > compute;
    }
    return memory > compute ? memory : compute;
}
