/* One op at a time. */
#include "passes/search/noise.h"

#include <math.h>
#include <string.h>

#include "passes/search/noise_lane.h"
#include "utils/arena.h"

/* How a variant's plan relates to the float one. */
typedef struct variant {
    const mica_noise_variant *what;
    mica_slices slices;
    int32_t *float_of; /* per tensor: the float tensor of that name, or -1 */
    mrt_tensor *edge;  /* per edge: the type that its reader works with; dtype f32: as it is */
    int32_t *like;     /* per edge: an earlier variant that rounds it the same way, or -1 */
    mica_noise_result *result;
} variant;

typedef struct lane {
    mica_noise_lane base;
    mrt_exec **execs; /* per variant */
    uint8_t *raw;     /* one tensor */
    float *input; /* one tensor */
    float *made, *plain, *sent; /* results of one op */
    float *got, *sum; /* vectors of all points */
} lane;

typedef struct measure {
    const mica_search_job *job;
    mica_slices slices;
    int64_t *offset;
    variant *variants;
    size_t n_variants;
    lane *lanes;
    int n_lanes;
    /* Per variant and sample: [alone of all ops, own of all ops, at the results of all ops, edges]. */
    mica_distance **values;
    size_t row;
} measure;

static const mica_distance SAME = {0.0, 1.0};

/* --- preparation --- */

/* The type that op k works with when it reads `id` of a lowered plan: its own, or that of the cast among the
 * steps of the op. */
static mrt_tensor read_type(const mrt_plan *plan, const mica_slice *s, int32_t id) {
    mrt_tensor type = plan->tensors[id].info;
    for (int32_t i = 0; i < s->n_steps && type.dtype == MRT_F32; ++i) {
        const mrt_step *step = &plan->steps[s->steps[i]];
        const bool reads = step->n_in == 1 && step->n_out == 1 &&
                           plan->tensors[step->in[0]].root == plan->tensors[id].root;
        const mrt_tensor *to = &plan->tensors[step->out[0]].info;
        if (reads && (step->kernel->code == MRT_K_quantize || step->kernel->code == MRT_K_cast) &&
            mica_noise_can_store(to)) {
            type = *to;
        }
    }
    return type;
}

static bool can_run(const measure *m, const variant *v, size_t k) {
    const mica_slice *s = &v->slices.list[k];
    const mica_slice *f = &m->slices.list[k];
    const mrt_plan *plan = v->slices.plan;
    bool ok = s->n_results > 0 && s->n_results == f->n_results;
    for (int32_t i = 0; i < s->n_inputs && ok; ++i) {
        const int32_t id = v->float_of[s->inputs[i]];
        const mrt_tensor *type = &plan->tensors[s->inputs[i]].info;
        const mrt_dtype dtype = id >= 0 ? m->job->net->plan->tensors[id].info.dtype : MRT_DTYPE_NONE;
        ok = dtype == MRT_F32 ? mica_noise_can_store(type) : dtype == type->dtype;
    }
    for (int32_t i = 0; i < s->n_results && ok; ++i) {
        ok = m->job->net->plan->tensors[f->results[i]].info.dtype == MRT_F32 &&
             mica_noise_can_store(&plan->tensors[s->results[i]].info);
    }
    return ok;
}

static void find_forms(const measure *m, variant *v, bool *has) {
    const mica_net *net = m->job->net;
    const mica_lower_report *report = &v->what->lowered->report;
    for (size_t i = 0; i < report->count; ++i) {
        const int32_t k = mica_net_find(net, report->rows[i].op);
        if (k >= 0 && report->rows[i].reason == NULL && report->rows[i].mode == v->what->lowered->mode) {
            has[k] = can_run(m, v, (size_t)k);
        }
    }
}

static void prepare_variant(measure *m, variant *v, const mica_noise_variant *what, mica_noise_result *result) {
    const mica_net *net = m->job->net;
    const mrt_plan *plan = what->lowered->plan;
    *v = (variant){.what = what, .result = result};
    mica_slices_make(net, plan, &v->slices);
    v->float_of = mica_alloc(((size_t)plan->n_tensors + 1) * sizeof *v->float_of);
    for (int32_t id = 0; id < plan->n_tensors; ++id) {
        const char *name = plan->tensors[id].info.name;
        v->float_of[id] = name != NULL && name[0] != '\0' ? mrt_plan_find(net->plan, name) : -1;
    }
    find_forms(m, v, result->has);
    v->edge = mica_alloc((net->n_edges + 1) * sizeof *v->edge);
    for (size_t e = 0; e < net->n_edges; ++e) {
        const mica_slice *s = &v->slices.list[net->edges[e].to];
        v->edge[e] = (mrt_tensor){.dtype = MRT_F32};
        for (int32_t i = 0; i < s->n_inputs; ++i) {
            if (v->float_of[s->inputs[i]] == net->edges[e].tensor) {
                v->edge[e] = read_type(plan, s, s->inputs[i]);
            }
        }
    }
}

static bool rounds_like(const mrt_tensor *a, const mrt_tensor *b) {
    return a->dtype == b->dtype && a->scale == b->scale && a->zero_point == b->zero_point;
}

/* An edge that two variants round alike is measured once. */
static void share_edges(measure *m, size_t index) {
    const mica_net *net = m->job->net;
    variant *v = &m->variants[index];
    v->like = mica_alloc((net->n_edges + 1) * sizeof *v->like);
    for (size_t e = 0; e < net->n_edges; ++e) {
        const size_t op = (size_t)net->edges[e].to;
        v->like[e] = -1;
        for (size_t i = 0; i < index && v->what->vectors && v->like[e] < 0; ++i) {
            const variant *other = &m->variants[i];
            const bool equal = other->what->vectors && other->what->samples == v->what->samples &&
                               other->result->has[op] && rounds_like(&other->edge[e], &v->edge[e]);
            v->like[e] = equal ? (int32_t)i : -1;
        }
    }
}

static mica_status open_lane(measure *m, lane *l, int64_t bytes, mica_error *err) {
    const mica_search_job *job = m->job;
    MICA_TRY(mica_noise_lane_open(&l->base, job, &m->slices, m->offset, bytes, err));
    l->execs = mica_alloc((m->n_variants + 1) * sizeof *l->execs);
    memset(l->execs, 0, (m->n_variants + 1) * sizeof *l->execs);
    for (size_t v = 0; v < m->n_variants; ++v) {
        mrt_error error;
        if (mrt_exec_create(m->variants[v].what->lowered->plan, NULL, &l->execs[v], &error) != MRT_OK) {
            return mica_fail(err, "%s", error.text);
        }
    }
    const size_t most = (size_t)mica_noise_most_bytes(job->net->plan) + 64;
    const size_t results = (size_t)mica_noise_most_results(&m->slices) * sizeof(float) + 64;
    const size_t vector = (size_t)job->compare->total * sizeof(float) + 64;
    l->raw = mica_alloc(most);
    l->input = mica_alloc(most);
    l->made = mica_alloc(results);
    l->plain = mica_alloc(results);
    l->sent = mica_alloc(results);
    l->got = mica_alloc(vector);
    l->sum = mica_alloc(vector);
    return MICA_OK;
}

static void close_lane(measure *m, lane *l) {
    for (size_t v = 0; v < m->n_variants && l->execs != NULL; ++v) {
        mrt_exec_destroy(l->execs[v]);
    }
    mica_noise_lane_close(&l->base);
    mica_free(l->execs);
    mica_free(l->raw);
    mica_free(l->input);
    mica_free(l->made);
    mica_free(l->plain);
    mica_free(l->sent);
    mica_free(l->got);
    mica_free(l->sum);
}

/* --- one op --- */

/* Runs op k of the variant on the float values of the sample; its results as f32 go to `made`. */
static void run_variant_op(lane *l, const variant *v, mrt_exec *exec, bool *wanted, size_t k) {
    const mica_slice *s = &v->slices.list[k];
    const mrt_plan *plan = v->slices.plan;
    for (int32_t i = 0; i < s->n_inputs; ++i) {
        const int32_t id = v->float_of[s->inputs[i]];
        const void *clean = mica_noise_clean(&l->base, id);
        if (l->base.net->plan->tensors[id].info.dtype == MRT_F32) {
            mica_noise_store(&plan->tensors[s->inputs[i]].info, clean, l->raw);
            clean = l->raw;
        }
        mrt_exec_set(exec, s->inputs[i], clean);
    }
    memset(wanted, 0, (size_t)plan->n_steps);
    for (int32_t i = 0; i < s->n_steps; ++i) {
        wanted[s->steps[i]] = true;
    }
    mrt_exec_run_steps(exec, wanted);
    float *to = l->made;
    for (int32_t i = 0; i < s->n_results; ++i) {
        const mrt_tensor *type = &plan->tensors[s->results[i]].info;
        mrt_exec_get(exec, s->results[i], l->raw);
        mica_noise_load(type, l->raw, to);
        to += mrt_shape_count(&type->shape);
    }
}

/* Runs float op k with the edges of the range quantized, the others as they are; results go to `to`. False when
 * quantization changes no value: nothing was run. */
static bool run_quantized_inputs(lane *l, const variant *v, size_t k, size_t first, size_t last, float *to) {
    const mica_net *net = l->base.net;
    const mica_net_op *op = &net->ops[k];
    bool differs = false;
    for (size_t e = op->first_edge; e < op->first_edge + op->n_edges; ++e) {
        const int32_t id = net->edges[e].tensor;
        const float *clean = mica_noise_clean(&l->base, id);
        const size_t bytes = (size_t)net->edges[e].elements * sizeof *clean;
        mica_noise_restore(&l->base, id);
        if (e < first || e >= last || v->edge[e].dtype == MRT_F32) {
            continue;
        }
        mica_noise_store(&v->edge[e], clean, l->raw);
        mica_noise_load(&v->edge[e], l->raw, l->input);
        if (memcmp(l->input, clean, bytes) != 0) {
            mica_noise_disturb(&l->base, id, l->input);
            differs = true;
        }
    }
    const mica_slice *s = &l->base.slices->list[k];
    if (!differs) {
        return false;
    }
    for (int32_t i = 0; i < s->n_inputs; ++i) {
        if (net->plan->tensors[s->inputs[i]].info.dtype != MRT_F32) {
            mica_noise_restore(&l->base, s->inputs[i]);
        }
    }
    mica_noise_run_op(&l->base, k);
    for (int32_t i = 0; i < s->n_results; ++i) {
        mrt_exec_get(l->base.exec, s->results[i], to);
        to += mrt_shape_count(&net->plan->tensors[s->results[i]].info.shape);
    }
    for (size_t e = first; e < last; ++e) {
        mica_noise_restore(&l->base, net->edges[e].tensor);
    }
    return true;
}

/* Float results of the sample plus `with` - `without` (NULL: the float results) go through the steps behind op k;
 * the vector of all points to `got`. */
static mica_distance send(lane *l, size_t k, const float *with, const float *without) {
    const mica_slice *s = &l->base.slices->list[k];
    bool differs = false;
    int64_t at = 0;
    for (int32_t i = 0; i < s->n_results; ++i) {
        const float *clean = mica_noise_clean(&l->base, s->results[i]);
        const int64_t count = mrt_shape_count(&l->base.net->plan->tensors[s->results[i]].info.shape);
        for (int64_t j = 0; j < count; ++j) {
            l->sent[at + j] = without == NULL ? with[at + j] : clean[j] + (with[at + j] - without[at + j]);
        }
        differs = differs || memcmp(l->sent + at, clean, (size_t)count * sizeof *clean) != 0;
        at += count;
    }
    if (!differs) {
        memcpy(l->got, l->base.want, (size_t)l->base.compare->total * sizeof *l->got);
        return SAME;
    }
    at = 0;
    for (int32_t i = 0; i < s->n_results; ++i) {
        mica_noise_disturb(&l->base, s->results[i], l->sent + at);
        at += mrt_shape_count(&l->base.net->plan->tensors[s->results[i]].info.shape);
    }
    mica_noise_run_behind(&l->base, k, false, l->got);
    return mica_compare_vectors(l->base.compare, l->base.want, l->got);
}

static void add_error(lane *l) {
    for (int64_t i = 0; i < l->base.compare->total; ++i) {
        l->sum[i] += l->got[i] - l->base.want[i];
    }
}

/* Noise of `made` against `plain` (NULL: the float results), over the float results. */
static double local_nsr(const lane *l, size_t k, const float *plain) {
    const mica_slice *s = &l->base.slices->list[k];
    double noise = 0.0;
    double signal = 1e-30;
    int64_t at = 0;
    for (int32_t i = 0; i < s->n_results; ++i) {
        const float *clean = mica_noise_clean(&l->base, s->results[i]);
        for (int64_t j = 0; j < mrt_shape_count(&l->base.net->plan->tensors[s->results[i]].info.shape); ++j, ++at) {
            const double d = (double)l->made[at] - (double)(plain != NULL ? plain[at] : clean[j]);
            noise += d * d;
            signal += (double)clean[j] * (double)clean[j];
        }
    }
    return isfinite(noise) && isfinite(signal) ? noise / signal : 1e6;
}

static float *vector_of(const measure *m, const variant *v, size_t sample, size_t part) {
    const mica_net *net = m->job->net;
    const size_t row = sample * v->what->samples / m->job->samples;
    return v->result->vectors + (row * (net->n_ops + net->n_edges) + part) * v->result->width;
}

static void keep_vector(const measure *m, const lane *l, const variant *v, size_t sample, size_t part) {
    if (v->what->vectors) {
        mica_compare_sketch(l->base.compare, l->base.want, l->got, v->result->width, vector_of(m, v, sample, part));
    }
}

/* What an earlier variant measured for edge e. */
static void take_edge(const measure *m, const variant *v, size_t sample, size_t e, mica_distance *out) {
    const size_t n_ops = m->job->net->n_ops;
    const variant *from = &m->variants[v->like[e]];
    *out = m->values[v->like[e]][sample * m->row + 3 * n_ops + e];
    memcpy(vector_of(m, v, sample, n_ops + e), vector_of(m, from, sample, n_ops + e), v->result->width * sizeof(float));
}

/* Noise of op k by its parts; `alone` is the sum of their errors, as the model behind is nearly linear in them. */
static void measure_parts(measure *m, lane *l, const variant *v, size_t k, size_t sample) {
    const size_t n_ops = m->job->net->n_ops;
    mica_distance *values = m->values[v - m->variants] + sample * m->row;
    const mica_net_op *op = &l->base.net->ops[k];
    const size_t last = op->first_edge + op->n_edges;
    memcpy(l->sum, l->base.want, (size_t)l->base.compare->total * sizeof *l->sum);
    const bool all = run_quantized_inputs(l, v, k, op->first_edge, last, l->plain);
    values[2 * n_ops + k].nsr = local_nsr(l, k, all ? l->plain : NULL);
    values[n_ops + k] = send(l, k, l->made, all ? l->plain : NULL);
    add_error(l);
    keep_vector(m, l, v, sample, k);
    for (size_t e = op->first_edge; e < last; ++e) {
        mica_distance *value = &values[3 * n_ops + e];
        *value = SAME;
        if (v->like[e] >= 0) {
            take_edge(m, v, sample, e, value);
            continue;
        }
        const bool one = op->n_edges == 1;
        if (one ? all : run_quantized_inputs(l, v, k, e, e + 1, l->plain)) {
            *value = send(l, k, l->plain, NULL);
            add_error(l);
            keep_vector(m, l, v, sample, n_ops + e);
        }
    }
    values[k] = mica_compare_vectors(l->base.compare, l->base.want, l->sum);
}

/* `count` of the samples of the job, evenly spread. */
static bool takes(const measure *m, size_t count, size_t sample) {
    return sample * count / m->job->samples != (sample + 1) * count / m->job->samples;
}

static mica_status run_sample(void *context, int index, size_t sample, mica_error *err) {
    measure *m = context;
    lane *l = &m->lanes[index];
    const size_t n_ops = m->job->net->n_ops;
    bool wanted_at_all = false;
    for (size_t i = 0; i < m->n_variants; ++i) {
        wanted_at_all = wanted_at_all || takes(m, m->variants[i].what->samples, sample);
    }
    if (!wanted_at_all) {
        return MICA_OK;
    }
    MICA_TRY(mica_noise_lane_sample(&l->base, m->job, sample, err));
    for (size_t i = 0; i < m->n_variants; ++i) {
        const variant *v = &m->variants[i];
        if (!takes(m, v->what->samples, sample)) {
            continue;
        }
        bool *wanted = mica_alloc((size_t)v->slices.plan->n_steps + 1);
        for (size_t k = n_ops; k-- > 0;) { /* backwards: little has to be brought back */
            if (!v->result->has[k]) {
                continue;
            }
            run_variant_op(l, v, l->execs[i], wanted, k);
            if (v->what->parts) {
                measure_parts(m, l, v, k, sample);
            } else {
                m->values[i][sample * m->row + k] = send(l, k, l->made, NULL);
            }
        }
        mica_free(wanted);
    }
    return MICA_OK;
}

/* --- all --- */

static void take_mean(const measure *m, size_t index, size_t from, size_t count, mica_distance *out) {
    const size_t samples = m->variants[index].what->samples;
    for (size_t i = 0; i < count; ++i) {
        mica_distance sum = {0};
        for (size_t s = 0; s < m->job->samples; ++s) {
            const mica_distance *value = &m->values[index][s * m->row + from + i];
            sum.nsr += takes(m, samples, s) ? value->nsr : 0.0;
            sum.cosine += takes(m, samples, s) ? value->cosine : 0.0;
        }
        out[i] = (mica_distance){sum.nsr / (double)samples, sum.cosine / (double)samples};
    }
}

static void finish(const measure *m, mica_noise_result *results) {
    const size_t n = m->job->net->n_ops;
    for (size_t v = 0; v < m->n_variants; ++v) {
        take_mean(m, v, 0, n, results[v].alone);
        if (m->variants[v].what->parts) {
            take_mean(m, v, n, n, results[v].own);
            take_mean(m, v, 3 * n, m->job->net->n_edges, results[v].edges);
            mica_distance *local = mica_alloc((n + 1) * sizeof *local);
            take_mean(m, v, 2 * n, n, local);
            for (size_t k = 0; k < n; ++k) {
                results[v].local[k] = local[k].nsr;
            }
            mica_free(local);
        }
    }
}

/* As many numbers each as MOST_VECTORS bytes hold, within reason. */
static void make_vectors(const measure *m, size_t samples, mica_noise_result *r) {
    enum { LEAST = 128, MOST = 4096 };
    static const size_t MOST_VECTORS = (size_t)64 << 20;
    const size_t rows = samples * (m->job->net->n_ops + m->job->net->n_edges);
    const size_t total = (size_t)m->job->compare->total;
    size_t width = MOST_VECTORS / sizeof(float) / (rows + 1);
    width = width < LEAST ? LEAST : width > MOST ? MOST : width;
    r->width = width < total ? width : total;
    r->samples = samples;
    r->vectors = mica_alloc((rows * r->width + 1) * sizeof *r->vectors);
    memset(r->vectors, 0, rows * r->width * sizeof *r->vectors);
}

static void prepare(measure *m, const mica_noise_variant *variants, mica_noise_result *results, int64_t *out_bytes) {
    const mica_net *net = m->job->net;
    mica_slices_make(net, net->plan, &m->slices);
    m->offset = mica_noise_offsets(net->plan, out_bytes);
    m->variants = mica_alloc((m->n_variants + 1) * sizeof *m->variants);
    m->values = mica_alloc((m->n_variants + 1) * sizeof *m->values);
    m->row = 3 * net->n_ops + net->n_edges;
    for (size_t v = 0; v < m->n_variants; ++v) {
        mica_noise_result *r = &results[v];
        *r = (mica_noise_result){.has = mica_alloc(net->n_ops + 1),
                                 .alone = mica_alloc((net->n_ops + 1) * sizeof *r->alone)};
        memset(r->has, 0, net->n_ops);
        if (variants[v].parts) {
            r->own = mica_alloc((net->n_ops + 1) * sizeof *r->own);
            r->edges = mica_alloc((net->n_edges + 1) * sizeof *r->edges);
            r->local = mica_alloc((net->n_ops + 1) * sizeof *r->local);
        }
        if (variants[v].vectors) {
            make_vectors(m, variants[v].samples, r);
        }
        prepare_variant(m, &m->variants[v], &variants[v], r);
        share_edges(m, v);
        m->values[v] = mica_alloc((m->job->samples * m->row + 1) * sizeof **m->values);
        for (size_t i = 0; i < m->job->samples * m->row; ++i) {
            m->values[v][i] = SAME;
        }
    }
}

static void release(measure *m) {
    for (int i = 0; i < m->n_lanes; ++i) {
        close_lane(m, &m->lanes[i]);
    }
    for (size_t v = 0; v < m->n_variants; ++v) {
        mica_slices_free(&m->variants[v].slices);
        mica_free(m->variants[v].float_of);
        mica_free(m->variants[v].edge);
        mica_free(m->variants[v].like);
        mica_free(m->values[v]);
    }
    mica_free(m->lanes);
    mica_free(m->variants);
    mica_free(m->values);
    mica_free(m->offset);
    mica_slices_free(&m->slices);
}

mica_status mica_noise_measure(const mica_search_job *job, const mica_noise_variant *variants, size_t n,
                               mica_noise_result *results, mica_error *err) {
    measure m = {.job = job, .n_variants = n};
    int64_t clean = 0;
    prepare(&m, variants, results, &clean);
    int64_t bytes = clean + job->net->plan->arena_bytes;
    for (size_t v = 0; v < n; ++v) {
        bytes += variants[v].lowered->plan->arena_bytes;
    }
    m.n_lanes = mica_noise_lanes(bytes, job->threads, job->samples);
    m.lanes = mica_alloc((size_t)m.n_lanes * sizeof *m.lanes);
    memset(m.lanes, 0, (size_t)m.n_lanes * sizeof *m.lanes);
    mica_status status = MICA_OK;
    for (int i = 0; i < m.n_lanes && status == MICA_OK; ++i) {
        status = open_lane(&m, &m.lanes[i], clean, err);
    }
    if (status == MICA_OK) {
        status = mica_noise_each(m.n_lanes, job->samples, "noise", job->quiet, run_sample, &m, err);
    }
    if (status == MICA_OK) {
        finish(&m, results);
    } else {
        mica_noise_free(results, n);
    }
    release(&m);
    return status;
}

void mica_noise_free(mica_noise_result *results, size_t n) {
    for (size_t v = 0; v < n; ++v) {
        mica_free(results[v].has);
        mica_free(results[v].alone);
        mica_free(results[v].own);
        mica_free(results[v].edges);
        mica_free(results[v].local);
        mica_free(results[v].vectors);
        results[v] = (mica_noise_result){0};
    }
}
