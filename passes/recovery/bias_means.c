/* Means of layers, and what they ask of the biases. */
#include <math.h>
#include <string.h>

#include "dialects/top/top.h"
#include "passes/recovery/bias.h"
#include "passes/search/noise_lane.h"
#include "utils/arena.h"

static const double LEAST_LIVE = 1.0 / 16.0;

double *mica_bias_zeros(size_t n) {
    double *at = mica_alloc((n + 1) * sizeof *at);
    memset(at, 0, (n + 1) * sizeof *at);
    return at;
}

/* What the input's range in the table lets through. */
static void set_range(const mica_recovery_job *job, mica_bias_part *p) {
    const mica_cali_row *row = mica_cali_table_get(job->table, p->input);
    const double step = mica_input_scale(job, p->layer);
    p->noise = step * step / 12.0;
    p->range[0] = job->options->asymmetric ? row->min : row->min < 0.0 ? -row->threshold : 0.0;
    p->range[1] = job->options->asymmetric ? row->max : row->threshold;
}

void mica_bias_weigh(mica_bias_part *p, size_t sample, size_t samples, const float *x, int64_t count) {
    const mica_layer *l = p->layer;
    if (l->is_conv || count % l->per != 0) {
        return;
    }
    if (p->weights == NULL) {
        p->positions = count / l->per;
        p->weights = mica_alloc((samples * (size_t)p->positions + 1) * sizeof *p->weights);
    }
    float *weights = p->weights + (int64_t)sample * p->positions;
    for (int64_t i = 0; i < p->positions && i * l->per < count; ++i) {
        double clipping = 0.0;
        for (int64_t k = i * l->per; k < (i + 1) * l->per; ++k) {
            const double over = fmax((double)x[k] - p->range[1], p->range[0] - (double)x[k]);
            clipping += over > 0.0 ? over * over : 0.0;
        }
        weights[i] = (float)(1.0 / (1.0 + clipping / (p->noise * (double)l->per)));
    }
}

void mica_bias_parts_make(const mica_recovery_job *job, mica_bias_parts *out) {
    out->list = mica_alloc((job->layers->count + 1) * sizeof *out->list);
    out->count = 0;
    for (size_t i = 0; i < job->layers->count; ++i) {
        const mica_layer *l = &job->layers->list[i];
        if (l->op->n_operands < 3 || !(mica_input_scale(job, l) > 0.0)) {
            continue;
        }
        const size_t cells = out->samples * (size_t)l->rows;
        const double limit = mica_op_f64(l->op, "relu_limit");
        mica_bias_part *p = &out->list[out->count++];
        *p = (mica_bias_part){.layer = l,
                              .input = mica_value_name(mica_op_operand(l->op, 0)),
                              .output = mica_value_name(&l->op->results[0]),
                              .bounded = mica_op_bool(l->op, "do_relu"),
                              .high = limit >= 0.0 ? limit : HUGE_VAL};
        set_range(job, p);
        p->want = mica_bias_zeros(cells);
        p->got = mica_bias_zeros(cells);
        p->live = mica_bias_zeros((size_t)l->rows);
    }
}

void mica_bias_parts_free(mica_bias_parts *parts) {
    for (size_t i = 0; i < parts->count; ++i) {
        mica_free(parts->list[i].want);
        mica_free(parts->list[i].got);
        mica_free(parts->list[i].live);
        mica_free(parts->list[i].weights);
    }
    mica_free(parts->list);
    *parts = (mica_bias_parts){0};
}

static void add(const mica_bias_part *p, size_t sample, const float *y, int64_t count, double *means, double *live) {
    const mica_layer *l = p->layer;
    const int64_t run = l->is_conv ? l->out_dims[2] * l->out_dims[3] : 1;
    const bool weighs = p->weights != NULL && p->positions * l->rows == count;
    const float *weights = weighs ? p->weights + (int64_t)sample * p->positions : NULL;
    double all = weighs ? 0.0 : (double)count / (double)l->rows;
    for (int64_t i = 0; weighs && i < p->positions; ++i) {
        all += (double)weights[i];
    }
    for (int64_t at = 0; at < count; at += run) {
        const int64_t row = at / run % l->rows;
        double sum = 0.0;
        int64_t inside = 0;
        for (int64_t i = at; i < at + run; ++i) {
            sum += (double)y[i];
            inside += !p->bounded || (y[i] > 0.0F && (double)y[i] < p->high);
        }
        const double weight = weighs ? (double)weights[at / l->rows] : 1.0;
        means[row] += weight * sum / all;
        if (live != NULL) {
            live[row] += weight * (double)inside / all;
        }
    }
}

void mica_bias_add_want(mica_bias_part *p, size_t sample, const float *y, int64_t count) {
    add(p, sample, y, count, p->want + sample * (size_t)p->layer->rows, p->live);
    p->wants++;
}

void mica_bias_add_got(mica_bias_part *p, size_t sample, const float *y, int64_t count) {
    double *means = p->got + sample * (size_t)p->layer->rows;
    memset(means, 0, (size_t)p->layer->rows * sizeof *means);
    add(p, sample, y, count, means, NULL);
    p->gots++;
}

/* Mean over the samples of the difference of row o, and the square of its error. */
static double difference(const mica_bias_part *p, size_t samples, int64_t o, double *chance) {
    const size_t rows = (size_t)p->layer->rows;
    double sum = 0.0;
    double squares = 0.0;
    for (size_t s = 0; s < samples; ++s) {
        sum += p->want[s * rows + (size_t)o] - p->got[s * rows + (size_t)o];
    }
    const double mean = sum / (double)samples;
    for (size_t s = 0; s < samples; ++s) {
        const double d = p->want[s * rows + (size_t)o] - p->got[s * rows + (size_t)o] - mean;
        squares += d * d;
    }
    *chance = samples > 1 ? squares / ((double)(samples - 1) * (double)samples) : 0.0;
    return mean;
}

void mica_bias_deltas(const mica_bias_part *p, size_t samples, double *delta) {
    for (int64_t o = 0; o < p->layer->rows; ++o) {
        double chance = 0.0;
        const double mean = difference(p, samples, o, &chance);
        const double sure = mean * mean / (mean * mean + chance + 1e-300);
        const double moved = mean * sure / fmax(p->live[o] / (double)samples, LEAST_LIVE);
        delta[o] = isfinite(moved) ? moved : 0.0;
    }
}

double mica_bias_distance(const mica_bias_part *p, size_t samples) {
    double sum = 0.0;
    double chance = 0.0;
    for (int64_t o = 0; o < p->layer->rows; ++o) {
        const double mean = difference(p, samples, o, &chance);
        sum += mean * mean;
    }
    return sum;
}

const float *mica_bias_values(const mrt_tensor *tensor, float **room) {
    if (!mica_noise_can_store(tensor)) {
        return NULL;
    }
    if (tensor->dtype == MRT_F32) {
        return tensor->data;
    }
    mica_free(*room);
    *room = mica_alloc(((size_t)mrt_shape_count(&tensor->shape) + 1) * sizeof **room);
    mica_noise_load(tensor, tensor->data, *room);
    return *room;
}
