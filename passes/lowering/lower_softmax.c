/* Softmax of 8-bit values between 8-bit ops [softmax-int]. */
#include "passes/lowering/lower_hooks.h"
#include "runtime/mrt_params.h"

enum { MAX_ROW = 65536 }; /* beyond, probabilities are too small for the table */

/* True when every user is a matrix product of integers, maybe behind ops that move elements. */
static bool feeds_only_products(const mica_lowering *l, const mica_value *value) {
    for (const mica_use *use = value->first_use; use != NULL; use = use->next) {
        const mica_op *user = use->user;
        mica_lower_fn *hook = mica_lower_hook(user);
        const mica_mode mode = mica_lower_mode_of(l, user);
        if (hook == NULL || (mode != MICA_MODE_INT8 && !mica_mode_is_narrow(mode))) {
            return false;
        }
        if (hook == mica_lower_movement ? !feeds_only_products(l, &user->results[0])
                                        : hook != mica_lower_matmul) {
            return false;
        }
    }
    return value->first_use != NULL;
}

static bool is_along_last(const mica_op *op) {
    const int64_t axis = mica_op_i64(op, "axis");
    return !mica_op_bool(op, "log") && (axis == -1 || axis == mica_op_operand(op, 0)->type->rank - 1);
}

bool mica_lower_softmax_between_integers(const mica_lowering *l, const mica_op *op) {
    return is_along_last(op) && feeds_only_products(l, &op->results[0]);
}

/* Reason why the op stays float, or NULL with the type of its result, multiplier and shift. */
static const char *no_integer_form(mica_lowering *l, const mica_op *op, mica_type *out,
                                   int32_t *multiplier, int32_t *shift) {
    const mica_value *x = mica_op_operand(op, 0);
    const int rank = x->type->rank;
    if (!is_along_last(op)) {
        return "only softmax along the last axis has an integer form";
    }
    if (!feeds_only_products(l, &op->results[0])) {
        return "not all its users are integer matrix products";
    }
    if (!mica_type_is_quant(mica_type_element(mica_lower_value(l, x)->type))) {
        return "its input is not quantized";
    }
    *out = mica_lower_quant_type(l, &op->results[0]);
    if (*out == NULL) {
        return "no calibration for its output";
    }
    if (x->type->dims[rank - 1] > MAX_ROW ||
        mrt_multiplier_from_scale(1.0 / mica_lower_scale_of(*out), 31, multiplier, shift) != MRT_OK ||
        *shift < 1 || *shift > MRT_MAX_SHIFT - MRT_SOFTMAX_BITS) {
        return "its rows are too long or its output range is too small";
    }
    return NULL;
}

mica_status mica_lower_softmax(mica_lowering *l, const mica_op *op, mica_mode mode) {
    if (mode != MICA_MODE_INT8 || !mica_lower_is_real(&op->results[0])) {
        return mica_lower_float_as(l, op, mode, "tpu.Softmax", NULL);
    }
    mica_type out = NULL;
    int32_t multiplier = 0;
    int32_t shift = 0;
    const char *reason = no_integer_form(l, op, &out, &multiplier, &shift);
    if (reason != NULL) {
        return mica_lower_fallback(l, op, reason);
    }
    mica_value *x = mica_lower_value(l, mica_op_operand(op, 0));
    mica_op *made = mica_lower_emit(l, op, "tpu.Softmax", &x, 1, &out, true);
    const int64_t m = multiplier;
    const int64_t s = shift;
    mica_lower_set_requant(made, &m, &s, 1, 1);
    return MICA_OK;
}
