/* conv_nhwc_f32 of 3x3 windows at every position, by tiles of 2x2 outputs [float-winograd].
 *
 * With the matrices B, G, A of F(2x2, 3x3) a tile is A' ((G w G') * (B' x B)) A: 16 products of channels
 * in place of 36. Weights are transformed when they are packed. A task transforms some tiles of x and, 16 or
 * 32 output channels at a time, multiplies and transforms back; what it keeps fits the second cache. How
 * tiles are cut into tasks changes no byte of the result. */
#include "runtime/kernels/kernel_util.h"
#include "runtime/kernels/nhwc_conv.h"
#include "runtime/mrt_clones.h"

#include <stdatomic.h>

enum {
    VECTOR = 16,         /* floats */
    POINTS = MRT_WINOGRAD_POINTS, /* products per tile */
    LEAST_CHANNELS = 32, /* below this the transforms cost more than they save */
    LEAST_TILES = 49,    /* of an image: fewer are bound by reading the weights, which are more */
    TASK_TILES = 56,
    TASK_FLOATS = 14 << 10, /* tiles times channels of a task */
    WORKERS = 8,         /* that have their own scratch */
};
typedef float vector __attribute__((vector_size(VECTOR * sizeof(float)), aligned(4)));
typedef int32_t vector_mask __attribute__((vector_size(VECTOR * sizeof(float))));

/* Macros: functions would pass vectors that the caller's processor may lack. */
#define AT(p) (*(vector *)(void *)(p))
#define CONST_AT(p) (*(const vector *)(const void *)(p))
#define SELECT(mask, a, b) ((vector)(((mask) & (vector_mask)(a)) | (~(mask) & (vector_mask)(b))))

/* --- sizes --- */

bool mrt_winograd_fits(const mrt_conv_plan *p) {
    const int64_t tiles = mrt_div_up(p->out[1], 2) * mrt_div_up(p->out[2], 2);
    bool fits = p->group == 1 && p->out[0] == 1 && p->kernel[0] == 1 && p->in[0] == 1 &&
                p->begin[0] == 0 && tiles >= LEAST_TILES;
    for (int i = 1; i < 3; ++i) {
        fits = fits && p->kernel[i] == 3 && p->stride[i] == 1 && p->dilation[i] == 1;
    }
    return fits && p->channels >= LEAST_CHANNELS && p->out_channels >= LEAST_CHANNELS &&
           p->channels % VECTOR == 0 && p->out_channels % VECTOR == 0;
}

static int64_t pieces_of(const mrt_nhwc_conv *c) {
    return mrt_div_up(c->plan.channels, MRT_TILE_F32_DEPTH);
}

/* Depth of a piece: whole vectors, about the same for all. */
static int64_t piece_depth(const mrt_nhwc_conv *c) {
    return mrt_div_up(c->plan.channels / VECTOR, pieces_of(c)) * VECTOR;
}

/* Most tiles of a task. */
static int64_t task_tiles(const mrt_nhwc_conv *c) {
    return mrt_max64(1, mrt_min64(TASK_TILES, TASK_FLOATS / c->plan.channels));
}

/* Floats between the tiles of two points, and of all points. */
static int64_t point_floats(const mrt_nhwc_conv *c) {
    return task_tiles(c) * MRT_TILE_F32_STRIDE * pieces_of(c);
}
static int64_t product_floats(const mrt_nhwc_conv *c) {
    return task_tiles(c) * MRT_TILE_BLOCKS * MRT_TILE_BLOCK;
}
static size_t worker_bytes(const mrt_nhwc_conv *c) {
    return (size_t)(POINTS * (point_floats(c) + product_floats(c))) * sizeof(float);
}
size_t mrt_winograd_scratch(const mrt_nhwc_conv *c) { return WORKERS * worker_bytes(c); }

/* --- weights --- */

/* G w G' of the weights w[9]. */
static void transform_weights(const float *w, float *u) {
    float half[4][3]; /* G w */
    for (int i = 0; i < 3; ++i) {
        const float a = w[i], b = w[3 + i], c = w[6 + i];
        half[0][i] = a;
        half[1][i] = 0.5f * (a + b + c);
        half[2][i] = 0.5f * (a - b + c);
        half[3][i] = c;
    }
    for (int i = 0; i < 4; ++i, u += 4) {
        const float a = half[i][0], b = half[i][1], c = half[i][2];
        u[0] = a;
        u[1] = 0.5f * (a + b + c);
        u[2] = 0.5f * (a - b + c);
        u[3] = c;
    }
}

void mrt_winograd_pack(const mrt_nhwc_conv *c, const float *weights, int64_t block, char *out) {
    const int64_t channels = c->plan.channels;
    const size_t point = (size_t)c->blocks * c->block_bytes / sizeof(float);
    float *to = (float *)(void *)(out + (size_t)block * c->block_bytes);
    for (int64_t n = 0; n < MRT_TILE_BLOCK; ++n) { /* output channels are whole blocks */
        const float *w = weights + (block * MRT_TILE_BLOCK + n) * channels * 9;
        for (int64_t k = 0; k < channels; ++k, w += 9) {
            float u[POINTS];
            transform_weights(w, u);
            for (int t = 0; t < POINTS; ++t) {
                to[(size_t)t * point + (size_t)(k * MRT_TILE_BLOCK + n)] = u[t];
            }
        }
    }
}

/* --- tiles of x --- */

typedef struct winograd_job {
    const mrt_nhwc_conv *conv;
    const float *x, *add;
    float *y;
    char *scratch;
    int64_t tiles_down, tiles_across, tiles; /* of an image, of the batch */
    int64_t tasks;
    atomic_int_least64_t next;
} winograd_job;

typedef struct winograd_tile {
    int64_t image, row, column; /* of its first output */
} winograd_tile;

static winograd_tile tile_at(const winograd_job *j, int64_t tile) {
    const int64_t in_image = tile % (j->tiles_down * j->tiles_across);
    return (winograd_tile){tile / (j->tiles_down * j->tiles_across),
                           in_image / j->tiles_across * 2, in_image % j->tiles_across * 2};
}

/* V = B' d B of one vector of channels: d[i][j] at from[i][j], or 0 where that is NULL; V[t] goes to
 * to[t * step]. */
MRT_INLINE void transform_vector(const float *from[4][4], int64_t channel, float *to,
                                 int64_t step) {
    vector half[4][4];
    for (int j = 0; j < 4; ++j) {
        vector d[4];
        for (int i = 0; i < 4; ++i) {
            d[i] = from[i][j] ? CONST_AT(from[i][j] + channel) : (vector){0};
        }
        half[0][j] = d[0] - d[2];
        half[1][j] = d[1] + d[2];
        half[2][j] = d[2] - d[1];
        half[3][j] = d[1] - d[3];
    }
    for (int i = 0; i < 4; ++i, to += 4 * step) {
        AT(to) = half[i][0] - half[i][2];
        AT(to + step) = half[i][1] + half[i][2];
        AT(to + 2 * step) = half[i][2] - half[i][1];
        AT(to + 3 * step) = half[i][1] - half[i][3];
    }
}

MRT_CLONES static void transform_x(const winograd_job *j, int64_t first, int64_t count, float *v) {
    const mrt_nhwc_conv *c = j->conv;
    const mrt_conv_plan *p = &c->plan;
    const int64_t step = point_floats(c), piece_floats = task_tiles(c) * MRT_TILE_F32_STRIDE;
    const int64_t depth = piece_depth(c);
    for (int64_t n = 0; n < count; ++n, v += MRT_TILE_F32_STRIDE) {
        const winograd_tile t = tile_at(j, first + n);
        const float *image = j->x + t.image * p->in_plane * p->channels;
        const float *from[4][4];
        for (int i = 0; i < 16; ++i) {
            const int64_t h = t.row - p->begin[1] + i / 4, w = t.column - p->begin[2] + i % 4;
            const bool inside = h >= 0 && h < p->in[1] && w >= 0 && w < p->in[2];
            from[i / 4][i % 4] = inside ? image + (h * p->in[2] + w) * p->channels : NULL;
        }
        float *to = v;
        for (int64_t k = 0; k < p->channels; k += VECTOR) {
            to += k > 0 && k % depth == 0 ? piece_floats - depth : 0;
            transform_vector(from, k, to + k, step);
        }
    }
}

/* --- products --- */

/* M[t] = V[t] U[t] for the blocks of one call. */
static void multiply(const mrt_nhwc_conv *c, const float *v, int64_t count, int64_t block,
                     int columns, float *m) {
    enum { CACHE_BYTES = 1 << 19 };
    const int64_t channels = c->plan.channels, depth = piece_depth(c);
    const size_t point = (size_t)c->blocks * c->block_bytes;
    const bool fetches = POINTS * point > CACHE_BYTES;
    for (int t = 0; t < POINTS; ++t) {
        const char *w = (const char *)c->w + (size_t)t * point + (size_t)block * c->block_bytes;
        for (int64_t k = 0; k < channels; k += depth) {
            const bool ends = k + depth >= channels;
            const char *ahead = !ends ? w + (k + depth) * 64 : t + 1 < POINTS ? w + point : NULL;
            const mrt_tile_f32 tile = {
                .a = v + (t * pieces_of(c) + k / depth) * task_tiles(c) * MRT_TILE_F32_STRIDE,
                .depth = ends ? channels - k : depth,
                .w = (const float *)(const void *)(w + k * 64),
                .w_stride = c->block_bytes / sizeof(float),
                .starts = k == 0,
                .y = m + t * product_floats(c),
                .y_stride = MRT_TILE_BLOCKS * MRT_TILE_BLOCK};
            mrt_tile_f32_rows(c->float_isa, &tile, count, columns, fetches ? ahead : NULL);
        }
    }
}

/* --- tiles of y --- */

/* A' M A of one vector of channels; y[i][j] has its 4 outputs. */
MRT_INLINE void transform_back(const float *m, int64_t step, vector y[2][2]) {
    vector half[2][4];
    for (int j = 0; j < 4; ++j) {
        const vector a = CONST_AT(m + j * step), b = CONST_AT(m + (4 + j) * step);
        const vector c = CONST_AT(m + (8 + j) * step), d = CONST_AT(m + (12 + j) * step);
        half[0][j] = a + b + c;
        half[1][j] = b - c - d;
    }
    for (int i = 0; i < 2; ++i) {
        y[i][0] = half[i][0] + half[i][1] + half[i][2];
        y[i][1] = half[i][1] - half[i][2] - half[i][3];
    }
}

MRT_CLONES static void transform_y(const winograd_job *j, int64_t first, int64_t count,
                                   const float *m, int64_t column, int columns) {
    const mrt_nhwc_conv *c = j->conv;
    const mrt_conv_plan *p = &c->plan;
    const int64_t step = product_floats(c);
    const vector low = (vector){0} + c->float_low, high = (vector){0} + c->float_high;
    for (int64_t n = 0; n < count; ++n, m += MRT_TILE_BLOCKS * MRT_TILE_BLOCK) {
        const winograd_tile t = tile_at(j, first + n);
        const int64_t down = mrt_min64(2, p->out[1] - t.row);
        const int64_t across = mrt_min64(2, p->out[2] - t.column);
        const int64_t at = ((t.image * p->out[1] + t.row) * p->out[2] + t.column) *
                           p->out_channels + column;
        for (int k = 0; k < columns; k += VECTOR) {
            const vector bias = CONST_AT(c->bias + column + k);
            vector y[2][2];
            transform_back(m + k, step, y);
            for (int i = 0; i < 4; ++i) {
                const int64_t place = at + (i / 2 * p->out[2] + i % 2) * p->out_channels + k;
                if (i / 2 >= down || i % 2 >= across) {
                    continue;
                }
                vector sum = y[i / 2][i % 2] + bias;
                sum = j->add ? sum + CONST_AT(j->add + place) : sum;
                sum = SELECT(sum < low, low, sum);
                AT(j->y + place) = SELECT(sum > high, high, sum);
            }
        }
    }
}

/* --- tasks --- */

static void run_task(const winograd_job *j, int64_t task, float *v) {
    const mrt_nhwc_conv *c = j->conv;
    const int64_t first = j->tiles * task / j->tasks;
    const int64_t count = j->tiles * (task + 1) / j->tasks - first;
    float *m = v + POINTS * point_floats(c);
    transform_x(j, first, count, v);
    for (int64_t block = 0; block < c->blocks; block += c->float_isa->blocks) {
        const int64_t blocks = mrt_min64(c->float_isa->blocks, c->blocks - block);
        const int columns = (int)blocks * MRT_TILE_BLOCK;
        multiply(c, v, count, block, columns, m);
        transform_y(j, first, count, m, block * MRT_TILE_BLOCK, columns);
    }
}

static void run_worker(void *context, int64_t worker) {
    winograd_job *j = context;
    float *scratch = (float *)(void *)(j->scratch + (size_t)worker * worker_bytes(j->conv));
    int64_t task;
    while ((task = atomic_fetch_add_explicit(&j->next, 1, memory_order_relaxed)) < j->tasks) {
        run_task(j, task, scratch);
    }
}

void mrt_winograd_run(const mrt_nhwc_conv *c, const mrt_call *call, const float *add) {
    const mrt_conv_plan *p = &c->plan;
    const int threads = mrt_pool_threads(call->pool);
    winograd_job j = {.conv = c,
                      .x = call->in[0]->data,
                      .add = add,
                      .y = call->out[0]->data,
                      .scratch = call->scratch,
                      .tiles_down = mrt_div_up(p->out[1], 2),
                      .tiles_across = mrt_div_up(p->out[2], 2)};
    j.tiles = p->batch * j.tiles_down * j.tiles_across;
    j.tasks = mrt_max64(mrt_div_up(j.tiles, task_tiles(c)), mrt_min64(threads, j.tiles));
    mrt_parallel_for(call->pool, mrt_min64(WORKERS, threads), run_worker, &j);
}
