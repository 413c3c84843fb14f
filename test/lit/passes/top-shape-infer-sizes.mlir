// Sizes that depend on data are unknown dimensions; what follows them is known or refused.
// RUN: %mica-opt %s --split-input-file --no-verify --top-shape-infer --no-debuginfo | FileCheck %s

// CHECK-LABEL: module
// CHECK: "top.NonZero"{{.*}} -> tensor<2x?xi64>
// CHECK: "top.Permute"{{.*}} -> tensor<?x2xi64>
// CHECK: "top.GatherND"{{.*}} -> tensor<?xf32>
// CHECK: "top.Add"{{.*}} -> tensor<?xf32>
// CHECK: "top.Concat"{{.*}} -> tensor<?xf32>
// CHECK: "top.Reshape"{{.*}} -> tensor<1x?xf32>
// CHECK: "top.Reduce"{{.*}} -> tensor<1xf32>
// CHECK: "top.Shape"{{.*}} -> tensor<1xi64>
func.func @main(%x: tensor<3x4xf32>) -> tensor<1xf32> {
  %1 = "top.NonZero"(%x) : (tensor<3x4xf32>) -> tensor<*xf32>
  %2 = "top.Permute"(%1) {order = array<i64: 1, 0>} : (tensor<*xf32>) -> tensor<*xf32>
  %3 = "top.GatherND"(%x, %2) : (tensor<3x4xf32>, tensor<*xf32>) -> tensor<*xf32>
  %4 = "top.Add"(%3, %3) : (tensor<*xf32>, tensor<*xf32>) -> tensor<*xf32>
  %5 = "top.Concat"(%3, %4) {axis = 0 : i64} : (tensor<*xf32>, tensor<*xf32>) -> tensor<*xf32>
  %6 = "top.Reshape"(%5) {shape = array<i64: 1, -1>} : (tensor<*xf32>) -> tensor<*xf32>
  %7 = "top.Reduce"(%6) {axes = array<i64: 1>, keepdims = false, mode = "ReduceSum"} : (tensor<*xf32>) -> tensor<*xf32>
  %8 = "top.Shape"(%5) : (tensor<*xf32>) -> tensor<*xf32>
  return %7 : tensor<*xf32>
}

// -----

// CHECK-LABEL: module
// CHECK: "top.Unique"{{.*}} -> (tensor<2x?xf32>, tensor<?xi64>, tensor<5xi64>, tensor<?xi64>)
// CHECK: "top.Compress"{{.*}} -> tensor<2x?xf32>
// CHECK: "top.Slice"{{.*}} -> tensor<2x?xf32>
// CHECK: "top.Slice"{{.*}} -> tensor<1x?xf32>
func.func @main(%x: tensor<2x5xf32>, %c: tensor<4xi1>) -> tensor<*xf32> {
  %1:4 = "top.Unique"(%x) {axis = 1 : i64} : (tensor<2x5xf32>) -> (tensor<*xf32>, tensor<*xf32>, tensor<*xf32>, tensor<*xf32>)
  %2 = "top.Compress"(%1#0, %c) {axis = 1 : i64} : (tensor<*xf32>, tensor<4xi1>) -> tensor<*xf32>
  %3 = "top.Slice"(%2) {offset = array<i64: 0, 0>, steps = array<i64: 1, 1>, ends = array<i64: 2, 3>} : (tensor<*xf32>) -> tensor<*xf32>
  %4 = "top.Slice"(%2) {offset = array<i64: 1, 0>, steps = array<i64: 1, 1>, ends = array<i64: 2, 100>} : (tensor<*xf32>) -> tensor<*xf32>
  return %4 : tensor<*xf32>
}

// -----

// CHECK-LABEL: module
// CHECK: "top.Nms"{{.*}} -> tensor<?x3xi64>
func.func @main(%b: tensor<1x6x4xf32>, %s: tensor<1x2x6xf32>, %m: tensor<1xi64>) -> tensor<*xi64> {
  %n = "top.None"() : () -> none
  %1 = "top.Nms"(%b, %s, %m, %n, %n) : (tensor<1x6x4xf32>, tensor<1x2x6xf32>, tensor<1xi64>, none, none) -> tensor<*xi64>
  return %1 : tensor<*xi64>
}
