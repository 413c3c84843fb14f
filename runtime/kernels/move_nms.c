/* nms: ONNX NonMaxSuppression. For every batch and class, boxes by falling score (equal scores: the
 * lower index first) are selected unless one selected before overlaps them by more than the
 * threshold. All arithmetic is f32 in the written order. */
#include "runtime/kernels/move_util.h"

#include <math.h>

static mrt_status check_scalar(const mrt_call *call, int i, const char *name, mrt_dtype dtype,
                               mrt_error *err) {
    const mrt_tensor *t = mrt_in(call, i);
    if (t == NULL) {
        return MRT_OK;
    }
    MRT_TRY(mrt_check_dtype(t, name, dtype, err));
    return mrt_shape_count(&t->shape) == 1
               ? MRT_OK
               : mrt_fail(err, MRT_INVALID, "operand '%s': expected one element, got shape %s",
                          name, mrt_shape_text(&t->shape).text);
}

mrt_status mrt_nms_check(const mrt_call *call, size_t *out_scratch, mrt_error *err) {
    const mrt_tensor *boxes = mrt_in(call, 0), *scores = mrt_in(call, 1), *y = mrt_out(call, 0);
    MRT_TRY(mrt_check_dtype(boxes, "boxes", MRT_F32, err));
    MRT_TRY(mrt_check_dtype(scores, "scores", MRT_F32, err));
    MRT_TRY(mrt_check_rank(boxes, "boxes", 3, 3, err));
    MRT_TRY(mrt_check_rank(scores, "scores", 3, 3, err));
    MRT_TRY(mrt_check_dim(boxes, "boxes", 2, 4, err));
    MRT_TRY(mrt_check_dim(boxes, "boxes", 0, scores->shape.dims[0], err));
    MRT_TRY(mrt_check_dim(boxes, "boxes", 1, scores->shape.dims[2], err));
    MRT_TRY(check_scalar(call, 2, "max_output", MRT_I64, err));
    MRT_TRY(check_scalar(call, 3, "iou_threshold", MRT_F32, err));
    MRT_TRY(check_scalar(call, 4, "score_threshold", MRT_F32, err));
    MRT_TRY(mrt_check_dtype(y, "y", MRT_I64, err));
    MRT_TRY(mrt_check_rank(y, "y", 2, 2, err));
    MRT_TRY(mrt_check_dim(y, "y", 1, 3, err));
    if (!mrt_mul_bytes((size_t)boxes->shape.dims[1], 3 * sizeof(int64_t) + 4 * sizeof(float),
                       out_scratch)) {
        return mrt_fail(err, MRT_INVALID, "operand 'boxes': too many boxes");
    }
    return MRT_OK;
}

typedef struct box {
    float y1, x1, y2, x2;
} box;

/* Corners in any order, or center and size. */
static box read_box(const float *b, bool centers) {
    if (centers) {
        const float w = b[2] / 2.0f, h = b[3] / 2.0f;
        return (box){b[1] - h, b[0] - w, b[1] + h, b[0] + w};
    }
    return (box){b[0] < b[2] ? b[0] : b[2], b[1] < b[3] ? b[1] : b[3],
                 b[0] < b[2] ? b[2] : b[0], b[1] < b[3] ? b[3] : b[1]};
}

static bool overlaps(const box *a, const box *b, float threshold) {
    const float y1 = a->y1 > b->y1 ? a->y1 : b->y1, y2 = a->y2 < b->y2 ? a->y2 : b->y2;
    const float x1 = a->x1 > b->x1 ? a->x1 : b->x1, x2 = a->x2 < b->x2 ? a->x2 : b->x2;
    if (!(y2 > y1) || !(x2 > x1)) {
        return false;
    }
    const float both = (x2 - x1) * (y2 - y1);
    const float area_a = (a->x2 - a->x1) * (a->y2 - a->y1);
    const float area_b = (b->x2 - b->x1) * (b->y2 - b->y1);
    const float all = area_a + area_b - both;
    return area_a > 0.0f && area_b > 0.0f && all > 0.0f && both / all > threshold;
}

/* Merge sort: higher score first, then lower index. from[] holds rising indices. */
static int64_t *sort_scores(const float *score, int64_t n, int64_t *from, int64_t *to) {
    for (int64_t width = 1; width < n; width *= 2) {
        for (int64_t low = 0; low < n; low += 2 * width) {
            const int64_t middle = mrt_min64(low + width, n), high = mrt_min64(low + 2 * width, n);
            int64_t a = low, b = middle;
            for (int64_t i = low; i < high; i++) {
                const bool left = a < middle && (b >= high || score[from[a]] >= score[from[b]]);
                to[i] = left ? from[a++] : from[b++];
            }
        }
        int64_t *swap = from;
        from = to;
        to = swap;
    }
    return from;
}

typedef struct selection {
    const float *boxes, *scores; /* of one batch and class */
    int64_t n, most;
    float iou, low;
    bool centers, has_low;
    int64_t *candidates, *spare, *selected;
    box *kept;
} selection;

/* Indices of the selected boxes in s->selected; returns how many. */
static int64_t select_boxes(const selection *s) {
    int64_t n = 0, kept = 0;
    for (int64_t i = 0; i < s->n; i++) {
        /* A score that is no number is above no threshold, and has no place in an order. */
        if (s->has_low ? s->scores[i] > s->low : s->scores[i] == s->scores[i]) {
            s->candidates[n++] = i;
        }
    }
    const int64_t *order = sort_scores(s->scores, n, s->candidates, s->spare);
    for (int64_t i = 0; i < n && kept < s->most; i++) {
        const box candidate = read_box(s->boxes + 4 * order[i], s->centers);
        bool clear = true;
        for (int64_t k = 0; k < kept && clear; k++) {
            clear = !overlaps(&candidate, &s->kept[k], s->iou);
        }
        if (clear) {
            s->kept[kept] = candidate;
            s->selected[kept++] = order[i];
        }
    }
    return kept;
}

void mrt_nms_run(const mrt_call *call) {
    const mrt_axis_params *p = call->params;
    const mrt_tensor *boxes = call->in[0], *scores = call->in[1];
    mrt_tensor *y = call->out[0];
    const mrt_tensor *most = mrt_in(call, 2), *iou = mrt_in(call, 3), *low = mrt_in(call, 4);
    const int64_t batches = scores->shape.dims[0], classes = scores->shape.dims[1];
    const int64_t n = boxes->shape.dims[1], room = y->shape.dims[0];
    const int64_t limit = most != NULL ? *(const int64_t *)most->data : 0;
    int64_t *indices = call->scratch, *out = y->data, found = 0;
    selection s = {.n = n,
                   .iou = iou != NULL ? *(const float *)iou->data : 0.0f,
                   .low = low != NULL ? *(const float *)low->data : 0.0f,
                   .has_low = low != NULL,
                   .centers = p->flag != 0,
                   .candidates = indices,
                   .spare = indices + n,
                   .selected = indices + 2 * n,
                   .kept = (box *)(void *)(indices + 3 * n)};
    for (int64_t b = 0; b < batches; b++) {
        for (int64_t c = 0; c < classes; c++) {
            s.boxes = (const float *)boxes->data + b * n * 4;
            s.scores = (const float *)scores->data + (b * classes + c) * n;
            s.most = mrt_min64(limit, room - found);
            const int64_t kept = select_boxes(&s);
            for (int64_t i = 0; i < kept; i++, found++) {
                out[3 * found] = b;
                out[3 * found + 1] = c;
                out[3 * found + 2] = s.selected[i];
            }
        }
    }
    y->shape.dims[0] = found;
}
