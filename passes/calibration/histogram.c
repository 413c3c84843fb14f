#include "passes/calibration/histogram.h"

#include <math.h>
#include <string.h>

#include "runtime/mrt_clones.h"
#include "utils/arena.h"

enum {
    BINS = MICA_HISTOGRAM_BINS,
    HALF = BINS / 2,
    MIN_EXPONENT = -100, /* values below 2^-100 all fall into the bin at 0 */
    LANES = 16,          /* fixed pieces of a tensor: counts add up the same in any order */
    WAYS = 4,            /* counters per bin and lane, so that equal values do not wait for each other */
    BLOCK = 512,
    LANE_MINIMUM = 1 << 15,
};

typedef struct lane {
    uint32_t ways[WAYS][BINS];
    uint64_t zeros, nonfinite;
    float min, max;
} lane;

struct mica_histogram_scratch {
    lane lanes[LANES];
};

mica_histogram_scratch *mica_histogram_scratch_create(void) {
    return mica_alloc(sizeof(mica_histogram_scratch));
}

void mica_histogram_scratch_destroy(mica_histogram_scratch *scratch) { mica_free(scratch); }

void mica_histogram_init(mica_histogram *h) {
    memset(h, 0, sizeof *h);
    h->exponent = MIN_EXPONENT;
}

double mica_histogram_width(const mica_histogram *h) { return ldexp(1.0, h->exponent); }

double mica_histogram_low(const mica_histogram *h) {
    return h->is_signed ? -(double)HALF * mica_histogram_width(h) : 0.0;
}

/* --- range ------------------------------------------------------------------------------------- */

static bool fits(const mica_histogram *h, float min, float max) {
    const double w = mica_histogram_width(h);
    const int bins = h->is_signed ? HALF : BINS;
    return (double)max < bins * w && (double)min >= (h->is_signed ? -bins * w : 0.0);
}

static void double_width(mica_histogram *h) {
    if (h->is_signed) {
        /* Pairs (2k, 2k+1) around the middle: HALF is even, so no pair straddles it. */
        uint64_t merged[BINS] = {0};
        for (int i = 0; i < BINS; ++i) {
            const int from_middle = i - HALF;
            merged[HALF + (from_middle >> 1)] += h->bins[i];
        }
        memcpy(h->bins, merged, sizeof merged);
    } else {
        for (int i = 0; i < HALF; ++i) {
            h->bins[i] = h->bins[2 * i] + h->bins[2 * i + 1];
        }
        memset(h->bins + HALF, 0, sizeof h->bins / 2);
    }
    ++h->exponent;
}

/* From [0, N w) to [-N/2 w', N/2 w'): one doubling makes room, then the bins move up. */
static void make_signed(mica_histogram *h) {
    const bool upper_half_empty = h->count == 0 || (double)h->max < HALF * mica_histogram_width(h);
    if (!upper_half_empty) {
        double_width(h);
    }
    memmove(h->bins + HALF, h->bins, sizeof h->bins / 2);
    memset(h->bins, 0, sizeof h->bins / 2);
    h->is_signed = true;
}

static void make_room(mica_histogram *h, float min, float max) {
    if (min < 0.0f && !h->is_signed) {
        make_signed(h);
    }
    while (h->count == 0 && !fits(h, min, max)) {
        ++h->exponent; /* nothing to merge yet */
    }
    while (!fits(h, min, max)) {
        double_width(h);
    }
}

/* --- counting ---------------------------------------------------------------------------------- */

typedef struct count_job {
    const float *x;
    int64_t n;
    int lanes;
    lane *scratch;
    float inverse; /* 1 / width, a power of two: the product is exact */
    int32_t offset;
} count_job;

static int64_t lane_begin(const count_job *job, int64_t i) { return job->n * i / job->lanes; }

/* Range of the finite values; not-finite ones are counted by the difference to themselves. */
MRT_CLONES static void scan_range(const float *x, int64_t n, float *out_min, float *out_max,
                                  int64_t *out_bad) {
    float low = INFINITY;
    float high = -INFINITY;
    int64_t bad = 0;
    for (int64_t i = 0; i < n; ++i) {
        const float v = x[i];
        const int is_finite = v - v == 0.0f;
        const float a = is_finite ? v : INFINITY;
        const float b = is_finite ? v : -INFINITY;
        low = a < low ? a : low;
        high = b > high ? b : high;
        bad += !is_finite;
    }
    *out_min = low;
    *out_max = high;
    *out_bad = bad;
}

static void range_tile(void *context, int64_t tile) {
    const count_job *job = context;
    lane *mine = &job->scratch[tile];
    const int64_t begin = lane_begin(job, tile);
    int64_t bad = 0;
    scan_range(job->x + begin, lane_begin(job, tile + 1) - begin, &mine->min, &mine->max, &bad);
    mine->nonfinite = (uint64_t)bad;
}

/* Bin numbers of a block; -1 for values that are not finite. floor of a product by a power of two. */
MRT_CLONES static void bin_block(const float *x, int n, float inverse, int32_t offset,
                                 int32_t *bin) {
    for (int i = 0; i < n; ++i) {
        const float v = x[i];
        const int is_finite = v - v == 0.0f;
        const float t = is_finite ? v * inverse : 0.0f;
        const int32_t toward_zero = (int32_t)t;
        /* The product of a tiny negative number may underflow to -0, whose floor is -1 all the same. */
        const int below = ((float)toward_zero > t) | ((toward_zero == 0) & (v < 0.0f));
        const int32_t floored = toward_zero - below;
        bin[i] = is_finite ? floored + offset : -1;
    }
}

static void count_tile(void *context, int64_t tile) {
    const count_job *job = context;
    lane *mine = &job->scratch[tile];
    memset(mine->ways, 0, sizeof mine->ways);
    const int64_t end = lane_begin(job, tile + 1);
    uint64_t zeros = 0;
    int32_t bin[BLOCK];
    for (int64_t at = lane_begin(job, tile); at < end; at += BLOCK) {
        const int n = (int)(end - at < BLOCK ? end - at : BLOCK);
        bin_block(job->x + at, n, job->inverse, job->offset, bin);
        for (int i = 0; i < n; ++i) {
            if (bin[i] >= 0) {
                ++mine->ways[i % WAYS][bin[i]];
            }
        }
        for (int i = 0; i < n; ++i) {
            zeros += job->x[at + i] == 0.0f;
        }
    }
    mine->zeros = zeros;
}

static void add_lane(mica_histogram *h, const lane *mine) {
    for (int i = 0; i < BINS; ++i) {
        uint64_t sum = 0;
        for (int way = 0; way < WAYS; ++way) {
            sum += mine->ways[way][i];
        }
        h->bins[i] += sum;
    }
    h->zeros += mine->zeros;
}

void mica_histogram_add(mica_histogram *h, const float *x, int64_t n,
                        mica_histogram_scratch *scratch, mrt_pool *pool) {
    /* A lane counts at most 2^31 values, so its 32-bit counters cannot overflow. */
    const int64_t most = (int64_t)LANES << 31;
    for (; n > most; x += most, n -= most) {
        mica_histogram_add(h, x, most, scratch, pool);
    }
    if (n <= 0) {
        return;
    }
    count_job job = {.x = x, .n = n, .lanes = n >= LANE_MINIMUM ? LANES : 1, .scratch = scratch->lanes};
    mrt_parallel_for(pool, job.lanes, range_tile, &job);
    float low = INFINITY;
    float high = -INFINITY;
    uint64_t bad = 0;
    for (int i = 0; i < job.lanes; ++i) {
        low = fminf(low, scratch->lanes[i].min);
        high = fmaxf(high, scratch->lanes[i].max);
        bad += scratch->lanes[i].nonfinite;
    }
    h->nonfinite += bad;
    if (bad == (uint64_t)n) {
        return;
    }
    /* Zeros of either sign are one value: which of them came first must not show. */
    low += 0.0f;
    high += 0.0f;
    make_room(h, low, high);
    job.inverse = ldexpf(1.0f, -h->exponent);
    job.offset = h->is_signed ? HALF : 0;
    mrt_parallel_for(pool, job.lanes, count_tile, &job);
    for (int i = 0; i < job.lanes; ++i) {
        add_lane(h, &scratch->lanes[i]);
    }
    h->min = h->count == 0 ? low : fminf(h->min, low);
    h->max = h->count == 0 ? high : fmaxf(h->max, high);
    h->count += (uint64_t)n - bad;
}

void mica_histogram_merge(mica_histogram *h, const mica_histogram *from) {
    h->nonfinite += from->nonfinite;
    if (from->count == 0) {
        return;
    }
    mica_histogram other = *from;
    make_room(h, from->min, from->max);
    if (h->is_signed && !other.is_signed) {
        make_signed(&other);
    }
    while (other.exponent < h->exponent) {
        double_width(&other);
    }
    while (h->exponent < other.exponent) {
        double_width(h);
    }
    for (int i = 0; i < BINS; ++i) {
        h->bins[i] += other.bins[i];
    }
    h->zeros += from->zeros;
    h->min = h->count == 0 ? from->min : fminf(h->min, from->min);
    h->max = h->count == 0 ? from->max : fmaxf(h->max, from->max);
    h->count += from->count;
}

/* --- reading ------------------------------------------------------------------------------------ */

int mica_histogram_magnitudes(const mica_histogram *h, bool drop_zeros, uint64_t *out) {
    memset(out, 0, BINS * sizeof *out);
    for (int i = 0; i < BINS; ++i) {
        const int signed_bin = h->is_signed ? i - HALF : i;
        out[signed_bin >= 0 ? signed_bin : -1 - signed_bin] += h->bins[i];
    }
    if (drop_zeros) {
        out[0] -= h->zeros;
    }
    int used = BINS;
    while (used > 0 && out[used - 1] == 0) {
        --used;
    }
    return used;
}

double mica_histogram_quantile(const mica_histogram *h, double p) {
    const double rank = p * (double)h->count;
    const double w = mica_histogram_width(h);
    double below = 0.0;
    double value = h->max;
    for (int i = 0; i < BINS; ++i) {
        const double here = (double)h->bins[i];
        if (here > 0.0 && below + here >= rank) {
            value = mica_histogram_low(h) + w * (i + (rank - below) / here);
            break;
        }
        below += here;
    }
    return fmin(fmax(value, h->min), h->max);
}
