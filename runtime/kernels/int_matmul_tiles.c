/* matmul_int and matmul_real on tiles: both operands are prepared by every run, b as packed weights.
 *
 * With 16-bit tiles both are stored without their zero points. With byte tiles the stored values are
 * a' = a + la and b' = b + lb (what makes a' unsigned and b' signed), and
 *   (a - za)(b - zb) = a'b' + db a' + da b' + da db,  da = -la - za,  db = -lb - zb,
 * so that a row sum of a' and a column sum of b' take the rest back exactly. All modulo 2^32: the
 * result fits. */
#include "runtime/kernels/int_matmul.h"
#include "runtime/kernels/int_util.h"
#include "runtime/kernels/tile_isa.h"
#include "runtime/mrt_clones.h"

#include <string.h>

enum {
    PIECE_ROWS = 56, /* of a task */
    FLAT = 32768,    /* elements of a task that does not care for rows */
    WIDTH = MRT_TILE_BLOCKS * MRT_TILE_BLOCK
};

typedef struct tiles_job {
    const mrt_matmul_plan *plan;
    const mrt_matmul_int_params *params;
    const mrt_tile_isa *isa;
    const uint8_t *a, *b;
    uint8_t *y;
    size_t y_element;
    const int32_t *bias; /* may be NULL */
    bool signed_a, signed_b, narrow;
    int32_t da, db;      /* byte tiles only, else 0 */
    int64_t quads, blocks, columns; /* columns filled up to whole calls of tile */
    size_t row_bytes, block_bytes;
    const char *rows;    /* [batches_a][rows], stride bytes apart: left, or a itself */
    size_t stride;
    char *left;          /* room for that of row_bytes each, a row of ones last */
    char *right;         /* [batches_b][blocks] of block_bytes */
    int32_t *row_sum;    /* [batches_a][rows], times db */
    int32_t *base;       /* [batches_b][columns] */
    int32_t *multiplier, *shift; /* [columns] */
    double *scale;       /* instead, over both; NULL in matmul_int */
    mrt_real_range range;
} tiles_job;

/* Byte offsets of the parts of scratch. */
typedef struct tiles_memory {
    size_t right, row_sum, base, multiplier, shift, total; /* left is first */
} tiles_memory;

static int64_t filled_columns(const mrt_matmul_plan *p) {
    return mrt_div_up(p->columns, WIDTH) * WIDTH;
}
/* Enough for every row of the table. */
static int64_t most_quads(const mrt_matmul_plan *p) {
    return mrt_max64(1, mrt_div_up(p->depth, 4 * MRT_TILE_UNIT)) * MRT_TILE_UNIT;
}
/* Few rows leave tiles that take many at once empty. */
static const mrt_tile_isa *row_of(const mrt_matmul_plan *p) {
    const mrt_tile_isa *isa = mrt_tile_isa_select();
    return isa->small && p->rows < MRT_TILE_LEAST_ROWS ? isa->small : isa;
}

static bool memory_layout(const mrt_matmul_plan *p, tiles_memory *m) {
    const size_t columns = (size_t)filled_columns(p);
    const size_t quads = (size_t)most_quads(p);
    size_t rows = 0;
    size_t every = 0;
    size_t left = 0;
    size_t right = 0;
    if (!mrt_mul_bytes((size_t)p->batches_a, (size_t)p->rows, &rows) ||
        !mrt_mul_bytes((size_t)p->batches_b, columns, &every) || rows > SIZE_MAX / 64 ||
        every > SIZE_MAX / 64 || !mrt_mul_bytes(rows + 1, quads * 8, &left) ||
        !mrt_mul_bytes(every, quads * 8, &right) || left > SIZE_MAX / 8 ||
        right > SIZE_MAX / 8) {
        return false;
    }
    m->right = mrt_align64(left + MRT_TILE_SLACK);
    m->row_sum = m->right + mrt_align64(right);
    m->base = m->row_sum + mrt_align64(rows * sizeof(int32_t));
    m->multiplier = m->base + mrt_align64(every * sizeof(int32_t));
    m->shift = m->multiplier + mrt_align64(columns * sizeof(int32_t));
    m->total = m->shift + mrt_align64(columns * sizeof(int32_t));
    return true;
}

bool mrt_matmul_tiles_scratch(const mrt_matmul_plan *plan, size_t *out_bytes) {
    tiles_memory m = {0};
    const bool fits = memory_layout(plan, &m);
    *out_bytes = m.total;
    return fits;
}

/* --- the left operand --- */

MRT_CLONES
static int32_t flip_row(uint8_t *restrict out, const uint8_t *restrict a, int64_t count,
                        uint8_t flip) {
    int32_t sum = 0;
    for (int64_t i = 0; i < count; ++i) {
        out[i] = a[i] ^ flip;
        sum += out[i];
    }
    return sum;
}

MRT_CLONES
static void widen_row(int16_t *restrict out, const uint8_t *restrict a, int64_t count,
                      uint8_t flip, int32_t zero_point) {
    for (int64_t i = 0; i < count; ++i) {
        out[i] = (int16_t)((a[i] ^ flip) - zero_point);
    }
}

MRT_CLONES
static void flip_flat(uint8_t *restrict out, const uint8_t *restrict a, int64_t count,
                      uint8_t flip) {
    for (int64_t i = 0; i < count; ++i) {
        out[i] = a[i] ^ flip;
    }
}

/* y[j][i] = x[i][j]; only a turned left operand needs it. */
static void turn_row(uint8_t *out, const uint8_t *a, int64_t count, int64_t step) {
    for (int64_t i = 0; i < count; ++i) {
        out[i] = a[i * step];
    }
}

static void prepare_left(const tiles_job *job, int64_t row) {
    const mrt_matmul_plan *p = job->plan;
    const bool turned = job->params->trans_a != 0;
    const int64_t m = row % p->rows;
    const uint8_t *a = job->a + row / p->rows * p->rows * p->depth + (turned ? m : m * p->depth);
    const uint8_t flip = job->signed_a ? 0x80 : 0;
    char *out = job->left + (size_t)row * job->row_bytes;
    const int64_t rest = job->quads * 4 - p->depth;
    enum { CHUNK = 512 };
    uint8_t chunk[CHUNK];
    int32_t sum = 0;
    for (int64_t k = 0; k < p->depth; k += CHUNK) {
        const int64_t count = mrt_min64(CHUNK, p->depth - k);
        const uint8_t *from = a + k;
        if (turned) {
            turn_row(chunk, a + k * p->rows, count, p->rows);
            from = chunk;
        }
        if (job->isa->layout == MRT_TILE_I16) {
            widen_row((int16_t *)(void *)out + k, from, count, flip,
                      (int32_t)job->params->zero_point_a + (flip ? 128 : 0));
        } else {
            sum += flip_row((uint8_t *)out + k, from, count, flip);
        }
    }
    const size_t element = mrt_tile_element(job->isa);
    memset(out + (size_t)p->depth * element, 0, (size_t)rest * element);
    job->row_sum[row] = (int32_t)((uint32_t)sum * (uint32_t)job->db);
}

/* Rows that lie one after the other stay so when nobody wants their sums: what is read behind the depth
 * meets zero weights. */
static void flat_piece(void *context, int64_t task) {
    const tiles_job *job = context;
    const mrt_matmul_plan *p = job->plan;
    const int64_t first = task * FLAT;
    const int64_t count = mrt_min64(FLAT, p->batches_a * p->rows * p->depth - first);
    const uint8_t flip = job->signed_a ? 0x80 : 0;
    if (job->isa->layout == MRT_TILE_I16) {
        widen_row((int16_t *)(void *)job->left + first, job->a + first, count, flip,
                  (int32_t)job->params->zero_point_a + (flip ? 128 : 0));
    } else {
        flip_flat((uint8_t *)job->left + first, job->a + first, count, flip);
    }
}

static void left_piece(void *context, int64_t task) {
    const tiles_job *job = context;
    const int64_t rows = job->plan->batches_a * job->plan->rows;
    const int64_t end = mrt_min64(rows, (task + 1) * PIECE_ROWS);
    for (int64_t row = task * PIECE_ROWS; row < end; ++row) {
        prepare_left(job, row);
    }
}

static void prepare_rows(tiles_job *job, mrt_pool *pool) {
    const mrt_matmul_plan *p = job->plan;
    const int64_t rows = p->batches_a * p->rows;
    const size_t element = mrt_tile_element(job->isa);
    memset(job->left + (size_t)rows * job->row_bytes, 1, job->row_bytes);
    job->rows = job->left;
    job->stride = job->row_bytes;
    if (job->params->trans_a != 0 || job->db != 0) {
        mrt_parallel_for(pool, mrt_div_up(rows, PIECE_ROWS), left_piece, job);
        return;
    }
    job->stride = (size_t)p->depth * element;
    if (element == 1 && !job->signed_a && p->depth == job->quads * 4) {
        job->rows = (const char *)job->a;
        return;
    }
    mrt_parallel_for(pool, mrt_div_up(rows * p->depth, FLAT), flat_piece, job);
}

/* --- the right operand --- */

/* One quad of a block; row i of the quad holds `columns` bytes of k = 4 q + i, NULL past the depth. */
MRT_CLONES
static void pack_bytes(int8_t *restrict out, const uint8_t *const row[4], uint8_t flip) {
    const uint8_t *restrict r0 = row[0], *restrict r1 = row[1];
    const uint8_t *restrict r2 = row[2], *restrict r3 = row[3];
    for (int n = 0; n < MRT_TILE_BLOCK; ++n) {
        out[4 * n] = (int8_t)(r0[n] ^ flip);
        out[4 * n + 1] = (int8_t)(r1[n] ^ flip);
        out[4 * n + 2] = (int8_t)(r2[n] ^ flip);
        out[4 * n + 3] = (int8_t)(r3[n] ^ flip);
    }
}

/* The bytes of one quad of a block, k by k, zeros past the depth and the columns. */
static void gather_quad(const tiles_job *job, const uint8_t *b, int64_t q, int64_t column,
                        uint8_t rows[4][MRT_TILE_BLOCK], const uint8_t *row[4], uint8_t zero) {
    const mrt_matmul_plan *p = job->plan;
    const int64_t live = mrt_min64(MRT_TILE_BLOCK, p->columns - column);
    for (int i = 0; i < 4; ++i) {
        const int64_t k = q * 4 + i;
        row[i] = rows[i];
        if (k >= p->depth) {
            memset(rows[i], zero, MRT_TILE_BLOCK);
        } else if (job->params->trans_b) {
            for (int64_t n = 0; n < live; ++n) {
                rows[i][n] = b[(column + n) * p->depth + k];
            }
        } else if (live == MRT_TILE_BLOCK) {
            row[i] = b + k * p->columns + column;
        } else {
            memcpy(rows[i], b + k * p->columns + column, (size_t)live);
        }
    }
}

/* Whole quads of [N][K] storage, where the four bytes of a column lie together. */
static void pack_turned(int8_t *out, const uint8_t *b, int64_t depth, int64_t columns,
                        uint32_t flip) {
    for (int64_t n = 0; n < columns; ++n, b += depth) {
        for (int64_t q = 0; q < depth / 4; ++q) {
            uint32_t word;
            memcpy(&word, b + 4 * q, 4);
            word ^= flip;
            memcpy(out + (q * MRT_TILE_BLOCK + n) * 4, &word, 4);
        }
    }
}

/* What a column adds to every row; the sum of its weights is a product with a row of ones. */
static void column_base(const tiles_job *job, const char *block, int64_t column, int32_t *base) {
    static const int64_t run[1] = {0};
    const mrt_matmul_plan *p = job->plan;
    const uint32_t both =
        (uint32_t)((uint64_t)p->depth * (uint64_t)((int64_t)job->da * job->db));
    int32_t sum[WIDTH] = {0};
    if (job->da != 0) {
        const int64_t rows = p->batches_a * p->rows;
        const mrt_tile tile = {.a = job->left + (size_t)rows * job->row_bytes,
                               .a_stride = job->row_bytes,
                               .run = run,
                               .runs = 1,
                               .quads = job->quads,
                               .w = block,
                               .w_stride = job->block_bytes,
                               .c = sum};
        job->isa->tile(&tile, 1, 1);
    }
    for (int64_t n = 0; n < MRT_TILE_BLOCK; ++n) {
        const int64_t c = column + n;
        const int32_t bias = job->bias && c < p->columns ? job->bias[c] : 0;
        base[n] = (int32_t)((uint32_t)bias + both + (uint32_t)sum[n] * (uint32_t)job->da);
    }
}

static void pack_block(void *context, int64_t task) {
    const tiles_job *job = context;
    const mrt_matmul_plan *p = job->plan;
    const int64_t column = task % job->blocks * MRT_TILE_BLOCK;
    const uint8_t *b = job->b + task / job->blocks * p->depth * p->columns;
    const bool wide = job->isa->layout == MRT_TILE_I16;
    /* int16: bytes of int8 become value + 128; int8: bytes of uint8 become value - 128 */
    const uint8_t flip = job->signed_b == wide ? 0x80 : 0;
    const int32_t zero_point = (int32_t)job->params->zero_point_b + (job->signed_b ? 128 : 0);
    char *block = job->right + (size_t)task * job->block_bytes;
    uint8_t rows[4][MRT_TILE_BLOCK] = {{0}};
    int64_t q = 0;
    if (!wide && job->params->trans_b) {
        const int64_t live = mrt_min64(MRT_TILE_BLOCK, p->columns - column);
        memset(block, 0, live < MRT_TILE_BLOCK ? job->block_bytes : 0);
        pack_turned((int8_t *)block, b + column * p->depth, p->depth, live, flip * 0x01010101u);
        q = p->depth / 4;
    }
    for (; q < job->quads; ++q) {
        const uint8_t *row[4];
        if (wide) {
            gather_quad(job, b, q, column, rows, row, (uint8_t)(zero_point ^ flip));
            mrt_tile_pack_words((int16_t *)(void *)block + q * 4 * MRT_TILE_BLOCK, row,
                                job->signed_b, (int32_t)job->params->zero_point_b);
        } else {
            gather_quad(job, b, q, column, rows, row, flip);
            pack_bytes((int8_t *)block + q * 4 * MRT_TILE_BLOCK, row, flip);
        }
    }
    column_base(job, block, column,
                job->base + task / job->blocks * job->columns + column);
}

/* --- the product --- */

MRT_CLONES
static void add_row_sums(int32_t *restrict c, const int32_t *restrict sum, int rows, int columns) {
    for (int r = 0; r < rows; ++r) {
        for (int n = 0; n < columns; ++n) {
            c[r * WIDTH + n] = (int32_t)((uint32_t)c[r * WIDTH + n] + (uint32_t)sum[r]);
        }
    }
}

static void multiply_rows(const tiles_job *job, mrt_tile *tile, const mrt_tile_end *end,
                          const char *left, const int32_t *row_sum, int64_t rows, int blocks,
                          uint8_t *y, int columns) {
    const size_t y_stride = (size_t)job->plan->columns * job->y_element;
    const int *height = job->isa->heights;
    for (int64_t row = 0; row < rows; row += height[0]) {
        row = mrt_tile_next(job->isa, &height, rows, row);
        tile->a = left + (size_t)row * job->stride;
        job->isa->tile(tile, height[0], blocks);
        if (job->db != 0) {
            add_row_sums(tile->c, row_sum + row, height[0], blocks * MRT_TILE_BLOCK);
        }
        mrt_tile_finish(job->isa, end, tile->c, WIDTH, height[0], y + (size_t)row * y_stride, y_stride,
                        columns);
    }
}

static void run_piece(void *context, int64_t task) {
    static const int64_t run[1] = {0};
    const tiles_job *job = context;
    const mrt_matmul_plan *p = job->plan;
    const int64_t pieces = mrt_div_up(p->rows, PIECE_ROWS);
    const int64_t batch = task / pieces;
    const int64_t first = task % pieces * PIECE_ROWS;
    const int64_t rows = mrt_min64(PIECE_ROWS, p->rows - first);
    const int64_t left = mrt_matmul_matrix(p, p->stride_a, batch) * p->rows + first;
    const int64_t right = mrt_matmul_matrix(p, p->stride_b, batch);
    int32_t sums[MRT_TILE_ROWS * WIDTH];
    mrt_tile tile = {.a_stride = job->stride,
                     .run = run,
                     .runs = 1,
                     .quads = job->quads,
                     .w_stride = job->block_bytes,
                     .c = sums};
    mrt_tile_enter(job->isa);
    for (int64_t b = 0; b < job->blocks; b += job->isa->blocks) {
        const int64_t column = b * MRT_TILE_BLOCK;
        const int blocks = (int)mrt_min64(job->isa->blocks, job->blocks - b);
        const int columns = (int)mrt_min64(blocks * MRT_TILE_BLOCK, p->columns - column);
        const mrt_tile_end end = {.base = job->base + right * job->columns + column,
                                  .multiplier = job->multiplier + column,
                                  .shift = job->shift + column,
                                  .zero_point = (int32_t)job->params->zero_point_out,
                                  .low = (int32_t)job->params->clamp_min,
                                  .high = (int32_t)job->params->clamp_max,
                                  .narrow = job->narrow,
                                  .scale = job->scale ? job->scale + column : NULL,
                                  .real_low = job->range.low,
                                  .real_high = job->range.high};
        tile.w = job->right + (size_t)(right * job->blocks + b) * job->block_bytes;
        multiply_rows(job, &tile, &end, job->rows + (size_t)left * job->stride,
                      job->row_sum + left, rows, blocks,
                      job->y + (size_t)((batch * p->rows + first) * p->columns + column) *
                                   job->y_element,
                      columns);
    }
    mrt_tile_leave(job->isa);
}

/* Multipliers and shifts of every column; sets narrow. */
static void spread_scales(tiles_job *job, const mrt_call *call) {
    const mrt_matmul_plan *p = job->plan;
    const int32_t *multiplier = call->in[3]->data;
    const int32_t *shift = call->in[4]->data;
    const bool per_column = mrt_shape_count(&call->in[3]->shape) > 1;
    job->narrow = true;
    for (int64_t n = 0; n < job->columns; ++n) {
        const int64_t at = per_column ? n : 0;
        const bool live = n < p->columns;
        job->multiplier[n] = live ? multiplier[at] : 0;
        job->shift[n] = live ? shift[at] : 0;
        if (live) {
            const int64_t bias = job->bias ? job->bias[n] : 0;
            const int64_t bound = p->depth * 255 * 255 + (bias < 0 ? -bias : bias);
            const int64_t m = multiplier[at];
            job->narrow = job->narrow && shift[at] >= 32 && shift[at] <= 50 &&
                          (bound * (m < 0 ? -m : m)) >> shift[at] <= INT32_MAX - 512;
        }
    }
}

static void spread_real_scales(tiles_job *job, const mrt_call *call, const mrt_matmul_real_params *real) {
    const double *scale = call->in[3]->data;
    const bool per_column = mrt_shape_count(&call->in[3]->shape) > 1;
    job->scale = (double *)(void *)job->multiplier;
    for (int64_t n = 0; n < job->columns; ++n) {
        job->scale[n] = n < job->plan->columns ? scale[per_column ? n : 0] : 0.0;
    }
    job->range = mrt_real_range_of(real->act, real->act_limit);
    job->y_element = sizeof(float);
}

void mrt_matmul_tiles_run(const mrt_matmul_plan *p, const mrt_matmul_int_params *params,
                          const mrt_matmul_real_params *real, const mrt_call *call) {
    const mrt_tile_isa *isa = row_of(p);
    tiles_memory m = {0};
    const bool fits = memory_layout(p, &m);
    assert(fits);
    (void)fits;
    char *scratch = call->scratch;
    const mrt_tensor *bias = mrt_in(call, 2);
    tiles_job job = {.plan = p,
                     .params = params,
                     .isa = isa,
                     .a = call->in[0]->data,
                     .b = call->in[1]->data,
                     .y = call->out[0]->data,
                     .y_element = 1,
                     .bias = bias ? bias->data : NULL,
                     .signed_a = call->in[0]->dtype == MRT_I8,
                     .signed_b = call->in[1]->dtype == MRT_I8,
                     .quads = mrt_tile_quads(isa, mrt_max64(1, p->depth)),
                     .blocks = mrt_div_up(p->columns, MRT_TILE_BLOCK),
                     .columns = filled_columns(p),
                     .left = scratch,
                     .right = scratch + m.right,
                     .row_sum = (int32_t *)(void *)(scratch + m.row_sum),
                     .base = (int32_t *)(void *)(scratch + m.base),
                     .multiplier = (int32_t *)(void *)(scratch + m.multiplier),
                     .shift = (int32_t *)(void *)(scratch + m.shift)};
    job.row_bytes = (size_t)job.quads * 4 * mrt_tile_element(job.isa);
    job.block_bytes = mrt_tile_block_bytes(job.isa, 1, job.quads);
    if (job.isa->layout == MRT_TILE_U8) {
        job.da = -(job.signed_a ? 128 : 0) - (int32_t)job.params->zero_point_a;
        job.db = (job.signed_b ? 0 : 128) - (int32_t)job.params->zero_point_b;
    }
    if (real) {
        spread_real_scales(&job, call, real);
    } else {
        spread_scales(&job, call);
    }
    prepare_rows(&job, call->pool);
    mrt_parallel_for(call->pool, p->batches_b * job.blocks, pack_block, &job);
    mrt_parallel_for(call->pool, p->batches * mrt_div_up(p->rows, PIECE_ROWS), run_piece, &job);
}
