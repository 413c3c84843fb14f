// RUN: %mica-opt %s --dce --no-debuginfo | FileCheck %s

// Chains of which nothing is used go; inputs stay.
// CHECK: func.func @main(%arg0: tensor<3xf32>, %arg1: tensor<3xf32>)
// CHECK-NEXT: %[[X:.*]] = "top.Input"(%arg0)
// CHECK-NEXT: "top.Input"(%arg1)
// CHECK-NEXT: %[[Y:.*]] = "top.Neg"(%[[X]])
// CHECK-NEXT: return %[[Y]]
func.func @main(%a: tensor<3xf32>, %b: tensor<3xf32>) -> tensor<3xf32> {
  %0 = "top.Input"(%a) : (tensor<3xf32>) -> tensor<3xf32> loc("x")
  %1 = "top.Input"(%b) : (tensor<3xf32>) -> tensor<3xf32> loc("z")
  %2 = "top.Exp"(%1) : (tensor<3xf32>) -> tensor<3xf32> loc("dead")
  %3 = "top.Add"(%2, %0) : (tensor<3xf32>, tensor<3xf32>) -> tensor<3xf32> loc("dead too")
  %4 = "top.Neg"(%0) : (tensor<3xf32>) -> tensor<3xf32> loc("y")
  return %4 : tensor<3xf32>
}
