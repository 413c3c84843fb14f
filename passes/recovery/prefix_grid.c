/* Grids of values behind the prefix: those of the whole quantized model, which parts of it need not have. */
#include <math.h>
#include <string.h>

#include "ir/builder.h"
#include "passes/lowering/lowering.h"
#include "passes/recovery/prefix.h"
#include "runtime/mrt_quant.h"
#include "utils/arena.h"
#include "utils/map.h"

static mica_type range_of(const mica_prefix *p, const mica_value *value) {
    const mica_block *body = mica_func_body(mica_module_func(p->typed, "main"));
    for (const mica_op *op = body->first; op != NULL; op = op->next) {
        for (uint32_t i = 0; i < op->n_results; ++i) {
            if (strcmp(mica_value_name(&op->results[i]), mica_value_name(value)) == 0) {
                return mica_type_element(op->results[i].type);
            }
        }
    }
    return NULL;
}

/* Grids of the values of the whole model: some ops only give integers because of what reads them. */
struct mica_prefix_grids {
    mica_map *numbers; /* name -> number + 1 */
    mica_levels *list;
};

mica_status mica_prefix_find_grids(mica_prefix *p, mica_error *err) {
    mica_runner *runner = mica_runner_open(p->work, p->job->table, p->job->options, err);
    if (runner == NULL) {
        return MICA_FAIL;
    }
    const mrt_plan *plan = mica_runner_plan(runner);
    p->grids = mica_alloc(sizeof *p->grids);
    p->grids->numbers = mica_map_create();
    p->grids->list = mica_alloc(((size_t)plan->n_tensors + 1) * sizeof *p->grids->list);
    for (int32_t i = 0; i < plan->n_tensors; ++i) {
        const mrt_tensor *t = &plan->tensors[i].info;
        const bool bytes = (t->dtype == MRT_I8 || t->dtype == MRT_U8) && t->scale > 0.0;
        if (bytes && plan->tensors[i].kind != MRT_CONST && t->name != NULL && !mica_map_has(p->grids->numbers, t->name)) {
            const float low = t->dtype == MRT_U8 ? 0.0F : -128.0F;
            p->grids->list[i] = (mica_levels){(float)t->scale, (float)t->zero_point, low, low + 255.0F};
            mica_map_set(p->grids->numbers, t->name, (void *)(uintptr_t)(i + 1));
        }
    }
    mica_runner_close(runner);
    return MICA_OK;
}

void mica_prefix_free_grids(mica_prefix *p) {
    if (p->grids != NULL) {
        mica_map_destroy(p->grids->numbers);
        mica_free(p->grids->list);
        mica_free(p->grids);
    }
}

/* What a layer makes of a real value. */
static mica_levels own_grid(const mica_prefix *p, const mica_value *value, bool narrow) {
    const mica_recovery_options *options = p->job->options;
    const mica_type range = range_of(p, value);
    if (range == NULL || !mica_type_is_calibrated(range)) {
        return (mica_levels){0};
    }
    const mica_cali_row *four = narrow ? mica_cali_table_get_int4(p->job->table, mica_value_name(value)) : NULL;
    const double clip = four != NULL && four->threshold > 0.0 ? four->threshold : INFINITY;
    const double min = fmax(range->min, -clip);
    const double max = fmin(range->max, clip);
    const int bits = narrow ? 4 : 8;
    /* The rule of the lowering: other than 0 or -max at the low end, a range is asymmetric. */
    const bool own = range->min != 0.0 && range->min != -range->max;
    mrt_qparams q;
    if ((options->asymmetric || own ? mrt_qparams_asymmetric(min, max, bits, &q)
                                    : mrt_qparams_symmetric(min, max, bits, &q)) != MRT_OK) {
        return (mica_levels){0};
    }
    const float low = q.dtype == MRT_U8 ? 0.0F : -(float)(1 << (bits - 1));
    return (mica_levels){.scale = (float)(options->pow2 ? mrt_pow2_nearest(q.scale) : q.scale),
                         .zero = (float)q.zero_point, .low = low, .high = low + (float)((1 << bits) - 1)};
}

mica_levels mica_prefix_grid(const mica_prefix *p, const mica_value *value, const mica_layer *reader) {
    const bool narrow = reader != NULL && mica_lower_narrow(reader->op, p->job->options->mode) == MICA_MODE_INT4;
    const uintptr_t number = (uintptr_t)mica_map_get(p->grids->numbers, mica_value_name(value));
    if (number > 0 && !narrow) {
        return p->grids->list[number - 1];
    }
    return reader != NULL ? own_grid(p, value, narrow) : (mica_levels){0};
}

/* Adding and taking off 1.5 * 2^23 rounds half to even. */
void mica_levels_round(const mica_levels *grid, const float *x, float *y, int64_t n) {
    const float big = 12582912.0F;
    const mica_levels g = *grid;
    for (int64_t i = 0; i < n; ++i) {
        float v = g.scale > 0.0F ? x[i] / g.scale + g.zero : 0.0F;
        v = v < g.low ? g.low : v > g.high ? g.high : v;
        v = (v + big) - big;
        y[i] = g.scale > 0.0F ? (v - g.zero) * g.scale : x[i];
    }
}

