// RUN: %mica-opt %s --split-input-file --top-canonicalize | FileCheck %s

// one-over
// CHECK-LABEL: func.func @main
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Exp"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Reciprocal"
// CHECK-NOT: "top.
// CHECK: return
module attributes {module.weight_file = "inputs/parts.npz"} {
  func.func @main(%arg0: tensor<2x7xf32> loc("x")) -> tensor<2x7xf32> {
    %0 = "top.Input"(%arg0) : (tensor<2x7xf32>) -> tensor<2x7xf32> loc("x")
    %1 = "top.Exp"(%0) : (tensor<2x7xf32>) -> tensor<2x7xf32> loc("e")
    %2 = "top.Weight"() : () -> tensor<f32> loc("rms_0_c")
    %3 = "top.Div"(%2, %1) : (tensor<f32>, tensor<2x7xf32>) -> tensor<2x7xf32> loc("y")
    return %3 : tensor<2x7xf32> loc(unknown)
  } loc(unknown)
} loc(unknown)

// -----
// one-over: not here
// CHECK-LABEL: func.func @main
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Exp"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Div"
// CHECK-NOT: "top.
// CHECK: return
module attributes {module.weight_file = "inputs/parts.npz"} {
  func.func @main(%arg0: tensor<2x7xf32> loc("x")) -> tensor<2x7xf32> {
    %0 = "top.Input"(%arg0) : (tensor<2x7xf32>) -> tensor<2x7xf32> loc("x")
    %1 = "top.Exp"(%0) : (tensor<2x7xf32>) -> tensor<2x7xf32> loc("e")
    %2 = "top.Weight"() : () -> tensor<f32> loc("rms_1_c")
    %3 = "top.Div"(%2, %1) : (tensor<f32>, tensor<2x7xf32>) -> tensor<2x7xf32> loc("y")
    return %3 : tensor<2x7xf32> loc(unknown)
  } loc(unknown)
} loc(unknown)

// -----
// reciprocal-root
// CHECK-LABEL: func.func @main
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Exp"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Rsqrt"
// CHECK-NOT: "top.
// CHECK: return
module attributes {module.weight_file = "inputs/parts.npz"} {
  func.func @main(%arg0: tensor<2x7xf32> loc("x")) -> tensor<2x7xf32> {
    %0 = "top.Input"(%arg0) : (tensor<2x7xf32>) -> tensor<2x7xf32> loc("x")
    %1 = "top.Exp"(%0) : (tensor<2x7xf32>) -> tensor<2x7xf32> loc("e")
    %2 = "top.Sqrt"(%1) : (tensor<2x7xf32>) -> tensor<2x7xf32> loc("s")
    %3 = "top.Reciprocal"(%2) : (tensor<2x7xf32>) -> tensor<2x7xf32> loc("y")
    return %3 : tensor<2x7xf32> loc(unknown)
  } loc(unknown)
} loc(unknown)

// -----
// reciprocal-root: not here
// CHECK-LABEL: func.func @main
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Exp"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Sqrt"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Reciprocal"
// CHECK-NOT: "top.
// CHECK: return
module attributes {module.weight_file = "inputs/parts.npz"} {
  func.func @main(%arg0: tensor<2x7xf32> loc("x")) -> (tensor<2x7xf32>, tensor<2x7xf32>) {
    %0 = "top.Input"(%arg0) : (tensor<2x7xf32>) -> tensor<2x7xf32> loc("x")
    %1 = "top.Exp"(%0) : (tensor<2x7xf32>) -> tensor<2x7xf32> loc("e")
    %2 = "top.Sqrt"(%1) : (tensor<2x7xf32>) -> tensor<2x7xf32> loc("s")
    %3 = "top.Reciprocal"(%2) : (tensor<2x7xf32>) -> tensor<2x7xf32> loc("y")
    return %3, %2 : tensor<2x7xf32>, tensor<2x7xf32> loc(unknown)
  } loc(unknown)
} loc(unknown)

// -----
// root-to-norm
// CHECK-LABEL: func.func @main
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.RMSNorm"
// CHECK-NOT: "top.
// CHECK: return
module attributes {module.weight_file = "inputs/parts.npz"} {
  func.func @main(%arg0: tensor<2x3x8xf32> loc("x")) -> tensor<2x3x8xf32> {
    %0 = "top.Input"(%arg0) : (tensor<2x3x8xf32>) -> tensor<2x3x8xf32> loc("x")
    %1 = "top.Square"(%0) : (tensor<2x3x8xf32>) -> tensor<2x3x8xf32> loc("q")
    %2 = "top.Reduce"(%1) {axes = array<i64: 2>, mode = "ReduceMean"} : (tensor<2x3x8xf32>) -> tensor<2x3x1xf32> loc("m")
    %3 = "top.Weight"() : () -> tensor<f32> loc("rms_4_c")
    %4 = "top.Add"(%2, %3) : (tensor<2x3x1xf32>, tensor<f32>) -> tensor<2x3x1xf32> loc("a")
    %5 = "top.Rsqrt"(%4) : (tensor<2x3x1xf32>) -> tensor<2x3x1xf32> loc("r")
    %6 = "top.Mul"(%0, %5) : (tensor<2x3x8xf32>, tensor<2x3x1xf32>) -> tensor<2x3x8xf32> loc("y")
    return %6 : tensor<2x3x8xf32> loc(unknown)
  } loc(unknown)
} loc(unknown)

// -----
// root-to-norm: not here
// CHECK-LABEL: func.func @main
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Square"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Reduce"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Add"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Rsqrt"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Mul"
// CHECK-NOT: "top.
// CHECK: return
module attributes {module.weight_file = "inputs/parts.npz"} {
  func.func @main(%arg0: tensor<2x3x8xf32> loc("x")) -> tensor<2x3x8xf32> {
    %0 = "top.Input"(%arg0) : (tensor<2x3x8xf32>) -> tensor<2x3x8xf32> loc("x")
    %1 = "top.Square"(%0) : (tensor<2x3x8xf32>) -> tensor<2x3x8xf32> loc("q")
    %2 = "top.Reduce"(%1) {axes = array<i64: 0, 1>, mode = "ReduceMean"} : (tensor<2x3x8xf32>) -> tensor<1x1x8xf32> loc("m")
    %3 = "top.Weight"() : () -> tensor<f32> loc("rms_5_c")
    %4 = "top.Add"(%2, %3) : (tensor<1x1x8xf32>, tensor<f32>) -> tensor<1x1x8xf32> loc("a")
    %5 = "top.Rsqrt"(%4) : (tensor<1x1x8xf32>) -> tensor<1x1x8xf32> loc("r")
    %6 = "top.Mul"(%0, %5) : (tensor<2x3x8xf32>, tensor<1x1x8xf32>) -> tensor<2x3x8xf32> loc("y")
    return %6 : tensor<2x3x8xf32> loc(unknown)
  } loc(unknown)
} loc(unknown)

// -----
// weight-into-rms-norm
// CHECK-LABEL: func.func @main
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.RMSNorm"
// CHECK-NOT: "top.
// CHECK: return
module attributes {module.weight_file = "inputs/parts.npz"} {
  func.func @main(%arg0: tensor<2x3x8xf32> loc("x")) -> tensor<2x3x8xf32> {
    %0 = "top.None"() : () -> none loc(unknown)
    %1 = "top.Input"(%arg0) : (tensor<2x3x8xf32>) -> tensor<2x3x8xf32> loc("x")
    %2 = "top.RMSNorm"(%1, %0) {eps = 0.001 : f64} : (tensor<2x3x8xf32>, none) -> tensor<2x3x8xf32> loc("n")
    %3 = "top.Weight"() : () -> tensor<8xf32> loc("rms_6_w")
    %4 = "top.Mul"(%3, %2) : (tensor<8xf32>, tensor<2x3x8xf32>) -> tensor<2x3x8xf32> loc("y")
    return %4 : tensor<2x3x8xf32> loc(unknown)
  } loc(unknown)
} loc(unknown)

// -----
// weight-into-rms-norm: not here
// CHECK-LABEL: func.func @main
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.RMSNorm"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Mul"
// CHECK-NOT: "top.
// CHECK: return
module attributes {module.weight_file = "inputs/parts.npz"} {
  func.func @main(%arg0: tensor<2x3x8xf32> loc("x")) -> tensor<2x3x8xf32> {
    %0 = "top.None"() : () -> none loc(unknown)
    %1 = "top.Input"(%arg0) : (tensor<2x3x8xf32>) -> tensor<2x3x8xf32> loc("x")
    %2 = "top.RMSNorm"(%1, %0) {axis = 1 : i64} : (tensor<2x3x8xf32>, none) -> tensor<2x3x8xf32> loc("n")
    %3 = "top.Weight"() : () -> tensor<8xf32> loc("rms_7_w")
    %4 = "top.Mul"(%3, %2) : (tensor<8xf32>, tensor<2x3x8xf32>) -> tensor<2x3x8xf32> loc("y")
    return %4 : tensor<2x3x8xf32> loc(unknown)
  } loc(unknown)
} loc(unknown)
