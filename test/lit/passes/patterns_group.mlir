// RUN: %mica-opt %s --split-input-file --top-canonicalize | FileCheck %s

// reshaped-instance-norm
// CHECK-LABEL: func.func @main
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.GroupNorm"
// CHECK-NOT: "top.
// CHECK: return
module attributes {module.weight_file = "inputs/parts.npz"} {
  func.func @main(%arg0: tensor<2x6x4x5xf32> loc("x")) -> tensor<2x6x4x5xf32> {
    %0 = "top.Input"(%arg0) : (tensor<2x6x4x5xf32>) -> tensor<2x6x4x5xf32> loc("x")
    %1 = "top.Reshape"(%0) {shape = array<i64: 0, 3, -1>} : (tensor<2x6x4x5xf32>) -> tensor<2x3x40xf32> loc("a")
    %2 = "top.Weight"() : () -> tensor<3xf32> loc("group_0_w")
    %3 = "top.Weight"() : () -> tensor<3xf32> loc("group_0_b")
    %4 = "top.InstanceNorm"(%1, %2, %3) {eps = 0.001 : f64} : (tensor<2x3x40xf32>, tensor<3xf32>, tensor<3xf32>) -> tensor<2x3x40xf32> loc("n")
    %5 = "top.Reshape"(%4) {shape = array<i64: 2, 6, 4, 5>} : (tensor<2x3x40xf32>) -> tensor<2x6x4x5xf32> loc("y")
    return %5 : tensor<2x6x4x5xf32> loc(unknown)
  } loc(unknown)
} loc(unknown)

// -----
// reshaped-instance-norm: not here
// CHECK-LABEL: func.func @main
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Reshape"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.InstanceNorm"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Reshape"
// CHECK-NOT: "top.
// CHECK: return
module attributes {module.weight_file = "inputs/parts.npz"} {
  func.func @main(%arg0: tensor<2x6x4x5xf32> loc("x")) -> tensor<2x6x4x5xf32> {
    %0 = "top.None"() : () -> none loc(unknown)
    %1 = "top.Input"(%arg0) : (tensor<2x6x4x5xf32>) -> tensor<2x6x4x5xf32> loc("x")
    %2 = "top.Reshape"(%1) {shape = array<i64: 1, 6, -1>} : (tensor<2x6x4x5xf32>) -> tensor<1x6x40xf32> loc("a")
    %3 = "top.InstanceNorm"(%2, %0, %0) : (tensor<1x6x40xf32>, none, none) -> tensor<1x6x40xf32> loc("n")
    %4 = "top.Reshape"(%3) {shape = array<i64: 2, 6, 4, 5>} : (tensor<1x6x40xf32>) -> tensor<2x6x4x5xf32> loc("y")
    return %4 : tensor<2x6x4x5xf32> loc(unknown)
  } loc(unknown)
} loc(unknown)

// -----
// affine-into-group-norm
// CHECK-LABEL: func.func @main
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.GroupNorm"
// CHECK-NOT: "top.
// CHECK: return
module attributes {module.weight_file = "inputs/parts.npz"} {
  func.func @main(%arg0: tensor<2x6x4x5xf32> loc("x")) -> tensor<2x6x4x5xf32> {
    %0 = "top.None"() : () -> none loc(unknown)
    %1 = "top.Input"(%arg0) : (tensor<2x6x4x5xf32>) -> tensor<2x6x4x5xf32> loc("x")
    %2 = "top.Weight"() : () -> tensor<6xf32> loc("group_2_v")
    %3 = "top.GroupNorm"(%1, %2, %0) {num_groups = 2 : i64} : (tensor<2x6x4x5xf32>, tensor<6xf32>, none) -> tensor<2x6x4x5xf32> loc("n")
    %4 = "top.Weight"() : () -> tensor<6xf32> loc("group_2_w")
    %5 = "top.Weight"() : () -> tensor<6xf32> loc("group_2_b")
    %6 = "top.Scale"(%3, %4, %5) : (tensor<2x6x4x5xf32>, tensor<6xf32>, tensor<6xf32>) -> tensor<2x6x4x5xf32> loc("s")
    %7 = "top.Weight"() : () -> tensor<6x1x1xf32> loc("group_2_c")
    %8 = "top.Add"(%6, %7) : (tensor<2x6x4x5xf32>, tensor<6x1x1xf32>) -> tensor<2x6x4x5xf32> loc("y")
    return %8 : tensor<2x6x4x5xf32> loc(unknown)
  } loc(unknown)
} loc(unknown)

// -----
// affine-into-group-norm: not here
// CHECK-LABEL: func.func @main
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.GroupNorm"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Mul"
// CHECK-NOT: "top.
// CHECK: return
module attributes {module.weight_file = "inputs/parts.npz"} {
  func.func @main(%arg0: tensor<2x6x4x5xf32> loc("x")) -> tensor<2x6x4x5xf32> {
    %0 = "top.None"() : () -> none loc(unknown)
    %1 = "top.Input"(%arg0) : (tensor<2x6x4x5xf32>) -> tensor<2x6x4x5xf32> loc("x")
    %2 = "top.Weight"() : () -> tensor<6xf32> loc("group_3_v")
    %3 = "top.GroupNorm"(%1, %2, %0) {num_groups = 2 : i64} : (tensor<2x6x4x5xf32>, tensor<6xf32>, none) -> tensor<2x6x4x5xf32> loc("n")
    %4 = "top.Weight"() : () -> tensor<4x1xf32> loc("group_3_c")
    %5 = "top.Mul"(%3, %4) : (tensor<2x6x4x5xf32>, tensor<4x1xf32>) -> tensor<2x6x4x5xf32> loc("y")
    return %5 : tensor<2x6x4x5xf32> loc(unknown)
  } loc(unknown)
} loc(unknown)
