// RUN: %mica-opt %s --split-input-file --top-canonicalize | FileCheck %s

// scale-before-conv
// CHECK-LABEL: func.func @main
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Conv"
// CHECK-NOT: "top.
// CHECK: return
module attributes {module.weight_file = "inputs/parts.npz"} {
  func.func @main(%arg0: tensor<1x4x6x6xf32> loc("x")) -> tensor<1x6x4x4xf32> {
    %0 = "top.Input"(%arg0) : (tensor<1x4x6x6xf32>) -> tensor<1x4x6x6xf32> loc("x")
    %1 = "top.Weight"() : () -> tensor<4xf32> loc("chain_0_w")
    %2 = "top.Weight"() : () -> tensor<4xf32> loc("chain_0_b")
    %3 = "top.Scale"(%0, %1, %2) : (tensor<1x4x6x6xf32>, tensor<4xf32>, tensor<4xf32>) -> tensor<1x4x6x6xf32> loc("s")
    %4 = "top.Weight"() : () -> tensor<6x2x3x3xf32> loc("chain_0_f")
    %5 = "top.Weight"() : () -> tensor<6xf32> loc("chain_0_c")
    %6 = "top.Conv"(%3, %4, %5) {do_relu = true, group = 2 : i64, kernel_shape = array<i64: 3, 3>} : (tensor<1x4x6x6xf32>, tensor<6x2x3x3xf32>, tensor<6xf32>) -> tensor<1x6x4x4xf32> loc("y")
    return %6 : tensor<1x6x4x4xf32> loc(unknown)
  } loc(unknown)
} loc(unknown)

// -----
// scale-before-conv: not here
// CHECK-LABEL: func.func @main
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Scale"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Conv"
// CHECK-NOT: "top.
// CHECK: return
module attributes {module.weight_file = "inputs/parts.npz"} {
  func.func @main(%arg0: tensor<1x4x6x6xf32> loc("x")) -> tensor<1x6x6x6xf32> {
    %0 = "top.None"() : () -> none loc(unknown)
    %1 = "top.Input"(%arg0) : (tensor<1x4x6x6xf32>) -> tensor<1x4x6x6xf32> loc("x")
    %2 = "top.Weight"() : () -> tensor<4xf32> loc("chain_1_w")
    %3 = "top.Weight"() : () -> tensor<4xf32> loc("chain_1_b")
    %4 = "top.Scale"(%1, %2, %3) : (tensor<1x4x6x6xf32>, tensor<4xf32>, tensor<4xf32>) -> tensor<1x4x6x6xf32> loc("s")
    %5 = "top.Weight"() : () -> tensor<6x4x3x3xf32> loc("chain_1_f")
    %6 = "top.Conv"(%4, %5, %0) {kernel_shape = array<i64: 3, 3>, pads = array<i64: 1, 1, 1, 1>} : (tensor<1x4x6x6xf32>, tensor<6x4x3x3xf32>, none) -> tensor<1x6x6x6xf32> loc("y")
    return %6 : tensor<1x6x6x6xf32> loc(unknown)
  } loc(unknown)
} loc(unknown)

// -----
// merge-pointwise
// CHECK-LABEL: func.func @main
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Conv"
// CHECK-NOT: "top.
// CHECK: return
module attributes {module.weight_file = "inputs/parts.npz"} {
  func.func @main(%arg0: tensor<1x4x6x6xf32> loc("x")) -> tensor<1x3x6x6xf32> {
    %0 = "top.Input"(%arg0) : (tensor<1x4x6x6xf32>) -> tensor<1x4x6x6xf32> loc("x")
    %1 = "top.Weight"() : () -> tensor<5x4x1x1xf32> loc("chain_2_v")
    %2 = "top.Weight"() : () -> tensor<5xf32> loc("chain_2_b")
    %3 = "top.Conv"(%0, %1, %2) {kernel_shape = array<i64: 1, 1>} : (tensor<1x4x6x6xf32>, tensor<5x4x1x1xf32>, tensor<5xf32>) -> tensor<1x5x6x6xf32> loc("a")
    %4 = "top.Weight"() : () -> tensor<3x5x1x1xf32> loc("chain_2_w")
    %5 = "top.Weight"() : () -> tensor<3xf32> loc("chain_2_c")
    %6 = "top.Conv"(%3, %4, %5) {do_relu = true, kernel_shape = array<i64: 1, 1>} : (tensor<1x5x6x6xf32>, tensor<3x5x1x1xf32>, tensor<3xf32>) -> tensor<1x3x6x6xf32> loc("y")
    return %6 : tensor<1x3x6x6xf32> loc(unknown)
  } loc(unknown)
} loc(unknown)

// -----
// merge-pointwise: not here
// CHECK-LABEL: func.func @main
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Conv"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Conv"
// CHECK-NOT: "top.
// CHECK: return
module attributes {module.weight_file = "inputs/parts.npz"} {
  func.func @main(%arg0: tensor<1x8x6x6xf32> loc("x")) -> tensor<1x8x6x6xf32> {
    %0 = "top.Input"(%arg0) : (tensor<1x8x6x6xf32>) -> tensor<1x8x6x6xf32> loc("x")
    %1 = "top.Weight"() : () -> tensor<2x8x1x1xf32> loc("chain_3_v")
    %2 = "top.Weight"() : () -> tensor<2xf32> loc("chain_3_b")
    %3 = "top.Conv"(%0, %1, %2) {kernel_shape = array<i64: 1, 1>} : (tensor<1x8x6x6xf32>, tensor<2x8x1x1xf32>, tensor<2xf32>) -> tensor<1x2x6x6xf32> loc("a")
    %4 = "top.Weight"() : () -> tensor<8x2x1x1xf32> loc("chain_3_w")
    %5 = "top.Weight"() : () -> tensor<8xf32> loc("chain_3_c")
    %6 = "top.Conv"(%3, %4, %5) {kernel_shape = array<i64: 1, 1>} : (tensor<1x2x6x6xf32>, tensor<8x2x1x1xf32>, tensor<8xf32>) -> tensor<1x8x6x6xf32> loc("y")
    return %6 : tensor<1x8x6x6xf32> loc(unknown)
  } loc(unknown)
} loc(unknown)

// -----
// scalar-before-matmul
// CHECK-LABEL: func.func @main
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.MatMul"
// CHECK-NOT: "top.
// CHECK: return
module attributes {module.weight_file = "inputs/parts.npz"} {
  func.func @main(%arg0: tensor<3x4xf32> loc("x")) -> tensor<3x5xf32> {
    %0 = "top.Input"(%arg0) : (tensor<3x4xf32>) -> tensor<3x4xf32> loc("x")
    %1 = "top.Weight"() : () -> tensor<f32> loc("chain_4_s")
    %2 = "top.Mul"(%0, %1) : (tensor<3x4xf32>, tensor<f32>) -> tensor<3x4xf32> loc("a")
    %3 = "top.Weight"() : () -> tensor<4x5xf32> loc("chain_4_w")
    %4 = "top.Weight"() : () -> tensor<5xf32> loc("chain_4_b")
    %5 = "top.MatMul"(%2, %3, %4) : (tensor<3x4xf32>, tensor<4x5xf32>, tensor<5xf32>) -> tensor<3x5xf32> loc("y")
    return %5 : tensor<3x5xf32> loc(unknown)
  } loc(unknown)
} loc(unknown)

// -----
// scalar-before-matmul: not here
// CHECK-LABEL: func.func @main
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Mul"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.MatMul"
// CHECK-NOT: "top.
// CHECK: return
module attributes {module.weight_file = "inputs/parts.npz"} {
  func.func @main(%arg0: tensor<3x4xf32> loc("x")) -> (tensor<3x5xf32>, tensor<3x4xf32>) {
    %0 = "top.Input"(%arg0) : (tensor<3x4xf32>) -> tensor<3x4xf32> loc("x")
    %1 = "top.Weight"() : () -> tensor<f32> loc("chain_5_s")
    %2 = "top.Mul"(%0, %1) : (tensor<3x4xf32>, tensor<f32>) -> tensor<3x4xf32> loc("a")
    %3 = "top.Weight"() : () -> tensor<4x5xf32> loc("chain_5_w")
    %4 = "top.Weight"() : () -> tensor<5xf32> loc("chain_5_b")
    %5 = "top.MatMul"(%2, %3, %4) : (tensor<3x4xf32>, tensor<4x5xf32>, tensor<5xf32>) -> tensor<3x5xf32> loc("y")
    return %5, %2 : tensor<3x5xf32>, tensor<3x4xf32> loc(unknown)
  } loc(unknown)
} loc(unknown)
