/* Rotary embedding. */
#include "dialects/hooks.h"
#include "dialects/plan_util.h"

#include <inttypes.h>

mica_status mica_verify_rope(const mica_op *op) {
    mica_shape x, cosine, sine;
    if (!mica_operand_shape(op, 0, &x) || !mica_operand_shape(op, 1, &cosine) || !mica_operand_shape(op, 2, &sine)) {
        return MICA_OK;
    }
    const int64_t size = x.rank > 0 ? x.dims[x.rank - 1] : 0;
    if (size < 2 || size % 2 != 0) {
        return mica_op_error(op, "expects an even number of elements in the last axis of input, got %s",
                             mica_shape_text(&x).text);
    }
    bool same = cosine.rank == sine.rank && cosine.rank >= 1 && cosine.rank <= x.rank;
    for (int i = 0; same && i < cosine.rank; i++) {
        const int64_t of_x = x.dims[x.rank - cosine.rank + i];
        const bool is_last = i == cosine.rank - 1;
        same = cosine.dims[i] == sine.dims[i] &&
               (cosine.dims[i] == of_x || (is_last ? cosine.dims[i] == of_x / 2 : cosine.dims[i] == 1));
    }
    return same ? MICA_OK
                : mica_op_error(op, "expects cos and sin of one shape that broadcasts to %s, or with %" PRId64
                                    " elements in the last axis, got %s and %s",
                                mica_shape_text(&x).text, size / 2, mica_shape_text(&cosine).text,
                                mica_shape_text(&sine).text);
}

mica_status mica_plan_rope(const mica_op *op, mica_planner *planner) {
    const mrt_axis_params params = {.flag = mica_op_bool(op, "interleaved")};
    return mica_planner_step(planner, op, MRT_K_rope_f32, &params);
}
