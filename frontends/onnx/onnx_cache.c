/* Writing to a cache of keys and values. */
#include "frontends/onnx/onnx_internal.h"

#include <string.h>

/* Slice t of an update goes to place write_indices[batch] + t of the sequence axis; a circular
 * cache starts again at its beginning. */
mica_status mica_onnx_convert_tensor_scatter(mica_onnx_node *node) {
    mica_value *cache = mica_onnx_in(node, 0), *update = mica_onnx_in(node, 1);
    mica_value *start = mica_onnx_in(node, 2);
    const mrt_shape shape = mica_onnx_shape(cache), part = mica_onnx_shape(update);
    const mrt_shape starts = mica_onnx_shape(start);
    const bool circular = strcmp(mica_onnx_attr_choice(node, "mode", "linear", "linear|circular"),
                                 "circular") == 0;
    const int axis = mica_onnx_axis(node, mica_onnx_attr_i(node, "axis", -2), shape.rank);
    MICA_TRY(mica_onnx_finish(node));
    bool fits = axis > 0 && part.rank == shape.rank && part.dims[axis] <= shape.dims[axis];
    for (int i = 0; i < shape.rank && fits; i++) {
        fits = i == axis || part.dims[i] == shape.dims[i];
    }
    if (!fits || (start != NULL && (starts.rank != 1 || starts.dims[0] != shape.dims[0]))) {
        return mica_onnx_error(node, "expected an update of the cache's shape with at most as many "
                                     "places, and one index per batch");
    }
    int64_t by_time[MRT_MAX_RANK], by_batch[MRT_MAX_RANK];
    for (int i = 0; i < shape.rank; i++) {
        by_time[i] = i == axis ? part.dims[axis] : 1;
        by_batch[i] = i == 0 ? shape.dims[0] : 1;
    }
    int64_t *steps = mica_onnx_buffer(node, MRT_I64, part.dims[axis]);
    for (int64_t i = 0; i < part.dims[axis] && steps != NULL; i++) {
        steps[i] = i;
    }
    mica_value *place = mica_onnx_weight(node, "steps", MRT_I64, shape.rank, by_time, steps);
    if (start != NULL) {
        start = mica_onnx_reshape(node, "start", start, shape.rank, by_batch);
        start = mica_onnx_cast(node, "first", start, MRT_I64);
        place = mica_onnx_binary(node, "top.Add", "place", place, start);
    }
    if (circular) {
        mica_value *size = mica_onnx_scalar(node, "size", MRT_I64, (double)shape.dims[axis]);
        place = mica_onnx_binary(node, "top.Mod", "wrapped", place, size);
    }
    mica_value *operands[] = {
        cache, mica_onnx_expand(node, "places", place, part.rank, part.dims), update};
    mica_op *op = mica_onnx_op(node, "top.ScatterElements", NULL, operands, 3, 1);
    MICA_TRY(mica_onnx_finish(node));
    mica_op_set_i64(op, "axis", axis);
    return mica_onnx_alias(node, 0, mica_onnx_done(node, op));
}
