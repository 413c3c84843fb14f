// RUN: %mica-opt %s --split-input-file --top-canonicalize | FileCheck %s

// pad-into-window, batch-norm-to-scale, scale-into-conv, channel-const, fuse-relu: one Conv remains.
// CHECK-LABEL: func.func @main(%arg0: tensor<1x3x8x8xf32>
// CHECK: %[[X:.*]] = "top.Input"
// CHECK: "top.Conv"(%[[X]], %{{.*}}, %{{.*}}) {do_relu = true, kernel_shape = array<i64: 3, 3>, pads = array<i64: 1, 1, 1, 1>{{.*}}} {{.*}} loc(fused["y", "m", "n", "c", "p"])
// CHECK-NEXT: return
module attributes {module.weight_file = "inputs/weights.npz"} {
  func.func @main(%a: tensor<1x3x8x8xf32>) -> tensor<1x4x8x8xf32> {
    %0 = "top.Input"(%a) : (tensor<1x3x8x8xf32>) -> tensor<1x3x8x8xf32> loc("x")
    %w = "top.Weight"() : () -> tensor<4x3x3x3xf32> loc("filter")
    %b = "top.Weight"() : () -> tensor<4xf32> loc("filter_bias")
    %g = "top.Weight"() : () -> tensor<4xf32> loc("gamma4")
    %h = "top.Weight"() : () -> tensor<4xf32> loc("beta4")
    %m = "top.Weight"() : () -> tensor<4xf32> loc("mean4")
    %v = "top.Weight"() : () -> tensor<4xf32> loc("variance4")
    %f = "top.Weight"() : () -> tensor<4x1x1xf32> loc("factor4")
    %1 = "top.Pad"(%0) {paddings = array<i64: 0, 0, 1, 1, 0, 0, 1, 1>} : (tensor<1x3x8x8xf32>) -> tensor<1x3x10x10xf32> loc("p")
    %2 = "top.Conv"(%1, %w, %b) {kernel_shape = array<i64: 3, 3>} : (tensor<1x3x10x10xf32>, tensor<4x3x3x3xf32>, tensor<4xf32>) -> tensor<1x4x8x8xf32> loc("c")
    %3 = "top.BatchNorm"(%2, %g, %h, %m, %v) : (tensor<1x4x8x8xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) -> tensor<1x4x8x8xf32> loc("n")
    %4 = "top.Mul"(%3, %f) : (tensor<1x4x8x8xf32>, tensor<4x1x1xf32>) -> tensor<1x4x8x8xf32> loc("m")
    %5 = "top.Relu"(%4) : (tensor<1x4x8x8xf32>) -> tensor<1x4x8x8xf32> loc("y")
    return %5 : tensor<1x4x8x8xf32>
  }
}

// -----
// Without a Conv before it the factor becomes a Scale, and the sum its bias (add-into-scale).
// CHECK-LABEL: func.func @main(%arg0: tensor<1x4x8x8xf32>
// CHECK: %[[S:.*]] = "top.Weight"{{.*}} loc("m_scale")
// CHECK: %[[B:.*]] = "top.Weight"{{.*}} loc("y_bias")
// CHECK: "top.Scale"(%{{.*}}, %[[S]], %[[B]]) {{.*}} loc(fused["y", "m"])
// CHECK-NEXT: return
module attributes {module.weight_file = "inputs/weights.npz"} {
  func.func @main(%a: tensor<1x4x8x8xf32>) -> tensor<1x4x8x8xf32> {
    %0 = "top.Input"(%a) : (tensor<1x4x8x8xf32>) -> tensor<1x4x8x8xf32> loc("x")
    %f = "top.Weight"() : () -> tensor<4x1x1xf32> loc("factor4")
    %1 = "top.Mul"(%f, %0) : (tensor<4x1x1xf32>, tensor<1x4x8x8xf32>) -> tensor<1x4x8x8xf32> loc("m")
    %2 = "top.Add"(%1, %f) : (tensor<1x4x8x8xf32>, tensor<4x1x1xf32>) -> tensor<1x4x8x8xf32> loc("y")
    return %2 : tensor<1x4x8x8xf32>
  }
}

// -----
// A Conv whose result is also returned is left alone; so is padding by another value.
// CHECK-LABEL: func.func @main(%arg0: tensor<1x3x8x8xf32>
// CHECK: %[[P:.*]] = "top.Pad"
// CHECK: %[[C:.*]] = "top.Conv"(%[[P]]
// CHECK: %[[M:.*]] = "top.Scale"(%[[C]]
// CHECK: return %[[M]], %[[C]]
module attributes {module.weight_file = "inputs/weights.npz"} {
  func.func @main(%a: tensor<1x3x8x8xf32>) -> (tensor<1x4x8x8xf32>, tensor<1x4x8x8xf32>) {
    %0 = "top.Input"(%a) : (tensor<1x3x8x8xf32>) -> tensor<1x3x8x8xf32> loc("x")
    %w = "top.Weight"() : () -> tensor<4x3x3x3xf32> loc("filter")
    %b = "top.Weight"() : () -> tensor<4xf32> loc("filter_bias")
    %f = "top.Weight"() : () -> tensor<4x1x1xf32> loc("factor4")
    %1 = "top.Pad"(%0) {paddings = array<i64: 0, 0, 1, 1, 0, 0, 1, 1>, val = 1.0 : f64} : (tensor<1x3x8x8xf32>) -> tensor<1x3x10x10xf32> loc("p")
    %2 = "top.Conv"(%1, %w, %b) {kernel_shape = array<i64: 3, 3>} : (tensor<1x3x10x10xf32>, tensor<4x3x3x3xf32>, tensor<4xf32>) -> tensor<1x4x8x8xf32> loc("c")
    %3 = "top.Mul"(%2, %f) : (tensor<1x4x8x8xf32>, tensor<4x1x1xf32>) -> tensor<1x4x8x8xf32> loc("m")
    return %3, %2 : tensor<1x4x8x8xf32>, tensor<1x4x8x8xf32>
  }
}
