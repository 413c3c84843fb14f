/* Matrix product: checks and shapes of all forms, float plan.
 *
 * Rank-1 operands follow numpy: a row [1, K] on the left, a column [K, 1] on the right; the added
 * axis disappears from the result. */
#include "dialects/hooks.h"
#include "dialects/plan_util.h"
#include "dialects/quant/quant.h"
#include "dialects/top/top_matmul.h"
#include "dialects/tpu/requant.h"


/* Shape of an operand as a matrix [rows, columns] after its transposition. */
typedef struct matrix {
    mica_shape shape; /* rank >= 2 */
    bool was_vector;
    int64_t rows, columns;
} matrix;

static bool read_matrix(const mica_op *op, uint32_t i, bool transpose, matrix *out) {
    mica_shape s;
    if (!mica_operand_shape(op, i, &s)) {
        return false;
    }
    *out = (matrix){.was_vector = s.rank == 1};
    if (s.rank == 1) {
        const mica_shape row = {2, {1, s.dims[0]}}, column = {2, {s.dims[0], 1}};
        s = i == 0 ? row : column;
    }
    out->shape = s;
    out->rows = s.dims[s.rank - (transpose ? 1 : 2)];
    out->columns = s.dims[s.rank - (transpose ? 2 : 1)];
    return true;
}

static mica_status verify_rank(const mica_op *op, uint32_t i, const char *operand, bool transpose,
                               const char *attr) {
    mica_shape s;
    if (!mica_operand_shape(op, i, &s)) {
        return MICA_OK;
    }
    if (s.rank < 1) {
        return mica_op_error(op, "expects %s of rank 1 or more, got a scalar", operand);
    }
    if (s.rank == 1 && transpose) {
        return mica_op_error(op, "expects %s of rank 2 or more with attribute '%s', got 1", operand,
                             attr);
    }
    return MICA_OK;
}

/* Result of the product, *out_known false when an operand's shape is unknown. */
static mica_status result_shape(const mica_op *op, mica_shape *out, bool *out_known) {
    const bool ta = mica_op_bool(op, "left_transpose"), tb = mica_op_bool(op, "right_transpose");
    MICA_TRY(verify_rank(op, 0, "input", ta, "left_transpose"));
    MICA_TRY(verify_rank(op, 1, "right", tb, "right_transpose"));
    matrix a, b;
    *out_known = read_matrix(op, 0, ta, &a) && read_matrix(op, 1, tb, &b);
    if (!*out_known) {
        return MICA_OK;
    }
    if (a.columns != b.rows) {
        return mica_op_error(op, "expects as many columns of input as rows of right, got %" PRId64
                             " and %" PRId64 " (shapes %s and %s)", a.columns, b.rows,
                             mica_shape_text(&a.shape).text, mica_shape_text(&b.shape).text);
    }
    mica_shape batch_a = a.shape, batch_b = b.shape, y;
    batch_a.rank -= 2;
    batch_b.rank -= 2;
    if (!mica_shape_broadcast(&batch_a, &batch_b, &y)) {
        return mica_op_error(op, "cannot broadcast the batch axes of shapes %s and %s",
                             mica_shape_text(&a.shape).text, mica_shape_text(&b.shape).text);
    }
    if (!a.was_vector) {
        y.dims[y.rank++] = a.rows;
    }
    if (!b.was_vector) {
        y.dims[y.rank++] = b.columns;
    }
    *out = y;
    return MICA_OK;
}

mica_status mica_verify_matmul(const mica_op *op) {
    mica_shape y, bias, joined;
    bool known;
    MICA_TRY(result_shape(op, &y, &known));
    if (!known) {
        return MICA_OK;
    }
    if (mica_operand_shape(op, 2, &bias) &&
        (!mica_shape_broadcast(&y, &bias, &joined) || !mica_shapes_equal(&y, &joined))) {
        return mica_op_error(op, "expects bias that broadcasts to shape %s, got %s",
                             mica_shape_text(&y).text, mica_shape_text(&bias).text);
    }
    return mica_is_real_form(op) ? MICA_OK : mica_requant_verify(op, y.rank > 0 ? y.dims[y.rank - 1] : 1);
}

mica_status mica_infer_matmul(const mica_op *op, mica_type *out_results) {
    mica_shape y;
    bool known;
    MICA_TRY(mica_verify_matmul(op));
    MICA_TRY(result_shape(op, &y, &known));
    if (!known) {
        return mica_infer_unranked(op, out_results);
    }
    return mica_infer_shape_result(op, &y, mica_result_element(op, mica_op_operand(op, 0)),
                                   out_results);
}

/* --- plan ------------------------------------------------------------------------------------- */

/* Puts a dimension of size 1 before axis `at`. A shape that is full can only come from a result type
 * that is wrong anyway; the kernel refuses it. */
static void insert_one(mrt_shape *shape, int at) {
    if (shape->rank >= MRT_MAX_RANK || at < 0) {
        return;
    }
    for (int i = shape->rank; i > at; i--) {
        shape->dims[i] = shape->dims[i - 1];
    }
    shape->dims[at] = 1;
    shape->rank++;
}

void mica_matmul_operands(mica_planner *planner, const mica_op *op, mica_matmul_ids *out) {
    const mica_value *left = mica_op_operand(op, 0), *right = mica_op_operand(op, 1);
    const mica_value *bias = mica_op_present(op, 2);
    mrt_tensor a = mica_planner_info(planner, left), b = mica_planner_info(planner, right);
    const bool vector_a = a.shape.rank == 1, vector_b = b.shape.rank == 1;
    out->a = mica_planner_value(planner, left);
    out->b = mica_planner_value(planner, right);
    out->bias = mica_planner_value(planner, bias);
    out->result = mica_planner_info(planner, mica_op_result(op, 0));
    out->is_view = vector_a || vector_b;
    if (!out->is_view) {
        out->out = mica_planner_value(planner, mica_op_result(op, 0));
        return;
    }
    a.name = b.name = out->result.name = NULL;
    mrt_tensor c = bias ? mica_planner_info(planner, bias) : (mrt_tensor){0};
    c.name = NULL;
    /* The added axis of the right operand is the last one, that of the left one comes before it. */
    if (vector_b) {
        insert_one(&b.shape, 1);
        out->b = mica_planner_view(planner, &b, out->b);
        insert_one(&out->result.shape, out->result.shape.rank);
        insert_one(&c.shape, c.shape.rank);
    }
    if (vector_a) {
        insert_one(&a.shape, 0);
        out->a = mica_planner_view(planner, &a, out->a);
        insert_one(&out->result.shape, out->result.shape.rank - 1);
        if (c.shape.rank > 1) {
            insert_one(&c.shape, c.shape.rank - 1);
        }
    }
    if (bias) {
        out->bias = mica_planner_view(planner, &c, out->bias);
    }
    out->out = mica_planner_temp(planner, &out->result);
}

mica_status mica_matmul_finish(mica_planner *planner, const mica_op *op,
                               const mica_matmul_ids *ids) {
    if (!ids->is_view) {
        return MICA_OK;
    }
    const mica_value *result = mica_op_result(op, 0);
    const mrt_tensor info = mica_planner_info(planner, result);
    const int32_t id = mica_planner_view(planner, &info, ids->out);
    mica_planner_bind(planner, result, id);
    return id < 0 ? MICA_FAIL : MICA_OK;
}

mica_status mica_plan_matmul(const mica_op *op, mica_planner *planner) {
    mica_matmul_ids ids;
    mica_matmul_operands(planner, op, &ids);
    mrt_matmul_params params = {.trans_a = mica_op_bool(op, "left_transpose"),
                                .trans_b = mica_op_bool(op, "right_transpose"),
                                .alpha = 1.0,
                                .beta = 1.0,
                                .float_order = mica_planner_float_order(planner)};
    mica_plan_act(op, &params.act, &params.act_limit);
    const int32_t in[3] = {ids.a, ids.b, ids.bias};
    MICA_TRY(mica_planner_step_ids(planner, op, MRT_K_matmul_f32, &params, in, 3, &ids.out, 1));
    return mica_matmul_finish(planner, op, &ids);
}
