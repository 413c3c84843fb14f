/* Alignment of scales that are powers of two: every set of tensors with a common factor gets the factor that
 * brings the thresholds of its tensors to where the steps are powers of two, and every tensor its exponent [recovery-align].
 *
 * Chosen for the least sum of the tensors' errors, in the units of the old module: clipping and rounding as the
 * histograms predict; a sum of tensors whose steps are not finer than its own rounds less, or nothing. */
#include <math.h>
#include <string.h>

#include "dialects/top/top.h"
#include "passes/recovery/align_sets.h"
#include "utils/arena.h"
#include "utils/map.h"

enum {
    FACTORS = 96,  /* per doubling */
    EXPONENTS = 3, /* tried per tensor and factor, around its threshold */
    SWEEPS = 8,
};

/* One tensor of a set. */
typedef struct aligned {
    int64_t index;    /* of the op */
    int64_t source;   /* whose steps it has, in the list of the set; itself, but for movement */
    double levels;
    const mica_cali_row *row;
    int first[FACTORS];                       /* exponent of entry 0 */
    mica_noise noise[FACTORS][EXPONENTS];
    int chosen;                               /* entry */
} aligned;

typedef struct aligning {
    const mica_recovery_job *job;
    const mica_align_sets *sets;
    mica_map *statistics; /* name -> mica_tensor_statistics */
    aligned *list;        /* of the set at hand */
    int64_t count;
    int64_t *place;       /* op -> place in the list */
} aligning;

static double factor_of(int j) {
    return exp2((double)j / FACTORS);
}

static double step_of(const aligned *a, int j) {
    return ldexp(1.0, a->first[j] + a->chosen) / factor_of(j);
}

/* Errors of all candidates. */
static void predict(aligned *a, const mica_tensor_statistics *t) {
    mica_density *d = mica_alloc(sizeof *d);
    mica_density_of(&t->histogram, d);
    d->is_signed = a->row->min < 0.0;
    for (int j = 0; j < FACTORS; ++j) {
        const double ideal = log2(a->row->threshold / a->levels * factor_of(j));
        a->first[j] = (int)floor(ideal + 0.5) - 1;
        for (int k = 0; k < EXPONENTS; ++k) {
            const double step = ldexp(1.0, a->first[j] + k) / factor_of(j);
            a->noise[j][k] = mica_density_noise(d, mica_symmetric_grid(d->is_signed, 8, step * a->levels));
        }
    }
    mica_free(d);
}

/* Adds tensor i to the list; false: the set has to stay as it is. */
static bool load(aligning *w, int64_t i) {
    const mica_tied *t = &w->sets->list[i];
    const char *name = mica_value_name(&t->op->results[0]);
    const mica_tensor_choice *choice = mica_settings_get(w->job->options->settings, name);
    const mica_tensor_statistics *statistics = mica_map_get(w->statistics, name);
    aligned *a = &w->list[w->count];
    a->row = mica_cali_table_get(w->job->table, name);
    if (a->row == NULL || statistics == NULL || a->row->threshold <= 0.0 ||
        mica_cali_table_get_int4(w->job->table, name) != NULL ||
        (choice != NULL && (choice->range != NULL || (choice->bits != 0 && choice->bits != 8)))) {
        return false;
    }
    a->index = i;
    a->levels = a->row->min < 0.0 ? 127.0 : 255.0;
    a->source = w->count;
    a->chosen = 1;
    if (t->follows) {
        a->source = w->list[w->place[mica_align_index(mica_op_operand(t->op, 0))]].source;
    } else {
        predict(a, statistics);
    }
    w->place[i] = w->count++;
    return true;
}

static bool load_set(aligning *w, int64_t root) {
    w->count = 0;
    for (int64_t i = root; i < w->sets->count; ++i) {
        if (mica_align_root(w->sets, i) == root && !load(w, i)) {
            return false;
        }
    }
    return true;
}

/* Error of one tensor at factor j with the exponents that are chosen now. */
static double error_of(const aligning *w, const aligned *a, int j) {
    const mica_tied *t = &w->sets->list[a->index];
    const mica_noise *noise = &a->noise[j][a->chosen];
    double rounding = noise->rounding;
    if (t->merges) {
        double fine = INFINITY;
        for (uint32_t i = 0; i < t->op->n_operands; ++i) {
            const aligned *from = &w->list[w->place[mica_align_index(mica_op_operand(t->op, i))]];
            fine = fmin(fine, step_of(&w->list[from->source], j));
        }
        const double ratio = fine / step_of(a, j);
        rounding *= fmax(1.0 - ratio * ratio, 0.0);
    }
    return t->weight * (noise->clipping + rounding);
}

static double total_error(const aligning *w, int j) {
    double sum = 0.0;
    for (int64_t i = 0; i < w->count; ++i) {
        sum += w->list[i].source == i ? error_of(w, &w->list[i], j) : 0.0;
    }
    return sum;
}

/* Exponents for factor j: each its best by itself, then each against the others. Returns the error. */
static double choose_exponents(aligning *w, int j) {
    for (int64_t i = 0; i < w->count; ++i) {
        aligned *a = &w->list[i];
        a->chosen = 0;
        for (int k = 1; k < EXPONENTS && a->source == i; ++k) {
            const mica_noise *n = a->noise[j];
            if (n[k].rounding + n[k].clipping < n[a->chosen].rounding + n[a->chosen].clipping) {
                a->chosen = k;
            }
        }
    }
    double best = total_error(w, j);
    bool moved = w->count > 1;
    for (int sweep = 0; sweep < SWEEPS && moved; ++sweep) {
        moved = false;
        for (int64_t i = 0; i < w->count; ++i) {
            const int before = w->list[i].chosen;
            int kept = before;
            for (int k = 0; k < EXPONENTS && w->list[i].source == i; ++k) {
                w->list[i].chosen = k;
                const double error = total_error(w, j);
                if (error < best) {
                    best = error;
                    kept = k;
                }
            }
            w->list[i].chosen = kept;
            moved = moved || kept != before;
        }
    }
    return best;
}

/* The tensors of the set with their new ranges, where these are not the old ones. */
static void move_ranges(const aligning *w, int j) {
    for (int64_t i = 0; i < w->count; ++i) {
        const aligned *a = &w->list[i];
        const aligned *from = &w->list[a->source];
        const mica_tensor_statistics *t = mica_map_get(w->statistics, a->row->name);
        const double threshold = ldexp(from->levels, from->first[j] + from->chosen);
        const double low = fmin((double)t->histogram.min * factor_of(j), 0.0);
        const double high = fmax((double)t->histogram.max * factor_of(j), 0.0);
        const char *name = mica_value_name(&w->sets->list[a->index].op->results[0]);
        const mica_range range = {threshold, a->row->min < 0.0 ? fmax(low, -threshold) : 0.0, fmin(high, threshold)};
        const mica_moved moved = {.name = name, .origin = name, .chosen = true, .image = range};
        if (j != 0 || threshold != a->row->threshold) {
            mica_vec_push(w->job->moves, moved);
        }
    }
}

/* Factor of the set; 1 when it stays. */
static double align_set(aligning *w, int64_t root) {
    if (w->sets->list[root].closed || !load_set(w, root)) {
        return 1.0;
    }
    int best = 0;
    double least = INFINITY;
    for (int j = 0; j < FACTORS; ++j) {
        const double error = choose_exponents(w, j);
        if (error < least) {
            least = error;
            best = j;
        }
    }
    (void)choose_exponents(w, best);
    move_ranges(w, best);
    return factor_of(best);
}

static void scale_layer(mica_module *module, const mica_layer *l, double out, double in) {
    const int64_t n = l->rows * l->per;
    float *data = mica_alloc((size_t)(n > l->rows ? n + 1 : l->rows + 1) * sizeof *data);
    for (int64_t i = 0; i < n; ++i) {
        data[i] = (float)((double)l->filter[i] * (out / in));
    }
    mica_set_constant(module, mica_op_operand(l->op, 1), data);
    for (int64_t i = 0; l->bias != NULL && i < l->rows; ++i) {
        data[i] = (float)((double)l->bias[i] * out);
    }
    if (l->bias != NULL) {
        mica_set_constant(module, mica_op_present(l->op, 2), data);
    }
    mica_free(data);
}

static void apply(const mica_align_sets *sets, mica_module *module, const double *factors, size_t *changed) {
    for (int64_t i = 0; i < sets->count; ++i) {
        mica_op *op = sets->list[i].op;
        const double out = factors[mica_align_root(sets, i)];
        if (out != 1.0 && mica_op_has_attr(op, "relu_limit") && mica_op_f64(op, "relu_limit") >= 0.0) {
            mica_op_set_f64(op, "relu_limit", mica_op_f64(op, "relu_limit") * out);
        }
        const mica_layer *l = sets->list[i].maker;
        if (l == NULL) {
            continue;
        }
        const int64_t from = mica_align_index(mica_op_operand(op, 0));
        const double in = from >= 0 ? factors[mica_align_root(sets, from)] : 1.0;
        if (in != 1.0 || out != 1.0) {
            scale_layer(module, l, out, in);
            *changed += 1;
        }
    }
}

mica_status mica_step_align(mica_module *module, const mica_recovery_job *job, size_t *changed, mica_error *err) {
    (void)err;
    mica_align_sets sets;
    mica_align_sets_find(module, job->layers, &sets);
    const size_t n = (size_t)sets.count + 1;
    aligning w = {.job = job, .sets = &sets, .statistics = mica_map_create(), .list = mica_alloc(n * sizeof *w.list),
                  .place = mica_alloc(n * sizeof *w.place)};
    for (size_t i = 0; i < job->statistics->count; ++i) {
        mica_map_set(w.statistics, job->statistics->tensors[i].name, &job->statistics->tensors[i]);
    }
    double *factors = mica_alloc(n * sizeof *factors);
    for (int64_t i = 0; i < sets.count; ++i) {
        factors[i] = mica_align_root(&sets, i) == i ? align_set(&w, i) : 1.0;
    }
    apply(&sets, module, factors, changed);
    *changed = job->moves->len > *changed ? job->moves->len : *changed;
    mica_free(factors);
    mica_free(w.list);
    mica_free(w.place);
    mica_map_destroy(w.statistics);
    mica_align_sets_free(&sets);
    return MICA_OK;
}
