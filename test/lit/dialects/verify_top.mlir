// RUN: mica-opt %s --verify-diagnostics --split-input-file

func.func @filter_rank(%x: tensor<1x3x8x8xf32>, %w: tensor<4x3x3xf32>, %n: none) {
  // expected-error@+1 {{'top.Conv' op expects filter of rank 4, got 3}}
  %1 = "top.Conv"(%x, %w, %n) {kernel_shape = array<i64: 3, 3>} : (tensor<1x3x8x8xf32>, tensor<4x3x3xf32>, none) -> tensor<1x4x6x6xf32>
  return
}

// -----

func.func @kernel_shape(%x: tensor<1x3x8x8xf32>, %w: tensor<4x3x3x3xf32>, %n: none) {
  // expected-error@+1 {{'top.Conv' op expects 2 values in attribute 'kernel_shape' for input of rank 4, got 1}}
  %1 = "top.Conv"(%x, %w, %n) {kernel_shape = array<i64: 3>} : (tensor<1x3x8x8xf32>, tensor<4x3x3x3xf32>, none) -> tensor<1x4x6x6xf32>
  return
}

// -----

func.func @pads(%x: tensor<1x3x8x8xf32>, %w: tensor<4x3x3x3xf32>, %n: none) {
  // expected-error@+1 {{'top.Conv' op expects values from 0 to 2147483647 in attribute 'pads', got -1}}
  %1 = "top.Conv"(%x, %w, %n) {kernel_shape = array<i64: 3, 3>, pads = array<i64: 0, 0, 0, -1>} : (tensor<1x3x8x8xf32>, tensor<4x3x3x3xf32>, none) -> tensor<1x4x6x6xf32>
  return
}

// -----

func.func @channels(%x: tensor<1x3x8x8xf32>, %w: tensor<4x2x3x3xf32>, %n: none) {
  // expected-error@+1 {{'top.Conv' op expects input channels to be filter dimension 1 * group, got input [1, 3, 8, 8], filter [4, 2, 3, 3], group 1}}
  %1 = "top.Conv"(%x, %w, %n) {kernel_shape = array<i64: 3, 3>} : (tensor<1x3x8x8xf32>, tensor<4x2x3x3xf32>, none) -> tensor<1x4x6x6xf32>
  return
}

// -----

func.func @output_padding(%x: tensor<1x4x5x6xf32>, %w: tensor<4x3x2x2xf32>, %n: none) {
  // expected-error@+1 {{'top.Deconv' op expects 2 values in attribute 'output_padding', got 1}}
  %1 = "top.Deconv"(%x, %w, %n) {kernel_shape = array<i64: 2, 2>, output_padding = array<i64: 1>} : (tensor<1x4x5x6xf32>, tensor<4x3x2x2xf32>, none) -> tensor<1x3x6x7xf32>
  return
}

// -----

func.func @matmul(%x: tensor<2x3xf32>, %w: tensor<4x3xf32>, %n: none) {
  // expected-error@+1 {{'top.MatMul' op expects as many columns of input as rows of right, got 3 and 4 (shapes [2, 3] and [4, 3])}}
  %1 = "top.MatMul"(%x, %w, %n) : (tensor<2x3xf32>, tensor<4x3xf32>, none) -> tensor<2x3xf32>
  return
}

// -----

func.func @pool_pads(%x: tensor<1x3x8x8xf32>) {
  // expected-error@+1 {{'top.AvgPool' op expects pads smaller than the window of 2 elements on spatial axis 1, got 0 and 2}}
  %1 = "top.AvgPool"(%x) {kernel_shape = array<i64: 2, 2>, pads = array<i64: 0, 0, 0, 2>} : (tensor<1x3x8x8xf32>) -> tensor<1x3x7x9xf32>
  return
}

// -----

func.func @axis(%x: tensor<2x3xf32>) {
  // expected-error@+1 {{'top.Softmax' op expects attribute 'axis' in [-2, 2) for rank 2, got 2}}
  %1 = "top.Softmax"(%x) {axis = 2 : i64} : (tensor<2x3xf32>) -> tensor<2x3xf32>
  return
}

// -----

func.func @rope(%x: tensor<5x7xf32>, %c: tensor<5x7xf32>) {
  // expected-error@+1 {{'top.Rope' op expects an even number of elements in the last axis of input, got [5, 7]}}
  %1 = "top.Rope"(%x, %c, %c) : (tensor<5x7xf32>, tensor<5x7xf32>, tensor<5x7xf32>) -> tensor<5x7xf32>
  return
}

// -----

func.func @rope_angles(%x: tensor<5x8xf32>, %c: tensor<4x8xf32>) {
  // expected-error@+1 {{'top.Rope' op expects cos and sin of one shape that broadcasts to [5, 8], or with 4 elements in the last axis, got [4, 8] and [4, 8]}}
  %1 = "top.Rope"(%x, %c, %c) : (tensor<5x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>) -> tensor<5x8xf32>
  return
}

// -----

func.func @reshape(%x: tensor<2x3xf32>) {
  // expected-error@+1 {{'top.Reshape' op expects at most one -1 in attribute 'shape', got [-1, -1]}}
  %1 = "top.Reshape"(%x) {shape = array<i64: -1, -1>} : (tensor<2x3xf32>) -> tensor<6x1xf32>
  return
}

// -----

func.func @permute(%x: tensor<2x3xf32>) {
  // expected-error@+1 {{'top.Permute' op expects a permutation of 0 to 1 in attribute 'order', got [0, 2]}}
  %1 = "top.Permute"(%x) {order = array<i64: 0, 2>} : (tensor<2x3xf32>) -> tensor<2x3xf32>
  return
}

// -----

func.func @concat(%x: tensor<2x3xf32>, %y: tensor<3x3xf32>) {
  // expected-error@+1 {{'top.Concat' op expects operands that differ along axis 1 only, got [2, 3] and [3, 3] as operand 1}}
  %1 = "top.Concat"(%x, %y) {axis = 1 : i64} : (tensor<2x3xf32>, tensor<3x3xf32>) -> tensor<2x6xf32>
  return
}

// -----

func.func @slice(%x: tensor<2x3xf32>) {
  // expected-error@+1 {{'top.Slice' op expects steps other than 0 in attribute 'steps'}}
  %1 = "top.Slice"(%x) {offset = array<i64: 0, 0>, steps = array<i64: 1, 0>, ends = array<i64: 2, 3>} : (tensor<2x3xf32>) -> tensor<2x3xf32>
  return
}

// -----

func.func @split(%x: tensor<2x3xf32>) {
  // expected-error@+1 {{'top.Split' op expects 2 values in attribute 'split_size', got 1}}
  %1:2 = "top.Split"(%x) {axis = 1 : i64, split_size = array<i64: 3>} : (tensor<2x3xf32>) -> (tensor<2x1xf32>, tensor<2x2xf32>)
  return
}

// -----

func.func @pad(%x: tensor<2x3xf32>) {
  // expected-error@+1 {{'top.Pad' op cannot pad axis 1 of 3 elements by -2 and -2}}
  %1 = "top.Pad"(%x) {paddings = array<i64: 0, -2, 0, -2>} : (tensor<2x3xf32>) -> tensor<2x0xf32>
  return
}

// -----

func.func @reduce(%x: tensor<2x3xf32>) {
  // expected-error@+1 {{'top.Reduce' op names axis 1 twice in attribute 'axes'}}
  %1 = "top.Reduce"(%x) {mode = "ReduceSum", axes = array<i64: 1, -1>} : (tensor<2x3xf32>) -> tensor<2x1xf32>
  return
}

// -----

func.func @interp(%x: tensor<1x1x2x2xf32>) {
  // expected-error@+1 {{'top.Interp' op expects attribute 'roi' for coord_mode "tf_crop_and_resize"}}
  %1 = "top.Interp"(%x) {mode = "linear", coord_mode = "tf_crop_and_resize", shape = array<i64: 1, 1, 4, 4>} : (tensor<1x1x2x2xf32>) -> tensor<1x1x4x4xf32>
  return
}

// -----

func.func @batch_norm(%x: tensor<1x3x2x2xf32>, %s: tensor<3xf32>, %t: tensor<4xf32>) {
  // expected-error@+1 {{'top.BatchNorm' op expects variance of shape [3], got [4]}}
  %1 = "top.BatchNorm"(%x, %s, %s, %s, %t) : (tensor<1x3x2x2xf32>, tensor<3xf32>, tensor<3xf32>, tensor<3xf32>, tensor<4xf32>) -> tensor<1x3x2x2xf32>
  return
}

// -----

func.func @group_norm(%x: tensor<1x3x2x2xf32>, %n: none) {
  // expected-error@+1 {{'top.GroupNorm' op expects attribute 'num_groups' to divide 3 channels, got 2}}
  %1 = "top.GroupNorm"(%x, %n, %n) {num_groups = 2 : i64} : (tensor<1x3x2x2xf32>, none, none) -> tensor<1x3x2x2xf32>
  return
}

// -----

func.func @scale(%x: tensor<1x3x2x2xf32>, %s: tensor<2xf32>, %n: none) {
  // expected-error@+1 {{'top.Scale' op expects scale of 3 elements, got shape [2]}}
  %1 = "top.Scale"(%x, %s, %n) : (tensor<1x3x2x2xf32>, tensor<2xf32>, none) -> tensor<1x3x2x2xf32>
  return
}

// -----

func.func @dtype(%x: tensor<3xf32>) {
  // expected-error@+1 {{'top.DtypeCast' op expects an element type in attribute 'to', got "f31"}}
  %1 = "top.DtypeCast"(%x) {to = "f31"} : (tensor<3xf32>) -> tensor<3xf32>
  return
}

// -----

func.func @lstm(%x: tensor<7x2x3xf32>, %w: tensor<1x20x4xf32>, %r: tensor<1x20x5xf32>, %n: none) {
  // expected-error@+1 {{'top.LSTM' op expects filter of shape [1, 20, 3], got [1, 20, 4]}}
  %1:3 = "top.LSTM"(%x, %w, %r, %n, %n, %n, %n, %n) {hidden_size = 5 : i64} : (tensor<7x2x3xf32>, tensor<1x20x4xf32>, tensor<1x20x5xf32>, none, none, none, none, none) -> (tensor<7x1x2x5xf32>, tensor<1x2x5xf32>, tensor<1x2x5xf32>)
  return
}
