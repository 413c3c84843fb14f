#include "passes/calibration/statistics_bytes.h"

#include <math.h>
#include <string.h>

#include "utils/arena.h"

enum { MOST_CHANNELS = 1 << 24, MOST_EXPONENT = 128 };

/* --- writing ------------------------------------------------------------------------------------ */

void mica_put_u64(mica_strbuf *out, uint64_t v) {
    char bytes[10];
    size_t n = 0;
    do {
        bytes[n++] = (char)((v & 127) | (v > 127 ? 128 : 0));
        v >>= 7;
    } while (v > 0);
    mica_strbuf_appendn(out, bytes, n);
}

void mica_put_text(mica_strbuf *out, const char *text) {
    const size_t n = strlen(text);
    mica_put_u64(out, n);
    mica_strbuf_appendn(out, text, n);
}

static void put_f32(mica_strbuf *out, float v) {
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    mica_put_u64(out, bits);
}

static void put_exact(mica_strbuf *out, mica_exact_sum v) {
    mica_put_u64(out, (uint64_t)v);
    mica_put_u64(out, (uint64_t)(v >> 64));
}

/* Most bins are empty at both ends. */
static void put_counters(mica_strbuf *out, const uint64_t *bins, size_t n) {
    size_t first = 0;
    while (first < n && bins[first] == 0) {
        ++first;
    }
    size_t end = n;
    while (end > first && bins[end - 1] == 0) {
        --end;
    }
    mica_put_u64(out, first);
    mica_put_u64(out, end);
    for (size_t i = first; i < end; ++i) {
        mica_put_u64(out, bins[i]);
    }
}

static void put_histogram(mica_strbuf *out, const mica_histogram *h) {
    put_counters(out, h->bins, MICA_HISTOGRAM_BINS);
    put_counters(out, h->fine[0], MICA_FINE_COUNTERS);
    put_counters(out, h->fine[1], MICA_FINE_COUNTERS);
    mica_put_u64(out, h->count);
    mica_put_u64(out, h->zeros);
    mica_put_u64(out, h->nonfinite);
    put_f32(out, h->min);
    put_f32(out, h->max);
    mica_put_u64(out, (uint64_t)(h->exponent + MOST_EXPONENT));
    mica_put_u64(out, h->is_signed);
    mica_put_u64(out, h->parts);
    put_exact(out, h->sum_min);
    put_exact(out, h->sum_max);
}

void mica_put_statistics(mica_strbuf *out, const mica_statistics *statistics) {
    mica_put_u64(out, statistics->samples);
    mica_put_u64(out, (uint64_t)statistics->arena_bytes);
    mica_put_u64(out, statistics->count);
    for (size_t i = 0; i < statistics->count; ++i) {
        const mica_tensor_statistics *t = &statistics->tensors[i];
        mica_put_text(out, t->name);
        mica_put_u64(out, (t->is_border ? 1U : 0U) | (t->groups != NULL ? 2U : 0U));
        put_histogram(out, &t->histogram);
        for (int g = 0; g < MICA_SAMPLE_GROUPS && t->groups != NULL; ++g) {
            put_histogram(out, &t->groups[g]);
        }
        mica_put_u64(out, (uint64_t)t->n_channels);
        mica_put_u64(out, (uint64_t)t->channel_axis);
        for (int64_t c = 0; c < t->n_channels; ++c) {
            const mica_channel *channel = &t->channels[c];
            put_f32(out, channel->min);
            put_f32(out, channel->max);
            mica_put_u64(out, channel->count);
            put_exact(out, channel->sum);
            put_exact(out, channel->square);
            put_exact(out, channel->fourth);
        }
    }
}

/* --- reading ------------------------------------------------------------------------------------ */

size_t mica_bytes_left(const mica_byte_reader *in) { return (size_t)(in->end - in->at); }

uint64_t mica_get_u64(mica_byte_reader *in) {
    uint64_t v = 0;
    for (int shift = 0; shift < 64 && !in->bad; shift += 7) {
        if (in->at == in->end) {
            break;
        }
        const uint8_t byte = *in->at++;
        v |= (uint64_t)(byte & 127) << shift;
        if (byte < 128) {
            return v;
        }
    }
    in->bad = true;
    return 0;
}

/* A number up to `most`. */
static uint64_t get_up_to(mica_byte_reader *in, uint64_t most) {
    const uint64_t v = mica_get_u64(in);
    if (v > most) {
        in->bad = true;
        return 0;
    }
    return v;
}

const char *mica_get_text(mica_byte_reader *in, size_t most) {
    const size_t n = (size_t)get_up_to(in, most);
    in->text[0] = '\0';
    if (in->bad || n > mica_bytes_left(in)) {
        in->bad = true;
        return in->text;
    }
    memcpy(in->text, in->at, n);
    in->text[n] = '\0';
    in->at += n;
    return in->text;
}

static float get_f32(mica_byte_reader *in) {
    const uint32_t bits = (uint32_t)get_up_to(in, UINT32_MAX);
    float v;
    memcpy(&v, &bits, sizeof v);
    if (!isfinite(v)) {
        in->bad = true;
        return 0.0f;
    }
    return v;
}

static mica_exact_sum get_exact(mica_byte_reader *in) {
    const uint64_t low = mica_get_u64(in);
    const int64_t high = (int64_t)mica_get_u64(in);
    return (mica_exact_sum)high * ((mica_exact_sum)1 << 64) + (mica_exact_sum)low;
}

static void get_counters(mica_byte_reader *in, uint64_t *bins, size_t n) {
    const size_t first = (size_t)get_up_to(in, n);
    const size_t end = (size_t)get_up_to(in, n);
    for (size_t i = first; i < end && !in->bad; ++i) {
        bins[i] = mica_get_u64(in);
    }
}

static void get_histogram(mica_byte_reader *in, mica_histogram *h) {
    mica_histogram_init(h);
    get_counters(in, h->bins, MICA_HISTOGRAM_BINS);
    get_counters(in, h->fine[0], MICA_FINE_COUNTERS);
    get_counters(in, h->fine[1], MICA_FINE_COUNTERS);
    h->count = mica_get_u64(in);
    h->zeros = mica_get_u64(in);
    h->nonfinite = mica_get_u64(in);
    h->min = get_f32(in);
    h->max = get_f32(in);
    h->exponent = (int32_t)get_up_to(in, 2 * MOST_EXPONENT) - MOST_EXPONENT;
    h->is_signed = mica_get_u64(in) != 0;
    h->parts = mica_get_u64(in);
    h->sum_min = get_exact(in);
    h->sum_max = get_exact(in);
}

static void get_channels(mica_byte_reader *in, mica_tensor_statistics *t) {
    enum { LEAST_BYTES = 9 };
    const uint64_t n = get_up_to(in, MOST_CHANNELS);
    t->channel_axis = (int)get_up_to(in, MRT_MAX_RANK);
    if (n == 0 || n > mica_bytes_left(in) / LEAST_BYTES) {
        in->bad = in->bad || n > 0;
        return;
    }
    t->channels = mica_alloc((size_t)n * sizeof *t->channels);
    t->n_channels = (int64_t)n;
    for (size_t c = 0; c < n; ++c) {
        mica_channel *channel = &t->channels[c];
        channel->min = get_f32(in);
        channel->max = get_f32(in);
        channel->count = mica_get_u64(in);
        channel->sum = get_exact(in);
        channel->square = get_exact(in);
        channel->fourth = get_exact(in);
    }
}

void mica_get_statistics(mica_byte_reader *in, mica_arena *arena, mica_statistics *out) {
    enum { LEAST_BYTES = 16 };
    memset(out, 0, sizeof *out);
    out->samples = (size_t)mica_get_u64(in);
    out->arena_bytes = (int64_t)get_up_to(in, INT64_MAX);
    const uint64_t count = mica_get_u64(in);
    if (in->bad || count > mica_bytes_left(in) / LEAST_BYTES) {
        in->bad = true;
        return;
    }
    out->tensors = mica_alloc((size_t)(count + 1) * sizeof *out->tensors);
    for (size_t i = 0; i < count && !in->bad; ++i) {
        mica_tensor_statistics *t = &out->tensors[out->count++];
        t->name = mica_arena_strdup(arena, mica_get_text(in, sizeof in->text - 1));
        const uint64_t flags = get_up_to(in, 3);
        t->is_border = (flags & 1) != 0;
        get_histogram(in, &t->histogram);
        if ((flags & 2) != 0) {
            t->groups = mica_alloc(MICA_SAMPLE_GROUPS * sizeof *t->groups);
            for (int g = 0; g < MICA_SAMPLE_GROUPS; ++g) {
                get_histogram(in, &t->groups[g]);
            }
        }
        get_channels(in, t);
    }
}
