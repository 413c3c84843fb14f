// RUN: %mica-opt %s --top-cse | FileCheck %s

// Equal ops and equal constants become one; other attributes, other types, outputs stay.
// CHECK: %[[X:.*]] = "top.Input"
// CHECK-NEXT: %[[A:.*]] = "top.Weight"() {{.*}} loc("copy_a")
// CHECK-NEXT: %[[C:.*]] = "top.Weight"() {{.*}} loc("copy_c")
// CHECK-NEXT: %[[S:.*]] = "top.Add"(%[[X]], %[[A]]) {{.*}} loc("first")
// CHECK-NEXT: %[[T:.*]] = "top.Add"(%[[X]], %[[C]]) {{.*}} loc("third")
// CHECK-NEXT: %[[U:.*]] = "top.Add"(%[[X]], %[[A]]) {do_relu = true} {{.*}} loc("fourth")
// CHECK-NEXT: %[[O:.*]] = "top.Add"(%[[X]], %[[A]]) {{.*}} loc("out")
// CHECK-NEXT: "top.Concat"(%[[S]], %[[S]], %[[T]], %[[U]])
module attributes {module.weight_file = "inputs/weights.npz"} {
  func.func @main(%arg: tensor<3xf32>) -> (tensor<12xf32>, tensor<3xf32>) {
    %0 = "top.Input"(%arg) : (tensor<3xf32>) -> tensor<3xf32> loc("x")
    %a = "top.Weight"() : () -> tensor<3xf32> loc("copy_a")
    %b = "top.Weight"() : () -> tensor<3xf32> loc("copy_b")
    %c = "top.Weight"() : () -> tensor<3xf32> loc("copy_c")
    %1 = "top.Add"(%0, %a) : (tensor<3xf32>, tensor<3xf32>) -> tensor<3xf32> loc("first")
    %2 = "top.Add"(%0, %b) : (tensor<3xf32>, tensor<3xf32>) -> tensor<3xf32> loc("second")
    %3 = "top.Add"(%0, %c) : (tensor<3xf32>, tensor<3xf32>) -> tensor<3xf32> loc("third")
    %4 = "top.Add"(%0, %a) {do_relu = true} : (tensor<3xf32>, tensor<3xf32>) -> tensor<3xf32> loc("fourth")
    %5 = "top.Add"(%0, %b) : (tensor<3xf32>, tensor<3xf32>) -> tensor<3xf32> loc("out")
    %6 = "top.Concat"(%1, %2, %3, %4) {axis = 0 : i64} : (tensor<3xf32>, tensor<3xf32>, tensor<3xf32>, tensor<3xf32>) -> tensor<12xf32> loc("y")
    return %6, %5 : tensor<12xf32>, tensor<3xf32>
  }
}
