/* Bias correction, analytic: rounding the weights of a row moves its output by (w - q s) x, on average
 * by (w - q s) E[x]. The bias takes that part back, all layers at once: each one looks at its own
 * rounding only, so that nothing is corrected twice. */
#include <math.h>
#include <string.h>

#include "dialects/top/top.h"
#include "passes/recovery/layers.h"
#include "runtime/mrt_quant.h"
#include "utils/arena.h"

/* Mean of what rounding takes from row o. */
static double shift_of(const mica_recovery_job *job, const mica_layer *l, int64_t o, double in_scale) {
    const float *w = l->filter + o * l->row_step;
    const double *sums = l->sums + o / (l->rows / l->groups) * l->per;
    double absmax = 0.0;
    for (int64_t k = 0; k < l->per; ++k) {
        absmax = fmax(absmax, fabs((double)w[k * l->step]));
    }
    const double scale = mica_row_scale(job, absmax, (double)l->bias[o], in_scale);
    double shift = 0.0;
    for (int64_t k = 0; k < l->per; ++k) {
        const double value = (double)w[k * l->step];
        shift += (value - mrt_quantize_weight(value, scale) * scale) * sums[k] / (double)l->count;
    }
    return shift;
}

mica_status mica_step_bias(mica_module *module, const mica_recovery_job *job, size_t *changed,
                           mica_error *err) {
    (void)err;
    for (size_t i = 0; i < job->layers->count; ++i) {
        const mica_layer *l = &job->layers->list[i];
        const mica_value *bias = mica_op_present(l->op, 2);
        const double in_scale = mica_input_scale(job, mica_op_operand(l->op, 0));
        if (bias == NULL || !mica_value_has_one_use(bias) || l->count == 0 || !(in_scale > 0.0)) {
            continue;
        }
        float *moved = mica_alloc((size_t)(l->rows + 1) * sizeof *moved);
        for (int64_t o = 0; o < l->rows; ++o) {
            moved[o] = (float)((double)l->bias[o] + shift_of(job, l, o, in_scale));
        }
        *changed += memcmp(moved, l->bias, (size_t)l->rows * sizeof *moved) != 0;
        mica_set_constant(module, bias, moved);
        mica_free(moved);
    }
    return MICA_OK;
}
