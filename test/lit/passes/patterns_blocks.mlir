// RUN: %mica-opt %s --split-input-file --top-canonicalize --no-debuginfo | FileCheck %s

// quarters-to-depth: rows first is Space2Depth.
// CHECK-LABEL: func.func @main(%arg0: tensor<1x3x4x6xf32>) -> tensor<1x12x2x3xf32>
// CHECK: "top.Space2Depth"(%{{.*}}) {block = 2 : i64} : (tensor<1x3x4x6xf32>) -> tensor<1x12x2x3xf32>
// CHECK-NEXT: return
func.func @main(%a: tensor<1x3x4x6xf32>) -> tensor<1x12x2x3xf32> {
  %0 = "top.Input"(%a) : (tensor<1x3x4x6xf32>) -> tensor<1x3x4x6xf32> loc("x")
  %1 = "top.Slice"(%0) {offset = array<i64: 0, 0, 0, 0>, steps = array<i64: 1, 1, 2, 2>, ends = array<i64: 1, 3, 4, 6>} : (tensor<1x3x4x6xf32>) -> tensor<1x3x2x3xf32> loc("p")
  %2 = "top.Slice"(%0) {offset = array<i64: 0, 0, 0, 1>, steps = array<i64: 1, 1, 2, 2>, ends = array<i64: 1, 3, 4, 6>} : (tensor<1x3x4x6xf32>) -> tensor<1x3x2x3xf32> loc("q")
  %3 = "top.Slice"(%0) {offset = array<i64: 0, 0, 1, 0>, steps = array<i64: 1, 1, 2, 2>, ends = array<i64: 1, 3, 4, 6>} : (tensor<1x3x4x6xf32>) -> tensor<1x3x2x3xf32> loc("r")
  %4 = "top.Slice"(%0) {offset = array<i64: 0, 0, 1, 1>, steps = array<i64: 1, 1, 2, 2>, ends = array<i64: 1, 3, 4, 6>} : (tensor<1x3x4x6xf32>) -> tensor<1x3x2x3xf32> loc("s")
  %5 = "top.Concat"(%1, %2, %3, %4) {axis = 1 : i64} : (tensor<1x3x2x3xf32>, tensor<1x3x2x3xf32>, tensor<1x3x2x3xf32>, tensor<1x3x2x3xf32>) -> tensor<1x12x2x3xf32> loc("y")
  return %5 : tensor<1x12x2x3xf32>
}

// -----
// Columns first, as the focus layer has it, each Slice in two steps: one Permute.
// CHECK-LABEL: func.func @main(%arg0: tensor<1x3x4x6xf32>) -> tensor<1x12x2x3xf32>
// CHECK: %[[R:.*]] = "top.Reshape"(%{{.*}}) {shape = array<i64: 1, 3, 2, 2, 3, 2>}
// CHECK-NEXT: %[[P:.*]] = "top.Permute"(%[[R]]) {order = array<i64: 0, 5, 3, 1, 2, 4>}
// CHECK-NEXT: "top.Reshape"(%[[P]]) {shape = array<i64: 1, 12, 2, 3>}
// CHECK-NEXT: return
func.func @main(%a: tensor<1x3x4x6xf32>) -> tensor<1x12x2x3xf32> {
  %0 = "top.Input"(%a) : (tensor<1x3x4x6xf32>) -> tensor<1x3x4x6xf32> loc("x")
  %e = "top.Slice"(%0) {offset = array<i64: 0, 0, 0, 0>, steps = array<i64: 1, 1, 2, 1>, ends = array<i64: 1, 3, 4, 6>} : (tensor<1x3x4x6xf32>) -> tensor<1x3x2x6xf32> loc("even")
  %o = "top.Slice"(%0) {offset = array<i64: 0, 0, 1, 0>, steps = array<i64: 1, 1, 2, 1>, ends = array<i64: 1, 3, 4, 6>} : (tensor<1x3x4x6xf32>) -> tensor<1x3x2x6xf32> loc("odd")
  %1 = "top.Slice"(%e) {offset = array<i64: 0, 0, 0, 0>, steps = array<i64: 1, 1, 1, 2>, ends = array<i64: 1, 3, 2, 6>} : (tensor<1x3x2x6xf32>) -> tensor<1x3x2x3xf32> loc("p")
  %2 = "top.Slice"(%o) {offset = array<i64: 0, 0, 0, 0>, steps = array<i64: 1, 1, 1, 2>, ends = array<i64: 1, 3, 2, 6>} : (tensor<1x3x2x6xf32>) -> tensor<1x3x2x3xf32> loc("q")
  %3 = "top.Slice"(%e) {offset = array<i64: 0, 0, 0, 1>, steps = array<i64: 1, 1, 1, 2>, ends = array<i64: 1, 3, 2, 6>} : (tensor<1x3x2x6xf32>) -> tensor<1x3x2x3xf32> loc("r")
  %4 = "top.Slice"(%o) {offset = array<i64: 0, 0, 0, 1>, steps = array<i64: 1, 1, 1, 2>, ends = array<i64: 1, 3, 2, 6>} : (tensor<1x3x2x6xf32>) -> tensor<1x3x2x3xf32> loc("s")
  %5 = "top.Concat"(%1, %2, %3, %4) {axis = 1 : i64} : (tensor<1x3x2x3xf32>, tensor<1x3x2x3xf32>, tensor<1x3x2x3xf32>, tensor<1x3x2x3xf32>) -> tensor<1x12x2x3xf32> loc("y")
  return %5 : tensor<1x12x2x3xf32>
}

// -----
// expand-into-broadcast; an Expand that the other operand does not repeat stays.
// CHECK-LABEL: func.func @main(%arg0: tensor<2x3x4xf32>, %arg1: tensor<3x1xf32>)
// CHECK: "top.Add"(%{{.*}}) : (tensor<2x3x4xf32>, tensor<3x1xf32>) -> tensor<2x3x4xf32>
// CHECK: %[[E:.*]] = "top.Expand"
// CHECK-NEXT: "top.Mul"(%[[E]], %{{.*}}) : (tensor<2x3x1xf32>, tensor<3x1xf32>) -> tensor<2x3x1xf32>
func.func @main(%a: tensor<2x3x4xf32>, %b: tensor<3x1xf32>) -> (tensor<2x3x4xf32>, tensor<2x3x1xf32>) {
  %0 = "top.Input"(%a) : (tensor<2x3x4xf32>) -> tensor<2x3x4xf32> loc("x")
  %1 = "top.Input"(%b) : (tensor<3x1xf32>) -> tensor<3x1xf32> loc("z")
  %2 = "top.Expand"(%1) {shape = array<i64: 2, 3, 4>} : (tensor<3x1xf32>) -> tensor<2x3x4xf32> loc("e")
  %3 = "top.Add"(%0, %2) : (tensor<2x3x4xf32>, tensor<2x3x4xf32>) -> tensor<2x3x4xf32> loc("y")
  %4 = "top.Expand"(%1) {shape = array<i64: 2, 3, 1>} : (tensor<3x1xf32>) -> tensor<2x3x1xf32> loc("f")
  %5 = "top.Mul"(%4, %1) : (tensor<2x3x1xf32>, tensor<3x1xf32>) -> tensor<2x3x1xf32> loc("w")
  return %3, %5 : tensor<2x3x4xf32>, tensor<2x3x1xf32>
}

// -----
// reshape-past-elementwise
// CHECK-LABEL: func.func @main(%arg0: tensor<2x12xf32>)
// CHECK: %[[X:.*]] = "top.Input"
// CHECK-NEXT: %[[Y:.*]] = "top.Tanh"(%[[X]]) : (tensor<2x12xf32>) -> tensor<2x12xf32>
// CHECK-NEXT: return %[[Y]]
func.func @main(%a: tensor<2x12xf32>) -> tensor<2x12xf32> {
  %0 = "top.Input"(%a) : (tensor<2x12xf32>) -> tensor<2x12xf32> loc("x")
  %1 = "top.Reshape"(%0) {shape = array<i64: 2, 3, 4>} : (tensor<2x12xf32>) -> tensor<2x3x4xf32> loc("r")
  %2 = "top.Tanh"(%1) : (tensor<2x3x4xf32>) -> tensor<2x3x4xf32> loc("t")
  %3 = "top.Reshape"(%2) {shape = array<i64: 2, 12>} : (tensor<2x3x4xf32>) -> tensor<2x12xf32> loc("y")
  return %3 : tensor<2x12xf32>
}

// -----
// slice-into-concat, split-to-slice; a Slice across the seam stays.
// CHECK-LABEL: func.func @main(%arg0: tensor<2x4xf32>, %arg1: tensor<2x6xf32>)
// CHECK-DAG: "top.Slice"(%{{.*}}) {ends = array<i64: 2, 4>, offset = array<i64: 0, 1>, steps = array<i64: 1, 2>} : (tensor<2x6xf32>) -> tensor<2x2xf32>
// CHECK-DAG: "top.Slice"(%{{.*}}) {{.*}} : (tensor<2x10xf32>) -> tensor<2x3xf32>
// CHECK-DAG: "top.Slice"(%{{.*}}) {ends = array<i64: 2, 6>, offset = array<i64: 0, 2>, steps = array<i64: 1, 1>} : (tensor<2x6xf32>) -> tensor<2x4xf32>
func.func @main(%a: tensor<2x4xf32>, %b: tensor<2x6xf32>) -> (tensor<2x2xf32>, tensor<2x3xf32>, tensor<2x4xf32>) {
  %0 = "top.Input"(%a) : (tensor<2x4xf32>) -> tensor<2x4xf32> loc("x")
  %1 = "top.Input"(%b) : (tensor<2x6xf32>) -> tensor<2x6xf32> loc("z")
  %2 = "top.Concat"(%0, %1) {axis = 1 : i64} : (tensor<2x4xf32>, tensor<2x6xf32>) -> tensor<2x10xf32> loc("c")
  %3 = "top.Slice"(%2) {offset = array<i64: 0, 5>, steps = array<i64: 1, 2>, ends = array<i64: 2, 9>} : (tensor<2x10xf32>) -> tensor<2x2xf32> loc("y")
  %4 = "top.Slice"(%2) {offset = array<i64: 0, 3>, steps = array<i64: 1, 1>, ends = array<i64: 2, 6>} : (tensor<2x10xf32>) -> tensor<2x3xf32> loc("w")
  %5:2 = "top.Split"(%1) {axis = 1 : i64, split_size = array<i64: 2, 4>} : (tensor<2x6xf32>) -> (tensor<2x2xf32>, tensor<2x4xf32>) loc(fused["s", "v"])
  return %3, %4, %5#1 : tensor<2x2xf32>, tensor<2x3xf32>, tensor<2x4xf32>
}
