/* Float products of implicit rows: a row of A is the window of an output position, of any line or image.
 *
 * A task takes some rows and columns. Piece by piece of the depth, its rows are copied side by side
 * (padding becomes zeros), then the weights of the piece pass over them. How rows, columns and depth
 * are cut changes no byte of the result (tile_f32.h), so tasks may depend on the number of threads. */
#include "runtime/kernels/kernel_util.h"
#include "runtime/kernels/nhwc_conv.h"
#include "runtime/mrt_clones.h"

#include <string.h>

enum {
    TASK_ROWS = 112,         /* at most; copies of a piece stay in the second cache */
    TASK_BLOCKS = 8,         /* columns are cut down to this many blocks before rows are */
    TASKS_PER_THREAD = 4,
    CACHE_BYTES = 1 << 19,   /* weights that take more are fetched before their turn */
    VECTOR = 16,
};
typedef float vector __attribute__((vector_size(VECTOR * sizeof(float)), aligned(4)));

typedef struct rows_job {
    const mrt_nhwc_conv *conv;
    const float *x, *add; /* add: as y, or NULL */
    float *y;
    int64_t rows, row_tasks, blocks_piece, column_tasks;
} rows_job;

/* --- copies of rows --- */

/* Copies or clears count floats and up to VECTOR - 1 behind them, which are written again or not
 * used; as many are read. */
MRT_INLINE float *put(float *to, const float *from, int64_t count) {
    for (int64_t i = 0; i < count; i += VECTOR) {
        *(vector *)(void *)(to + i) =
            from ? *(const vector *)(const void *)(from + i) : (vector){0};
    }
    return to + count;
}

/* What a piece of the depth takes of one line of x: `count` elements. */
typedef struct segment {
    int64_t tap[3];  /* position of its first tap in the window */
    int64_t from;    /* elements from that tap on, of all channels */
    int64_t offset;  /* elements from the window's first tap, in x */
    int64_t count;
} segment;

/* The piece [first, first + depth) of a window of the group. */
static int segments_of(const mrt_nhwc_conv *c, int64_t group, int64_t first, int64_t depth,
                       segment *out) {
    const mrt_conv_plan *p = &c->plan;
    const int64_t merged = p->taps / c->runs; /* taps of a run */
    int n = 0;
    for (int64_t run = first / c->length, from = first % c->length; depth > 0; ++run, from = 0) {
        const int64_t tap = run * merged;
        segment *s = &out[n++];
        s->tap[0] = tap / p->kernel[2] / p->kernel[1] * p->dilation[0];
        s->tap[1] = tap / p->kernel[2] % p->kernel[1] * p->dilation[1];
        s->tap[2] = tap % p->kernel[2] * p->dilation[2];
        s->from = group * p->group_in + from;
        s->offset = ((s->tap[0] * p->in[1] + s->tap[1]) * p->in[2] + s->tap[2]) * p->channels +
                    s->from;
        s->count = mrt_min64(depth, c->length - from);
        depth -= s->count;
    }
    return n;
}

/* A segment of a window at `at` that may reach out of x. */
MRT_INLINE float *put_border(const mrt_nhwc_conv *c, const float *image, const int64_t *at,
                             const segment *s, float *to) {
    const mrt_conv_plan *p = &c->plan;
    const int64_t d = at[0] + s->tap[0], h = at[1] + s->tap[1], w = at[2] + s->tap[2];
    const int64_t size = p->in[2] * p->channels, begin = w * p->channels + s->from;
    const bool inside = d >= 0 && d < p->in[0] && h >= 0 && h < p->in[1];
    const int64_t first = mrt_max64(begin, 0), last = mrt_min64(begin + s->count, size);
    if (!inside || first >= last) {
        return put(to, NULL, s->count);
    }
    to = put(to, NULL, first - begin);
    to = put(to, image + (d * p->in[1] + h) * size + first, last - first);
    return put(to, NULL, begin + s->count - last);
}

/* Windows one after the other: the position of the first tap, of any line or image. */
typedef struct walk {
    int64_t image, out[3];
} walk;

static void step_on(walk *o, const mrt_conv_plan *p) {
    for (int i = 2; i >= 0; --i) {
        if (++o->out[i] < p->out[i]) {
            return;
        }
        o->out[i] = 0;
    }
    ++o->image;
}

MRT_INLINE void put_window(const mrt_nhwc_conv *c, const float *x, const walk *o,
                           const segment *s, int segments, float *to) {
    const mrt_conv_plan *p = &c->plan;
    const float *image = x + o->image * p->in_plane * p->channels;
    int64_t at[3];
    bool inside = true;
    for (int i = 0; i < 3; ++i) {
        at[i] = o->out[i] * p->stride[i] - p->begin[i];
        inside = inside && at[i] >= 0 && at[i] + (p->kernel[i] - 1) * p->dilation[i] < p->in[i];
    }
    const float *from = image + ((at[0] * p->in[1] + at[1]) * p->in[2] + at[2]) * p->channels;
    for (int i = 0; i < segments; ++i) {
        to = inside ? put(to, from + s[i].offset, s[i].count) : put_border(c, image, at, &s[i], to);
    }
}

/* Elements [first, first + depth) of windows [row, row + rows). */
MRT_CLONES static void put_rows(const rows_job *job, int64_t group, int64_t row, int64_t rows,
                                int64_t first, int64_t depth, float *to) {
    const mrt_nhwc_conv *c = job->conv;
    const mrt_conv_plan *p = &c->plan;
    if (p->direct) {
        const float *from = job->x + row * p->channels + group * p->group_in + first;
        for (; rows > 0; --rows, from += p->channels, to += MRT_TILE_F32_STRIDE) {
            put(to, from, depth);
        }
        return;
    }
    segment s[MRT_TILE_F32_DEPTH];
    const int segments = segments_of(c, group, first, depth, s);
    const int64_t in_image = row % p->positions;
    walk o = {.image = row / p->positions,
              .out = {in_image / p->out[2] / p->out[1], in_image / p->out[2] % p->out[1],
                      in_image % p->out[2]}};
    for (; rows > 0; --rows, to += MRT_TILE_F32_STRIDE, step_on(&o, p)) {
        put_window(c, job->x, &o, s, segments, to);
    }
}

/* --- tasks --- */

/* Rows [row, row + rows) by columns of blocks [block, end) of a group. */
typedef struct rows_task {
    int64_t group, row, rows, block, end;
} rows_task;

/* Where piece `piece` of `pieces` begins: whole vectors, so that copies lie on lines of the cache. */
static int64_t begin_of(int64_t depth, int64_t piece, int64_t pieces) {
    const int64_t vectors = mrt_div_up(depth, VECTOR);
    return mrt_min64(vectors * piece / pieces * VECTOR, depth);
}

static void multiply_task(const rows_job *job, const rows_task *s, float *a) {
    const mrt_nhwc_conv *c = job->conv;
    const int64_t depth = c->runs * c->length, pieces = mrt_div_up(depth, MRT_TILE_F32_DEPTH);
    const bool fetches = (size_t)c->blocks * c->block_bytes > CACHE_BYTES;
    const int width = c->float_isa->blocks;
    const char *weights = (const char *)c->w + (size_t)(s->group * c->blocks) * c->block_bytes;
    mrt_tile_f32 t = {.a = a,
                      .w_stride = c->block_bytes / sizeof(float),
                      .low = c->float_low,
                      .high = c->float_high,
                      .y_stride = (size_t)c->plan.out_channels};
    for (int64_t piece = 0; piece < pieces; ++piece) {
        const int64_t k = begin_of(depth, piece, pieces), next = begin_of(depth, piece + 1, pieces);
        t.depth = next - k;
        t.starts = piece == 0;
        t.ends = piece + 1 == pieces;
        put_rows(job, s->group, s->row, s->rows, k, t.depth, a);
        for (int64_t block = s->block; block < s->end; block += width) {
            const int64_t last = mrt_min64(block + width, s->end);
            const int64_t columns = mrt_min64(last * MRT_TILE_BLOCK, c->plan.group_out) -
                                    block * MRT_TILE_BLOCK;
            const char *ahead = NULL;
            if (fetches && last + width <= s->end) {
                ahead = weights + (size_t)last * c->block_bytes + (size_t)k * 64;
            } else if (fetches && last == s->end && !t.ends) {
                ahead = weights + (size_t)s->block * c->block_bytes + (size_t)next * 64;
            }
            const int64_t column = s->group * c->plan.group_out + block * MRT_TILE_BLOCK;
            const int64_t at = s->row * c->plan.out_channels + column;
            t.w = (const float *)(const void *)(weights + (size_t)block * c->block_bytes +
                                                (size_t)k * 64);
            t.bias = c->bias + s->group * c->columns + block * MRT_TILE_BLOCK;
            t.y = job->y + at;
            t.add = job->add ? job->add + at : NULL;
            mrt_tile_f32_rows(c->float_isa, &t, s->rows, (int)columns, ahead);
        }
    }
}

static void run_task(void *context, int64_t task) {
    const rows_job *job = context;
    const mrt_nhwc_conv *c = job->conv;
    const int64_t row_task = task % job->row_tasks;
    const int64_t block = task / job->row_tasks % job->column_tasks * job->blocks_piece;
    rows_task s = {.group = task / job->row_tasks / job->column_tasks,
                   .row = job->rows * row_task / job->row_tasks,
                   .block = block,
                   .end = mrt_min64(block + job->blocks_piece, c->blocks)};
    s.rows = job->rows * (row_task + 1) / job->row_tasks - s.row;
    float a[TASK_ROWS * MRT_TILE_F32_STRIDE] __attribute__((aligned(64)));
    multiply_task(job, &s, a);
}

/* Enough tasks that no thread waits for long: columns are cut first, so that weights are read once. */
static void cut(rows_job *job, int threads) {
    const mrt_nhwc_conv *c = job->conv;
    const int64_t wanted = threads > 1 ? TASKS_PER_THREAD * threads : 1;
    const int64_t least = 2 * c->float_isa->rows;
    job->row_tasks = mrt_div_up(job->rows, TASK_ROWS);
    job->column_tasks = 1;
    job->blocks_piece = c->blocks;
    while (job->row_tasks * job->column_tasks * c->plan.group < wanted) {
        if (job->blocks_piece >= 2 * TASK_BLOCKS ||
            (job->rows / job->row_tasks < 2 * least && job->blocks_piece > MRT_TILE_BLOCKS)) {
            job->blocks_piece = mrt_div_up(job->blocks_piece, 2 * MRT_TILE_BLOCKS) * MRT_TILE_BLOCKS;
            job->column_tasks = mrt_div_up(c->blocks, job->blocks_piece);
        } else if (job->rows / job->row_tasks >= 2 * least) {
            job->row_tasks *= 2;
        } else {
            return;
        }
    }
}

void mrt_nhwc_rows_f32(const mrt_nhwc_conv *c, const float *x, const float *add, float *y,
                       mrt_pool *pool) {
    rows_job job = {.conv = c, .x = x, .add = add, .y = y, .rows = c->plan.batch * c->plan.positions};
    if (job.rows < 1) {
        return;
    }
    cut(&job, mrt_pool_threads(pool));
    mrt_parallel_for(pool, job.row_tasks * job.column_tasks * c->plan.group, run_task, &job);
}
