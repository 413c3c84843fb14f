/* Weight rounding: the nearest lattice point under the inputs' second moments instead of the nearest
 * integer of each weight (successive rounding with a Cholesky factor, as in GPTQ and OBQ).
 *
 * The error of a row is e' C e with C the covariance of its inputs; the mean goes into the bias.
 * With C = M' M, M lower triangular, component i of M e depends on weights 0..i only, so that weights
 * are rounded one after another, each against the error of those before. Rounded weights are stored
 * as float multiples of their scale, the largest one at 127 (or 7; in short rows 96 to 127 [weight-scale]), so that
 * deployment finds the very same integers. */
#include <math.h>
#include <string.h>

#include "dialects/top/top.h"
#include "passes/lowering/weight_row.h"
#include "passes/recovery/lattice.h"
#include "passes/recovery/log.h"
#include "runtime/mrt_quant.h"
#include "utils/arena.h"
#include "utils/progress.h"

/* Scales below absmax / 127 (or 7) that are tried: clipping the largest weights may pay, in 4 bits more. Powers of two: whatever is
 * rounded to one of them, deployment finds it or a smaller one, in which the same values lie. */
static const double SHRINK[MICA_LATTICE_SCALES] = {1.0, 0.96, 0.92, 0.88, 0.83, 0.78};
static const double SHRINK_INT4[MICA_LATTICE_SCALES] = {1.0, 0.92, 0.84, 0.76, 0.68, 0.6};
static const double SHRINK_POW2[MICA_LATTICE_SCALES] = {1.0, 0.5, 0.25, 1.0, 1.0, 1.0};

/* Short rows also try absmax / 126, 125, .. 97: few weights may all lie near one of these grids. */
enum { LONG_SETS = 1, SHORT_SETS = 6 };

static double scale_factor(const mica_recovery_job *job, float most, int set, int k) {
    const double *shrink = job->options->pow2 ? SHRINK_POW2 : most < 127.0F ? SHRINK_INT4 : SHRINK;
    return set == 0 ? shrink[k] : 127.0 / (127 - ((set - 1) * MICA_LATTICE_SCALES + k + 1));
}

typedef struct rounding {
    const mica_layer *layer;
    const mica_recovery_job *job;
    const mica_factor *factor; /* of all rows; NULL: every group makes its own */
    float *filter, *bias;
} rounding;

/* Scale of row o when its largest weight decides it, else 0: a bias that decides leaves none at 127. */
static double free_scale(const rounding *r, int64_t o, double absmax) {
    const mica_layer *l = r->layer;
    const double bias = l->bias != NULL ? (double)l->bias[o] : 0.0;
    const double in_scale = mica_input_scale(r->job, l);
    const double by_weights = mica_row_scale(r->job, l, absmax, 0.0, 1.0);
    const double scale = mica_row_scale(r->job, l, absmax, bias, in_scale > 0.0 ? in_scale : 1.0);
    return in_scale > 0.0 && absmax > 0.0 && scale < by_weights * 1.0001 ? scale : 0.0;
}

/* Row o as row r of the lattice, with one set of scales; false when it is left alone. */
static bool load_row(const rounding *work, const mica_factor *f, int64_t o, int64_t r, int set, mica_lattice *lattice) {
    const mica_layer *l = work->layer;
    double absmax = 0.0;
    lattice->fixed[r] = 0;
    for (int64_t i = 0; i < l->per; ++i) {
        const float w = l->filter[o * l->row_step + f->order[i] * l->step];
        lattice->weights[i * lattice->rows + r] = w;
        if (fabs((double)w) > absmax) {
            absmax = fabs((double)w);
            lattice->fixed[r] = i;
        }
    }
    const double scale = free_scale(work, o, absmax);
    for (int k = 0; k < MICA_LATTICE_SCALES; ++k) {
        lattice->scale[r * MICA_LATTICE_SCALES + k] = 
            scale > 0.0 ? (float)(scale * scale_factor(work->job, lattice->most, set, k)) : 1.0F;
    }
    if (work->job->options->pow2) {
        lattice->fixed[r] = -1;
    }
    return scale > 0.0;
}

/* The scale of least loss becomes the row, when it beats those before. */
static void store_row(const rounding *work, const mica_factor *f, int64_t g, int64_t o, int64_t r,
                      const mica_lattice *lattice, double *least) {
    const mica_layer *l = work->layer;
    const int64_t first = r * MICA_LATTICE_SCALES;
    int64_t best = first;
    for (int64_t i = first + 1; i < first + MICA_LATTICE_SCALES; ++i) {
        best = lattice->loss[i] < lattice->loss[best] ? i : best;
    }
    if (!(lattice->loss[best] < *least)) {
        return;
    }
    *least = lattice->loss[best];
    const double scale = (double)lattice->scale[best];
    double mean = 0.0;
    for (int64_t i = 0; i < l->per; ++i) {
        const double value = (double)lattice->q[i * lattice->lanes + best] * scale;
        const double e = (double)lattice->weights[i * lattice->rows + r] - value;
        work->filter[o * l->row_step + f->order[i] * l->step] = (float)value;
        mean += e * l->sums[g * l->per + f->order[i]] / (double)l->count;
    }
    if (work->bias != NULL) {
        work->bias[o] = (float)((double)l->bias[o] + mean);
    }
}

/* Rows [first, last) of group g, at most MICA_LATTICE_ROWS. */
static void round_rows(const rounding *work, const mica_factor *f, int64_t g, int64_t first, int64_t last,
                       mica_lattice *lattice) {
    bool loaded[MICA_LATTICE_ROWS];
    double least[MICA_LATTICE_ROWS];
    lattice->rows = last - first;
    lattice->most = (float)mrt_weight_most(mica_layer_bits(work->job, work->layer));
    lattice->lanes = lattice->rows * MICA_LATTICE_SCALES;
    const bool is_short = work->layer->per <= MICA_ROW_SEARCHED && lattice->most == 127.0F && !work->job->options->pow2;
    for (int set = 0; set < (is_short ? SHORT_SETS : LONG_SETS); ++set) {
        for (int64_t r = 0; r < lattice->rows; ++r) {
            least[r] = set == 0 ? INFINITY : least[r];
            loaded[r] = load_row(work, f, first + r, r, set, lattice);
        }
        mica_lattice_round(lattice, f);
        for (int64_t r = 0; r < lattice->rows; ++r) {
            if (loaded[r]) {
                store_row(work, f, g, first + r, r, lattice, &least[r]);
            }
        }
    }
}

static void round_block(void *context, int64_t block) {
    const rounding *work = context;
    const int64_t first = block * MICA_LATTICE_ROWS;
    const int64_t last = first + MICA_LATTICE_ROWS < work->layer->rows ? first + MICA_LATTICE_ROWS
                                                                      : work->layer->rows;
    mica_lattice lattice;
    mica_lattice_init(&lattice, work->layer->per);
    round_rows(work, work->factor, 0, first, last, &lattice);
    mica_lattice_free(&lattice);
}

static void round_group(void *context, int64_t g) {
    const rounding *work = context;
    const int64_t each = work->layer->rows / work->layer->groups;
    mica_lattice lattice;
    mica_factor f;
    mica_lattice_init(&lattice, work->layer->per);
    mica_factor_init(&f, work->layer->per);
    mica_factor_make(&f, work->layer, g, NULL);
    for (int64_t row = 0; row < each; row += MICA_LATTICE_ROWS) {
        const int64_t last = row + MICA_LATTICE_ROWS < each ? row + MICA_LATTICE_ROWS : each;
        round_rows(work, &f, g, g * each + row, g * each + last, &lattice);
    }
    mica_factor_free(&f);
    mica_lattice_free(&lattice);
}

void mica_round_layer(mica_module *module, const mica_recovery_job *job, const mica_layer *l, mrt_pool *pool) {
    const size_t n = (size_t)(l->rows * l->per);
    rounding work = {.layer = l, .job = job};
    work.filter = mica_alloc((n + 1) * sizeof *work.filter);
    memcpy(work.filter, l->filter, n * sizeof *work.filter);
    if (l->bias != NULL) {
        work.bias = mica_alloc((size_t)(l->rows + 1) * sizeof *work.bias);
        memcpy(work.bias, l->bias, (size_t)l->rows * sizeof *work.bias);
    }
    if (l->groups > 1) {
        mrt_parallel_for(pool, l->groups, round_group, &work);
    } else {
        mica_factor f;
        mica_factor_init(&f, l->per);
        mica_factor_make(&f, l, 0, pool);
        work.factor = &f;
        mrt_parallel_for(pool, (l->rows + MICA_LATTICE_ROWS - 1) / MICA_LATTICE_ROWS, round_block, &work);
        mica_factor_free(&f);
    }
    mica_set_constant(module, mica_op_operand(l->op, 1), work.filter);
    if (work.bias != NULL) {
        mica_set_constant(module, mica_op_present(l->op, 2), work.bias);
    }
    mica_free(work.filter);
    mica_free(work.bias);
}

static mica_status round_or_replay(mica_module *module, const mica_recovery_job *job, const mica_layer *l, mrt_pool *pool,
                                   mica_error *err) {
    const char *name = mica_value_name(&l->op->results[0]);
    uint64_t number = 0;
    if (mica_log_replay(job->options->log, module, "weight_rounding", name, l->op, &number)) {
        return MICA_OK;
    }
    mica_round_layer(module, job, l, pool);
    return mica_log_add(job->options->log, "weight_rounding", name, l->op, 0, err);
}

mica_status mica_step_round(mica_module *module, const mica_recovery_job *job, size_t *changed,
                            mica_error *err) {
    mica_status status = MICA_OK;
    mrt_pool *pool = mrt_pool_create(job->options->threads);
    mica_progress progress;
    mica_progress_begin(&progress, "rounding", "layers", (int64_t)job->layers->count);
    progress.quiet = progress.quiet || job->options->quiet;
    for (size_t i = 0; i < job->layers->count && status == MICA_OK; ++i) {
        const mica_layer *l = &job->layers->list[i];
        if (l->count > 0 && mica_layer_is_own(l)) {
            status = round_or_replay(module, job, l, pool, err);
            *changed += 1;
        }
        mica_progress_step(&progress, 1);
    }
    mica_progress_end(&progress);
    mrt_pool_destroy(pool);
    return status;
}
