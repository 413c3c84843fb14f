/* Softmax correction. Rows of a quantized softmax do not sum to 1: probabilities below half a step become 0, those
 * beyond the threshold are cut, and what the attention gives shrinks or grows by the sum. That sum is nearly a
 * constant of the head, so the constant matrix behind the product takes it back [softmax-sum]. Each attention counts
 * what it does itself, on the logits and values that its quantized form reads, as in bias_parallel.c. */
#include <math.h>
#include <string.h>

#include "dialects/top/top.h"
#include "passes/recovery/bias.h"
#include "passes/recovery/factors.h"
#include "passes/recovery/single.h"
#include "utils/arena.h"
#include "utils/progress.h"

static const double WIDEST = 4.0; /* factors lie in [1 / WIDEST, WIDEST] */

typedef struct target {
    mica_op *softmax, *product;
    const mica_layer *layer; /* that reads the product, perhaps moved */
    int64_t heads, depth, rows; /* of the product: [.., heads, rows, depth] */
    int64_t *channel;        /* [layer->per] head * depth + d of what the layer reads */
    /* Of the samples: products of float and quantized results per head, and their means per channel. */
    double *mixed, *square;
    mica_bias_part means;
    mica_layer whole;        /* heads * depth rows, for the means */
    /* Of the run. */
    mica_single *alone[2];   /* float softmax, float product */
    const mrt_plan *plan;    /* of the float model */
    int32_t steps[2], ids[3]; /* tensors of the quantized plan: logits, values, results */
    float *logits, *values;
} target;

typedef MICA_VEC(target) targets;

/* --- what can be corrected --- */

static void permute(int64_t **labels, mica_type from, const int64_t *order) {
    int64_t strides[MICA_NDARRAY_MAX_RANK];
    int64_t count = 1;
    for (int i = from->rank - 1; i >= 0; --i) {
        strides[i] = count;
        count *= from->dims[i];
    }
    int64_t *moved = mica_alloc((size_t)(count + 1) * sizeof *moved);
    for (int64_t at = 0; at < count; ++at) {
        int64_t rest = at;
        int64_t source = 0;
        for (int i = from->rank - 1; i >= 0; --i) {
            source += rest % from->dims[order[i]] * strides[order[i]];
            rest /= from->dims[order[i]];
        }
        moved[at] = (*labels)[source];
    }
    mica_free(*labels);
    *labels = moved;
}

/* Follows the only reader of a value through ops that move elements, labels with them; the layer, or NULL. */
static const mica_layer *follow(const mica_layers *layers, const mica_value *value, int64_t **labels) {
    while (mica_value_has_one_use(value)) {
        mica_op *user = value->first_use->user;
        for (size_t i = 0; i < layers->count; ++i) {
            const mica_layer *l = &layers->list[i];
            if (l->op == user) {
                const bool fits = !l->is_conv && mica_op_operand(user, 0) == value && user->n_operands > 2 &&
                                  !mica_op_bool(user, "left_transpose") && mica_value_has_one_use(mica_op_operand(user, 1)) &&
                                  value->type->dims[value->type->rank - 1] == l->per;
                return fits ? l : NULL;
            }
        }
        size_t n = 0;
        const int64_t *order = mica_op_is(user, "top.Permute") ? mica_op_i64s(user, "order", &n) : NULL;
        if (order != NULL && n == (size_t)value->type->rank) {
            permute(labels, value->type, order);
        } else if (!mica_op_is(user, "top.Reshape") || mica_op_operand(user, 0) != value) {
            return NULL;
        }
        value = &user->results[0];
    }
    return NULL;
}

/* Channel of the product that each input of the layer is; false: it differs from position to position. */
static bool map_channels(target *t, const int64_t *labels, int64_t count) {
    const int64_t per = t->layer->per;
    if (per != t->heads * t->depth) {
        return false;
    }
    t->channel = mica_alloc((size_t)(per + 1) * sizeof *t->channel);
    memcpy(t->channel, labels, (size_t)per * sizeof *t->channel);
    for (int64_t i = per; i < count; ++i) {
        if (labels[i] != labels[i % per]) {
            mica_free(t->channel);
            return false;
        }
    }
    return true;
}

static bool describe(const mica_layers *layers, mica_op *softmax, target *t) {
    const mica_value *p = &softmax->results[0];
    const int64_t axis = mica_op_i64(softmax, "axis");
    mica_op *product = mica_value_has_one_use(p) ? p->first_use->user : NULL;
    if (mica_op_bool(softmax, "log") || (axis != -1 && axis != p->type->rank - 1) || product == NULL ||
        !mica_op_is(product, "top.MatMul") || mica_op_operand(product, 0) != p || mica_is_weight(mica_op_operand(product, 1))) {
        return false;
    }
    const mica_type type = product->results[0].type;
    int64_t count = 1;
    for (int i = 0; i < type->rank; ++i) {
        if (type->dims[i] <= 0) {
            return false;
        }
        count *= type->dims[i];
    }
    if (type->rank < 2) {
        return false;
    }
    *t = (target){.softmax = softmax, .product = product, .depth = type->dims[type->rank - 1], .rows = type->dims[type->rank - 2],
                  .heads = type->rank > 2 ? type->dims[type->rank - 3] : 1};
    int64_t *labels = mica_alloc((size_t)(count + 1) * sizeof *labels);
    for (int64_t i = 0; i < count; ++i) {
        labels[i] = i / (t->depth * t->rows) % t->heads * t->depth + i % t->depth;
    }
    t->layer = follow(layers, &product->results[0], &labels);
    const bool found = t->layer != NULL && count % t->layer->per == 0 && map_channels(t, labels, count);
    mica_free(labels);
    return found;
}

static void find_targets(mica_module *module, const mica_layers *layers, targets *out) {
    for (mica_op *op = mica_func_body(mica_module_func(module, "main"))->first; op != NULL; op = op->next) {
        target t;
        if (mica_op_is(op, "top.Softmax") && describe(layers, op, &t)) {
            mica_vec_push(out, t);
        }
    }
}

static void free_targets(targets *list) {
    for (size_t i = 0; i < list->len; ++i) {
        target *t = &list->data[i];
        mica_single_close(t->alone[0]);
        mica_single_close(t->alone[1]);
        double *const sums[] = {t->mixed, t->square, t->means.want, t->means.got, t->means.live};
        for (size_t k = 0; k < MICA_COUNT(sums); ++k) {
            mica_free(sums[k]);
        }
        mica_free(t->channel);
        mica_free(t->logits);
        mica_free(t->values);
    }
    mica_vec_free(list);
}

bool mica_has_softmax_to_correct(mica_module *module) {
    mica_layers layers = {0};
    targets list = {0};
    mica_layers_find(module, &layers);
    find_targets(module, &layers, &list);
    const bool any = list.len > 0;
    free_targets(&list);
    mica_layers_free(&layers);
    return any;
}

/* --- the run --- */

typedef struct run_state {
    targets *list;
    float *room;
    size_t sample;
} run_state;

/* What the float attention gives for the kept logits and values: softmax, then the product. */
static float *run_float(const target *t) {
    const mrt_step *steps[2] = {&t->plan->steps[t->steps[0]], &t->plan->steps[t->steps[1]]};
    float *p = mica_alloc((size_t)t->plan->tensors[steps[0]->out[0]].bytes + 1);
    float *y = mica_alloc((size_t)t->plan->tensors[steps[1]->out[0]].bytes + 1);
    const void *logits[8] = {t->logits};
    const void *operands[8] = {p, t->values};
    mica_single_run(t->alone[0], logits, (void *[]){p});
    mica_single_run(t->alone[1], operands, (void *[]){y});
    mica_free(p);
    return y;
}

static void add_results(target *t, size_t sample, const float *got, int64_t count) {
    float *want = run_float(t);
    const int64_t channels = t->heads * t->depth;
    double *means[2] = {t->means.want + (int64_t)sample * channels, t->means.got + (int64_t)sample * channels};
    for (int64_t i = 0; i < count; ++i) {
        const int64_t head = i / (t->depth * t->rows) % t->heads;
        const int64_t channel = head * t->depth + i % t->depth;
        t->mixed[head] += (double)want[i] * (double)got[i];
        t->square[head] += (double)got[i] * (double)got[i];
        means[0][channel] += (double)want[i] * (double)channels / (double)count;
        means[1][channel] += (double)got[i] * (double)channels / (double)count;
    }
    t->means.wants++;
    mica_free(want);
}

static void keep_copy(float **to, const float *x, int64_t count) {
    mica_free(*to);
    *to = mica_alloc((size_t)(count + 1) * sizeof **to);
    memcpy(*to, x, (size_t)count * sizeof **to);
}

static void observe(void *user, int32_t id, const mrt_tensor *tensor) {
    run_state *r = user;
    for (size_t i = 0; i < r->list->len; ++i) {
        target *t = &r->list->data[i];
        if (id != t->ids[0] && id != t->ids[1] && id != t->ids[2]) {
            continue;
        }
        const float *x = mica_bias_values(tensor, &r->room);
        const int64_t count = mrt_shape_count(&tensor->shape);
        if (x == NULL) {
            continue;
        }
        if (id == t->ids[0]) {
            keep_copy(&t->logits, x, count);
        } else if (id == t->ids[1]) {
            keep_copy(&t->values, x, count);
        } else if (t->logits != NULL && t->values != NULL) {
            add_results(t, r->sample, x, count);
        }
    }
}

static int64_t elements(const mrt_plan *plan, int32_t id) {
    return mrt_shape_count(&plan->tensors[id].info.shape);
}

/* Finds the attention in both plans; false: one of them has another form of it. */
static bool connect(target *t, const mrt_plan *want, const mrt_plan *got) {
    const mica_value *const values[3] = {mica_op_operand(t->softmax, 0), mica_op_operand(t->product, 1),
                                         &t->product->results[0]};
    int32_t own[3];
    for (int i = 0; i < 3; ++i) {
        own[i] = mrt_plan_find(want, mica_value_name(values[i]));
        t->ids[i] = mrt_plan_find(got, mica_value_name(values[i]));
        if (own[i] < 0 || t->ids[i] < 0 || elements(want, own[i]) != elements(got, t->ids[i])) {
            return false;
        }
    }
    const int32_t p = mrt_plan_find(want, mica_value_name(&t->softmax->results[0]));
    t->plan = want;
    t->steps[0] = p >= 0 ? want->tensors[p].def_step : -1;
    t->steps[1] = want->tensors[own[2]].def_step;
    if (t->steps[0] < 0 || t->steps[1] < 0) {
        return false;
    }
    const mrt_step *softmax = &want->steps[t->steps[0]];
    const mrt_step *product = &want->steps[t->steps[1]];
    return softmax->out[0] == p && softmax->in[0] == own[0] && product->out[0] == own[2] && product->in[0] == p &&
           product->in[1] == own[1] && softmax->n_in <= 8 && product->n_in <= 8;
}

static mica_status prepare(target *t, size_t samples, mrt_pool *pool, mica_error *err) {
    for (int i = 0; i < 2; ++i) {
        t->alone[i] = mica_single_open(t->plan, t->steps[i], -1, NULL, pool, err);
        if (t->alone[i] == NULL) {
            return MICA_FAIL;
        }
    }
    const size_t channels = (size_t)(t->heads * t->depth);
    t->whole.rows = t->heads * t->depth;
    t->mixed = mica_bias_zeros((size_t)t->heads);
    t->square = mica_bias_zeros((size_t)t->heads);
    t->means = (mica_bias_part){.want = mica_bias_zeros(samples * channels),
                                .got = mica_bias_zeros(samples * channels),
                                .live = mica_bias_zeros(channels)};
    for (size_t c = 0; c < channels; ++c) {
        t->means.live[c] = (double)samples;
    }
    return MICA_OK;
}

/* --- the correction --- */

static void correct(mica_module *module, target *t, size_t samples, size_t *changed) {
    const mica_layer *l = t->layer;
    const int64_t channels = t->heads * t->depth;
    double *factors = mica_alloc((size_t)(l->per + 1) * sizeof *factors);
    double *beta = mica_alloc((size_t)(channels + 1) * sizeof *beta);
    double *delta = mica_bias_zeros((size_t)l->rows);
    for (int64_t k = 0; k < l->per; ++k) {
        const int64_t head = t->channel[k] / t->depth;
        const double g = t->square[head] > 0.0 ? t->mixed[head] / t->square[head] : 1.0;
        factors[k] = (double)(float)fmin(fmax(g, 1.0 / WIDEST), WIDEST);
    }
    for (int64_t k = 0; k < l->per; ++k) { /* every channel of the product is one input of the layer */
        for (size_t s = 0; s < samples; ++s) {
            t->means.got[(int64_t)s * channels + t->channel[k]] *= factors[k];
        }
    }
    t->means.layer = &t->whole;
    mica_bias_deltas(&t->means, samples, beta);
    for (int64_t o = 0; o < l->rows; ++o) {
        for (int64_t k = 0; k < l->per; ++k) {
            delta[o] += (double)l->filter[o * l->row_step + k * l->step] * beta[t->channel[k]];
        }
    }
    bool scales = false;
    for (int64_t k = 0; k < l->per; ++k) {
        scales = scales || factors[k] != 1.0;
    }
    if (scales) {
        mica_scale_reader(module, l, factors);
    }
    *changed += mica_layer_add_bias(module, l, delta) || scales;
    mica_free(factors);
    mica_free(beta);
    mica_free(delta);
}

static mica_status run(mica_runner *got, const mica_recovery_job *job, targets *list, mica_error *err) {
    run_state r = {.list = list};
    mica_progress progress;
    mica_progress_begin(&progress, "softmax", "samples", (int64_t)job->trained);
    progress.quiet = progress.quiet || job->options->quiet;
    mica_status status = MICA_OK;
    for (; r.sample < job->trained && status == MICA_OK; ++r.sample) {
        status = mica_runner_run(got, job->dataset, r.sample, observe, &r, err);
        mica_progress_step(&progress, 1);
    }
    mica_progress_end(&progress);
    mica_free(r.room);
    return status;
}

mica_status mica_step_softmax(mica_module *module, const mica_recovery_job *job, size_t *changed, mica_error *err) {
    targets list = {0};
    find_targets(module, job->layers, &list);
    mica_runner *want = mica_runner_open(job->reference, NULL, job->options, err);
    mica_runner *got = want != NULL ? mica_runner_open(module, job->table, job->options, err) : NULL;
    mica_status status = got != NULL ? MICA_OK : MICA_FAIL;
    mrt_pool *pool = mrt_pool_create(job->options->threads);
    for (size_t i = 0; i < list.len && status == MICA_OK; ++i) {
        target *t = &list.data[i];
        if (connect(t, mica_runner_plan(want), mica_runner_plan(got))) {
            status = prepare(t, job->trained, pool, err);
        } else {
            t->ids[0] = t->ids[1] = t->ids[2] = -1;
        }
    }
    status = status == MICA_OK && list.len > 0 ? run(got, job, &list, err) : status;
    for (size_t i = 0; i < list.len && status == MICA_OK; ++i) {
        if (list.data[i].means.wants == job->trained) {
            correct(module, &list.data[i], job->trained, changed);
        }
    }
    free_targets(&list);
    mrt_pool_destroy(pool);
    mica_runner_close(got);
    mica_runner_close(want);
    return status;
}
