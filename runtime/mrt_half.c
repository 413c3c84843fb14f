#include "runtime/mrt_half.h"

#include "runtime/mrt_clones.h"

enum { TILE = 16384 }; /* elements */

typedef struct convert_job {
    mrt_dtype dtype;
    const void *from;
    void *to;
    int64_t count;
} convert_job;

static int64_t tile_end(const convert_job *job, int64_t tile) {
    const int64_t end = (tile + 1) * TILE;
    return end < job->count ? end : job->count;
}

MRT_CLONES static void widen_tile(void *context, int64_t tile) {
    const convert_job *job = context;
    const uint16_t *restrict from = job->from;
    float *restrict to = job->to;
    const int64_t end = tile_end(job, tile);
    if (job->dtype == MRT_F64) {
        const double *restrict wide = job->from;
        for (int64_t i = tile * TILE; i < end; i++) {
            to[i] = (float)wide[i];
        }
    } else if (job->dtype == MRT_F16) {
        for (int64_t i = tile * TILE; i < end; i++) {
            to[i] = mrt_f16_to_f32(from[i]);
        }
    } else {
        for (int64_t i = tile * TILE; i < end; i++) {
            to[i] = mrt_bf16_to_f32(from[i]);
        }
    }
}

MRT_CLONES static void narrow_tile(void *context, int64_t tile) {
    const convert_job *job = context;
    const float *restrict from = job->from;
    uint16_t *restrict to = job->to;
    const int64_t end = tile_end(job, tile);
    if (job->dtype == MRT_F64) {
        double *restrict wide = job->to;
        for (int64_t i = tile * TILE; i < end; i++) {
            wide[i] = (double)from[i];
        }
    } else if (job->dtype == MRT_F16) {
        for (int64_t i = tile * TILE; i < end; i++) {
            to[i] = mrt_f32_to_f16(from[i]);
        }
    } else {
        for (int64_t i = tile * TILE; i < end; i++) {
            to[i] = mrt_f32_to_bf16(from[i]);
        }
    }
}

void mrt_half_to_f32(mrt_dtype dtype, const void *from, float *to, int64_t count, mrt_pool *pool) {
    convert_job job = {dtype, from, to, count};
    mrt_parallel_for(pool, (count + TILE - 1) / TILE, widen_tile, &job);
}

void mrt_half_from_f32(mrt_dtype dtype, const float *from, void *to, int64_t count,
                       mrt_pool *pool) {
    convert_job job = {dtype, from, to, count};
    mrt_parallel_for(pool, (count + TILE - 1) / TILE, narrow_tile, &job);
}
