#include "runtime/mrt_compare.h"

#include "runtime/mrt_half.h"
#include "runtime/mrt_small.h"

#include <math.h>
#include <string.h>

enum { CHUNK = 1024 }; /* elements widened at a time */

static const struct {
    const char *text;
    bool passes;
} verdicts[] = {
#define X(name, text, passes) {text, passes},
    MRT_VERDICT_LIST(X)
#undef X
};

const char *mrt_verdict_text(mrt_verdict verdict) {
    return verdicts[verdict].text;
}

bool mrt_verdict_passes(mrt_verdict verdict) {
    return verdicts[verdict].passes;
}

/* --- elements as double --- */

#define LOAD(type)                                                                                 \
    for (int64_t i = 0; i < n; i++) {                                                              \
        to[i] = (double)((const type *)t->data)[first + i];                                        \
    }                                                                                              \
    break

#define LOAD_HALF(function)                                                                        \
    for (int64_t i = 0; i < n; i++) {                                                              \
        to[i] = (double)function(((const uint16_t *)t->data)[first + i]);                          \
    }                                                                                              \
    break

static void load_small_float(const mrt_tensor *t, int64_t first, int64_t n, double *to) {
    for (int64_t i = 0; i < n; i++) {
        float value;
        mrt_small_to_f32(t->dtype, (const uint8_t *)t->data + first + i, &value, 1);
        to[i] = (double)value;
    }
}

static void load(const mrt_tensor *t, bool dequantize, int64_t first, int64_t n, double *to) {
    if (mrt_dtype_is_small_float(t->dtype)) {
        load_small_float(t, first, n, to);
        return;
    }
    switch (mrt_small_base(t->dtype)) {
    case MRT_F32: LOAD(float);
    case MRT_F64: LOAD(double);
    case MRT_F16: LOAD_HALF(mrt_f16_to_f32);
    case MRT_BF16: LOAD_HALF(mrt_bf16_to_f32);
    case MRT_I8: LOAD(int8_t);
    case MRT_BOOL:
    case MRT_U8: LOAD(uint8_t);
    case MRT_I16: LOAD(int16_t);
    case MRT_U16: LOAD(uint16_t);
    case MRT_I32: LOAD(int32_t);
    case MRT_U32: LOAD(uint32_t);
    case MRT_I64: LOAD(int64_t);
    case MRT_U64: LOAD(uint64_t);
    default: break;
    }
    if (dequantize && t->scale > 0) {
        for (int64_t i = 0; i < n; i++) {
            to[i] = t->scale * (to[i] - t->zero_point);
        }
    }
}

/* --- sums --- */

typedef struct sums {
    double rr, gg, rg, dd, mm; /* mm: sum of ((r + g) / 2)^2 */
    double r, d;
    double worst; /* largest (|d| - 1e-8) / |r|: decides CLOSE */
    int64_t finite;
} sums;

static void add_mismatch(mrt_metrics *m, int64_t index) {
    if (m->mismatched++ == 0) {
        m->max_abs_diff = INFINITY;
        m->max_index = index;
    }
}

static void add_difference(sums *s, mrt_metrics *m, double size, double ref, int64_t index) {
    if (m->different++ == 0) {
        m->first_index = index;
    }
    if (isnan(size)) {
        return; /* a mismatch */
    }
    if (size > m->max_abs_diff) {
        m->max_abs_diff = size;
        m->max_index = index;
    }
    const double excess = size - 1e-8;
    if (excess > 0) {
        const double ratio = excess / fabs(ref);
        s->worst = ratio > s->worst ? ratio : s->worst;
    }
}

static void add_chunk(sums *s, mrt_metrics *m, const double *ref, const double *got, int64_t first,
                      int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        const double r = ref[i], g = got[i];
        if (!isfinite(r) || !isfinite(g)) {
            if (r != g && !(isnan(r) && isnan(g))) {
                add_difference(s, m, NAN, r, first + i);
                add_mismatch(m, first + i);
            }
            continue;
        }
        const double d = g - r, middle = 0.5 * r + 0.5 * g;
        s->rr += r * r;
        s->gg += g * g;
        s->rg += r * g;
        s->dd += d * d;
        s->mm += middle * middle;
        s->r += r;
        s->d += d;
        s->finite++;
        if (fabs(r) > m->max_abs_ref) {
            m->max_abs_ref = fabs(r);
        }
        if (d != 0) {
            add_difference(s, m, fabs(d), r, first + i);
        }
    }
}

/* 10 log10(signal / noise) with its borders; rounding may leave a power slightly below zero. */
static double decibels(double signal, double noise) {
    if (!(noise > 0)) {
        return INFINITY;
    }
    return signal > 0 ? 10 * log10(signal / noise) : -INFINITY;
}

/* Sum of squares around the mean; zero when nothing but rounding is left of it. */
static double centered(double square_sum, double sum, int64_t count) {
    const double rest = square_sum - sum * sum / (double)count;
    return rest > square_sum * 1e-14 * (double)count ? rest : 0;
}

static int digits_of(const sums *s, const mrt_metrics *m) {
    if (m->mismatched > 0) {
        return 0;
    }
    static const double bounds[] = {1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8};
    int digits = 0;
    for (int k = 3; k <= 8 && s->worst <= bounds[k - 3]; k++) {
        digits = k;
    }
    return digits;
}

static void finish(const sums *s, mrt_metrics *m) {
    m->close_digits = digits_of(s, m);
    m->cosine = 1;
    m->euclid = 1;
    m->sqnr_db = INFINITY;
    m->sqnr0_db = INFINITY;
    if (s->finite == 0) {
        return;
    }
    m->mse = s->dd / (double)s->finite;
    m->nsr = s->dd / (s->rr + 1e-7);
    if (s->dd == 0) {
        return;
    }
    const double norms = sqrt(s->rr) * sqrt(s->gg);
    m->cosine = norms > 0 ? s->rg / norms : 0;
    m->cosine = m->cosine > 1 ? 1 : m->cosine < -1 ? -1 : m->cosine;
    m->euclid = s->mm > 0 ? 1 - sqrt(s->dd) / sqrt(s->mm) : -INFINITY;
    m->sqnr_db = decibels(s->rr, s->dd);
    m->sqnr0_db = decibels(centered(s->rr, s->r, s->finite), centered(s->dd, s->d, s->finite));
}

static void measure(const mrt_tensor *ref, const mrt_tensor *got, bool dequantize, int64_t count,
                    mrt_metrics *out) {
    double r[CHUNK], g[CHUNK];
    sums s = {0};
    *out = (mrt_metrics){.count = count, .max_index = -1, .first_index = -1};
    for (int64_t first = 0; first < count; first += CHUNK) {
        const int64_t n = count - first < CHUNK ? count - first : CHUNK;
        load(ref, dequantize, first, n, r);
        load(got, dequantize, first, n, g);
        add_chunk(&s, out, r, g, first, n);
    }
    finish(&s, out);
}

void mrt_metrics_f32(const float *ref, const float *got, int64_t count, mrt_metrics *out) {
    const mrt_tensor r = {.dtype = MRT_F32, .data = (void *)(uintptr_t)ref};
    const mrt_tensor g = {.dtype = MRT_F32, .data = (void *)(uintptr_t)got};
    measure(&r, &g, false, count, out);
}

/* --- verdicts --- */

/* Index of the first element whose bytes differ, -1 when all are equal. */
static int64_t first_byte_difference(const mrt_tensor *a, const mrt_tensor *b, int64_t count) {
    const size_t size = mrt_dtype_bytes(a->dtype);
    const uint8_t *left = a->data, *right = b->data;
    if (count == 0 || memcmp(left, right, (size_t)count * size) == 0) {
        return -1;
    }
    int64_t i = 0;
    while (memcmp(left + (size_t)i * size, right + (size_t)i * size, size) == 0) {
        i++;
    }
    return i;
}

static mrt_verdict judge(const mrt_tensor *ref, const mrt_tensor *got,
                         const mrt_tolerance *tolerance, mrt_metrics *m) {
    const bool dequantized =
        tolerance->dequantize && (ref->scale != got->scale || ref->zero_point != got->zero_point);
    const bool same_type = ref->dtype == got->dtype && !dequantized;
    const int64_t differs = same_type ? first_byte_difference(ref, got, m->count) : 0;
    if (differs < 0) {
        return MRT_VERDICT_EQUAL;
    }
    const bool integers = !mrt_dtype_is_float(ref->dtype) && !mrt_dtype_is_float(got->dtype);
    if (integers && same_type && m->different == 0) {
        /* 64-bit values that are the same only as doubles. */
        m->different = 1;
        m->first_index = differs;
    }
    if (integers && tolerance->exact_integers && (same_type || m->different > 0)) {
        return MRT_VERDICT_NOT_EQUAL;
    }
    if (m->close_digits > 0) {
        return MRT_VERDICT_CLOSE;
    }
    if (m->mismatched == 0 && m->cosine > tolerance->cosine && m->euclid > tolerance->euclid &&
        (tolerance->sqnr_db == -INFINITY || m->sqnr_db > tolerance->sqnr_db)) {
        return MRT_VERDICT_SIMILAR;
    }
    return MRT_VERDICT_NOT_SIMILAR;
}

mrt_status mrt_compare(const mrt_tensor *ref, const mrt_tensor *got,
                       const mrt_tolerance *tolerance, mrt_verdict *out_verdict,
                       mrt_metrics *out_metrics, mrt_error *err) {
    int64_t ref_bytes, got_bytes;
    if (!mrt_shape_bytes(&ref->shape, ref->dtype, &ref_bytes) ||
        !mrt_shape_bytes(&got->shape, got->dtype, &got_bytes)) {
        return mrt_fail(err, MRT_INVALID, "cannot compare: unknown type or impossible shape");
    }
    const int64_t count = mrt_shape_count(&ref->shape), other = mrt_shape_count(&got->shape);
    if (count != other) {
        return mrt_fail(err, MRT_INVALID, "reference has %lld elements, the result %lld",
                        (long long)count, (long long)other);
    }
    mrt_metrics metrics;
    measure(ref, got, tolerance->dequantize, count, &metrics);
    *out_verdict = judge(ref, got, tolerance, &metrics);
    if (out_metrics != NULL) {
        *out_metrics = metrics;
    }
    return MRT_OK;
}
