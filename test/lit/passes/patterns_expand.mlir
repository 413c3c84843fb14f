// RUN: %mica-opt %s --split-input-file --top-canonicalize | FileCheck %s

// function-before-expand, reduce-before-expand: lengths of masked tokens
// CHECK-LABEL: func.func @main
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Tanh"{{.*}}loc({{(fused.)?}}"t_once"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Reduce"{{.*}}loc({{(fused.)?}}"r_once"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Clip"{{.*}}loc({{(fused.)?}}"y_once"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Expand"{{.*}}loc({{(fused.)?}}"y"
// CHECK-NOT: "top.
// CHECK: return
module attributes {module.weight_file = "inputs/attention.npz"} {
  func.func @main(%arg0: tensor<1x5x1xf32> loc("m")) -> tensor<1x4xf32> {
    %m = "top.Input"(%arg0) : (tensor<1x5x1xf32>) -> tensor<1x5x1xf32> loc("m")
    %e = "top.Expand"(%m) {shape = array<i64: 1, 5, 4>} : (tensor<1x5x1xf32>) -> tensor<1x5x4xf32> loc("e")
    %t = "top.Tanh"(%e) : (tensor<1x5x4xf32>) -> tensor<1x5x4xf32> loc("t")
    %r = "top.Reduce"(%t) {axes = array<i64: 1>, mode = "ReduceSum", keepdims = false} : (tensor<1x5x4xf32>) -> tensor<1x4xf32> loc("r")
    %y = "top.Clip"(%r) {min = 0.5 : f64} : (tensor<1x4xf32>) -> tensor<1x4xf32> loc("y")
    return %y : tensor<1x4xf32>
  }
}

// -----
// None of them: the axis that is repeated
// CHECK-LABEL: func.func @main
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Expand"{{.*}}loc({{(fused.)?}}"e"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Softmax"{{.*}}loc({{(fused.)?}}"y"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Reduce"{{.*}}loc({{(fused.)?}}"r"
// CHECK-NOT: "top.
// CHECK: return
module attributes {module.weight_file = "inputs/attention.npz"} {
  func.func @main(%arg0: tensor<1x5x1xf32> loc("m")) -> (tensor<1x5x4xf32>, tensor<1x5x1xf32>) {
    %m = "top.Input"(%arg0) : (tensor<1x5x1xf32>) -> tensor<1x5x1xf32> loc("m")
    %e = "top.Expand"(%m) {shape = array<i64: 1, 5, 4>} : (tensor<1x5x1xf32>) -> tensor<1x5x4xf32> loc("e")
    %y = "top.Softmax"(%e) {axis = 2 : i64} : (tensor<1x5x4xf32>) -> tensor<1x5x4xf32> loc("y")
    %r = "top.Reduce"(%e) {axes = array<i64: 2>, mode = "ReduceSum"} : (tensor<1x5x4xf32>) -> tensor<1x5x1xf32> loc("r")
    return %y, %r : tensor<1x5x4xf32>, tensor<1x5x1xf32>
  }
}
