#include "passes/recovery/prefix.h"

#include <string.h>

#include "dialects/plan.h"
#include "dialects/top/top.h"
#include "ir/builder.h"
#include "passes/recovery/span.h"
#include "utils/arena.h"

static bool is_placed(const mica_op *op) {
    return op->n_results > 0 && !mica_op_has_trait(op, MICA_IS_CONSTANT) && !mica_op_is(op, "top.Input") &&
           !mica_op_is(op, "top.None");
}

/* Ops of main in order; their number goes to *n. */
static mica_op **list_ops(mica_module *module, size_t *n) {
    const mica_block *body = mica_func_body(mica_module_func(module, "main"));
    *n = 0;
    for (const mica_op *op = body->first; op != NULL; op = op->next) {
        *n += is_placed(op);
    }
    mica_op **ops = mica_alloc((*n + 1) * sizeof(mica_op *));
    size_t i = 0;
    for (mica_op *op = body->first; op != NULL; op = op->next) {
        if (is_placed(op)) {
            ops[i++] = op;
        }
    }
    return ops;
}

static bool in_range(const mica_prefix *p, const mica_op *user, size_t from, size_t to) {
    const bool is_end = user->n_results == 0; /* the return */
    return is_end ? to > p->n_ops : user->order >= from && user->order < to;
}

/* True when an op of [from, to) reads the value; the return is number n_ops. */
static bool is_read(const mica_prefix *p, const mica_value *value, size_t from, size_t to) {
    for (const mica_use *use = value->first_use; use != NULL; use = use->next) {
        if (in_range(p, use->user, from, to)) {
            return true;
        }
    }
    return false;
}

static size_t alive_in(const mica_prefix *p, const mica_op *op, size_t to, const mica_value **out, size_t n,
                       size_t most) {
    for (uint32_t i = 0; i < op->n_results; ++i) {
        if (is_read(p, &op->results[i], to, p->n_ops + 1)) {
            if (n < most) {
                out[n] = &op->results[i];
            }
            n++;
        }
    }
    return n;
}

size_t mica_prefix_alive(const mica_prefix *p, size_t to, const mica_value **out, size_t most) {
    size_t n = 0;
    const mica_block *body = mica_func_body(mica_module_func(p->reference, "main"));
    for (const mica_op *op = body->first; op != NULL; op = op->next) {
        if (mica_op_is(op, "top.Input") || (is_placed(op) && op->order < to)) {
            n = alive_in(p, op, to, out, n, most);
        }
    }
    return n;
}

static size_t bytes_of(const mica_value *value) {
    const size_t each = mrt_dtype_bytes(mica_dtype_of(mica_type_element(value->type)));
    int64_t n = 1;
    for (int i = 0; i < value->type->rank; ++i) {
        n *= value->type->dims[i];
    }
    return (size_t)n * each;
}

static size_t align(size_t bytes) { return (bytes + 63) / 64 * 64; }

/* What is alive at a place as a list with offsets; *bytes: of one side of a sample. */
static mica_live *live_at(const mica_prefix *p, size_t to, size_t *n, size_t *bytes) {
    const size_t most = mica_prefix_alive(p, to, NULL, 0);
    const mica_value **values = mica_alloc((most + 1) * sizeof(mica_value *));
    *n = mica_prefix_alive(p, to, values, most);
    mica_live *live = mica_alloc((*n + 1) * sizeof *live);
    *bytes = 0;
    for (size_t i = 0; i < *n; ++i) {
        live[i] = (mica_live){values[i], bytes_of(values[i]), *bytes};
        *bytes += align(live[i].bytes);
    }
    mica_free(values);
    return live;
}

static mica_status check_ops(const mica_prefix *p, mica_error *err) {
    for (size_t i = 0; i < p->n_ops; ++i) {
        const mica_op *op = p->ops[i];
        if (op->n_regions > 0) {
            return mica_fail(err, "'%s' has parts that depend on data; the model cannot be recovered in parts",
                             mica_value_name(&op->results[0]));
        }
        for (uint32_t k = 0; k < op->n_results; ++k) {
            const mica_type type = op->results[k].type;
            bool known = type->rank >= 0;
            for (int d = 0; d < type->rank && known; ++d) {
                known = type->dims[d] >= 0;
            }
            if (!known) {
                return mica_fail(err, "the size of '%s' is not known; the model cannot be recovered in parts",
                                 mica_value_name(&op->results[k]));
            }
        }
    }
    return MICA_OK;
}

/* The inputs of all samples, which are the same for both sides. */
static mica_status read_inputs(mica_prefix *p, mica_error *err) {
    mrt_plan *plan = NULL;
    if (mica_plan_func(p->reference, mica_module_func(p->reference, "main"), &(mica_plan_options){0}, &plan) != MICA_OK) {
        return mica_fail(err, "the model cannot be executed (see the messages above)");
    }
    mrt_tensor *inputs = mica_alloc(((size_t)plan->n_inputs + 1) * sizeof *inputs);
    mrt_tensor **list = mica_alloc(((size_t)plan->n_inputs + 1) * sizeof *list);
    for (int32_t i = 0; i < plan->n_inputs; ++i) {
        inputs[i] = plan->tensors[plan->inputs[i]].info;
        inputs[i].data = mica_alloc((size_t)mrt_shape_count(&inputs[i].shape) * mrt_dtype_bytes(inputs[i].dtype) + 1);
        list[i] = &inputs[i];
    }
    mica_status status = MICA_OK;
    for (size_t s = 0; s < p->samples && status == MICA_OK; ++s) {
        p->kept[s] = mica_alloc(2 * p->bytes + 1);
        status = mica_dataset_read(p->job->dataset, s * p->job->trained / p->samples, list, (size_t)plan->n_inputs, err);
        for (size_t k = 0; k < p->n_live && status == MICA_OK; ++k) {
            for (int32_t i = 0; i < plan->n_inputs; ++i) {
                if (strcmp(mica_value_name(p->live[k].value), inputs[i].name) == 0) {
                    memcpy(p->kept[s] + p->live[k].offset, inputs[i].data, p->live[k].bytes);
                }
            }
        }
        memcpy(p->kept[s] + p->bytes, p->kept[s], p->bytes);
    }
    for (int32_t i = 0; i < plan->n_inputs; ++i) {
        mica_free(inputs[i].data);
    }
    mica_free(inputs);
    mica_free(list);
    mrt_plan_destroy(plan);
    return status;
}

mica_status mica_prefix_open(mica_prefix *p, mica_module *reference, mica_module *work,
                             const mica_recovery_job *job, mica_error *err) {
    *p = (mica_prefix){.job = job, .reference = reference, .work = work};
    p->samples = job->trained < MICA_PREFIX_SAMPLES ? job->trained : MICA_PREFIX_SAMPLES;
    p->lanes = job->options->threads < (int)p->samples ? job->options->threads : (int)p->samples;
    p->lanes = p->lanes > 0 ? p->lanes : 1;
    p->pool = mrt_pool_create(job->options->threads);
    p->ops = list_ops(reference, &p->n_ops);
    for (size_t i = 0; i < p->n_ops; ++i) {
        p->ops[i]->order = (uint32_t)i;
    }
    MICA_TRY(check_ops(p, err));
    p->typed = mica_module_clone(reference);
    MICA_TRY(mica_import_calibration(p->typed, job->table, job->options->asymmetric, err));
    MICA_TRY(mica_prefix_find_grids(p, err));
    p->live = live_at(p, 0, &p->n_live, &p->bytes);
    p->kept = mica_alloc((p->samples + 1) * sizeof *p->kept);
    memset(p->kept, 0, (p->samples + 1) * sizeof *p->kept);
    return read_inputs(p, err);
}

void mica_prefix_close(mica_prefix *p) {
    for (size_t s = 0; s < p->samples && p->kept != NULL; ++s) {
        mica_free(p->kept[s]);
    }
    if (p->typed != NULL) {
        mica_module_destroy(p->typed);
    }
    mica_prefix_free_grids(p);
    mrt_pool_destroy(p->pool);
    mica_free(p->kept);
    mica_free(p->live);
    mica_free(p->ops);
    *p = (mica_prefix){0};
}

size_t mica_prefix_place(const mica_prefix *p, const mica_op *op) {
    for (size_t i = 0; i < p->n_ops; ++i) {
        if (strcmp(mica_value_name(&p->ops[i]->results[0]), mica_value_name(&op->results[0])) == 0) {
            return i;
        }
    }
    return p->n_ops;
}

/* --- moving ------------------------------------------------------------------------------------- */

/* A span from the place of the prefix with the values that it reads and makes. */
typedef struct way {
    const mica_prefix *p;
    mica_span span;
    bool runs;        /* false: all values are there already */
    const mica_live **in;
    size_t n_in;
    size_t *out_at;   /* per output of the span: number in the list of wanted values */
    size_t n_out;
} way;

static const mica_live *find_live(const mica_prefix *p, const mica_value *value) {
    for (size_t i = 0; i < p->n_live; ++i) {
        if (p->live[i].value == value) {
            return &p->live[i];
        }
    }
    return NULL;
}

/* A way to `wanted` values at place `to`. */
static mica_status way_open(way *w, const mica_prefix *p, size_t to, const mica_live *wanted, size_t n, mica_error *err) {
    *w = (way){.p = p};
    w->in = mica_alloc((p->n_live + 1) * sizeof *w->in);
    w->out_at = mica_alloc((n + 1) * sizeof *w->out_at);
    const char **inputs = mica_alloc((p->n_live + 1) * sizeof *inputs);
    const char **outputs = mica_alloc((n + 1) * sizeof *outputs);
    for (size_t i = 0; i < p->n_live; ++i) {
        if (is_read(p, p->live[i].value, p->at, to)) {
            inputs[w->n_in] = mica_value_name(p->live[i].value);
            w->in[w->n_in++] = &p->live[i];
        }
    }
    for (size_t i = 0; i < n; ++i) {
        if (find_live(p, wanted[i].value) == NULL) {
            outputs[w->n_out] = mica_value_name(wanted[i].value);
            w->out_at[w->n_out++] = i;
        }
    }
    w->runs = w->n_out > 0;
    const mica_status status =
        w->runs ? mica_span_open(&w->span, p, inputs, w->n_in, outputs, w->n_out, err) : MICA_OK;
    mica_free(inputs);
    mica_free(outputs);
    return status;
}

static void way_close(way *w) {
    mica_span_close(&w->span);
    mica_free(w->in);
    mica_free(w->out_at);
}

/* At the end of a part a value may be real that is integer in the whole model. */
static void round_output(const mica_prefix *p, const mica_live *live, float *data) {
    const mica_levels grid = mica_prefix_grid(p, live->value, NULL);
    if (grid.scale > 0.0F && mica_type_is_float(mica_type_element(live->value->type), MICA_F32)) {
        mica_levels_round(&grid, data, data, (int64_t)(live->bytes / sizeof *data));
    }
}

/* One side of a sample: wanted values to to + wanted[i].offset. */
static void way_run(const way *w, int side, int lane, size_t sample, const mica_live *wanted, size_t n, uint8_t *to) {
    const uint8_t *from = w->p->kept[sample] + (side == 1 ? w->p->bytes : 0);
    for (size_t i = 0; i < n; ++i) {
        const mica_live *live = find_live(w->p, wanted[i].value);
        if (live != NULL) {
            memcpy(to + wanted[i].offset, from + live->offset, live->bytes);
        }
    }
    if (w->runs) {
        const void **inputs = mica_alloc((w->n_in + 1) * sizeof *inputs);
        void **outputs = mica_alloc((w->n_out + 1) * sizeof *outputs);
        for (size_t i = 0; i < w->n_in; ++i) {
            inputs[i] = from + w->in[i]->offset;
        }
        for (size_t i = 0; i < w->n_out; ++i) {
            outputs[i] = to + wanted[w->out_at[i]].offset;
        }
        mica_span_run(&w->span, side, lane, inputs, outputs);
        for (size_t i = 0; side == 1 && i < w->n_out; ++i) {
            round_output(w->p, &wanted[w->out_at[i]], outputs[i]);
        }
        mica_free(inputs);
        mica_free(outputs);
    }
}

typedef struct move {
    mica_prefix *p;
    const way *way;
    const mica_live *live;
    size_t n, bytes;
} move;

static void move_lane(void *context, int64_t lane) {
    const move *m = context;
    for (size_t s = (size_t)lane; s < m->p->samples; s += (size_t)m->p->lanes) {
        uint8_t *block = mica_alloc(2 * m->bytes + 1);
        way_run(m->way, 0, (int)lane, s, m->live, m->n, block);
        way_run(m->way, 1, (int)lane, s, m->live, m->n, block + m->bytes);
        mica_free(m->p->kept[s]);
        m->p->kept[s] = block;
    }
}

mica_status mica_prefix_advance(mica_prefix *p, size_t to, mica_error *err) {
    move m = {.p = p};
    mica_live *live = live_at(p, to, &m.n, &m.bytes);
    m.live = live;
    if (to <= p->at || 2 * m.bytes * p->samples > (size_t)MICA_PREFIX_BYTES) {
        mica_free(live);
        return MICA_OK;
    }
    way w;
    mica_status status = way_open(&w, p, to, live, m.n, err);
    m.way = &w;
    if (status == MICA_OK) {
        mrt_parallel_for(p->pool, p->lanes, move_lane, &m);
    }
    way_close(&w);
    if (status != MICA_OK) {
        mica_free(live);
        return status;
    }
    mica_free(p->live);
    p->live = live;
    p->n_live = m.n;
    p->bytes = m.bytes;
    p->at = to;
    return MICA_OK;
}

/* --- looking ------------------------------------------------------------------------------------ */

struct mica_view {
    mica_prefix *p;
    way way;
    int sides;
    mica_live wanted;
    size_t first, count;
    uint8_t *values; /* [MICA_PREFIX_BATCH][2] of wanted.bytes */
};

mica_view *mica_view_open(mica_prefix *p, size_t to, const mica_value *value, int sides, mica_error *err) {
    mica_view *v = mica_alloc(sizeof *v);
    *v = (mica_view){.p = p, .sides = sides, .wanted = {value, bytes_of(value), 0}};
    if (way_open(&v->way, p, to, &v->wanted, 1, err) != MICA_OK) {
        mica_view_close(v);
        return NULL;
    }
    v->values = mica_alloc(2 * v->wanted.bytes * MICA_PREFIX_BATCH + 1);
    return v;
}

void mica_view_close(mica_view *v) {
    if (v != NULL) {
        way_close(&v->way);
        mica_free(v->values);
        mica_free(v);
    }
}

static void load_lane(void *context, int64_t lane) {
    mica_view *v = context;
    for (size_t i = (size_t)lane; i < v->count; i += (size_t)v->p->lanes) {
        for (int side = 0; side < 2; ++side) {
            if ((v->sides >> side & 1) != 0) {
                way_run(&v->way, side, (int)lane, v->first + i, &v->wanted, 1,
                        v->values + (2 * i + (size_t)side) * v->wanted.bytes);
            }
        }
    }
}

void mica_view_load(mica_view *v, size_t first, size_t count, const float **want, const float **got) {
    v->first = first;
    v->count = count;
    mrt_parallel_for(v->p->pool, v->p->lanes, load_lane, v);
    for (size_t i = 0; i < count; ++i) {
        want[i] = (const float *)(const void *)(v->values + 2 * i * v->wanted.bytes);
        got[i] = (const float *)(const void *)(v->values + (2 * i + 1) * v->wanted.bytes);
    }
}
