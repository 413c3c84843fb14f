// RUN: %mica-opt %s --split-input-file --top-canonicalize | FileCheck %s

// add-to-bias, scalar-into-constant
// CHECK-LABEL: func.func @main(%arg0: tensor<5x8xf32>
// CHECK: %[[W:.*]] = "top.Weight"() {{.*}} tensor<8x3xf32> loc("y_filter")
// CHECK: %[[B:.*]] = "top.Weight"() {{.*}} tensor<3xf32> loc("y_bias")
// CHECK: "top.MatMul"(%{{.*}}, %[[W]], %[[B]]) {{.*}} loc(fused["y", "s", "m"])
// CHECK-NEXT: return
module attributes {module.weight_file = "inputs/weights.npz"} {
  func.func @main(%a: tensor<5x8xf32>) -> tensor<5x3xf32> {
    %0 = "top.Input"(%a) : (tensor<5x8xf32>) -> tensor<5x8xf32> loc("x")
    %none = "top.None"() : () -> none
    %w = "top.Weight"() : () -> tensor<8x3xf32> loc("matrix")
    %b = "top.Weight"() : () -> tensor<3xf32> loc("vector3")
    %h = "top.Weight"() : () -> tensor<f32> loc("half")
    %1 = "top.MatMul"(%0, %w, %none) : (tensor<5x8xf32>, tensor<8x3xf32>, none) -> tensor<5x3xf32> loc("m")
    %2 = "top.Add"(%1, %b) : (tensor<5x3xf32>, tensor<3xf32>) -> tensor<5x3xf32> loc("s")
    %3 = "top.Mul"(%2, %h) : (tensor<5x3xf32>, tensor<f32>) -> tensor<5x3xf32> loc("y")
    return %3 : tensor<5x3xf32>
  }
}

// -----
// transpose-into-matmul: the first permute swaps the last two axes, the second moves a batch axis.
// CHECK-LABEL: func.func @main(%arg0: tensor<2x5x8xf32>
// CHECK: %[[X:.*]] = "top.Input"(%arg0)
// CHECK: %[[W:.*]] = "top.Input"(%arg1)
// CHECK: %[[P:.*]] = "top.Permute"(%[[X]]) {order = array<i64: 1, 0, 2>}
// CHECK: "top.MatMul"(%[[P]], %[[W]], %{{.*}}) {right_transpose = true}
module {
  func.func @main(%a: tensor<2x5x8xf32>, %b: tensor<5x3x8xf32>) -> tensor<5x2x3xf32> {
    %0 = "top.Input"(%a) : (tensor<2x5x8xf32>) -> tensor<2x5x8xf32> loc("x")
    %1 = "top.Input"(%b) : (tensor<5x3x8xf32>) -> tensor<5x3x8xf32> loc("w")
    %none = "top.None"() : () -> none
    %2 = "top.Permute"(%0) {order = array<i64: 1, 0, 2>} : (tensor<2x5x8xf32>) -> tensor<5x2x8xf32> loc("p")
    %3 = "top.Permute"(%1) {order = array<i64: 0, 2, 1>} : (tensor<5x3x8xf32>) -> tensor<5x8x3xf32> loc("q")
    %4 = "top.MatMul"(%2, %3, %none) : (tensor<5x2x8xf32>, tensor<5x8x3xf32>, none) -> tensor<5x2x3xf32> loc("y")
    return %4 : tensor<5x2x3xf32>
  }
}

// -----
// A sum over another axis is no bias.
// CHECK-LABEL: func.func @main(%arg0: tensor<3x8xf32>
// CHECK: "top.MatMul"
// CHECK: "top.Add"
module attributes {module.weight_file = "inputs/weights.npz"} {
  func.func @main(%a: tensor<3x8xf32>) -> tensor<3x16xf32> {
    %0 = "top.Input"(%a) : (tensor<3x8xf32>) -> tensor<3x8xf32> loc("x")
    %none = "top.None"() : () -> none
    %w = "top.Weight"() : () -> tensor<8x16xf32> loc("matrix2")
    %b = "top.Input"(%a) : (tensor<3x8xf32>) -> tensor<3x8xf32> loc("x2")
    %1 = "top.MatMul"(%0, %w, %none) : (tensor<3x8xf32>, tensor<8x16xf32>, none) -> tensor<3x16xf32> loc("m")
    %c = "top.Weight"() : () -> tensor<3xf32> loc("vector3")
    %d = "top.Reshape"(%c) {shape = array<i64: 3, 1>} : (tensor<3xf32>) -> tensor<3x1xf32> loc("column")
    %2 = "top.Add"(%1, %d) : (tensor<3x16xf32>, tensor<3x1xf32>) -> tensor<3x16xf32> loc("y")
    return %2 : tensor<3x16xf32>
  }
}
