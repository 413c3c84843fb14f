#include "passes/search/explain.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "dialects/top/top.h"
#include "utils/arena.h"
#include "utils/strings.h"

enum { SHARE_SAMPLES = 12, NOISE_SAMPLES = 4 };

/* Ops below this share are not explained. */
static const double LEAST_SHARE = 1.0;

typedef struct work {
    const mica_search_job *job;
    const mica_explain_options *options;
    mica_noise_shares shares;
    mica_noise_result noise; /* of INT8, with parts */
    mica_explain *out;
} work;

static const mica_tensor_statistics *statistics_of(const work *w, const char *name) {
    for (size_t i = 0; i < w->options->statistics->count; ++i) {
        if (strcmp(w->options->statistics->tensors[i].name, name) == 0) {
            return &w->options->statistics->tensors[i];
        }
    }
    return NULL;
}

/* E (x - m)^4 / (E (x - m)^2)^2 with every value in the middle of its bin. */
static double kurtosis_of(const mica_histogram *h) {
    const double low = mica_histogram_low(h);
    const double width = mica_histogram_width(h);
    double n = 0.0;
    double mean = 0.0;
    for (int i = 0; i < MICA_HISTOGRAM_BINS; ++i) {
        n += (double)h->bins[i];
        mean += (double)h->bins[i] * (low + ((double)i + 0.5) * width);
    }
    mean = n > 0.0 ? mean / n : 0.0;
    double second = 0.0;
    double fourth = 0.0;
    for (int i = 0; i < MICA_HISTOGRAM_BINS; ++i) {
        const double d = low + ((double)i + 0.5) * width - mean;
        second += (double)h->bins[i] * d * d;
        fourth += (double)h->bins[i] * d * d * d * d;
    }
    return second > 0.0 ? fourth * n / (second * second) : 0.0;
}

/* --- reasons: each gives the part of the op's error that it explains, 0 when it does not hold --- */

typedef struct reason_input {
    const work *w;
    size_t k;
    const mica_tensor_statistics *t; /* of the first result, or NULL */
    const mica_cali_row *row;        /* or NULL */
    double rounding, clipping;       /* over signal, of its results in 8 bits */
    double local;                    /* over signal, of the op itself */
} reason_input;

typedef double reason_fn(const reason_input *in, mica_explain_row *row);

static double clipped_tail(const reason_input *in, mica_explain_row *row) {
    if (in->clipping < 2.0 * in->rounding || in->t == NULL) {
        return 0.0;
    }
    const mica_histogram *h = &in->t->histogram;
    const mica_method *mse = mica_method_find("mse");
    const double best = mica_quantization_error(h, mica_method_run(mse, h).threshold);
    const double now = mica_quantization_error(h, in->row->threshold);
    const double largest = fmax(fabs((double)h->min), fabs((double)h->max));
    snprintf(row->why, sizeof row->why, "clipped tail: threshold %.4g, values up to %.4g", in->row->threshold, largest);
    snprintf(row->help, sizeof row->help, "--cali_method mse");
    return now > 0.0 ? 1.0 - best / now : 0.0;
}

/* Largest magnitudes of the channels of a result, sorted; NULL without them. */
static double *channel_tops(const mica_tensor_statistics *t) {
    if (t == NULL || t->channels == NULL || t->n_channels < 4) {
        return NULL;
    }
    double *tops = mica_alloc((size_t)t->n_channels * sizeof *tops);
    for (int64_t i = 0; i < t->n_channels; ++i) {
        const double top = fmax(fabs((double)t->channels[i].min), fabs((double)t->channels[i].max));
        int64_t at = i;
        for (; at > 0 && tops[at - 1] > top; --at) {
            tops[at] = tops[at - 1];
        }
        tops[at] = top;
    }
    return tops;
}

static double outlier_channel(const reason_input *in, mica_explain_row *row) {
    double *tops = channel_tops(in->t);
    if (tops == NULL) {
        return 0.0;
    }
    const int64_t n = in->t->n_channels;
    const double median = tops[n / 2];
    const double top = tops[n - 1];
    int64_t wide = 0;
    for (int64_t i = 0; i < n; ++i) {
        wide += tops[i] > 0.5 * top;
    }
    mica_free(tops);
    if (top < 4.0 * median || in->local > 4.0 * in->rounding) {
        return 0.0;
    }
    snprintf(row->why, sizeof row->why, "outlier channel: %lld of %lld reach %.4g, the middle one %.4g", (long long)wide,
             (long long)n, top, median);
    snprintf(row->help, sizeof row->help, "%sF16 in --quantize_table",
             strcmp(row->type, "top.Conv") == 0 ? "--we, or " : mica_ends_with(row->type, "Norm") ? "--sq, or " : "");
    return 1.0;
}

/* Rows of a filter whose largest weight is far below the others': per-channel scales serve them, one scale for the
 * whole output does not. */
static double tiny_channel(const reason_input *in, mica_explain_row *row) {
    double *tops = channel_tops(in->t);
    if (tops == NULL) {
        return 0.0;
    }
    const int64_t n = in->t->n_channels;
    const double top = tops[n - 1];
    int64_t tiny = 0;
    for (int64_t i = 0; i < n; ++i) {
        tiny += tops[i] < top / 16.0;
    }
    mica_free(tops);
    if (tiny * 8 < n || in->local > 4.0 * in->rounding) {
        return 0.0;
    }
    snprintf(row->why, sizeof row->why, "tiny channels: %lld of %lld use less than 1/16 of the range", (long long)tiny,
             (long long)n);
    snprintf(row->help, sizeof row->help, "--we, or F16 in --quantize_table");
    return 1.0;
}

static double weight_rounding(const reason_input *in, mica_explain_row *row) {
    const mica_op *op = in->w->job->net->ops[in->k].op;
    const bool weighs = op->n_operands > 1 && mica_is_weight(mica_op_operand(op, 1));
    const double output = in->rounding + in->clipping;
    if (!weighs || in->local < 2.0 * output) {
        return 0.0;
    }
    const double part = 1.0 - output / in->local;
    const mica_ndarray *w = mica_weight_data(mica_op_operand(op, 1));
    const int64_t per = w != NULL && w->rank > 0 && w->dims[0] > 0 ? mica_ndarray_count(w) / w->dims[0] : 0;
    snprintf(row->why, sizeof row->why, "rounded weights: %.0f %% of its own noise%s", 100.0 * part,
             per > 0 && per <= 25 ? ", few per output to average over" : "");
    snprintf(row->help, sizeof row->help, "--finetune_level 1");
    return part;
}

static double shared_range(const reason_input *in, mica_explain_row *row) {
    const mica_op *op = in->w->job->net->ops[in->k].op;
    const mica_use *use = op->results[0].first_use;
    const mica_op *user = use != NULL ? use->user : NULL;
    if (user == NULL || !mica_op_is(user, "top.Concat") || in->row == NULL) {
        return 0.0;
    }
    const mica_cali_row *other = mica_cali_table_get(in->w->options->table, mica_value_name(&user->results[0]));
    if (other == NULL || other->threshold < 4.0 * in->row->threshold) {
        return 0.0;
    }
    snprintf(row->why, sizeof row->why, "range shared by concat: uses %.4g of the %.4g of '%.60s'", in->row->threshold,
             other->threshold, mica_value_name(&user->results[0]));
    snprintf(row->help, sizeof row->help, "F16 in --quantize_table for the concat");
    return 1.0;
}

static double heavy_tail(const reason_input *in, mica_explain_row *row) {
    if (row->kurtosis < 20.0 || in->local > 4.0 * (in->rounding + in->clipping)) {
        return 0.0;
    }
    snprintf(row->why, sizeof row->why, "heavy tail: kurtosis %.0f, most values far below the threshold", row->kurtosis);
    snprintf(row->help, sizeof row->help, "F16 in --quantize_table");
    return 1.0;
}

/* Eight bits have a sixteenth of the steps' width, so next to nothing would be left. */
static double four_bits(const reason_input *in, mica_explain_row *row) {
    (void)in;
    if (!mica_mode_is_narrow(row->mode)) {
        return 0.0;
    }
    snprintf(row->why, sizeof row->why, "weights%s of 4 bits", row->mode == MICA_MODE_INT4 ? " and input" : "");
    snprintf(row->help, sizeof row->help, "--finetune_level 1 with --pre_qtable, or INT8 in --quantize_table");
    return 1.0;
}

/* Whatever holds for none of the above. */
static double plain_rounding(const reason_input *in, mica_explain_row *row) {
    const bool own = in->local > 0.0 && in->local < 0.5 * pow(10.0, -row->real_db / 10.0);
    snprintf(row->why, sizeof row->why, "%s", own ? "rounding that the layers behind amplify" : "rounding to 8 bits");
    snprintf(row->help, sizeof row->help, "F16 in --quantize_table");
    return 1.0;
}

static reason_fn *const REASONS[] = {four_bits, shared_range, clipped_tail, weight_rounding, outlier_channel, tiny_channel,
                                     heavy_tail, plain_rounding};

static void explain_op(const work *w, size_t k, mica_explain_row *row) {
    reason_input in = {.w = w, .k = k, .t = statistics_of(w, row->name),
                       .row = mica_cali_table_get(w->options->table, row->name)};
    in.local = w->noise.local != NULL && w->noise.has[k] ? w->noise.local[k] : 0.0;
    if (in.t != NULL && in.row != NULL) {
        mica_density *d = mica_alloc(sizeof *d);
        mica_density_of(&in.t->histogram, d);
        const mica_grid grid = w->job->asymmetric ? mica_asymmetric_grid(in.row->min, in.row->max)
                                                  : mica_symmetric_grid(d->is_signed, 8, in.row->threshold);
        const mica_noise n = mica_density_noise(d, grid);
        in.rounding = d->power > 0.0 ? n.rounding / d->power : 0.0;
        in.clipping = d->power > 0.0 ? n.clipping / d->power : 0.0;
        mica_free(d);
    }
    double part = 0.0;
    for (size_t i = 0; i < sizeof REASONS / sizeof REASONS[0] && part <= 0.0; ++i) {
        part = REASONS[i](&in, row);
    }
    row->gain_db = -10.0 * log10(fmax(1e-3, 1.0 - part * row->share / 100.0));
}

static mica_mode mode_of(const mica_lowered *lowered, const char *name) {
    for (size_t i = 0; i < lowered->report.count; ++i) {
        if (strcmp(lowered->report.rows[i].op, name) == 0) {
            return lowered->report.rows[i].mode;
        }
    }
    return MICA_MODE_F32;
}

static void fill_row(const work *w, const mica_lowered *lowered, size_t k, mica_explain_row *row) {
    const mica_net_op *op = &w->job->net->ops[k];
    const mica_cali_row *range = mica_cali_table_get(w->options->table, op->name);
    const mica_tensor_statistics *t = statistics_of(w, op->name);
    *row = (mica_explain_row){.name = op->name, .type = op->type, .mode = mode_of(lowered, op->name),
                              .method = w->options->method};
    row->real_db = mica_nsr_to_db(w->shares.reached[k]);
    row->share = w->shares.nsr > 0.0 ? 100.0 * w->shares.share[k] / w->shares.nsr : 0.0;
    if (range != NULL && t != NULL) {
        const mica_range r = {range->threshold, range->min, range->max};
        row->threshold = range->threshold;
        row->predicted_db = fmin(200.0, mica_predicted_sqnr(&t->histogram, r, w->job->asymmetric));
        row->kurtosis = kurtosis_of(&t->histogram);
    }
    if (t != NULL && t->is_border) {
        row->method = "max";
    }
    if (row->share >= LEAST_SHARE && mica_mode_has_integers(row->mode)) {
        explain_op(w, k, row);
    }
}

static mica_status measure(work *w, mica_lowered *lowered, mica_error *err) {
    const size_t all = w->job->samples;
    MICA_TRY(mica_noise_chain(w->job, lowered, all < SHARE_SAMPLES ? all : SHARE_SAMPLES, &w->shares, err));
    const mica_noise_variant variant = {.lowered = lowered, .samples = all < NOISE_SAMPLES ? all : NOISE_SAMPLES,
                                        .parts = true};
    return mica_noise_measure(w->job, &variant, 1, &w->noise, err);
}

mica_status mica_explain_model(const mica_search_job *job, const mica_explain_options *options, mica_explain *out,
                               mica_error *err) {
    const mica_lowered_options how = {.processor = job->processor, .table = options->table, .qtable = options->qtable,
                                      .mode = MICA_MODE_INT8, .asymmetric = job->asymmetric, .keep_all = true};
    mica_lowered *lowered = mica_lowered_open(job->module, &how, err);
    if (lowered == NULL) {
        return MICA_FAIL;
    }
    work w = {.job = job, .options = options, .out = out};
    *out = (mica_explain){0};
    mica_status status = measure(&w, lowered, err);
    if (status == MICA_OK) {
        out->count = job->net->n_ops;
        out->nsr = w.shares.nsr;
        out->samples = job->samples < SHARE_SAMPLES ? job->samples : SHARE_SAMPLES;
        out->rows = mica_alloc((out->count + 1) * sizeof *out->rows);
        for (size_t k = 0; k < out->count; ++k) {
            fill_row(&w, lowered, k, &out->rows[k]);
            out->share_sum += out->rows[k].share;
        }
    }
    mica_noise_shares_free(&w.shares);
    mica_noise_free(&w.noise, 1);
    mica_lowered_close(lowered);
    return status;
}

void mica_explain_free(mica_explain *explain) {
    mica_free(explain->rows);
    *explain = (mica_explain){0};
}
