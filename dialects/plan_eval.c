/* Evaluation of single ops on constants: constant folding. A plan of one op costs microseconds, so
 * that chains of thousands of shape computations fold at once. */
#include "dialects/op_util.h"
#include "dialects/plan_impl.h"
#include "ir/weights.h"
#include "runtime/mrt_exec.h"

/* A larger result is folded only if it is no more than twice its operands: folding must not turn a
 * few bytes into gigabytes. */
#define MAX_GROWN_BYTES ((int64_t)256 << 20)

static bool is_constant(const mica_value *value) {
    return mica_type_is_none(value->type) ||
           (value->def && mica_op_has_trait(value->def, MICA_IS_CONSTANT));
}

static int64_t value_bytes(const mica_value *value) {
    mica_shape shape;
    const size_t item = mrt_dtype_bytes(mica_dtype_of(mica_type_element(value->type)));
    /* A shape of a value counts at most 2^59 elements. */
    return mica_shape_of(value, &shape) ? (int64_t)item * mica_dims_product(&shape, 0, shape.rank)
                                        : 0;
}

static bool can_evaluate(const mica_op *op) {
    if (!mica_plan_hook(op) || !mica_op_has_trait(op, MICA_PURE)) {
        return false;
    }
    double have = 0, made = 0;
    for (uint32_t i = 0; i < op->n_operands; i++) {
        if (!is_constant(mica_op_operand(op, i))) {
            return false;
        }
        have += (double)value_bytes(mica_op_operand(op, i));
    }
    mica_shape shape;
    for (uint32_t i = 0; i < op->n_results; i++) {
        if (!mica_shape_of(mica_op_result(op, i), &shape)) {
            return false;
        }
        made += (double)value_bytes(mica_op_result(op, i));
    }
    return made <= (double)MAX_GROWN_BYTES || made <= 2 * have;
}

static mica_status run(mrt_plan *plan, mica_eval_sink *sink, void *user) {
    mrt_exec *exec = NULL;
    mrt_error err;
    if (mrt_plan_finalize(plan, false, &err) != MRT_OK ||
        mrt_exec_create(plan, NULL, &exec, &err) != MRT_OK) {
        return MICA_FAIL;
    }
    mrt_exec_run(exec, NULL, NULL);
    for (int32_t i = 0; i < plan->n_outputs; i++) {
        sink(user, (uint32_t)i, mrt_exec_tensor(exec, plan->outputs[i]));
    }
    mrt_exec_destroy(exec);
    return MICA_OK;
}

mica_status mica_eval_results(const mica_op *op, mica_eval_sink *sink, void *user) {
    mica_module *module = mica_op_module(op);
    if (!module || !can_evaluate(op)) {
        return MICA_FAIL;
    }
    mica_planner planner = {.quiet = true, .all_results = true};
    MICA_TRY(mica_planner_init(&planner, module));
    mica_status status = mica_planner_op(&planner, op);
    for (uint32_t i = 0; status == MICA_OK && i < op->n_results; i++) {
        mrt_plan_add_output(planner.plan, mica_planner_value(&planner, mica_op_result(op, i)));
    }
    status = planner.failed ? MICA_FAIL : status;
    mica_planner_deinit(&planner);
    if (status == MICA_OK) {
        status = run(planner.plan, sink, user);
    }
    mrt_plan_destroy(planner.plan);
    return status;
}

static void store_result(void *user, uint32_t index, const mrt_tensor *result) {
    const mica_op *op = user;
    mica_weights_set(mica_op_module(op)->weights, mica_value_name(mica_op_result(op, index)),
                     mica_descr_of_dtype(result->dtype), result->shape.rank, result->shape.dims,
                     result->data, true);
}

mica_status mica_eval_op(const mica_op *op) {
    return mica_eval_results(op, store_result, (void *)(uintptr_t)op);
}
