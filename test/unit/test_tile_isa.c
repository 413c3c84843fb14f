/* Every row of the table of tile_isa.h that this machine has against plain loops: products, depthwise
 * sums, ends of rows and sums of two tensors, at odd sizes, misaligned, with values at their ends. */
#include "test/unit/check_main.h"
#include "test/unit/int_test_util.h"

#include "runtime/mrt_cpu.h"
#include "test/ref/ref_int.h"

enum { WIDTH = MRT_TILE_BLOCKS * MRT_TILE_BLOCK, MOST_RUNS = 4, MOST_DEPTH = 300 };

/* One product: values as they are, and as a row of the table takes them. */
typedef struct tile_case {
    const mrt_tile_isa *isa;
    int64_t runs, depth, stride; /* elements between rows of A */
    int64_t run[MOST_RUNS];
    uint8_t *a;
    int8_t *w; /* [runs][depth][WIDTH] */
    char *stored_a, *packed;
    size_t block_bytes;
} tile_case;

static void make_weights(tile_case *c, int64_t quads) {
    const mrt_tile_isa *isa = c->isa;
    c->block_bytes = mrt_tile_block_bytes(isa, c->runs, quads);
    c->packed = calloc(1, c->block_bytes * MRT_TILE_BLOCKS);
    for (int64_t i = 0; i < c->runs * c->depth * WIDTH; ++i) {
        const int64_t n = i % WIDTH, k = i / WIDTH % c->depth, r = i / WIDTH / c->depth;
        const int64_t per = isa->layout == MRT_TILE_I16 ? 2 : 4;
        const int64_t at = ((r * quads * 4 + k) / per * MRT_TILE_BLOCK + n % MRT_TILE_BLOCK) * per +
                           (r * quads * 4 + k) % per;
        char *block = c->packed + (size_t)(n / MRT_TILE_BLOCK) * c->block_bytes;
        c->w[i] = (int8_t)rnd_value(-128, 127);
        if (per == 2) {
            ((int16_t *)(void *)block)[at] = c->w[i];
        } else {
            ((int8_t *)block)[at] = c->w[i];
        }
    }
}

static void check_tile(tile_case *c, int rows, int blocks, int64_t quads) {
    const mrt_tile_isa *isa = c->isa;
    int32_t sums[MRT_TILE_ROWS * WIDTH + 1];
    sums[rows * WIDTH] = 12345;
    const mrt_tile t = {.a = c->stored_a,
                        .a_stride = (size_t)c->stride * mrt_tile_element(isa),
                        .run = c->run,
                        .runs = c->runs,
                        .quads = quads,
                        .w = c->packed,
                        .w_stride = c->block_bytes,
                        .c = sums};
    mrt_tile_enter(isa);
    isa->tile(&t, rows, blocks);
    mrt_tile_leave(isa);
    for (int r = 0; r < rows; ++r) {
        for (int n = 0; n < blocks * MRT_TILE_BLOCK; ++n) {
            int64_t sum = 0;
            for (int64_t i = 0; i < c->runs * c->depth; ++i) {
                sum += c->a[r * c->stride + c->run[i / c->depth] + i % c->depth] *
                       c->w[i * WIDTH + n];
            }
            ck_assert_msg(sums[r * WIDTH + n] == sum,
                          "%s, %d rows, %d blocks, %lld runs of %lld: [%d][%d] is %d, expected %lld",
                          isa->name, rows, blocks, (long long)c->runs, (long long)c->depth, r, n,
                          sums[r * WIDTH + n], (long long)sum);
        }
    }
    ck_assert_int_eq(sums[rows * WIDTH], 12345);
}

static void check_tiles(const mrt_tile_isa *isa, int64_t depth) {
    tile_case c = {.isa = isa, .runs = rnd_in(1, MOST_RUNS), .depth = depth};
    const int64_t quads = mrt_tile_quads(isa, depth);
    const int kind = (int)(rnd() % 4);
    for (int64_t i = 0; i < c.runs; ++i) {
        c.run[i] = rnd_in(0, 70);
    }
    c.stride = rnd_in(1, 200);
    /* only what is in reach and the slack exists, on an odd address for bytes */
    const int64_t elements = (MRT_TILE_ROWS - 1) * c.stride + 70 + depth;
    const size_t element = mrt_tile_element(isa);
    char *block = malloc((size_t)elements * element + MRT_TILE_SLACK + 1);
    c.stored_a = block + (element == 1);
    memset(c.stored_a, RED_BYTE, (size_t)elements * element + MRT_TILE_SLACK);
    c.a = malloc((size_t)elements);
    c.w = malloc((size_t)(c.runs * depth * WIDTH));
    for (int64_t i = 0; i < elements; ++i) {
        c.a[i] = (uint8_t)(kind == 0 ? 255 : rnd_value(0, 255));
        if (element == 2) {
            ((int16_t *)(void *)c.stored_a)[i] = c.a[i];
        } else {
            c.stored_a[i] = (char)c.a[i];
        }
    }
    make_weights(&c, quads);
    for (const int *height = isa->heights; *height > 0; ++height) {
        for (int blocks = 1; blocks <= isa->blocks; ++blocks) {
            check_tile(&c, *height, blocks, quads);
        }
    }
    free(block), free(c.a), free(c.w), free(c.packed);
}

#define EACH_ROW(isa)                                                                              \
    for (int isa##_i = 0; mrt_tile_isa_at(isa##_i) != NULL; ++isa##_i)                             \
        for (const mrt_tile_isa *isa = mrt_tile_isa_at(isa##_i);                                   \
             isa != NULL && mrt_tile_isa_available(isa); isa = NULL)

START_TEST(products) {
    for (int round = 0; round < TEST_ROUNDS(30); ++round) {
        const int64_t depth = round < 9 ? 60 + round : rnd_in(1, MOST_DEPTH);
        EACH_ROW(isa) { check_tiles(isa, depth); }
    }
}
END_TEST

START_TEST(depthwise_sums) {
    enum { MOST_TAPS = 28, REACH = 500 };
    EACH_ROW(isa) {
        for (int round = 0; round < TEST_ROUNDS(40); ++round) {
            const int taps = (int)rnd_in(1, MOST_TAPS);
            const int groups = (taps + 3) / 4;
            uint8_t *x = malloc(REACH + MRT_DEPTHWISE_BLOCK);
            int8_t plain[MOST_TAPS][MRT_DEPTHWISE_BLOCK];
            int64_t tap[MOST_TAPS + 3] = {0};
            _Alignas(64) char packed[MOST_TAPS * MRT_DEPTHWISE_BLOCK * 2] = {0};
            int32_t acc[MRT_DEPTHWISE_BLOCK];
            for (int i = 0; i < REACH + MRT_DEPTHWISE_BLOCK; ++i) {
                x[i] = (uint8_t)rnd_value(0, 255);
            }
            for (int i = 0; i < taps * MRT_DEPTHWISE_BLOCK; ++i) {
                const int t = i / MRT_DEPTHWISE_BLOCK, c = i % MRT_DEPTHWISE_BLOCK;
                const size_t at = mrt_tile_depthwise_index(isa, t, c);
                tap[t] = c == 0 ? rnd_in(0, REACH) : tap[t];
                plain[t][c] = (int8_t)rnd_value(-128, 127);
                if (isa->layout == MRT_TILE_I16) {
                    ((int16_t *)(void *)packed)[at] = plain[t][c];
                } else {
                    packed[at] = (char)plain[t][c];
                }
            }
            const mrt_tile_depthwise d = {x, tap, groups, packed};
            isa->depthwise(&d, acc);
            for (int c = 0; c < MRT_DEPTHWISE_BLOCK; ++c) {
                int32_t sum = 0;
                for (int t = 0; t < taps; ++t) {
                    sum += x[tap[t] + c] * plain[t][c];
                }
                ck_assert_msg(acc[c] == sum, "%s, %d taps: channel %d is %d, expected %d", isa->name,
                              taps, c, acc[c], sum);
            }
            free(x);
        }
    }
}
END_TEST

static int64_t clamped(int64_t v, int64_t low, int64_t high) {
    return v < low ? low : v > high ? high : v;
}

/* Parameters of a column: a result that spreads over the range, or anything. */
static void make_column(bool narrow, bool wild, int32_t *multiplier, int32_t *shift) {
    *multiplier = wild && !narrow ? (int32_t)rnd() : (int32_t)rnd_in(1 << 30, INT32_MAX);
    *shift = (int32_t)(wild ? rnd_in(narrow ? 33 : 0, 62) : rnd_in(45, 52));
}

static void check_finish(const mrt_tile_isa *isa) {
    int32_t c[3 * WIDTH], base[WIDTH], multiplier[WIDTH], shift[WIDTH];
    uint8_t y[3 * 40 + 1];
    const int columns = (int)rnd_in(1, WIDTH), rows = (int)rnd_in(1, 3);
    const bool narrow = rnd() % 2, wild = rnd() % 3 == 0, is_signed = rnd() % 2;
    const int32_t least = is_signed ? -128 : 0;
    mrt_tile_end e = {.base = base, .multiplier = multiplier, .shift = shift, .narrow = narrow};
    e.zero_point = rnd_value(least, least + 255);
    e.low = rnd() % 2 ? least : rnd_value(least, least + 255);
    e.high = rnd() % 2 ? least + 255 : (int32_t)rnd_in(e.low, least + 255);
    for (int i = 0; i < WIDTH; ++i) {
        base[i] = (int32_t)rnd_in(-100000, 100000);
        make_column(narrow, wild, &multiplier[i], &shift[i]);
    }
    for (int i = 0; i < 3 * WIDTH; ++i) {
        const int64_t sum = wild ? rnd_value(INT32_MIN, INT32_MAX) : rnd_in(-2000000, 2000000);
        c[i] = (int32_t)((uint32_t)sum - (uint32_t)base[i % WIDTH]); /* wraps, as it may */
    }
    memset(y, RED_BYTE, sizeof y);
    isa->finish(&e, c, WIDTH, rows, y, 40, columns);
    for (int i = 0; i < rows * 40; ++i) {
        const int r = i / 40, n = i % 40;
        uint8_t expected = RED_BYTE;
        if (n < columns) {
            const int32_t sum = (int32_t)((uint32_t)c[r * WIDTH + n] + (uint32_t)base[n]);
            const int64_t q = ref_int_requant(sum, multiplier[n], shift[n]) + e.zero_point;
            expected = (uint8_t)clamped(q, e.low, e.high);
        }
        ck_assert_msg(y[i] == expected, "%s: row %d, column %d is %d, expected %d", isa->name, r, n,
                      y[i], expected);
    }
}

START_TEST(ends_of_rows) {
    EACH_ROW(isa) {
        for (int round = 0; round < TEST_ROUNDS(3000); ++round) {
            check_finish(isa);
        }
    }
}
END_TEST

START_TEST(sums) {
    enum { MOST = 70 };
    EACH_ROW(isa) {
        for (int round = 0; round < TEST_ROUNDS(2000); ++round) {
            const int64_t count = rnd_in(0, MOST);
            int32_t a[MOST], b[MOST];
            uint8_t y[MOST + 1];
            const mrt_tile_sum s = {.multiplier_a = (int32_t)rnd_value(-INT32_MAX, INT32_MAX),
                                    .multiplier_b = (int32_t)rnd_value(-INT32_MAX, INT32_MAX),
                                    .shift = (int32_t)rnd_in(0, 48),
                                    .zero_point = (int32_t)rnd_in(-128, 127),
                                    .low = -128,
                                    .high = (int32_t)rnd_in(0, 127)};
            for (int i = 0; i < MOST; ++i) {
                a[i] = rnd_value(-65025, 65025);
                b[i] = rnd_value(-65025, 65025);
            }
            y[count] = RED_BYTE;
            isa->sum(&s, a, b, y, count);
            for (int64_t i = 0; i < count; ++i) {
                const int64_t v =
                    (int64_t)a[i] * s.multiplier_a + (int64_t)b[i] * s.multiplier_b;
                const int64_t q = ref_int_half_up(v, s.shift) + s.zero_point;
                ck_assert_msg(y[i] == (uint8_t)clamped(q, s.low, s.high), "%s: element %lld",
                              isa->name, (long long)i);
            }
            ck_assert_int_eq(y[count], RED_BYTE);
        }
    }
}
END_TEST

/* Tiles cover all rows of a line, in order, and lie within it; all of a height that the row has. */
START_TEST(cuts) {
    EACH_ROW(isa) {
        for (int64_t rows = 1; rows < 200; ++rows) {
            const int *height = isa->heights;
            int64_t done = 0;
            for (int64_t row = 0; row < rows; row += height[0]) {
                row = mrt_tile_next(isa, &height, rows, row);
                ck_assert(row >= 0 && row <= done && row + height[0] <= rows && height[0] > 0);
                ck_assert(row + height[0] > done);
                done = row + height[0];
                ck_assert(!isa->small || rows < MRT_TILE_LEAST_ROWS ||
                          height[0] >= MRT_TILE_LEAST_ROWS);
            }
            ck_assert_int_eq(done, rows);
        }
    }
}
END_TEST

/* The row with tile registers is there when its features and the system's permission are, and never
 * without. */
START_TEST(tile_registers) {
    mrt_cpu_feature f;
    bool tile = false, int8 = false;
    for (int i = 0; mrt_cpu_feature_at(i, &f); ++i) {
        tile = tile || (strcmp(f.name, "AMX-TILE") == 0 && f.present);
        int8 = int8 || (strcmp(f.name, "AMX-INT8") == 0 && f.present);
    }
    ck_assert(!mrt_cpu_tiles() || (tile && int8));
    ck_assert_int_eq(mrt_cpu_tiles(), mrt_cpu_tiles());
    EACH_ROW(isa) {
        ck_assert_msg(strcmp(isa->name, "amx") != 0 || mrt_cpu_tiles(), "amx without tiles");
        ck_assert_int_eq(isa->enter == NULL, isa->leave == NULL);
        ck_assert(isa->small == NULL || isa->small->layout == isa->layout);
    }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("tile_isa");
    TCase *tcase = tcase_create("random");
    tcase_add_test(tcase, products);
    tcase_add_test(tcase, depthwise_sums);
    tcase_add_test(tcase, ends_of_rows);
    tcase_add_test(tcase, sums);
    tcase_add_test(tcase, cuts);
    tcase_add_test(tcase, tile_registers);
    suite_add_tcase(suite, tcase);
    return check_run(suite);
}
