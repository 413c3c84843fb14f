/* SmoothQuant: a few channels of a normalization's result are far larger than the rest and take the
 * eight bits of all. Its scale and bias are divided by a factor per channel, the matrices behind it are
 * multiplied. Other readers (the residual sum) keep the old result: the products get a normalization of
 * their own. */
#include <math.h>
#include <string.h>

#include "dialects/top/top.h"
#include "ir/builder.h"
#include "passes/recovery/factors.h"
#include "utils/arena.h"

/* One normalization and the products that read it. */
typedef struct target {
    mica_op *norm;
    mica_channels channels;
    mica_reader *readers;
    size_t n_readers;
    bool is_shared; /* something else reads it too */
} target;

static bool is_norm(const mica_op *op) {
    if (!mica_op_is(op, "top.LayerNorm") && !mica_op_is(op, "top.RMSNorm")) {
        return false;
    }
    const mica_type type = op->results[0].type;
    const int64_t width = type->rank > 0 ? type->dims[type->rank - 1] : 0;
    const int64_t axis = mica_op_i64(op, "axis");
    const mica_value *scale = mica_op_present(op, 1);
    const mica_value *bias = op->n_operands > 2 ? mica_op_present(op, 2) : NULL;
    if (width < 2 || (axis != -1 && axis != type->rank - 1) || op->n_results != 1 || scale == NULL) {
        return false;
    }
    for (int i = 0; i < 2; ++i) {
        const mica_value *v = i == 0 ? scale : bias;
        const mica_ndarray *a = v != NULL && mica_is_weight(v) ? mica_weight_data(v) : NULL;
        if (v != NULL && (a == NULL || strcmp(a->descr, "<f4") != 0 || mica_ndarray_count(a) != width)) {
            return false;
        }
    }
    return true;
}

static const mica_layer *layer_of(const mica_layers *layers, const mica_op *op) {
    for (size_t i = 0; i < layers->count; ++i) {
        if (layers->list[i].op == op) {
            return &layers->list[i];
        }
    }
    return NULL;
}

static bool find_readers(target *t, const mica_layers *layers) {
    mica_value *result = &t->norm->results[0];
    t->readers = mica_alloc((mica_value_use_count(result) + 1) * sizeof *t->readers);
    for (const mica_use *use = result->first_use; use != NULL; use = use->next) {
        const mica_layer *l = use->user->operands[0].value == result ? layer_of(layers, use->user) : NULL;
        const bool reads = l != NULL && !l->is_conv && l->groups == 1 &&
                           mica_value_has_one_use(mica_op_operand(l->op, 1)) &&
                           !mica_op_bool(l->op, "left_transpose") &&
                           l->per == result->type->dims[result->type->rank - 1];
        if (reads) {
            t->readers[t->n_readers++] = (mica_reader){l, NULL};
        } else {
            t->is_shared = true;
        }
    }
    return t->n_readers > 0;
}

/* The constant behind operand i of the normalization divided by s, under a new name. */
static mica_value *divided(mica_builder *builder, const mica_op *norm, uint32_t i, const double *s) {
    const mica_value *old = mica_op_operand(norm, i);
    if (mica_op_present(norm, i) == NULL) {
        return mica_op_operand(norm, i);
    }
    const mica_ndarray *a = mica_weight_data(old);
    const int64_t n = mica_ndarray_count(a);
    float *values = mica_alloc((size_t)(n + 1) * sizeof *values);
    for (int64_t c = 0; c < n; ++c) {
        values[c] = (float)((double)((const float *)a->data)[c] / s[c]);
    }
    const char *name = mica_arena_printf(builder->module->arena, "%s_smooth%u", mica_loc_get_name(norm->loc), i);
    mica_value *made = mica_top_weight(builder, name, mica_type_f32(builder->module->context), a->rank, a->dims, values);
    mica_free(values);
    return made;
}

/* The normalization that the products read: new constants, and a copy when others read the old one. */
static void rescale(mica_module *module, const mica_recovery_job *job, const target *t, const double *s) {
    mica_builder builder = mica_builder_before(module, t->norm);
    mica_op *op = t->norm;
    mica_value *operands[3] = {NULL};
    operands[0] = mica_op_operand(op, 0);
    for (uint32_t i = 1; i < op->n_operands; ++i) {
        operands[i] = divided(&builder, op, i, s);
    }
    if (t->is_shared) {
        const char *name = mica_arena_printf(module->arena, "%s_smooth", mica_loc_get_name(op->loc));
        op = mica_clone_op(&builder, t->norm, NULL, NULL);
        op->loc = mica_loc_name(module->context, name, NULL);
        for (size_t i = 0; i < t->n_readers; ++i) {
            mica_op_set_operand(t->readers[i].layer->op, 0, &op->results[0]);
        }
    }
    mica_moves_add(job, mica_value_name(&op->results[0]), &t->channels, s);
    for (uint32_t i = 1; i < op->n_operands; ++i) {
        mica_op_set_operand(op, i, operands[i]);
    }
    for (size_t i = 0; i < t->n_readers; ++i) {
        mica_scale_reader(module, t->readers[i].layer, s);
    }
}

static void smooth(mica_module *module, const mica_recovery_job *job, target *t, size_t *changed) {
    const mica_channels *c = &t->channels;
    double *range = mica_alloc((size_t)(c->count + 1) * sizeof *range);
    double *s = mica_alloc((size_t)(c->count + 1) * sizeof *s);
    for (int64_t i = 0; i < c->count; ++i) {
        range[i] = fmax(-c->low[i], c->high[i]);
    }
    for (size_t i = 0; i < t->n_readers; ++i) {
        t->readers[i].channels = c;
    }
    const mica_factors factors = {.readers = t->readers, .n_readers = t->n_readers, .range = range,
                                  .count = c->count, .asymmetric = job->options->asymmetric};
    double exponent = -1.0;
    if (mica_factors_search(&factors, s, &exponent) > 1.01) {
        rescale(module, job, t, s);
        *changed += 1;
    }
    mica_free(range);
    mica_free(s);
}

mica_status mica_step_smooth(mica_module *module, const mica_recovery_job *job, size_t *changed,
                             mica_error *err) {
    mica_block *body = mica_func_body(mica_module_func(module, "main"));
    target *targets = mica_alloc((job->layers->count + 1) * sizeof *targets);
    size_t n = 0;
    for (mica_op *op = body->first; op != NULL && n < job->layers->count; op = op->next) {
        target t = {.norm = op};
        if (is_norm(op) && find_readers(&t, job->layers)) {
            mica_channels_init(&t.channels, &op->results[0], op->results[0].type->rank - 1);
            targets[n++] = t;
        } else {
            mica_free(t.readers);
        }
    }
    mica_channels *all = mica_alloc((n + 1) * sizeof *all);
    for (size_t i = 0; i < n; ++i) {
        all[i] = targets[i].channels;
    }
    mica_status status = n > 0 ? mica_channels_measure(module, job, all, n, err) : MICA_OK;
    for (size_t i = 0; i < n; ++i) {
        if (status == MICA_OK) {
            smooth(module, job, &targets[i], changed);
        }
        mica_channels_free(&targets[i].channels);
        mica_free(targets[i].readers);
    }
    mica_free(targets);
    mica_free(all);
    return status;
}
