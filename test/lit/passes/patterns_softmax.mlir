// RUN: %mica-opt %s --split-input-file --top-canonicalize | FileCheck %s

// quotient-to-softmax
// CHECK-LABEL: func.func @main
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Softmax"
// CHECK-NOT: "top.
// CHECK: return
module attributes {module.weight_file = "inputs/parts.npz"} {
  func.func @main(%arg0: tensor<2x3x7xf32> loc("x")) -> tensor<2x3x7xf32> {
    %0 = "top.Input"(%arg0) : (tensor<2x3x7xf32>) -> tensor<2x3x7xf32> loc("x")
    %1 = "top.Reduce"(%0) {axes = array<i64: 1>, mode = "ReduceMax"} : (tensor<2x3x7xf32>) -> tensor<2x1x7xf32> loc("m")
    %2 = "top.Sub"(%0, %1) : (tensor<2x3x7xf32>, tensor<2x1x7xf32>) -> tensor<2x3x7xf32> loc("d")
    %3 = "top.Exp"(%2) : (tensor<2x3x7xf32>) -> tensor<2x3x7xf32> loc("e")
    %4 = "top.Reduce"(%3) {axes = array<i64: 1>, mode = "ReduceSum"} : (tensor<2x3x7xf32>) -> tensor<2x1x7xf32> loc("s")
    %5 = "top.Div"(%3, %4) : (tensor<2x3x7xf32>, tensor<2x1x7xf32>) -> tensor<2x3x7xf32> loc("y")
    return %5 : tensor<2x3x7xf32> loc(unknown)
  } loc(unknown)
} loc(unknown)

// -----
// quotient-to-softmax: not here
// CHECK-LABEL: func.func @main
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Exp"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Reduce"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Div"
// CHECK-NOT: "top.
// CHECK: return
module attributes {module.weight_file = "inputs/parts.npz"} {
  func.func @main(%arg0: tensor<2x3x7xf32> loc("x")) -> tensor<2x3x7xf32> {
    %0 = "top.Input"(%arg0) : (tensor<2x3x7xf32>) -> tensor<2x3x7xf32> loc("x")
    %1 = "top.Exp"(%0) : (tensor<2x3x7xf32>) -> tensor<2x3x7xf32> loc("e")
    %2 = "top.Reduce"(%1) {axes = array<i64: 1, 2>, mode = "ReduceSum"} : (tensor<2x3x7xf32>) -> tensor<2x1x1xf32> loc("s")
    %3 = "top.Div"(%1, %2) : (tensor<2x3x7xf32>, tensor<2x1x1xf32>) -> tensor<2x3x7xf32> loc("y")
    return %3 : tensor<2x3x7xf32> loc(unknown)
  } loc(unknown)
} loc(unknown)

// -----
// log-of-softmax
// CHECK-LABEL: func.func @main
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Softmax"
// CHECK-NOT: "top.
// CHECK: return
module attributes {module.weight_file = "inputs/parts.npz"} {
  func.func @main(%arg0: tensor<2x7xf32> loc("x")) -> tensor<2x7xf32> {
    %0 = "top.Input"(%arg0) : (tensor<2x7xf32>) -> tensor<2x7xf32> loc("x")
    %1 = "top.Softmax"(%0) {axis = 0 : i64} : (tensor<2x7xf32>) -> tensor<2x7xf32> loc("s")
    %2 = "top.Log"(%1) : (tensor<2x7xf32>) -> tensor<2x7xf32> loc("y")
    return %2 : tensor<2x7xf32> loc(unknown)
  } loc(unknown)
} loc(unknown)

// -----
// log-of-softmax: not here
// CHECK-LABEL: func.func @main
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Softmax"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Log"
// CHECK-NOT: "top.
// CHECK: return
module attributes {module.weight_file = "inputs/parts.npz"} {
  func.func @main(%arg0: tensor<2x7xf32> loc("x")) -> (tensor<2x7xf32>, tensor<2x7xf32>) {
    %0 = "top.Input"(%arg0) : (tensor<2x7xf32>) -> tensor<2x7xf32> loc("x")
    %1 = "top.Softmax"(%0) {axis = 1 : i64} : (tensor<2x7xf32>) -> tensor<2x7xf32> loc("s")
    %2 = "top.Log"(%1) : (tensor<2x7xf32>) -> tensor<2x7xf32> loc("y")
    return %2, %1 : tensor<2x7xf32>, tensor<2x7xf32> loc(unknown)
  } loc(unknown)
} loc(unknown)

// -----
// difference-to-log-softmax
// CHECK-LABEL: func.func @main
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Softmax"
// CHECK-NOT: "top.
// CHECK: return
module attributes {module.weight_file = "inputs/parts.npz"} {
  func.func @main(%arg0: tensor<2x7xf32> loc("x")) -> tensor<2x7xf32> {
    %0 = "top.Input"(%arg0) : (tensor<2x7xf32>) -> tensor<2x7xf32> loc("x")
    %1 = "top.Reduce"(%0) {axes = array<i64: 1>, mode = "ReduceLogSumExp"} : (tensor<2x7xf32>) -> tensor<2x1xf32> loc("l")
    %2 = "top.Sub"(%0, %1) : (tensor<2x7xf32>, tensor<2x1xf32>) -> tensor<2x7xf32> loc("y")
    return %2 : tensor<2x7xf32> loc(unknown)
  } loc(unknown)
} loc(unknown)

// -----
// difference-to-log-softmax: not here
// CHECK-LABEL: func.func @main
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Reduce"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Sub"
// CHECK-NOT: "top.
// CHECK: return
module attributes {module.weight_file = "inputs/parts.npz"} {
  func.func @main(%arg0: tensor<2x7xf32> loc("x"), %arg1: tensor<2x7xf32> loc("z")) -> tensor<2x7xf32> {
    %0 = "top.Input"(%arg0) : (tensor<2x7xf32>) -> tensor<2x7xf32> loc("x")
    %1 = "top.Input"(%arg1) : (tensor<2x7xf32>) -> tensor<2x7xf32> loc("z")
    %2 = "top.Reduce"(%1) {axes = array<i64: 1>, mode = "ReduceLogSumExp"} : (tensor<2x7xf32>) -> tensor<2x1xf32> loc("l")
    %3 = "top.Sub"(%0, %2) : (tensor<2x7xf32>, tensor<2x1xf32>) -> tensor<2x7xf32> loc("y")
    return %3 : tensor<2x7xf32> loc(unknown)
  } loc(unknown)
} loc(unknown)
