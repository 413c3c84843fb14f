/* [byte-proof] Products of bytes summed up in 16 bits: what the proof says at its borders, and every row
 * with proofs that this machine has against plain loops. */
#include "test/unit/int_test_util.h"
#include "test/unit/rounds.h"

#include "runtime/kernels/tile_proof.h"
#include "test/unit/check_main.h"

enum {
    WIDTH = MRT_TILE_BLOCKS * MRT_TILE_BLOCK,
    QUAD_BYTES = 4 * MRT_TILE_BLOCK,
    MOST_QUADS = 130,
    GROUP_BYTES = 4 * MRT_DEPTHWISE_BLOCK
};

/* Rows with proofs, of those in the table that this machine has. */
#define EACH_ROW(isa)                                                                              \
    for (int isa##_i = 0; mrt_tile_isa_at(isa##_i) != NULL; ++isa##_i)                             \
        for (const mrt_tile_isa *isa = mrt_tile_isa_at(isa##_i)->bytes;                            \
             isa != NULL && mrt_tile_isa_available(isa); isa = NULL)

/* --- the proof --- */

static int32_t saturated(int32_t v) { return v < -32768 ? -32768 : v > 32767 ? 32767 : v; }

/* Lists for `quads` quads of zeros with these weights in some column, pairs of one lane. */
static mrt_tile_lists lists_of(int32_t most, int quads, const int8_t weights[][2], int32_t *base,
                               int8_t *w, uint8_t *masks) {
    mrt_tile_lists lists;
    const int column = (int)rnd_in(0, MRT_TILE_BLOCK - 1), half = (int)rnd_in(0, 1) * 2;
    memset(w, 0, (size_t)quads * QUAD_BYTES);
    memset(masks, 0, (size_t)quads * QUAD_BYTES);
    memset(base, 0, MRT_TILE_BLOCK * sizeof base[0]);
    for (int q = 0; q < quads; ++q) {
        memcpy(w + q * QUAD_BYTES + column * 4 + half, weights[q], 2);
    }
    mrt_tile_prove(most, w, quads, masks, &lists, base);
    return lists;
}

typedef struct border {
    int32_t most;
    int8_t w[2][2]; /* two quads */
    int joined, exact, turned, wide;
} border;

/* Weights at and beyond each bound. A pair that is exact must not saturate, one beyond must be able to. */
static const border borders[] = {
    {255, {{64, 64}, {0, 0}}, 1, 0, 0, 0},
    {255, {{64, 65}, {0, 0}}, 0, 1, 1, 0},
    {255, {{-64, -64}, {0, 0}}, 1, 0, 0, 0},
    {255, {{-64, -65}, {0, 0}}, 0, 1, 1, 0},
    {255, {{127, -128}, {0, 0}}, 1, 0, 0, 0},
    {255, {{127, -128}, {1, -1}}, 0, 2, 0, 0},
    {255, {{127, -128}, {1, 0}}, 1, 0, 0, 0},
    {255, {{127, 127}, {127, 127}}, 0, 0, 2, 0},
    {255, {{-128, -1}, {-1, -128}}, 0, 0, 2, 0},
    {255, {{-128, -128}, {127, 2}}, 0, 0, 1, 1},
    {255, {{-128, -128}, {-128, -128}}, 0, 0, 0, 2},
    {255, {{-128, 0}, {0, 0}}, 1, 0, 0, 0},
    {127, {{127, 127}, {4, 0}}, 1, 0, 0, 0},
    {127, {{127, 127}, {4, 1}}, 0, 2, 0, 0},
    {127, {{-128, -128}, {-2, 0}}, 1, 0, 0, 0},
    {127, {{-128, -128}, {-2, -1}}, 0, 2, 0, 0},
};

START_TEST(bounds) {
    for (size_t i = 0; i < sizeof borders / sizeof borders[0]; ++i) {
        const border *b = &borders[i];
        int8_t w[2 * QUAD_BYTES];
        uint8_t masks[2 * QUAD_BYTES];
        int32_t base[MRT_TILE_BLOCK];
        const mrt_tile_lists lists = lists_of(b->most, 2, b->w, base, w, masks);
        ck_assert_msg(lists.joined == b->joined && lists.exact == b->exact &&
                          lists.turned == b->turned && lists.wide == b->wide,
                      "border %zu: %d joined, %d exact, %d turned, %d wide", i, lists.joined,
                      lists.exact, lists.turned, lists.wide);
        for (int q = 0; q < 2; ++q) {
            int32_t most = 0;
            for (int x = 0; x < 4; ++x) { /* corners of the two elements */
                const int32_t sum = (x & 1 ? b->most : 0) * b->w[q][0] +
                                    (x & 2 ? b->most : 0) * b->w[q][1];
                most = abs(sum) > abs(most) ? sum : most;
            }
            bool beyond = false;
            for (int n = lists.joined * 2 + lists.exact; n < 2; ++n) {
                beyond = beyond || lists.quad[n] == q;
            }
            ck_assert_int_eq(beyond, saturated(most) != most);
        }
    }
}
END_TEST

/* Every pair of weights: after the proof no element makes it saturate, unless it is said to be wide. */
START_TEST(all_pairs) {
    for (int w0 = -128; w0 < 128; ++w0) {
        for (int w1 = -128; w1 < 128; ++w1) {
            const int8_t pair[1][2] = {{(int8_t)w0, (int8_t)w1}};
            int8_t w[QUAD_BYTES];
            uint8_t masks[QUAD_BYTES];
            int32_t base[MRT_TILE_BLOCK];
            const mrt_tile_lists lists = lists_of(255, 1, pair, base, w, masks);
            bool right = lists.wide == (w0 == -128 && w1 == -128);
            for (int i = 0; i < QUAD_BYTES && !lists.wide; i += 2) {
                for (int x = 0; x < 4 && (w[i] != 0 || w[i + 1] != 0); ++x) {
                    const int a0 = x & 1 ? 255 : 0, a1 = x & 2 ? 255 : 0;
                    const int32_t sum = (a0 ^ masks[i]) * w[i] + (a1 ^ masks[i + 1]) * w[i + 1];
                    right = right && saturated(sum) == sum &&
                            sum + base[i / 4] == a0 * w0 + a1 * w1;
                }
            }
            ck_assert_msg(right, "weights %d and %d", w0, w1);
        }
    }
}
END_TEST

/* --- rows --- */

/* Weights of a kind: small ones that may be joined, a normal spread, ends of the range. */
static int8_t weight_of(int kind) {
    static const int8_t ends[] = {-128, -127, -64, 0, 64, 65, 127};
    const int64_t sum = rnd_in(-40, 40) + rnd_in(-40, 40) + rnd_in(-40, 40);
    return kind == 0   ? (int8_t)rnd_in(-30, 30)
           : kind == 1 ? (int8_t)sum
                       : ends[rnd() % sizeof ends];
}

static uint8_t element_of(int kind, int32_t most) {
    static const uint8_t ends[] = {0, 1, 127, 128, 254, 255};
    const uint8_t v = kind == 0 ? UINT8_MAX : kind == 1 ? ends[rnd() % sizeof ends] : (uint8_t)rnd();
    return v > most ? (uint8_t)most : v;
}

static void check_tile(const mrt_tile_isa *isa, int64_t quads, int kind) {
    const int32_t most = rnd() % 3 ? 255 : 127;
    const int64_t stride = rnd_in(1, 300), reach = 400;
    const int64_t elements = (MRT_TILE_ROWS - 1) * stride + reach + 4;
    const int a_kind = (int)(rnd() % 3);
    const size_t bytes = mrt_tile_block_bytes(isa, quads, 1), head = mrt_tile_head(isa, quads);
    char *packed = calloc(2, bytes), *block = malloc((size_t)elements + 1);
    uint8_t *a = (uint8_t *)block + 1; /* odd */
    int8_t *w = malloc(2 * (size_t)quads * QUAD_BYTES);
    int64_t run[MOST_QUADS];
    int32_t base[WIDTH] = {0}, sums[MRT_TILE_ROWS * WIDTH + 1];
    for (int64_t i = 0; i < elements; ++i) {
        a[i] = element_of(a_kind, most);
    }
    for (int64_t q = 0; q < quads; ++q) {
        run[q] = rnd_in(0, reach);
    }
    for (int b = 0; b < 2; ++b) {
        int8_t *own = w + b * quads * QUAD_BYTES;
        int8_t *to = (int8_t *)packed + (size_t)b * bytes + head;
        for (int64_t i = 0; i < quads * QUAD_BYTES; ++i) {
            own[i] = weight_of(kind);
        }
        memcpy(to, own, (size_t)quads * QUAD_BYTES);
        mrt_tile_prove(most, to, quads, (uint8_t *)to + quads * QUAD_BYTES,
                       (mrt_tile_lists *)(void *)(packed + (size_t)b * bytes),
                       base + b * MRT_TILE_BLOCK);
    }
    for (const int *rows = isa->heights; *rows > 0; ++rows) {
        for (int blocks = 1; blocks <= isa->blocks; ++blocks) {
            const mrt_tile t = {a, (size_t)stride, run, quads, 1, packed, bytes, sums};
            sums[*rows * WIDTH] = 12345;
            isa->tile(&t, *rows, blocks);
            for (int i = 0; i < *rows * WIDTH; ++i) {
                const int r = i / WIDTH, n = i % WIDTH, b = n / MRT_TILE_BLOCK;
                int32_t sum = 0;
                for (int64_t k = 0; b < blocks && k < quads * 4; ++k) {
                    sum += a[r * stride + run[k / 4] + k % 4] *
                           w[(b * quads + k / 4) * QUAD_BYTES + n % MRT_TILE_BLOCK * 4 + k % 4];
                }
                ck_assert_msg(b >= blocks || sums[i] + base[n] == sum,
                              "%s, %d rows, %d blocks, %lld quads, most %d, kinds %d, %d: [%d][%d] "
                              "is %d, expected %d", isa->name, *rows, blocks, (long long)quads,
                              most, kind, a_kind, r, n, sums[i] + base[n], sum);
            }
            ck_assert_int_eq(sums[*rows * WIDTH], 12345);
        }
    }
    free(packed), free(block), free(w);
}

START_TEST(tiles) {
    for (int round = 0; round < TEST_ROUNDS(40); ++round) {
        const int64_t quads = round < 4 ? MRT_TILE_PART - 1 + round : rnd_in(1, MOST_QUADS);
        EACH_ROW(isa) { check_tile(isa, quads, (int)(rnd() % 3)); }
    }
}
END_TEST

static void check_depthwise(const mrt_tile_isa *isa, int taps, int kind) {
    enum { REACH = 500, GROUPS = 8 };
    const int32_t most = rnd() % 3 ? 255 : 127;
    const int groups = (taps + 3) / 4;
    const size_t head = mrt_tile_head(isa, groups);
    char *packed = calloc(1, mrt_tile_with_head(isa, groups, (size_t)groups * GROUP_BYTES));
    uint8_t *x = malloc(REACH + MRT_DEPTHWISE_BLOCK);
    int8_t *w = (int8_t *)packed + head, plain[4 * GROUPS][MRT_DEPTHWISE_BLOCK] = {{0}};
    int64_t tap[4 * GROUPS] = {0};
    int32_t base[MRT_DEPTHWISE_BLOCK] = {0}, acc[MRT_DEPTHWISE_BLOCK];
    for (int i = 0; i < REACH + MRT_DEPTHWISE_BLOCK; ++i) {
        x[i] = element_of(kind, most);
    }
    for (int i = 0; i < taps * MRT_DEPTHWISE_BLOCK; ++i) {
        const int t = i / MRT_DEPTHWISE_BLOCK, c = i % MRT_DEPTHWISE_BLOCK;
        tap[t] = c == 0 ? rnd_in(0, REACH) : tap[t];
        plain[t][c] = weight_of((int)(rnd() % 3));
        w[mrt_tile_depthwise_index(isa, t, c)] = plain[t][c];
    }
    mrt_tile_prove_depthwise(most, w, groups, (uint8_t *)w + groups * GROUP_BYTES,
                             (uint8_t *)packed, base);
    const mrt_tile_depthwise d = {x, tap, groups, packed};
    isa->depthwise(&d, acc);
    for (int c = 0; c < MRT_DEPTHWISE_BLOCK; ++c) {
        int32_t sum = 0;
        for (int t = 0; t < taps; ++t) {
            sum += x[tap[t] + c] * plain[t][c];
        }
        ck_assert_msg(acc[c] + base[c] == sum, "%s, %d taps: channel %d is %d, expected %d",
                      isa->name, taps, c, acc[c] + base[c], sum);
    }
    free(packed), free(x);
}

START_TEST(depthwise_sums) {
    for (int round = 0; round < TEST_ROUNDS(60); ++round) {
        EACH_ROW(isa) { check_depthwise(isa, (int)rnd_in(1, 32), round % 3); }
    }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("tile_proof");
    TCase *tcase = tcase_create("proof");
    tcase_add_test(tcase, bounds);
    tcase_add_test(tcase, all_pairs);
    tcase_add_test(tcase, tiles);
    tcase_add_test(tcase, depthwise_sums);
    suite_add_tcase(suite, tcase);
    return check_run(suite);
}
