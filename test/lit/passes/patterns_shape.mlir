// RUN: %mica-opt %s --split-input-file --top-canonicalize --no-debuginfo | FileCheck %s

// drop-no-op: a slice of everything, and a reversing one that stays.
// CHECK-LABEL: func.func @main(%arg0: tensor<2x6xf32>)
// CHECK-NEXT: %[[X:.*]] = "top.Input"
// CHECK-NEXT: %[[R:.*]] = "top.Slice"(%[[X]]) {{.*}}steps = array<i64: 1, -1>
// CHECK-NEXT: "top.Exp"(%[[R]])
func.func @main(%a: tensor<2x6xf32>) -> tensor<2x6xf32> {
  %0 = "top.Input"(%a) : (tensor<2x6xf32>) -> tensor<2x6xf32> loc("x")
  %1 = "top.Slice"(%0) {offset = array<i64: 0, 0>, steps = array<i64: 1, 1>, ends = array<i64: 2, 6>} : (tensor<2x6xf32>) -> tensor<2x6xf32> loc("all")
  %2 = "top.Slice"(%1) {offset = array<i64: 0, 5>, steps = array<i64: 1, -1>, ends = array<i64: 2, -1>} : (tensor<2x6xf32>) -> tensor<2x6xf32> loc("reversed")
  %3 = "top.Exp"(%2) : (tensor<2x6xf32>) -> tensor<2x6xf32> loc("y")
  return %3 : tensor<2x6xf32>
}

// -----
// merge-reshapes
// CHECK-LABEL: func.func @main(%arg0: tensor<2x6xf32>)
// CHECK: "top.Input"
// CHECK-NEXT: "top.Reshape"(%{{.*}}) {shape = array<i64: 12>} : (tensor<2x6xf32>) -> tensor<12xf32>
// CHECK-NEXT: return
func.func @main(%a: tensor<2x6xf32>) -> tensor<12xf32> {
  %0 = "top.Input"(%a) : (tensor<2x6xf32>) -> tensor<2x6xf32> loc("x")
  %1 = "top.Reshape"(%0) {shape = array<i64: 3, 4>} : (tensor<2x6xf32>) -> tensor<3x4xf32> loc("first")
  %2 = "top.Reshape"(%1) {shape = array<i64: -1>} : (tensor<3x4xf32>) -> tensor<12xf32> loc("y")
  return %2 : tensor<12xf32>
}

// -----
// merge-permutes: 0231 of 0312 is the identity, which only the output name keeps.
// CHECK-LABEL: func.func @main(%arg0: tensor<2x3x4x5xf32>)
// CHECK-NOT: "top.Permute"(%{{.*}}) {order = array<i64: 0, 3, 1, 2>}
// CHECK: "top.Exp"
// CHECK-NEXT: return
func.func @main(%a: tensor<2x3x4x5xf32>) -> tensor<2x3x4x5xf32> {
  %0 = "top.Input"(%a) : (tensor<2x3x4x5xf32>) -> tensor<2x3x4x5xf32> loc("x")
  %1 = "top.Permute"(%0) {order = array<i64: 0, 3, 1, 2>} : (tensor<2x3x4x5xf32>) -> tensor<2x5x3x4xf32> loc("first")
  %2 = "top.Permute"(%1) {order = array<i64: 0, 2, 3, 1>} : (tensor<2x5x3x4xf32>) -> tensor<2x3x4x5xf32> loc("second")
  %3 = "top.Exp"(%2) : (tensor<2x3x4x5xf32>) -> tensor<2x3x4x5xf32> loc("y")
  return %3 : tensor<2x3x4x5xf32>
}

// -----
// permute-to-reshape, and one that moves elements.
// CHECK-LABEL: func.func @main(%arg0: tensor<1x3x1x4xf32>)
// CHECK: "top.Reshape"(%{{.*}}) {shape = array<i64: 3, 1, 4, 1>}
// CHECK: "top.Permute"(%{{.*}}) {order = array<i64: 0, 3, 2, 1>}
func.func @main(%a: tensor<1x3x1x4xf32>) -> (tensor<3x1x4x1xf32>, tensor<1x4x1x3xf32>) {
  %0 = "top.Input"(%a) : (tensor<1x3x1x4xf32>) -> tensor<1x3x1x4xf32> loc("x")
  %1 = "top.Permute"(%0) {order = array<i64: 1, 0, 3, 2>} : (tensor<1x3x1x4xf32>) -> tensor<3x1x4x1xf32> loc("y")
  %2 = "top.Permute"(%0) {order = array<i64: 0, 3, 2, 1>} : (tensor<1x3x1x4xf32>) -> tensor<1x4x1x3xf32> loc("z")
  return %1, %2 : tensor<3x1x4x1xf32>, tensor<1x4x1x3xf32>
}
