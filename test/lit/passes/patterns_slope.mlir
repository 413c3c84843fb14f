// RUN: %mica-opt %s --split-input-file --top-canonicalize | FileCheck %s

// parts-to-prelu
// CHECK-LABEL: func.func @main
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Relu"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Neg"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Relu"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Scale"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Sub"
// CHECK-NOT: "top.
// CHECK: return
module attributes {module.weight_file = "inputs/parts.npz"} {
  func.func @main(%arg0: tensor<1x3x4x5xf32> loc("x")) -> tensor<1x3x4x5xf32> {
    %0 = "top.Input"(%arg0) : (tensor<1x3x4x5xf32>) -> tensor<1x3x4x5xf32> loc("x")
    %1 = "top.Relu"(%0) : (tensor<1x3x4x5xf32>) -> tensor<1x3x4x5xf32> loc("a")
    %2 = "top.Neg"(%0) : (tensor<1x3x4x5xf32>) -> tensor<1x3x4x5xf32> loc("b")
    %3 = "top.Relu"(%2) : (tensor<1x3x4x5xf32>) -> tensor<1x3x4x5xf32> loc("c")
    %4 = "top.Weight"() : () -> tensor<3x1x1xf32> loc("slope_0_k")
    %5 = "top.Mul"(%3, %4) : (tensor<1x3x4x5xf32>, tensor<3x1x1xf32>) -> tensor<1x3x4x5xf32> loc("d")
    %6 = "top.Sub"(%1, %5) : (tensor<1x3x4x5xf32>, tensor<1x3x4x5xf32>) -> tensor<1x3x4x5xf32> loc("y")
    return %6 : tensor<1x3x4x5xf32> loc(unknown)
  } loc(unknown)
} loc(unknown)

// -----
// parts-to-prelu: not here
// CHECK-LABEL: func.func @main
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Mul"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Abs"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Mul"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Add"
// CHECK-NOT: "top.
// CHECK: return
module attributes {module.weight_file = "inputs/parts.npz"} {
  func.func @main(%arg0: tensor<3x9xf32> loc("x")) -> tensor<3x9xf32> {
    %0 = "top.Input"(%arg0) : (tensor<3x9xf32>) -> tensor<3x9xf32> loc("x")
    %1 = "top.Weight"() : () -> tensor<f32> loc("slope_1_k")
    %2 = "top.Mul"(%0, %1) : (tensor<3x9xf32>, tensor<f32>) -> tensor<3x9xf32> loc("a")
    %3 = "top.Abs"(%0) : (tensor<3x9xf32>) -> tensor<3x9xf32> loc("b")
    %4 = "top.Weight"() : () -> tensor<f32> loc("slope_1_l")
    %5 = "top.Mul"(%3, %4) : (tensor<3x9xf32>, tensor<f32>) -> tensor<3x9xf32> loc("c")
    %6 = "top.Add"(%2, %5) : (tensor<3x9xf32>, tensor<3x9xf32>) -> tensor<3x9xf32> loc("y")
    return %6 : tensor<3x9xf32> loc(unknown)
  } loc(unknown)
} loc(unknown)
