/* Blocked integer matrix product: see int_gemm.h. */
#include "runtime/kernels/int_gemm.h"

#include "runtime/kernels/kernel_util.h"

#include <string.h>

enum { PANEL_QUAD_BYTES = 4 * MRT_INT_COLUMNS * 2 };

/* Slice of scratch that one lane owns. */
typedef struct lane_memory {
    size_t panel, tile, rows, sum, wide, total; /* bytes */
} lane_memory;

static lane_memory lane_layout(int64_t quads) {
    lane_memory m;
    m.panel = (size_t)mrt_min64(quads, MRT_INT_QUADS) * PANEL_QUAD_BYTES;
    m.tile = sizeof(int32_t) * MRT_TILE_ROWS * MRT_INT_COLUMNS;
    m.rows = 4 * MRT_INT_ROW_BYTES;
    m.sum = sizeof(int64_t) * MRT_INT_COLUMNS;
    m.wide = quads > MRT_INT_QUADS ? sizeof(int64_t) * MRT_INT_ROWS * MRT_INT_COLUMNS : 0;
    m.total = mrt_align64(m.panel + m.tile + m.rows + m.sum + m.wide);
    return m;
}

static int64_t task_count(int64_t batches, int64_t rows, int64_t columns) {
    return batches * mrt_div_up(rows, MRT_INT_ROWS) * mrt_div_up(columns, MRT_INT_COLUMNS);
}

size_t mrt_int_gemm_scratch(int64_t batches, int64_t rows, int64_t columns, int64_t quads) {
    return (size_t)mrt_int_lanes(task_count(batches, rows, columns)) * lane_layout(quads).total;
}

/* What a lane carries from task to task. */
typedef struct lane {
    mrt_int_panel panel;
    int32_t *tile;
    int64_t *wide;
    int64_t packed; /* batch * column blocks + block of the panel at hand, -1 for none */
} lane;

/* Adds one panel's sums to the wide accumulators. */
static void add_wide(int64_t *wide, const int32_t *tile, int64_t count, bool first) {
    for (int64_t i = 0; i < count; ++i) {
        wide[i] = (first ? 0 : wide[i]) + tile[i];
    }
}

/* A tile of rows against the panel at hand. */
static void multiply_tile(const mrt_int_gemm *g, const lane *l, const char *left, int rows) {
    static const int64_t run[1] = {0};
    const int64_t quads = l->panel.last - l->panel.first;
    mrt_tile tile = {.a = left, .a_stride = g->left_stride, .run = run, .runs = 1, .quads = quads};
    tile.w_stride = mrt_tile_block_bytes(g->isa, 1, quads);
    for (int b = 0; b < MRT_TILE_BLOCKS; b += g->isa->blocks) {
        tile.w = (const char *)l->panel.out + (size_t)b * tile.w_stride;
        tile.c = l->tile + b * MRT_TILE_BLOCK;
        g->isa->tile(&tile, rows, g->isa->blocks);
    }
}

/* All rows of a task against the panel at hand. */
static void multiply_rows(const mrt_int_gemm *g, lane *l, int64_t row0, int64_t row1) {
    const mrt_int_panel *p = &l->panel;
    const char *left = g->left(g->context, p->batch) + (size_t)p->first * 4 * sizeof(int16_t);
    const int *height = g->isa->heights;
    mrt_int_rows out = {p->batch, 0, p->column, p->columns, p->sum, NULL, NULL};
    for (int64_t row = row0; row < row1; row += height[0]) {
        while (height[0] > row1 - row) {
            ++height;
        }
        const int count = height[0];
        multiply_tile(g, l, left + (size_t)row * g->left_stride, count);
        int64_t *wide = l->wide ? l->wide + (row - row0) * MRT_INT_COLUMNS : NULL;
        if (wide) {
            add_wide(wide, l->tile, (int64_t)count * MRT_INT_COLUMNS, p->first == 0);
            if (p->last < g->quads) {
                continue;
            }
        }
        for (int i = 0; i < count; ++i) {
            out.row = row + i;
            out.acc = wide ? NULL : l->tile + i * MRT_INT_COLUMNS;
            out.wide = wide ? wide + i * MRT_INT_COLUMNS : NULL;
            g->finish(g->context, &out);
        }
    }
}

static void run_task(const mrt_int_gemm *g, lane *l, int64_t task) {
    const int64_t row_blocks = mrt_div_up(g->rows, MRT_INT_ROWS);
    const int64_t column_blocks = mrt_div_up(g->columns, MRT_INT_COLUMNS);
    const int64_t row0 = task % row_blocks * MRT_INT_ROWS;
    const int64_t row1 = mrt_min64(g->rows, row0 + MRT_INT_ROWS);
    const int64_t block = task / row_blocks;
    mrt_int_panel *p = &l->panel;
    p->batch = block / column_blocks;
    p->column = block % column_blocks * MRT_INT_COLUMNS;
    p->columns = (int)mrt_min64(MRT_INT_COLUMNS, g->columns - p->column);
    for (p->first = 0; p->first < g->quads; p->first = p->last) {
        p->last = mrt_min64(g->quads, p->first + MRT_INT_QUADS);
        if (l->wide || l->packed != block) {
            g->pack(g->context, p);
            l->packed = block;
        }
        multiply_rows(g, l, row0, row1);
    }
}

static void run_lane(void *context, int64_t index) {
    const mrt_int_gemm *g = context;
    const int64_t tasks = task_count(g->batches, g->rows, g->columns);
    const lane_memory m = lane_layout(g->quads);
    char *memory = g->scratch + (size_t)index * m.total;
    lane l = {.packed = -1};
    l.panel.out = (int16_t *)(void *)memory;
    l.tile = (int32_t *)(void *)(memory + m.panel);
    uint8_t *rows = (uint8_t *)memory + m.panel + m.tile;
    memset(rows, 0, m.rows);
    for (int i = 0; i < 4; ++i) {
        l.panel.row[i] = rows + i * MRT_INT_ROW_BYTES;
    }
    l.panel.sum = (int64_t *)(void *)(rows + m.rows);
    l.wide = m.wide ? l.panel.sum + MRT_INT_COLUMNS : NULL;
    const int64_t end = mrt_int_lane_begin(tasks, index + 1);
    for (int64_t task = mrt_int_lane_begin(tasks, index); task < end; ++task) {
        run_task(g, &l, task);
    }
}

void mrt_int_gemm_run(const mrt_int_gemm *gemm, mrt_pool *pool) {
    const int64_t tasks = task_count(gemm->batches, gemm->rows, gemm->columns);
    mrt_parallel_for(pool, mrt_int_lanes(tasks), run_lane, (void *)(uintptr_t)gemm);
}
