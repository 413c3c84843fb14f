// RUN: %mica-opt %s --split-input-file --top-fold-const -o %t && FileCheck %s < %t

// Arithmetic of constants becomes a constant of that name; what depends on an input stays.
// CHECK-LABEL: func.func @main(%arg0: tensor<f32>
// CHECK-NOT: "top.Mul"
// CHECK: %[[C:.*]] = "top.Weight"() : () -> tensor<f32> loc("six")
// CHECK: "top.Add"(%{{.*}}, %[[C]])
module attributes {module.weight_file = "inputs/weights.npz"} {
  func.func @main(%a: tensor<f32>) -> tensor<f32> {
    %0 = "top.Input"(%a) : (tensor<f32>) -> tensor<f32> loc("x")
    %two = "top.Weight"() : () -> tensor<f32> loc("two")
    %three = "top.Weight"() : () -> tensor<f32> loc("three")
    %1 = "top.Mul"(%two, %three) : (tensor<f32>, tensor<f32>) -> tensor<f32> loc("six")
    %2 = "top.Add"(%0, %1) : (tensor<f32>, tensor<f32>) -> tensor<f32> loc("y")
    return %2 : tensor<f32>
  }
}

// -----
// Shape of a static tensor, gathered, filled: nothing is left to compute.
// CHECK-LABEL: func.func @main(%arg0: tensor<5x7xf32>
// CHECK-NOT: "top.Shape"
// CHECK-NOT: "top.ConstantFill"
// CHECK: "top.Weight"() : () -> tensor<5x7xf32> loc("filled")
func.func @main(%a: tensor<5x7xf32>) -> tensor<5x7xf32> {
  %0 = "top.Input"(%a) : (tensor<5x7xf32>) -> tensor<5x7xf32> loc("x")
  %1 = "top.Shape"(%0) : (tensor<5x7xf32>) -> tensor<2xi64> loc("dims")
  %2 = "top.ConstantFill"(%1) {value = 2.5 : f64} : (tensor<2xi64>) -> tensor<5x7xf32> loc("filled")
  %3 = "top.Add"(%0, %2) : (tensor<5x7xf32>, tensor<5x7xf32>) -> tensor<5x7xf32> loc("y")
  return %3 : tensor<5x7xf32>
}
