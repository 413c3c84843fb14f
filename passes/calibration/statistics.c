/* Statistics as values: copies, sums, channels. */
#include <math.h>
#include <string.h>

#include "passes/calibration/calibrate.h"
#include "utils/arena.h"

void mica_statistics_free(mica_statistics *statistics) {
    for (size_t i = 0; i < statistics->count; ++i) {
        mica_free(statistics->tensors[i].groups);
        mica_free(statistics->tensors[i].channels);
    }
    mica_free(statistics->tensors);
    memset(statistics, 0, sizeof *statistics);
}

static void *copy(const void *from, size_t bytes) {
    if (from == NULL) {
        return NULL;
    }
    void *to = mica_alloc(bytes + 1);
    memcpy(to, from, bytes);
    return to;
}

mica_tensor_statistics mica_tensor_copy(const mica_tensor_statistics *from) {
    mica_tensor_statistics to = *from;
    to.groups = copy(to.groups, MICA_SAMPLE_GROUPS * sizeof *to.groups);
    to.channels = copy(to.channels, (size_t)to.n_channels * sizeof *to.channels);
    return to;
}

mica_statistics mica_statistics_copy(const mica_statistics *from) {
    mica_statistics to = *from;
    to.tensors = mica_alloc((from->count + 1) * sizeof *to.tensors);
    for (size_t i = 0; i < from->count; ++i) {
        to.tensors[i] = mica_tensor_copy(&from->tensors[i]);
    }
    return to;
}

static mica_exact_sum saturate(mica_exact_sum v) {
    const mica_exact_sum most = (mica_exact_sum)1 << 126;
    return v > most ? most : v < -most ? -most : v;
}

static void merge_channel(mica_channel *to, const mica_channel *from) {
    if (from->count > 0) {
        to->min = to->count > 0 ? fminf(to->min, from->min) : from->min;
        to->max = to->count > 0 ? fmaxf(to->max, from->max) : from->max;
        to->count += from->count;
        to->sum = saturate(to->sum + from->sum);
        to->square = saturate(to->square + from->square);
        to->fourth = saturate(to->fourth + from->fourth);
    }
}

void mica_tensor_merge(mica_tensor_statistics *to, const mica_tensor_statistics *from) {
    mica_histogram_merge(&to->histogram, &from->histogram);
    for (int g = 0; g < MICA_SAMPLE_GROUPS && to->groups != NULL; ++g) {
        mica_histogram_merge(&to->groups[g], &from->groups[g]);
    }
    for (int64_t c = 0; c < to->n_channels; ++c) {
        merge_channel(&to->channels[c], &from->channels[c]);
    }
}

void mica_tensor_clear(mica_tensor_statistics *t) {
    mica_histogram_init(&t->histogram);
    for (int g = 0; g < MICA_SAMPLE_GROUPS && t->groups != NULL; ++g) {
        mica_histogram_init(&t->groups[g]);
    }
    if (t->channels != NULL) {
        memset(t->channels, 0, (size_t)t->n_channels * sizeof *t->channels);
    }
}

mica_status mica_statistics_merge(mica_statistics *to, const mica_statistics *from, mica_error *err) {
    if (to->count != from->count) {
        return mica_fail(err, "statistics of %zu and of %zu tensors cannot be merged", to->count,
                         from->count);
    }
    for (size_t i = 0; i < to->count; ++i) {
        const mica_tensor_statistics *a = &to->tensors[i];
        const mica_tensor_statistics *b = &from->tensors[i];
        if (strcmp(a->name, b->name) != 0 || a->n_channels != b->n_channels ||
            (a->groups != NULL) != (b->groups != NULL)) {
            return mica_fail(err, "statistics of '%s' and of '%s' cannot be merged", a->name, b->name);
        }
    }
    for (size_t i = 0; i < to->count; ++i) {
        mica_tensor_merge(&to->tensors[i], &from->tensors[i]);
    }
    to->samples += from->samples;
    to->seconds += from->seconds;
    return MICA_OK;
}

/* --- channels ----------------------------------------------------------------------------------- */

void mica_channels_make(mica_tensor_statistics *t, const mrt_shape *shape) {
    t->channel_axis = shape->rank == 2 || shape->rank >= 4 ? 1 : shape->rank - 1;
    t->n_channels = shape->rank > 0 ? shape->dims[t->channel_axis] : 0;
    if (t->n_channels > 0) {
        t->channels = mica_alloc((size_t)t->n_channels * sizeof *t->channels);
    }
}

static mica_exact_sum exact(double v) {
    return (mica_exact_sum)ldexp(fmax(fmin(v, 0x1p62), -0x1p62), 64);
}

/* One sample's values of a channel: `outer` runs of `inner` values, `step` apart. */
static void add_values(mica_channel *to, const float *x, int64_t outer, int64_t step, int64_t inner) {
    mica_channel own = {.min = INFINITY, .max = -INFINITY};
    double sum = 0.0;
    double square = 0.0;
    double fourth = 0.0;
    for (int64_t o = 0; o < outer; ++o) {
        for (int64_t i = 0; i < inner; ++i) {
            const float v = x[o * step + i];
            if (!(v - v == 0.0f)) {
                continue;
            }
            const double q = (double)v * (double)v;
            own.min = v < own.min ? v : own.min;
            own.max = v > own.max ? v : own.max;
            own.count += 1;
            sum += (double)v;
            square += q;
            fourth += q * q;
        }
    }
    if (own.count > 0) {
        own.min += 0.0f; /* zeros of either sign are one value */
        own.max += 0.0f;
        own.sum = exact(sum);
        own.square = exact(square);
        own.fourth = exact(fourth);
        merge_channel(to, &own);
    }
}

void mica_channels_add(mica_tensor_statistics *t, const mrt_tensor *tensor) {
    const mrt_shape *s = &tensor->shape;
    int64_t outer = 1;
    int64_t inner = 1;
    for (int i = 0; i < s->rank; ++i) {
        outer *= i < t->channel_axis ? s->dims[i] : 1;
        inner *= i > t->channel_axis ? s->dims[i] : 1;
    }
    const int64_t channels = s->rank > 0 && s->dims[t->channel_axis] < t->n_channels
                                 ? s->dims[t->channel_axis]
                                 : t->n_channels;
    for (int64_t c = 0; c < channels; ++c) {
        add_values(&t->channels[c], (const float *)tensor->data + c * inner, outer,
                   channels * inner, inner);
    }
}
