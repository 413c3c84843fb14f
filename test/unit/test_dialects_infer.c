/* Shape inference and verification: every family against shapes written by hand. */
#include "test/unit/check_main.h"
#include "test/unit/dialect_case.h"

#include "dialects/op_util.h"
#include "ir/op_info.h"

#include <stdlib.h>

/* result: expected types separated by '|', or '!' and a part of the expected message. */
typedef struct infer_case {
    const char *op, *attrs, *operands, *result;
} infer_case;

#define K3 "kernel_shape = array<i64: 3, 3>"

static const infer_case conv_cases[] = {
    {"top.Conv", K3, "tensor<1x3x8x8xf32>|tensor<4x3x3x3xf32>|none", "tensor<1x4x6x6xf32>"},
    {"top.Conv", K3 ", pads = array<i64: 1, 1, 1, 1>, strides = array<i64: 2, 2>",
     "tensor<1x3x224x224xf32>|tensor<64x3x3x3xf32>|tensor<64xf32>", "tensor<1x64x112x112xf32>"},
    {"top.Conv", K3 ", dilations = array<i64: 2, 3>, pads = array<i64: 0, 1, 2, 3>",
     "tensor<2x4x9x10xf32>|tensor<6x2x3x3xf32>|none", "!filter dimension 1 * group"},
    {"top.Conv", K3 ", group = 2 : i64, dilations = array<i64: 2, 3>, pads = array<i64: 0, 1, 2, 3>",
     "tensor<2x4x9x10xf32>|tensor<6x2x3x3xf32>|none", "tensor<2x6x7x8xf32>"},
    {"top.Conv", "kernel_shape = array<i64: 3>", "tensor<1x2x5xf32>|tensor<3x2x3xf32>|none",
     "tensor<1x3x3xf32>"},
    {"top.Conv", "kernel_shape = array<i64: 1, 2, 3>",
     "tensor<1x2x5x5x5xf32>|tensor<3x2x1x2x3xf32>|none", "tensor<1x3x5x4x3xf32>"},
    {"top.Conv", K3, "tensor<1x3x8x8xf32>|tensor<4x3x3xf32>|none",
     "!'top.Conv' op expects filter of rank 4, got 3"},
    {"top.Conv", K3, "tensor<1x3x8x8xf32>|tensor<4x3x5x3xf32>|none",
     "!expects filter dimension 2 to be 3"},
    {"top.Conv", K3, "tensor<1x3x8x8xf32>|tensor<4x3x3x3xf32>|tensor<3xf32>",
     "!expects bias of shape [4], got [3]"},
    {"top.Conv", K3, "tensor<1x3x2x8xf32>|tensor<4x3x3x3xf32>|none",
     "!window of 3 elements, larger than spatial axis 0 with 2 elements"},
    {"top.Conv", K3 ", strides = array<i64: 0, 1>",
     "tensor<1x3x8x8xf32>|tensor<4x3x3x3xf32>|none", "!attribute 'strides', got 0"},
    {"top.Conv", K3 ", pads = array<i64: 1, 1>", "tensor<1x3x8x8xf32>|tensor<4x3x3x3xf32>|none",
     "!expects 4 values in attribute 'pads', got 2"},
    {"top.Conv", K3 ", group = 0 : i64", "tensor<1x3x8x8xf32>|tensor<4x3x3x3xf32>|none",
     "!expects attribute 'group' of at least 1, got 0"},
    {"top.Conv", K3, "tensor<*xf32>|tensor<4x3x3x3xf32>|none", "tensor<*xf32>"},
    {"top.Conv", K3, "tensor<1x3x8x8x!quant.calibrated<f32<-1.0:1.0>>>|tensor<4x3x3x3xf32>|none",
     "tensor<1x4x6x6xf32>"},
    {"top.Deconv", "kernel_shape = array<i64: 2, 2>, strides = array<i64: 2, 2>",
     "tensor<1x4x5x6xf32>|tensor<4x3x2x2xf32>|none", "tensor<1x3x10x12xf32>"},
    {"top.Deconv", K3 ", strides = array<i64: 3, 2>, pads = array<i64: 1, 0, 1, 0>, "
     "output_padding = array<i64: 1, 1>, group = 2 : i64",
     "tensor<1x4x3x3xf32>|tensor<4x3x3x3xf32>|none", "tensor<1x6x8x8xf32>"},
    {"top.Deconv", K3, "tensor<1x5x3x3xf32>|tensor<4x3x3x3xf32>|none", "!filter dimension 0"},
    {"top.MatMul", "", "tensor<2x3xf32>|tensor<3x4xf32>|none", "tensor<2x4xf32>"},
    {"top.MatMul", "left_transpose = true, right_transpose = true",
     "tensor<5x1x3x2xf32>|tensor<7x4x3xf32>|none", "tensor<5x7x2x4xf32>"},
    {"top.MatMul", "", "tensor<3xf32>|tensor<3xf32>|none", "tensor<f32>"},
    {"top.MatMul", "", "tensor<3xf32>|tensor<2x3x4xf32>|none", "tensor<2x4xf32>"},
    {"top.MatMul", "", "tensor<2x4x3xf32>|tensor<3xf32>|none", "tensor<2x4xf32>"},
    {"top.MatMul", "", "tensor<2x3xf32>|tensor<4x3xf32>|none",
     "!as many columns of input as rows of right, got 3 and 4"},
    {"top.MatMul", "", "tensor<2x2x3xf32>|tensor<3x3x4xf32>|none", "!cannot broadcast the batch"},
    {"top.MatMul", "", "tensor<2x3xf32>|tensor<3x4xf32>|tensor<3xf32>",
     "!expects bias that broadcasts to shape [2, 4], got [3]"},
    {"top.MatMul", "", "tensor<f32>|tensor<3x4xf32>|none", "!got a scalar"},
};

static const infer_case pool_cases[] = {
    {"top.MaxPool", K3 ", strides = array<i64: 2, 2>", "tensor<1x2x8x8xf32>",
     "tensor<1x2x3x3xf32>"},
    {"top.MaxPool", K3 ", strides = array<i64: 2, 2>, ceil_mode = true", "tensor<1x2x8x8xf32>",
     "tensor<1x2x4x4xf32>"},
    /* The last window would start in the end padding, so it is dropped. */
    {"top.MaxPool", "kernel_shape = array<i64: 1>, strides = array<i64: 2>, ceil_mode = true",
     "tensor<1x2x8xf32>", "tensor<1x2x4xf32>"},
    {"top.AvgPool", "kernel_shape = array<i64: 7, 7>", "tensor<1x512x7x7xf32>",
     "tensor<1x512x1x1xf32>"},
    {"top.MaxPool", K3, "tensor<1x2x8x8xf32>", "tensor<1x2x6x6xf32>|tensor<1x2x6x6xi64>"},
    {"top.AvgPool", K3, "tensor<1x2x2x2xf32>", "!window of 3 elements"},
    {"top.AvgPool", K3 ", pads = array<i64: 3, 0, 0, 0>", "tensor<1x2x2x2xf32>",
     "!expects pads smaller than the window"},
    {"top.AvgPool", K3, "tensor<2x2xf32>", "!expects input of rank 3 to 5, got 2"},
    {"top.LpPool", K3 ", p = 0 : i64", "tensor<1x2x4x4xf32>", "!attribute 'p'"},
};

static const infer_case element_cases[] = {
    {"top.Add", "", "tensor<2x1x3xf32>|tensor<4x1xf32>", "tensor<2x4x3xf32>"},
    {"top.Add", "", "tensor<i64>|tensor<5xi64>", "tensor<5xi64>"},
    {"top.Add", "", "tensor<0x3xf32>|tensor<1x3xf32>", "tensor<0x3xf32>"},
    {"top.Sub", "", "tensor<2x3xf32>|tensor<2x4xf32>", "!cannot broadcast shapes [2, 3] and [2, 4]"},
    {"top.Mul", "", "tensor<2xf32>|tensor<2xi64>", "!operands of one element type, got f32 and i64"},
    {"top.Pow", "", "tensor<2xf32>|tensor<i64>", "tensor<2xf32>"},
    {"top.Less", "", "tensor<2x1xf32>|tensor<3xf32>", "tensor<2x3xi1>"},
    {"top.And", "", "tensor<2xi1>|tensor<1xi1>", "tensor<2xi1>"},
    {"top.Where", "", "tensor<3x1xi1>|tensor<2xf32>|tensor<f32>", "tensor<3x2xf32>"},
    {"top.Relu", "", "tensor<2x3xf32>", "tensor<2x3xf32>"},
    {"top.Sigmoid", "", "tensor<2x3xf32>", "tensor<2x3xf32>"},
    {"top.IsNaN", "", "tensor<2x3xf32>", "tensor<2x3xi1>"},
    {"top.DtypeCast", "to = \"i64\"", "tensor<2x3xf32>", "tensor<2x3xi64>"},
    {"top.DtypeCast", "to = \"ui8\"", "tensor<2x3xf32>", "tensor<2x3xui8>"},
    {"top.DtypeCast", "to = \"q7\"", "tensor<2x3xf32>", "!attribute 'to', got \"q7\""},
    {"top.Softmax", "axis = -2 : i64", "tensor<2x3xf32>", "tensor<2x3xf32>"},
    {"top.LayerNorm", "axis = -1 : i64", "tensor<2x3x4xf32>|tensor<4xf32>|tensor<4xf32>",
     "tensor<2x3x4xf32>|tensor<2x3x1xf32>|tensor<2x3x1xf32>"},
    {"top.LayerNorm", "axis = 1 : i64", "tensor<2x3x4xf32>|tensor<5xf32>|none",
     "!expects weight that broadcasts to shape [3, 4], got [5]"},
    {"top.LRN", "size = 5 : i64", "tensor<1x8x4x4xf32>", "tensor<1x8x4x4xf32>"},
    {"top.Rope", "interleaved = true", "tensor<2x3x5x8xf32>|tensor<5x4xf32>|tensor<5x4xf32>", "tensor<2x3x5x8xf32>"},
};

static const infer_case reduce_cases[] = {
    {"top.Reduce", "mode = \"ReduceMean\", axes = array<i64: 1, 3>", "tensor<2x3x4x5xf32>",
     "tensor<2x1x4x1xf32>"},
    {"top.Reduce", "mode = \"ReduceSum\", axes = array<i64: 0, 1>, keepdims = false",
     "tensor<2x3xi64>", "tensor<i64>"},
    {"top.Reduce", "mode = \"ReduceMax\", axes = array<i64: 2>", "tensor<2x3xf32>",
     "!expects attribute 'axes' in [-2, 2) for rank 2, got 2"},
    {"top.Reduce", "mode = \"ReduceMax\", axes = array<i64: 1, 1>", "tensor<2x3xf32>",
     "!names axis 1 twice"},
    {"top.Arg", "mode = \"ArgMax\", axis = -1 : i64, keepdims = false", "tensor<2x3xf32>",
     "tensor<2xi64>"},
    {"top.Arg", "mode = \"ArgMin\"", "tensor<2x3xf32>", "tensor<1x3xi64>"},
    {"top.TopK", "k = 2 : i64", "tensor<4x5xf32>", "tensor<4x2xf32>|tensor<4x2xi64>"},
    {"top.TopK", "k = 6 : i64", "tensor<4x5xf32>", "!expects attribute 'k' from 0 to 5, got 6"},
    {"top.CumSum", "axis = 0 : i64", "tensor<4x5xf32>", "tensor<4x5xf32>"},
};

#define TF_IDF "tensor<2x9xi64>|tensor<6xi64>|tensor<2xi64>|tensor<4xi64>|tensor<4xf32>"
static const infer_case move_cases[] = {
    {"top.Reshape", "shape = array<i64: 0, -1>", "tensor<2x3x4xf32>", "tensor<2x12xf32>"},
    {"top.Reshape", "shape = array<i64>", "tensor<1x1xf32>", "tensor<f32>"},
    {"top.Reshape", "shape = array<i64: 4, -1>", "tensor<2x3xf32>", "!cannot reshape [2, 3]"},
    {"top.Reshape", "shape = array<i64: 7>", "tensor<2x3xf32>",
     "!cannot reshape [2, 3] of 6 elements to [7]"},
    {"top.Reshape", "shape = array<i64: -1, -1>", "tensor<2x3xf32>", "!at most one -1"},
    {"top.Reshape", "shape = array<i64: 6, 1, 0>", "tensor<2x3xf32>", "!cannot copy dimension 2"},
    {"top.Reshape", "shape = array<i64: 0, -1>", "tensor<0x3xf32>", "tensor<0x0xf32>"},
    {"top.Permute", "order = array<i64: 0, 2, 3, 1>", "tensor<1x2x3x4xf32>",
     "tensor<1x3x4x2xf32>"},
    {"top.Permute", "order = array<i64: 0, 0>", "tensor<1x2xf32>", "!expects a permutation"},
    {"top.Concat", "axis = -1 : i64", "tensor<2x3xf32>|tensor<2x4xf32>|tensor<2x0xf32>",
     "tensor<2x7xf32>"},
    {"top.Concat", "axis = 0 : i64", "tensor<2x3xf32>|tensor<2x4xf32>",
     "!expects operands that differ along axis 0 only, got [2, 3] and [2, 4] as operand 1"},
    {"top.Slice", "offset = array<i64: 1, 0>, steps = array<i64: 2, 1>, ends = array<i64: 9, 2>",
     "tensor<6x3xf32>", "tensor<3x2xf32>"},
    {"top.Slice", "offset = array<i64: 5>, steps = array<i64: -2>, ends = array<i64: -1>",
     "tensor<6xf32>", "tensor<3xf32>"},
    {"top.Slice", "offset = array<i64: 4>, steps = array<i64: 1>, ends = array<i64: 2>",
     "tensor<6xf32>", "tensor<0xf32>"},
    {"top.Slice", "offset = array<i64: -2>, steps = array<i64: 1>, "
     "ends = array<i64: 9223372036854775807>", "tensor<6xf32>", "tensor<2xf32>"},
    {"top.Slice", "offset = array<i64: 5>, steps = array<i64: -9223372036854775808>, "
     "ends = array<i64: -1>", "tensor<6xf32>", "tensor<1xf32>"},
    {"top.Slice", "offset = array<i64: 4>, steps = array<i64: 0>, ends = array<i64: 2>",
     "tensor<6xf32>", "!steps other than 0"},
    {"top.Split", "axis = 1 : i64, split_size = array<i64: 1, 2>", "tensor<2x3xf32>",
     "tensor<2x1xf32>|tensor<2x2xf32>"},
    {"top.Split", "axis = 1 : i64, split_size = array<i64: 1, 1>", "tensor<2x3xf32>",
     "!to sum to 3 along axis 1, got 2"},
    {"top.Pad", "paddings = array<i64: 0, 1, 0, -2>", "tensor<2x5xf32>", "tensor<2x4xf32>"},
    {"top.Pad", "paddings = array<i64: 0, 0, 0, -6>", "tensor<2x5xf32>", "!cannot pad axis 1"},
    {"top.Pad", "paddings = array<i64: 0, 0>", "tensor<2x5xf32>", "!expects 4 values"},
    {"top.Expand", "shape = array<i64: 3, 1, 5>", "tensor<4x1xf32>", "tensor<3x4x5xf32>"},
    {"top.Expand", "shape = array<i64: 3>", "tensor<4xf32>", "!cannot broadcast"},
    {"top.Tile", "tile = array<i64: 2, 3>", "tensor<4x1xf32>", "tensor<8x3xf32>"},
    {"top.Tile", "tile = array<i64: 4611686018427387904, 4>", "tensor<4x1xf32>", "!cannot repeat"},
    {"top.Gather", "axis = 1 : i64", "tensor<2x3x4xf32>|tensor<5x6xi64>", "tensor<2x5x6x4xf32>"},
    {"top.Gather", "axis = 0 : i64", "tensor<7xf32>|tensor<i64>", "tensor<f32>"},
    {"top.TfIdf", "size = 4 : i64", TF_IDF, "tensor<2x4xf32>"},
    {"top.TfIdf", "size = 4 : i64, min_length = 3 : i64", TF_IDF, "!got 3 and 1"},
    {"top.TfIdf", "size = -1 : i64", TF_IDF, "!attribute 'size' of 0 or more, got -1"},
    {"top.TfIdf", "size = 4 : i64, max_skip = -1 : i64", TF_IDF, "!'max_skip' of 0 or more, got -1"},
    {"top.TfIdf", "size = 4 : i64", "tensor<i64>|tensor<6xi64>|tensor<2xi64>|tensor<4xi64>|tensor<4xf32>",
     "!expects input of rank 1 or 2, got 0"},
    {"top.Gather", "axis = 1 : i64", "tensor<7xf32>|tensor<i64>", "!attribute 'axis' in [-1, 1)"},
    {"top.GatherElements", "axis = 1 : i64", "tensor<2x3xf32>|tensor<2x8xi64>", "tensor<2x8xf32>"},
    {"top.GatherND", "batch_dims = 1 : i64", "tensor<2x3x4xf32>|tensor<2x1xi64>", "tensor<2x4xf32>"},
    {"top.GatherND", "", "tensor<2x3x4xf32>|tensor<6x2xi64>", "tensor<6x4xf32>"},
    {"top.GatherND", "", "tensor<2x3xf32>|tensor<6x3xi64>", "!at most 2 values, got 3"},
    {"top.Depth2Space", "block = 2 : i64", "tensor<1x8x2x3xf32>", "tensor<1x2x4x6xf32>"},
    {"top.Depth2Space", "block = 3 : i64", "tensor<1x8x2x3xf32>", "!a multiple of 9 channels"},
    {"top.Space2Depth", "block = 2 : i64", "tensor<1x2x4x6xf32>", "tensor<1x8x2x3xf32>"},
    {"top.Interp", "mode = \"linear\", shape = array<i64: 1, 2, 8, 9>", "tensor<1x2x4x4xf32>",
     "tensor<1x2x8x9xf32>"},
    {"top.Interp", "mode = \"linear\", shape = array<i64: 8, 9>", "tensor<1x2x4x4xf32>",
     "!expects 4 values in attribute 'shape'"},
    {"top.OneHot", "depth = 4 : i64, axis = 1 : i64", "tensor<2x3xi64>|tensor<2xf32>",
     "tensor<2x4x3xf32>"},
    {"top.Shape", "", "tensor<2x3x4xf32>", "tensor<3xi64>"},
    {"top.Shape", "start = -2 : i64, end = 9 : i64", "tensor<2x3x4xf32>", "tensor<2xi64>"},
    {"top.Trilu", "", "tensor<3x4xf32>", "tensor<3x4xf32>"},
    {"top.None", "", "", "none"},
};

static const infer_case rnn_cases[] = {
    {"top.LSTM", "hidden_size = 5 : i64, direction = \"bidirectional\"",
     "tensor<7x2x3xf32>|tensor<2x20x3xf32>|tensor<2x20x5xf32>|tensor<2x40xf32>|none|none|none|none",
     "tensor<7x2x2x5xf32>|tensor<2x2x5xf32>|tensor<2x2x5xf32>"},
    {"top.GRU", "hidden_size = 5 : i64, layout = 1 : i64",
     "tensor<2x7x3xf32>|tensor<1x15x3xf32>|tensor<1x15x5xf32>|none|none|none",
     "tensor<2x7x1x5xf32>|tensor<2x1x5xf32>"},
    {"top.RNN", "hidden_size = 5 : i64",
     "tensor<7x2x3xf32>|tensor<1x6x3xf32>|tensor<1x5x5xf32>|none|none|none",
     "!expects filter of shape [1, 5, 3], got [1, 6, 3]"},
    {"top.RNN", "hidden_size = 5 : i64, activations = \"Sine\"",
     "tensor<7x2x3xf32>|tensor<1x5x3xf32>|tensor<1x5x5xf32>|none|none|none",
     "!unsupported activation \"Sine\""},
};

static const infer_case sample_cases[] = {
    {"top.GridSample", "mode = \"cubic\"", "tensor<2x3x4x5xf32>|tensor<2x6x7x2xf32>",
     "tensor<2x3x6x7xf32>"},
    {"top.GridSample", "", "tensor<1x3x4x5x6xf32>|tensor<1x7x8x9x3xf32>",
     "tensor<1x3x7x8x9xf32>"},
    {"top.GridSample", "", "tensor<2x3x4x5xf32>|tensor<2x6x7x3xf32>",
     "!expects grid of rank 4 with batch 2 and 2 coordinates, got [2, 6, 7, 3]"},
    {"top.GridSample", "", "tensor<2x3xf32>|tensor<2x2xf32>", "!expects input of rank 3 to 5"},
    {"top.GridSample", "", "tensor<1x2x0x5xf32>|tensor<1x6x7x2xf32>",
     "!expects input with elements along every spatial axis"},
    {"top.RoiAlign", "output_shape = array<i64: 2, 3>",
     "tensor<2x4x8x8xf32>|tensor<5x4xf32>|tensor<5xi64>", "tensor<5x4x2x3xf32>"},
    {"top.RoiAlign", "output_shape = array<i64: 2, 3>",
     "tensor<2x4x8x8xf32>|tensor<5x4xf32>|tensor<6xi64>",
     "!expects batch_indices of shape [5], got [6]"},
    {"top.RoiAlign", "output_shape = array<i64: 2, 0>",
     "tensor<2x4x8x8xf32>|tensor<5x4xf32>|tensor<5xi64>", "!attribute 'output_shape', got 0"},
    {"top.RoiAlign", "output_shape = array<i64: 2, 2>, sampling_ratio = 5000 : i64",
     "tensor<2x4x8x8xf32>|tensor<5x4xf32>|tensor<5xi64>", "!from 0 to 1024, got 5000"},
    {"top.RoiMaxPool", "output_shape = array<i64: 2, 3>", "tensor<2x4x8x8xf32>|tensor<5x5xf32>",
     "tensor<5x4x2x3xf32>"},
    {"top.RoiMaxPool", "output_shape = array<i64: 2, 3>", "tensor<2x4x8x8xf32>|tensor<5x4xf32>",
     "!expects rois of shape [boxes, 5], got [5, 4]"},
    {"top.DeformColumns", K3 ", offset_group = 2 : i64",
     "tensor<1x4x8x8xf32>|tensor<1x36x6x6xf32>|tensor<1x18x6x6xf32>", "tensor<1x36x6x6xf32>"},
    {"top.DeformColumns", K3, "tensor<1x4x8x8xf32>|tensor<1x9x6x6xf32>|none",
     "!expects offset of shape [1, 18, 6, 6], got [1, 9, 6, 6]"},
    {"top.DeformColumns", K3 ", offset_group = 3 : i64",
     "tensor<1x4x8x8xf32>|tensor<1x54x6x6xf32>|none", "!'offset_group' to divide the channels"},
    {"top.DeformColumns", K3, "tensor<1x4x2x8xf32>|tensor<1x18x6x6xf32>|none",
     "!larger than spatial axis 0"},
};

static size_t count_parts(const char *text) {
    size_t n = 1;
    for (; *text; text++) {
        n += *text == '|';
    }
    return n;
}

/* Number of results that the case's op is made with. */
static size_t result_count(const infer_case *test, const dialect_case *c) {
    if (test->result[0] != '!') {
        return count_parts(test->result);
    }
    if (strcmp(test->op, "top.Split") == 0) {
        return 2;
    }
    const mica_op_info *info = mica_find_op_info(c->context, test->op);
    return info ? (size_t)info->n_results : 1;
}

/* The kernel takes what the plan hook makes, and runs. Inputs are zero bytes. */
static void check_runs(dialect_case *c, mica_op *op, const infer_case *test) {
    mica_shape shape;
    if (!mica_plan_hook(op) || !mica_shape_of(mica_op_result(op, 0), &shape)) {
        return;
    }
    mrt_plan *plan = NULL;
    mrt_exec *exec = NULL;
    mrt_error err;
    ck_assert_msg(dialect_case_plan(c, op, &plan) == MICA_OK, "%s {%s}: %s", test->op, test->attrs,
                  c->last);
    ck_assert_int_eq(plan->n_outputs, (int)op->n_results);
    ck_assert_int_eq(mrt_exec_create(plan, NULL, &exec, &err), MRT_OK);
    mrt_exec_run(exec, NULL, NULL);
    mrt_exec_destroy(exec);
    mrt_plan_destroy(plan);
}

static void check_case(const infer_case *test) {
    dialect_case c;
    dialect_case_begin(&c);
    const size_t n = result_count(test, &c);
    mica_op *op = dialect_case_op(&c, test->op, test->attrs, test->operands, n);
    mica_status status = op->info->verify ? op->info->verify(op) : MICA_OK;
    if (status == MICA_OK) {
        status = mica_op_infer(op);
    }
    if (test->result[0] == '!') {
        ck_assert_msg(status == MICA_FAIL, "%s {%s}: no error", test->op, test->attrs);
        ck_assert_msg(strstr(c.last, test->result + 1) != NULL, "%s {%s}: %s", test->op,
                      test->attrs, c.last);
        ck_assert_uint_eq(mica_error_count(c.context), 1);
    } else {
        ck_assert_msg(status == MICA_OK, "%s {%s}: %s", test->op, test->attrs, c.last);
        char got[512] = "";
        for (size_t i = 0; i < n; i++) {
            strcat(got, i ? "|" : "");
            strcat(got, mica_type_text(mica_op_result(op, (uint32_t)i)->type));
        }
        ck_assert_msg(strcmp(got, test->result) == 0, "%s {%s}: expected %s, got %s", test->op,
                      test->attrs, test->result, got);
        check_runs(&c, op, test);
    }
    dialect_case_end(&c);
}

#define FAMILY(name)                                                                               \
    START_TEST(test_##name) {                                                                      \
        check_case(&name[_i]);                                                                     \
    }                                                                                              \
    END_TEST
FAMILY(conv_cases)
FAMILY(pool_cases)
FAMILY(element_cases)
FAMILY(reduce_cases)
FAMILY(move_cases)
FAMILY(rnn_cases)
FAMILY(sample_cases)

/* --- inference from constants ----------------------------------------------------------------- */

static mica_value *constant_i64(mica_builder *builder, const char *name, int rank, int64_t count,
                                const int64_t *values) {
    return mica_top_weight(builder, name, mica_type_i64(builder->module->context), rank, &count,
                           values);
}

START_TEST(test_range_and_fill) {
    dialect_case c;
    dialect_case_begin(&c);
    mica_builder b = mica_builder_at_end(c.module, mica_func_body(c.func));
    const int64_t bounds[3] = {10, 3, -3}, dims[2] = {2, 3};
    mica_value *range[3];
    for (int i = 0; i < 3; i++) {
        range[i] = constant_i64(&b, "r", 0, 1, &bounds[i]);
    }
    const mica_loc loc = mica_loc_name(c.context, "y", NULL);
    mica_op *op = mica_build_op(&b, "top.Range", loc, range, 3, 1);
    ck_assert_int_eq(mica_op_infer(op), MICA_OK);
    ck_assert_str_eq(mica_type_text(op->results[0].type), "tensor<3xi64>");
    mica_value *swapped[3] = {range[0], range[1], constant_i64(&b, "zero", 0, 1, (int64_t[]){0})};
    mica_op *bad = mica_build_op(&b, "top.Range", loc, swapped, 3, 1);
    ck_assert_int_eq(mica_op_infer(bad), MICA_FAIL);
    mica_value *shape = constant_i64(&b, "s", 1, 2, dims);
    mica_op *fill = mica_build_op(&b, "top.ConstantFill", loc, &shape, 1, 1);
    mica_op_set_str(fill, "dtype", "i32");
    ck_assert_int_eq(mica_op_infer(fill), MICA_OK);
    ck_assert_str_eq(mica_type_text(fill->results[0].type), "tensor<2x3xi32>");
    const int64_t negative[2] = {2, -3};
    mica_value *worse = constant_i64(&b, "s", 1, 2, negative);
    mica_op *bad_fill = mica_build_op(&b, "top.ConstantFill", loc, &worse, 1, 1);
    ck_assert_int_eq(mica_op_infer(bad_fill), MICA_FAIL);
    dialect_case_end(&c);
}
END_TEST

/* Every top row can be inferred or has no result to infer; tpu rows have at least a plan. */
START_TEST(test_rows) {
    dialect_case c;
    dialect_case_begin(&c);
    size_t rows = 0;
    for (size_t i = 0; i < mica_op_info_count(c.context); i++) {
        const mica_op_info *info = mica_op_info_at(c.context, i);
        if (strncmp(info->name, "top.", 4) != 0 && strncmp(info->name, "tpu.", 4) != 0) {
            continue;
        }
        rows++;
        const mica_op op = {.info = info, .name = info->name};
        const bool top = info->name[1] == 'o';
        ck_assert_msg(info->infer || !top || (info->traits & MICA_IS_CONSTANT), "%s", info->name);
        ck_assert_msg(top || mica_plan_hook(&op), "%s", info->name);
        for (size_t a = 0; a < info->n_attrs; a++) {
            const mica_attr_info *attr = &info->attrs[a];
            ck_assert_msg(!attr->fallback || mica_parse_attr(c.context, attr->fallback),
                          "%s %s = %s", info->name, attr->name, attr->fallback);
            ck_assert_msg(!attr->required || !attr->fallback, "%s %s", info->name, attr->name);
        }
    }
    ck_assert_uint_gt(rows, 150);
    dialect_case_end(&c);
}
END_TEST

START_TEST(test_codes) {
    ck_assert_int_eq(mica_unary_code("top.Sigmoid"), 6);
    ck_assert_int_eq(mica_unary_code("Tanh"), 15);
    ck_assert_int_eq(mica_unary_code("Relu"), 0);
    ck_assert_int_eq(mica_unary_code("Conv"), -1);
    ck_assert_int_eq(mica_binary_code("tpu.Div"), 3);
    ck_assert_int_eq(mica_binary_code("top.Add"), 0);
    ck_assert_int_eq(mica_binary_code("top.Sigmoid"), -1);
    ck_assert_int_eq(mica_dtype_of_name("ui8"), MRT_U8);
    ck_assert_int_eq(mica_dtype_of_name("u8"), MRT_U8);
    ck_assert_int_eq(mica_dtype_of_name("bf16"), MRT_BF16);
    ck_assert_int_eq(mica_dtype_of_name("a long unknown name"), MRT_DTYPE_NONE);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("dialects_infer");
    TCase *tests = tcase_create("infer");
#define ADD(name) tcase_add_loop_test(tests, test_##name, 0, (int)MICA_COUNT(name))
    ADD(conv_cases);
    ADD(pool_cases);
    ADD(element_cases);
    ADD(reduce_cases);
    ADD(move_cases);
    ADD(rnn_cases);
    ADD(sample_cases);
    tcase_add_test(tests, test_range_and_fill);
    tcase_add_test(tests, test_rows);
    tcase_add_test(tests, test_codes);
    suite_add_tcase(suite, tests);
    return check_run(suite);
}
