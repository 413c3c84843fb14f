// RUN: %mica-opt %s --split-input-file --top-canonicalize | FileCheck %s

// div-to-layer-norm, affine-into-layer-norm
// CHECK-LABEL: func.func @main(%arg0: tensor<4x16xf32>
// CHECK: %[[X:.*]] = "top.Input"
// CHECK: %[[G:.*]] = "top.Weight"() {{.*}} loc("g_weight")
// CHECK: %[[B:.*]] = "top.Weight"() {{.*}} loc("y_bias")
// CHECK: "top.LayerNorm"(%[[X]], %[[G]], %[[B]]) {axis = 1 : i64, eps = {{.*}}} {{.*}} loc(fused["y", "g", "q"])
// CHECK-NEXT: return
module attributes {module.weight_file = "inputs/weights.npz"} {
  func.func @main(%a: tensor<4x16xf32>) -> tensor<4x16xf32> {
    %0 = "top.Input"(%a) : (tensor<4x16xf32>) -> tensor<4x16xf32> loc("x")
    %eps = "top.Weight"() : () -> tensor<f32> loc("eps")
    %w = "top.Weight"() : () -> tensor<16xf32> loc("weight16")
    %b = "top.Weight"() : () -> tensor<16xf32> loc("vector16")
    %1 = "top.Reduce"(%0) {mode = "ReduceMean", axes = array<i64: 1>} : (tensor<4x16xf32>) -> tensor<4x1xf32> loc("m")
    %2 = "top.Sub"(%0, %1) : (tensor<4x16xf32>, tensor<4x1xf32>) -> tensor<4x16xf32> loc("d")
    %3 = "top.Square"(%2) : (tensor<4x16xf32>) -> tensor<4x16xf32> loc("s")
    %4 = "top.Reduce"(%3) {mode = "ReduceMean", axes = array<i64: 1>} : (tensor<4x16xf32>) -> tensor<4x1xf32> loc("v")
    %5 = "top.Add"(%4, %eps) : (tensor<4x1xf32>, tensor<f32>) -> tensor<4x1xf32> loc("e")
    %6 = "top.Sqrt"(%5) : (tensor<4x1xf32>) -> tensor<4x1xf32> loc("r")
    %7 = "top.Div"(%2, %6) : (tensor<4x16xf32>, tensor<4x1xf32>) -> tensor<4x16xf32> loc("q")
    %8 = "top.Mul"(%7, %w) : (tensor<4x16xf32>, tensor<16xf32>) -> tensor<4x16xf32> loc("g")
    %9 = "top.Add"(%8, %b) : (tensor<4x16xf32>, tensor<16xf32>) -> tensor<4x16xf32> loc("y")
    return %9 : tensor<4x16xf32>
  }
}

// -----
// Means over another axis are no layer norm.
// CHECK-LABEL: func.func @main(%arg0: tensor<4x16xf32>
// CHECK-NOT: "top.LayerNorm"
// CHECK: "top.Div"
module attributes {module.weight_file = "inputs/weights.npz"} {
  func.func @main(%a: tensor<4x16xf32>) -> tensor<4x16xf32> {
    %0 = "top.Input"(%a) : (tensor<4x16xf32>) -> tensor<4x16xf32> loc("x")
    %eps = "top.Weight"() : () -> tensor<f32> loc("eps")
    %1 = "top.Reduce"(%0) {mode = "ReduceMean", axes = array<i64: 0>} : (tensor<4x16xf32>) -> tensor<1x16xf32> loc("m")
    %2 = "top.Sub"(%0, %1) : (tensor<4x16xf32>, tensor<1x16xf32>) -> tensor<4x16xf32> loc("d")
    %3 = "top.Square"(%2) : (tensor<4x16xf32>) -> tensor<4x16xf32> loc("s")
    %4 = "top.Reduce"(%3) {mode = "ReduceMean", axes = array<i64: 0>} : (tensor<4x16xf32>) -> tensor<1x16xf32> loc("v")
    %5 = "top.Add"(%4, %eps) : (tensor<1x16xf32>, tensor<f32>) -> tensor<1x16xf32> loc("e")
    %6 = "top.Sqrt"(%5) : (tensor<1x16xf32>) -> tensor<1x16xf32> loc("r")
    %7 = "top.Div"(%2, %6) : (tensor<4x16xf32>, tensor<1x16xf32>) -> tensor<4x16xf32> loc("y")
    return %7 : tensor<4x16xf32>
  }
}
