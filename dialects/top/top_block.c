/* Pixel blocks and triangles: Depth2Space, Space2Depth, Trilu. */
#include "dialects/hooks.h"
#include "dialects/plan_util.h"

#include <string.h>

static mica_type element_of_input(const mica_op *op) {
    return mica_result_element(op, mica_op_operand(op, 0));
}

/* Block side and the shape of an NCHW operand. */
static mica_status read_block(const mica_op *op, mica_shape *x, int64_t *block, bool *known) {
    *block = mica_op_i64(op, "block");
    *known = mica_operand_shape(op, 0, x);
    if (*block < 1 || *block > INT32_MAX) {
        return mica_op_error(op, "expects attribute 'block' of at least 1, got %" PRId64, *block);
    }
    if (*known && x->rank != 4) {
        return mica_op_error(op, "expects input of rank 4, got %d", x->rank);
    }
    return MICA_OK;
}

mica_status mica_infer_depth_to_space(const mica_op *op, mica_type *out_results) {
    mica_shape x;
    int64_t block;
    bool known;
    MICA_TRY(read_block(op, &x, &block, &known));
    if (!known) {
        return mica_infer_unranked(op, out_results);
    }
    if (x.dims[1] % (block * block) != 0) {
        return mica_op_error(op, "expects a multiple of %" PRId64 " channels, got %" PRId64,
                             block * block, x.dims[1]);
    }
    if (x.dims[2] > INT64_MAX / block || x.dims[3] > INT64_MAX / block) {
        return mica_op_error(op, "has too many elements");
    }
    const mica_shape y = {4, {x.dims[0], x.dims[1] / (block * block), x.dims[2] * block,
                              x.dims[3] * block}};
    return mica_infer_shape_result(op, &y, element_of_input(op), out_results);
}

mica_status mica_infer_space_to_depth(const mica_op *op, mica_type *out_results) {
    mica_shape x;
    int64_t block;
    bool known;
    MICA_TRY(read_block(op, &x, &block, &known));
    if (!known) {
        return mica_infer_unranked(op, out_results);
    }
    if (x.dims[2] % block != 0 || x.dims[3] % block != 0) {
        return mica_op_error(op, "expects height and width that are multiples of %" PRId64
                             ", got %" PRId64 " and %" PRId64, block, x.dims[2], x.dims[3]);
    }
    int64_t channels;
    if (__builtin_mul_overflow(x.dims[1], block * block, &channels)) {
        return mica_op_error(op, "has too many channels");
    }
    const mica_shape y = {4, {x.dims[0], channels, x.dims[2] / block, x.dims[3] / block}};
    return mica_infer_shape_result(op, &y, element_of_input(op), out_results);
}

mica_status mica_plan_depth_to_space(const mica_op *op, mica_planner *planner) {
    const mrt_block_params params = {
        .block = mica_op_i64(op, "block"),
        .mode = mica_choice_index("DCR|CRD", mica_op_str(op, "mode"))};
    return mica_plan_move(planner, op, MRT_K_depth_to_space, &params);
}

mica_status mica_plan_space_to_depth(const mica_op *op, mica_planner *planner) {
    const mrt_block_params params = {.block = mica_op_i64(op, "block"),
                                     .mode = strcmp(mica_op_str(op, "mode"), "CRD") == 0};
    return mica_plan_move(planner, op, MRT_K_space_to_depth, &params);
}

/* The kernel writes integer 0, which is real 0 only for zero point 0. */
mica_status mica_plan_trilu(const mica_op *op, mica_planner *planner) {
    mica_quant quant;
    if (mica_quant_of(mica_op_result(op, 0), &quant) && quant.zero_point != 0) {
        return mica_planner_fail(planner, op, "expects zero point 0, got %d", quant.zero_point);
    }
    const mrt_axis_params params = {.axis = mica_op_i64(op, "k"),
                                    .flag = mica_op_bool(op, "upper")};
    return mica_plan_move(planner, op, MRT_K_trilu, &params);
}
