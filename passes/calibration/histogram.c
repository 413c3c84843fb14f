#include "passes/calibration/histogram.h"

#include <math.h>
#include <string.h>

#include "passes/calibration/histogram_bins.h"
#include "runtime/mrt_clones.h"
#include "utils/arena.h"

enum {
    BINS = MICA_HISTOGRAM_BINS,
    HALF = BINS / 2,
    MIN_EXPONENT = -100, /* values below 2^-100 all fall into the bin at 0 */
    WAYS = 4,            /* counters per bin, so that equal values do not wait for each other */
    BLOCK = 1024,
    LANES = 4,           /* pieces of a tensor when a pool helps */
    PARALLEL_MINIMUM = 1 << 16,
};

_Static_assert(sizeof(mica_histogram) <= 16384, "memory of a tensor");

/* What was counted since the last time it was moved into a histogram. */
typedef struct lane {
    uint16_t ways[WAYS][BINS]; /* all 0 between the calls */
    uint16_t bins[BLOCK + 32];
    int64_t most_per_way; /* bound of every counter */
    uint64_t count, zeros;
    uint64_t unwritten; /* zeros that no counter has */
    float low, high;
    float part_low, part_high; /* of the whole call, 0 included */
    uint32_t fine[2][MICA_FINE_COUNTERS];
    float inverse; /* 1 / width, a power of two: the product is exact */
} lane;

struct mica_histogram_scratch {
    lane lanes[LANES];
    mica_histogram parts[LANES];
};

mica_histogram_scratch *mica_histogram_scratch_create(void) {
    mica_histogram_scratch *scratch = mica_alloc(sizeof *scratch);
    for (int i = 0; i < LANES; ++i) {
        scratch->lanes[i].low = INFINITY;
        scratch->lanes[i].high = -INFINITY;
    }
    return scratch;
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

/* The bins that covered [4 w, 8 w) become the first octave. */
static void shift_fine(mica_histogram *h) {
    enum { K = MICA_FINE_PER_OCTAVE };
    for (int side = 0; side < (h->is_signed ? 2 : 1); ++side) {
        uint64_t *fine = h->fine[side];
        memmove(fine + K, fine, (MICA_FINE_COUNTERS - K) * sizeof *fine);
        for (int i = 0; i < K; ++i) {
            const int bin = 2 * K - 1 - i;
            fine[i] = h->bins[!h->is_signed ? bin : (side == 0 ? HALF + bin : HALF - 1 - bin)];
        }
    }
}

static void double_width(mica_histogram *h) {
    shift_fine(h);
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

void mica_histogram_merge(mica_histogram *h, const mica_histogram *from) {
    h->nonfinite += from->nonfinite;
    h->parts += from->parts;
    h->sum_min += from->sum_min;
    h->sum_max += from->sum_max;
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
    for (int i = 0; i < 2 * MICA_FINE_COUNTERS; ++i) {
        (&h->fine[0][0])[i] += (&other.fine[0][0])[i];
    }
    h->zeros += from->zeros;
    h->min = h->count == 0 ? from->min : fminf(h->min, from->min);
    h->max = h->count == 0 ? from->max : fmaxf(h->max, from->max);
    h->count += from->count;
}

/* --- counting ---------------------------------------------------------------------------------- */

/* Range of the finite values; the others are told by the difference to themselves. */
MRT_CLONES static void scan_range(const float *x, int64_t n, float *out_min, float *out_max) {
    float low = INFINITY;
    float high = -INFINITY;
    for (int64_t i = 0; i < n; ++i) {
        const float v = x[i];
        const int is_finite = v - v == 0.0f;
        const float a = is_finite ? v : INFINITY;
        const float b = is_finite ? v : -INFINITY;
        low = a < low ? a : low;
        high = b > high ? b : high;
    }
    *out_min = low;
    *out_max = high;
}

static int32_t offset_of(const mica_histogram *h) { return h->is_signed ? HALF : 0; }

static int bin_of(const mica_histogram *h, float v) {
    return (int)floor(ldexp((double)v, -h->exponent)) + offset_of(h);
}

/* Adds the counters of bins [first, last] and clears them. */
MRT_CLONES static void add_counters(uint64_t *bins, uint16_t ways[WAYS][BINS], int first, int last) {
    for (int i = first; i <= last; ++i) {
        uint32_t sum = 0;
        for (int way = 0; way < WAYS; ++way) {
            sum += ways[way][i];
            ways[way][i] = 0;
        }
        bins[i] += sum;
    }
}

/* Moves what the lane has counted into h. */
static void settle(mica_histogram *h, lane *l) {
    if (l->count == 0) {
        return;
    }
    /* Zeros of either sign are one value: which of them came first must not show. */
    const float low = l->low + 0.0f;
    const float high = l->high + 0.0f;
    add_counters(h->bins, l->ways, bin_of(h, low), bin_of(h, high));
    h->bins[offset_of(h)] += l->unwritten;
    h->zeros += l->zeros;
    h->min = h->count == 0 ? low : fminf(h->min, low);
    h->max = h->count == 0 ? high : fmaxf(h->max, high);
    h->count += l->count;
    for (int i = 0; i < MICA_FINE_COUNTERS; ++i) {
        h->fine[0][i] += l->fine[0][i];
        h->fine[1][i] += l->fine[1][i];
    }
    memset(l->fine, 0, sizeof l->fine);
    l->part_low = fminf(l->part_low, low);
    l->part_high = fmaxf(l->part_high, high);
    l->count = l->unwritten = l->zeros = 0;
    l->most_per_way = 0;
    l->low = INFINITY;
    l->high = -INFINITY;
}

static void scatter(uint16_t ways[WAYS][BINS], const uint16_t *restrict bins, int n) {
    int i = 0;
    for (; i + WAYS <= n; i += WAYS) {
        ++ways[0][bins[i]];
        ++ways[1][bins[i + 1]];
        ++ways[2][bins[i + 2]];
        ++ways[3][bins[i + 3]];
    }
    for (; i < n; ++i) {
        ++ways[0][bins[i]];
    }
}

/* Counts a block if all its values fit the bins. */
static bool count_block(const mica_histogram *h, lane *l, const float *x, int n) {
    const mica_bin_piece piece = mica_bin_values(x, n, l->inverse, offset_of(h), l->bins);
    if (piece.most >= BINS) {
        return false;
    }
    scatter(l->ways, l->bins, piece.written);
    mica_fine_count(x, n, l->inverse, l->fine);
    l->most_per_way += piece.written / WAYS + WAYS;
    l->count += (uint64_t)n;
    l->zeros += (uint64_t)piece.zeros;
    l->unwritten += (uint64_t)(n - piece.written);
    l->low = piece.low < l->low ? piece.low : l->low;
    l->high = piece.high > l->high ? piece.high : l->high;
    return true;
}

/* Makes the bins wide enough for all finite values of x. */
static void widen(mica_histogram *h, lane *l, const float *x, int64_t n) {
    float low = 0.0f;
    float high = 0.0f;
    scan_range(x, n, &low, &high);
    if (low <= high) {
        settle(h, l);
        make_room(h, low, high);
        l->inverse = ldexpf(1.0f, -h->exponent);
    }
}

static void count_finite(mica_histogram *h, lane *l, const float *x, int n) {
    float kept[BLOCK];
    int n_kept = 0;
    for (int i = 0; i < n; ++i) {
        kept[n_kept] = x[i];
        n_kept += x[i] - x[i] == 0.0f;
    }
    h->nonfinite += (uint64_t)(n - n_kept);
    count_block(h, l, kept, n_kept);
}

/* One pass: that the bins are wide enough, as they are after the first samples, is found while counting. */
static void count_values(mica_histogram *h, lane *l, const float *x, int64_t n) {
    bool wide_enough = false;
    l->part_low = l->part_high = 0.0f;
    l->inverse = ldexpf(1.0f, -h->exponent);
    for (int64_t at = 0; at < n; at += BLOCK) {
        const int piece = (int)(n - at < BLOCK ? n - at : BLOCK);
        if (l->most_per_way > UINT16_MAX - BLOCK) {
            settle(h, l);
        }
        if (count_block(h, l, x + at, piece)) {
            continue;
        }
        if (!wide_enough) {
            widen(h, l, x + at, n - at);
            wide_enough = true;
        }
        count_finite(h, l, x + at, piece);
    }
    settle(h, l);
}

typedef struct count_job {
    const mica_histogram *h;
    mica_histogram_scratch *scratch;
    const float *x;
    int64_t n;
} count_job;

/* Counts a piece into a histogram of its own with the bins that h has. */
static void count_tile(void *context, int64_t tile) {
    const count_job *job = context;
    mica_histogram *own = &job->scratch->parts[tile];
    mica_histogram_init(own);
    own->exponent = job->h->exponent;
    own->is_signed = job->h->is_signed;
    const int64_t begin = job->n * tile / LANES;
    const int64_t end = job->n * (tile + 1) / LANES;
    count_values(own, &job->scratch->lanes[tile], job->x + begin, end - begin);
}

/* Beyond 2^40, where no range of use lies, the sums saturate. */
static mica_exact_sum exact(float v) {
    return (mica_exact_sum)ldexp(fmax(fmin((double)v, 0x1p40), -0x1p40), 64);
}

static void add_part(mica_histogram *h, float low, float high) {
    ++h->parts;
    h->sum_min += exact(low);
    h->sum_max += exact(high);
}

void mica_histogram_add(mica_histogram *h, const float *x, int64_t n,
                        mica_histogram_scratch *scratch, mrt_pool *pool) {
    if (n < PARALLEL_MINIMUM || mrt_pool_threads(pool) == 1) {
        count_values(h, &scratch->lanes[0], x, n);
        add_part(h, scratch->lanes[0].part_low, scratch->lanes[0].part_high);
        return;
    }
    count_job job = {.h = h, .scratch = scratch, .x = x, .n = n};
    mrt_parallel_for(pool, LANES, count_tile, &job);
    float low = 0.0f;
    float high = 0.0f;
    for (int i = 0; i < LANES; ++i) {
        mica_histogram_merge(h, &scratch->parts[i]);
        low = fminf(low, scratch->lanes[i].part_low);
        high = fmaxf(high, scratch->lanes[i].part_high);
    }
    add_part(h, low, high);
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
