// RUN: %mica-opt %s --split-input-file --no-verify --top-shape-infer --no-debuginfo | FileCheck %s

// Types of results and of the function are made from the operands.
// CHECK-LABEL: func.func @main(%arg0: tensor<2x3x8x8xf32>) -> (tensor<2x4x6x6xf32>, tensor<2x144xf32>)
// CHECK: "top.Conv"{{.*}} -> tensor<2x4x6x6xf32>
// CHECK: "top.Reshape"{{.*}} -> tensor<2x144xf32>
func.func @main(%a: tensor<2x3x8x8xf32>) -> (tensor<*xf32>, tensor<?x?xf32>) {
  %0 = "top.Input"(%a) : (tensor<2x3x8x8xf32>) -> tensor<*xf32> loc("x")
  %w = "top.Weight"() : () -> tensor<4x3x3x3xf32> loc("filter")
  %n = "top.None"() : () -> none
  %1 = "top.Conv"(%0, %w, %n) {kernel_shape = array<i64: 3, 3>} : (tensor<*xf32>, tensor<4x3x3x3xf32>, none) -> tensor<*xf32> loc("c")
  %2 = "top.Reshape"(%1) {shape = array<i64: 0, -1>} : (tensor<*xf32>) -> tensor<?x?xf32> loc("y")
  return %1, %2 : tensor<*xf32>, tensor<?x?xf32>
}
