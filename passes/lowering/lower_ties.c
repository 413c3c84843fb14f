/* Sums of powers of two: half of all sums lie between two steps, and each of them rounds up [add-ties]. */
#include <math.h>

#include "passes/lowering/lower_hooks.h"

/* True for a product with a bias of its own whose result nothing but `add` reads. */
static bool takes_offset(mica_lowering *l, const mica_value *value, const mica_op *add) {
    const mica_op *op = value->def;
    if (op == NULL || !mica_value_has_one_use(value) || value->first_use->user != add) {
        return false;
    }
    const bool product = mica_op_is(op, "top.Conv") || mica_op_is(op, "top.Deconv") || mica_op_is(op, "top.MatMul");
    return product && mica_is_weight(mica_op_operand(op, 1)) && !mica_op_bool(op, "do_relu") &&
           (mica_lower_mode_of(l, op) == MICA_MODE_INT8 || mica_mode_is_narrow(mica_lower_mode_of(l, op)));
}

double mica_lower_tie_offset(mica_lowering *l, const mica_op *op) {
    const mica_use *use = op->results[0].first_use;
    if (!l->options->pow2 || use == NULL || !mica_op_is(use->user, "top.Add") ||
        mica_lower_mode_of(l, use->user) != MICA_MODE_INT8 || mica_lower_sum_in_float(l, use->user) ||
        (l->is_cut && mica_ptr_map_get_pointer(&l->front, use->user) == NULL) ||
        !takes_offset(l, &op->results[0], use->user)) {
        return 0.0;
    }
    const mica_value *left = mica_op_operand(use->user, 0);
    const mica_value *right = mica_op_operand(use->user, 1);
    const bool second = left != &op->results[0];
    if (mica_is_weight(left) || mica_is_weight(right) || (second && takes_offset(l, left, use->user))) {
        return 0.0;
    }
    const mica_type a = mica_lower_quant_type(l, left);
    const mica_type b = mica_lower_quant_type(l, right);
    const mica_type sum = mica_lower_quant_type(l, &use->user->results[0]);
    if (a == NULL || b == NULL || sum == NULL) {
        return 0.0;
    }
    const double fine = fmin(mica_lower_scale_of(a), mica_lower_scale_of(b));
    return fine < mica_lower_scale_of(sum) ? -0.5 * fine : 0.0;
}
