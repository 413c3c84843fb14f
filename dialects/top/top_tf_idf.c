/* Counting of n-grams. */
#include "dialects/hooks.h"
#include "dialects/plan_util.h"

mica_status mica_verify_tf_idf(const mica_op *op) {
    const int64_t low = mica_op_i64(op, "min_length"), high = mica_op_i64(op, "max_length");
    const int64_t size = mica_op_i64(op, "size"), skip = mica_op_i64(op, "max_skip");
    if (low < 1 || high < low || high > INT32_MAX) {
        return mica_op_error(op, "expects attributes 1 <= 'min_length' <= 'max_length', got %" PRId64
                             " and %" PRId64, low, high);
    }
    if (skip < 0 || skip >= INT32_MAX) {
        return mica_op_error(op, "expects attribute 'max_skip' of 0 or more, got %" PRId64, skip);
    }
    if (size < 0 || size > INT32_MAX) {
        return mica_op_error(op, "expects attribute 'size' of 0 or more, got %" PRId64, size);
    }
    return MICA_OK;
}

mica_status mica_infer_tf_idf(const mica_op *op, mica_type *out_results) {
    mica_shape x;
    MICA_TRY(mica_verify_tf_idf(op));
    if (!mica_operand_shape(op, 0, &x)) {
        return mica_infer_unranked(op, out_results);
    }
    if (x.rank < 1 || x.rank > 2) {
        return mica_op_error(op, "expects input of rank 1 or 2, got %d", x.rank);
    }
    x.dims[x.rank - 1] = mica_op_i64(op, "size");
    return mica_infer_shape_result(op, &x, mica_result_element(op, mica_op_operand(op, 4)),
                                   out_results);
}

mica_status mica_plan_tf_idf(const mica_op *op, mica_planner *planner) {
    const mrt_tf_idf_params params = {.mode = mica_choice_index("TF|IDF|TFIDF",
                                                                mica_op_str(op, "mode")),
                                      .min_length = mica_op_i64(op, "min_length"),
                                      .max_length = mica_op_i64(op, "max_length"),
                                      .max_skip = mica_op_i64(op, "max_skip")};
    return mica_planner_step(planner, op, MRT_K_tf_idf, &params);
}
