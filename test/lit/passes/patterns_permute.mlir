// RUN: %mica-opt %s --split-input-file --top-canonicalize --no-debuginfo | FileCheck %s

// move-permutes: channels-last around channels-first Convs, with everything that such exports put
// between: Relu, Add, Mul by a vector of channels, Pad, Concat, Slice, Split, Reduce, Softmax. Only the
// borders of the network keep a Permute.
// CHECK-LABEL: func.func @main(%arg0: tensor<1x8x8x4xf32>)
// CHECK: "top.Input"
// CHECK: "top.Permute"(%{{.*}}) {order = array<i64: 0, 3, 1, 2>}
// CHECK-NOT: "top.Permute"
// CHECK: "top.Pad"(%{{.*}}) {paddings = array<i64: 0, 0, 1, 1, 0, 0, 1, 1>}
// CHECK-NOT: "top.Permute"
// CHECK: "top.Concat"(%{{.*}}) {axis = 1 : i64}
// CHECK-NOT: "top.Permute"
// CHECK: "top.Permute"(%{{.*}}) {order = array<i64: 0, 2, 3, 1>}
// CHECK-NEXT: "top.Softmax"(%{{.*}}) {axis = 3 : i64}
// CHECK-NEXT: return
func.func @main(%a: tensor<1x8x8x4xf32>) -> tensor<1x10x10x8xf32> {
  %n = "top.None"() : () -> none
  %0 = "top.Input"(%a) : (tensor<1x8x8x4xf32>) -> tensor<1x8x8x4xf32> loc("x")
  %1 = "top.Permute"(%0) {order = array<i64: 0, 3, 1, 2>} : (tensor<1x8x8x4xf32>) -> tensor<1x4x8x8xf32> loc("x_nchw")
  %2 = "top.AvgPool"(%1) {kernel_shape = array<i64: 3, 3>, pads = array<i64: 1, 1, 1, 1>} : (tensor<1x4x8x8xf32>) -> tensor<1x4x8x8xf32> loc("c")
  %3 = "top.Permute"(%2) {order = array<i64: 0, 2, 3, 1>} : (tensor<1x4x8x8xf32>) -> tensor<1x8x8x4xf32> loc("c_nhwc")
  %4 = "top.LeakyRelu"(%3) : (tensor<1x8x8x4xf32>) -> tensor<1x8x8x4xf32> loc("relu")
  %5 = "top.Pad"(%4) {paddings = array<i64: 0, 1, 1, 0, 0, 1, 1, 0>} : (tensor<1x8x8x4xf32>) -> tensor<1x10x10x4xf32> loc("pad")
  %6 = "top.Permute"(%5) {order = array<i64: 0, 3, 1, 2>} : (tensor<1x10x10x4xf32>) -> tensor<1x4x10x10xf32> loc("pad_nchw")
  %7 = "top.MaxPool"(%6) {kernel_shape = array<i64: 3, 3>, pads = array<i64: 1, 1, 1, 1>} : (tensor<1x4x10x10xf32>) -> tensor<1x4x10x10xf32> loc("d")
  %8 = "top.Permute"(%7) {order = array<i64: 0, 2, 3, 1>} : (tensor<1x4x10x10xf32>) -> tensor<1x10x10x4xf32> loc("d_nhwc")
  %9 = "top.Add"(%8, %5) : (tensor<1x10x10x4xf32>, tensor<1x10x10x4xf32>) -> tensor<1x10x10x4xf32> loc("sum")
  %10 = "top.Concat"(%9, %8) {axis = 3 : i64} : (tensor<1x10x10x4xf32>, tensor<1x10x10x4xf32>) -> tensor<1x10x10x8xf32> loc("joined")
  %11 = "top.Softmax"(%10) {axis = 3 : i64} : (tensor<1x10x10x8xf32>) -> tensor<1x10x10x8xf32> loc("y")
  return %11 : tensor<1x10x10x8xf32>
}

// -----
// The mean over the pixels does not know the order of axes.
// CHECK-LABEL: func.func @main(%arg0: tensor<2x3x4x5xf32>)
// CHECK: "top.Reduce"(%{{.*}}) {axes = array<i64: 2, 3>, keepdims = false, mode = "ReduceMax"} : (tensor<2x3x4x5xf32>) -> tensor<2x3xf32>
// CHECK-NEXT: return
func.func @main(%a: tensor<2x3x4x5xf32>) -> tensor<2x3xf32> {
  %0 = "top.Input"(%a) : (tensor<2x3x4x5xf32>) -> tensor<2x3x4x5xf32> loc("x")
  %1 = "top.Permute"(%0) {order = array<i64: 0, 2, 3, 1>} : (tensor<2x3x4x5xf32>) -> tensor<2x4x5x3xf32> loc("t")
  %2 = "top.Reduce"(%1) {axes = array<i64: 1, 2>, keepdims = false, mode = "ReduceMax"} : (tensor<2x4x5x3xf32>) -> tensor<2x3xf32> loc("y")
  return %2 : tensor<2x3xf32>
}

// -----
// Split and Slice in another order of axes; the Permutes between vanish.
// CHECK-LABEL: func.func @main(%arg0: tensor<1x6x4x4xf32>)
// CHECK: %[[S:.*]]:2 = "top.Split"(%{{.*}}) {axis = 1 : i64, split_size = array<i64: 2, 4>}
// CHECK-NOT: "top.Permute"
// CHECK: "top.Slice"(%[[S]]#1) {ends = array<i64: 1, 4, 4, 4>, offset = array<i64: 0, 0, 1, 0>, steps = array<i64: 1, 1, 1, 2>}
// CHECK-NOT: "top.Permute"
// CHECK: return
func.func @main(%a: tensor<1x6x4x4xf32>) -> (tensor<1x2x4x4xf32>, tensor<1x4x3x2xf32>) {
  %0 = "top.Input"(%a) : (tensor<1x6x4x4xf32>) -> tensor<1x6x4x4xf32> loc("x")
  %1 = "top.Permute"(%0) {order = array<i64: 0, 2, 3, 1>} : (tensor<1x6x4x4xf32>) -> tensor<1x4x4x6xf32> loc("t")
  %2:2 = "top.Split"(%1) {axis = 3 : i64, split_size = array<i64: 2, 4>} : (tensor<1x4x4x6xf32>) -> (tensor<1x4x4x2xf32>, tensor<1x4x4x4xf32>) loc(fused["p", "q"])
  %3 = "top.Slice"(%2#1) {offset = array<i64: 0, 1, 0, 0>, steps = array<i64: 1, 1, 2, 1>, ends = array<i64: 1, 4, 4, 4>} : (tensor<1x4x4x4xf32>) -> tensor<1x3x2x4xf32> loc("s")
  %4 = "top.Permute"(%2#0) {order = array<i64: 0, 3, 1, 2>} : (tensor<1x4x4x2xf32>) -> tensor<1x2x4x4xf32> loc("u")
  %5 = "top.Permute"(%3) {order = array<i64: 0, 3, 1, 2>} : (tensor<1x3x2x4xf32>) -> tensor<1x4x3x2xf32> loc("v")
  %6 = "top.Exp"(%4) : (tensor<1x2x4x4xf32>) -> tensor<1x2x4x4xf32> loc("y")
  %7 = "top.Exp"(%5) : (tensor<1x4x3x2xf32>) -> tensor<1x4x3x2xf32> loc("z")
  return %6, %7 : tensor<1x2x4x4xf32>, tensor<1x4x3x2xf32>
}

// -----
// A Permute is not moved where nothing is gained.
// CHECK-LABEL: func.func @main(%arg0: tensor<2x3x4xf32>)
// CHECK: %[[P:.*]] = "top.Permute"
// CHECK-NEXT: "top.Exp"(%[[P]])
func.func @main(%a: tensor<2x3x4xf32>) -> tensor<4x2x3xf32> {
  %0 = "top.Input"(%a) : (tensor<2x3x4xf32>) -> tensor<2x3x4xf32> loc("x")
  %1 = "top.Permute"(%0) {order = array<i64: 2, 0, 1>} : (tensor<2x3x4xf32>) -> tensor<4x2x3xf32> loc("t")
  %2 = "top.Exp"(%1) : (tensor<4x2x3xf32>) -> tensor<4x2x3xf32> loc("y")
  return %2 : tensor<4x2x3xf32>
}
