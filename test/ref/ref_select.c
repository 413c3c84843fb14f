#include "test/ref/ref_select.h"

int64_t ref_non_zero(const mrt_tensor *x, int64_t *out) {
    int64_t n = 0;
    for (int64_t i = 0; i < ref_count(x); i++) {
        const double v = ref_load(x, i);
        if (v != 0.0) { /* also a NaN */
            ref_unravel(x, i, out + n * x->shape.rank);
            n++;
        }
    }
    return n;
}

int64_t ref_compress(int64_t dim, const uint8_t *condition, int64_t n_condition, int64_t *picked) {
    int64_t n = 0;
    for (int64_t i = 0; i < dim && i < n_condition; i++) {
        if (condition[i]) {
            picked[n++] = i;
        }
    }
    return n;
}

/* Order of slices a and b: negative, 0, positive; NaN last. */
static int order(const mrt_tensor *x, int axis, int64_t a, int64_t b) {
    for (int64_t i = 0; i < ref_count(x); i++) {
        int64_t index[MRT_MAX_RANK];
        ref_unravel(x, i, index);
        if (index[axis] != a) {
            continue;
        }
        index[axis] = b;
        const double p = ref_load(x, i), q = ref_load(x, ref_ravel(x, index));
        const bool p_nan = p != p, q_nan = q != q;
        if (p_nan || q_nan) {
            if (p_nan != q_nan) {
                return p_nan ? 1 : -1;
            }
        } else if (p != q) {
            return p < q ? -1 : 1;
        }
    }
    return 0;
}

int64_t ref_unique(const mrt_tensor *x, int axis, bool sorted, int64_t *first, int64_t *inverse,
                   int64_t *counts) {
    const int64_t dim = x->shape.dims[axis];
    int64_t n = 0;
    for (int64_t i = 0; i < dim; i++) {
        int64_t at = 0;
        while (at < n && order(x, axis, first[at], i) != 0) {
            at++;
        }
        if (at < n) {
            continue;
        }
        for (at = n; sorted && at > 0 && order(x, axis, first[at - 1], i) > 0; at--) {
            first[at] = first[at - 1];
        }
        first[at] = i;
        n++;
    }
    for (int64_t k = 0; k < n; k++) {
        counts[k] = 0;
        for (int64_t i = 0; i < dim; i++) {
            if (order(x, axis, first[k], i) == 0) {
                inverse[i] = k;
                counts[k]++;
            }
        }
    }
    return n;
}

static void corners(const float *b, bool centers, float *out) {
    if (centers) {
        out[0] = b[1] - b[3] / 2;
        out[1] = b[0] - b[2] / 2;
        out[2] = b[1] + b[3] / 2;
        out[3] = b[0] + b[2] / 2;
        return;
    }
    for (int i = 0; i < 2; i++) {
        out[i] = b[i] < b[i + 2] ? b[i] : b[i + 2];
        out[i + 2] = b[i] < b[i + 2] ? b[i + 2] : b[i];
    }
}

static bool too_close(const float *a, const float *b, float iou) {
    const float low0 = a[0] > b[0] ? a[0] : b[0], high0 = a[2] < b[2] ? a[2] : b[2];
    const float low1 = a[1] > b[1] ? a[1] : b[1], high1 = a[3] < b[3] ? a[3] : b[3];
    if (high0 <= low0 || high1 <= low1) {
        return false;
    }
    const float both = (high1 - low1) * (high0 - low0);
    const float each = (a[3] - a[1]) * (a[2] - a[0]) + (b[3] - b[1]) * (b[2] - b[0]);
    return both / (each - both) > iou;
}

/* Takes the best box that is left until none is. */
int64_t ref_nms(const float *boxes, const float *scores, int64_t n, int64_t most, float iou,
                const float *low, bool centers, int64_t *out) {
    int64_t kept = 0;
    bool gone[256] = {false};
    while (kept < most) {
        int64_t best = -1;
        for (int64_t i = 0; i < n; i++) {
            const bool counts = !gone[i] && (low == NULL || scores[i] > *low);
            if (counts && (best < 0 || scores[i] > scores[best])) {
                best = i;
            }
        }
        if (best < 0) {
            break;
        }
        gone[best] = true;
        out[kept++] = best;
        float a[4], b[4];
        corners(boxes + 4 * best, centers, a);
        for (int64_t i = 0; i < n; i++) {
            corners(boxes + 4 * i, centers, b);
            gone[i] = gone[i] || too_close(a, b, iou);
        }
    }
    return kept;
}
