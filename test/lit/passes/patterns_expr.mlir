// RUN: %mica-opt %s --split-input-file --top-canonicalize | FileCheck %s

// tanh-to-gelu
// CHECK-LABEL: func.func @main
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.GELUTanh"
// CHECK-NOT: "top.
// CHECK: return
module attributes {module.weight_file = "inputs/parts.npz"} {
  func.func @main(%arg0: tensor<3x9xf32> loc("x")) -> tensor<3x9xf32> {
    %0 = "top.Input"(%arg0) : (tensor<3x9xf32>) -> tensor<3x9xf32> loc("x")
    %1 = "top.Weight"() : () -> tensor<f32> loc("expr_0_t")
    %2 = "top.Pow"(%0, %1) : (tensor<3x9xf32>, tensor<f32>) -> tensor<3x9xf32> loc("p")
    %3 = "top.Weight"() : () -> tensor<f32> loc("expr_0_c")
    %4 = "top.Mul"(%2, %3) : (tensor<3x9xf32>, tensor<f32>) -> tensor<3x9xf32> loc("a")
    %5 = "top.Add"(%0, %4) : (tensor<3x9xf32>, tensor<3x9xf32>) -> tensor<3x9xf32> loc("b")
    %6 = "top.Weight"() : () -> tensor<f32> loc("expr_0_k")
    %7 = "top.Mul"(%5, %6) : (tensor<3x9xf32>, tensor<f32>) -> tensor<3x9xf32> loc("d")
    %8 = "top.Tanh"(%7) : (tensor<3x9xf32>) -> tensor<3x9xf32> loc("e")
    %9 = "top.Weight"() : () -> tensor<f32> loc("expr_0_o")
    %10 = "top.Add"(%8, %9) : (tensor<3x9xf32>, tensor<f32>) -> tensor<3x9xf32> loc("f")
    %11 = "top.Mul"(%0, %10) : (tensor<3x9xf32>, tensor<3x9xf32>) -> tensor<3x9xf32> loc("g")
    %12 = "top.Weight"() : () -> tensor<f32> loc("expr_0_h")
    %13 = "top.Mul"(%11, %12) : (tensor<3x9xf32>, tensor<f32>) -> tensor<3x9xf32> loc("y")
    return %13 : tensor<3x9xf32> loc(unknown)
  } loc(unknown)
} loc(unknown)

// -----
// tanh-to-gelu: not here
// CHECK-LABEL: func.func @main
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Pow"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Mul"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Add"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Mul"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Tanh"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Add"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Mul"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Mul"
// CHECK-NOT: "top.
// CHECK: return
module attributes {module.weight_file = "inputs/parts.npz"} {
  func.func @main(%arg0: tensor<3x9xf32> loc("x")) -> tensor<3x9xf32> {
    %0 = "top.Input"(%arg0) : (tensor<3x9xf32>) -> tensor<3x9xf32> loc("x")
    %1 = "top.Weight"() : () -> tensor<f32> loc("expr_1_t")
    %2 = "top.Pow"(%0, %1) : (tensor<3x9xf32>, tensor<f32>) -> tensor<3x9xf32> loc("p")
    %3 = "top.Weight"() : () -> tensor<f32> loc("expr_1_c")
    %4 = "top.Mul"(%2, %3) : (tensor<3x9xf32>, tensor<f32>) -> tensor<3x9xf32> loc("a")
    %5 = "top.Add"(%0, %4) : (tensor<3x9xf32>, tensor<3x9xf32>) -> tensor<3x9xf32> loc("b")
    %6 = "top.Weight"() : () -> tensor<f32> loc("expr_1_k")
    %7 = "top.Mul"(%5, %6) : (tensor<3x9xf32>, tensor<f32>) -> tensor<3x9xf32> loc("d")
    %8 = "top.Tanh"(%7) : (tensor<3x9xf32>) -> tensor<3x9xf32> loc("e")
    %9 = "top.Weight"() : () -> tensor<f32> loc("expr_1_o")
    %10 = "top.Add"(%8, %9) : (tensor<3x9xf32>, tensor<f32>) -> tensor<3x9xf32> loc("f")
    %11 = "top.Mul"(%0, %10) : (tensor<3x9xf32>, tensor<3x9xf32>) -> tensor<3x9xf32> loc("g")
    %12 = "top.Weight"() : () -> tensor<f32> loc("expr_1_h")
    %13 = "top.Mul"(%11, %12) : (tensor<3x9xf32>, tensor<f32>) -> tensor<3x9xf32> loc("y")
    return %13 : tensor<3x9xf32> loc(unknown)
  } loc(unknown)
} loc(unknown)

// -----
// product-to-activation
// CHECK-LABEL: func.func @main
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.QuickGELU"
// CHECK-NOT: "top.
// CHECK: return
module attributes {module.weight_file = "inputs/parts.npz"} {
  func.func @main(%arg0: tensor<3x9xf32> loc("x")) -> tensor<3x9xf32> {
    %0 = "top.Input"(%arg0) : (tensor<3x9xf32>) -> tensor<3x9xf32> loc("x")
    %1 = "top.Weight"() : () -> tensor<f32> loc("expr_2_c")
    %2 = "top.Mul"(%0, %1) : (tensor<3x9xf32>, tensor<f32>) -> tensor<3x9xf32> loc("a")
    %3 = "top.Sigmoid"(%2) : (tensor<3x9xf32>) -> tensor<3x9xf32> loc("s")
    %4 = "top.Mul"(%0, %3) : (tensor<3x9xf32>, tensor<3x9xf32>) -> tensor<3x9xf32> loc("y")
    return %4 : tensor<3x9xf32> loc(unknown)
  } loc(unknown)
} loc(unknown)

// -----
// product-to-activation: not here
// CHECK-LABEL: func.func @main
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Mul"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Sigmoid"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Mul"
// CHECK-NOT: "top.
// CHECK: return
module attributes {module.weight_file = "inputs/parts.npz"} {
  func.func @main(%arg0: tensor<3x9xf32> loc("x")) -> tensor<3x9xf32> {
    %0 = "top.Input"(%arg0) : (tensor<3x9xf32>) -> tensor<3x9xf32> loc("x")
    %1 = "top.Weight"() : () -> tensor<f32> loc("expr_3_c")
    %2 = "top.Mul"(%0, %1) : (tensor<3x9xf32>, tensor<f32>) -> tensor<3x9xf32> loc("a")
    %3 = "top.Sigmoid"(%2) : (tensor<3x9xf32>) -> tensor<3x9xf32> loc("s")
    %4 = "top.Mul"(%0, %3) : (tensor<3x9xf32>, tensor<3x9xf32>) -> tensor<3x9xf32> loc("y")
    return %4 : tensor<3x9xf32> loc(unknown)
  } loc(unknown)
} loc(unknown)

// -----
// clip-to-hard-sigmoid
// CHECK-LABEL: func.func @main
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.HardSigmoid"
// CHECK-NOT: "top.
// CHECK: return
module attributes {module.weight_file = "inputs/parts.npz"} {
  func.func @main(%arg0: tensor<3x9xf32> loc("x")) -> tensor<3x9xf32> {
    %0 = "top.Input"(%arg0) : (tensor<3x9xf32>) -> tensor<3x9xf32> loc("x")
    %1 = "top.Weight"() : () -> tensor<f32> loc("expr_4_s")
    %2 = "top.Mul"(%0, %1) : (tensor<3x9xf32>, tensor<f32>) -> tensor<3x9xf32> loc("a")
    %3 = "top.Weight"() : () -> tensor<f32> loc("expr_4_h")
    %4 = "top.Add"(%3, %2) {do_relu = true, relu_limit = 1.0 : f64} : (tensor<f32>, tensor<3x9xf32>) -> tensor<3x9xf32> loc("y")
    return %4 : tensor<3x9xf32> loc(unknown)
  } loc(unknown)
} loc(unknown)

// -----
// clip-to-hard-sigmoid: not here
// CHECK-LABEL: func.func @main
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Mul"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Add"
// CHECK-NOT: "top.
// CHECK: return
module attributes {module.weight_file = "inputs/parts.npz"} {
  func.func @main(%arg0: tensor<3x9xf32> loc("x")) -> tensor<3x9xf32> {
    %0 = "top.Input"(%arg0) : (tensor<3x9xf32>) -> tensor<3x9xf32> loc("x")
    %1 = "top.Weight"() : () -> tensor<f32> loc("expr_5_s")
    %2 = "top.Mul"(%0, %1) : (tensor<3x9xf32>, tensor<f32>) -> tensor<3x9xf32> loc("a")
    %3 = "top.Weight"() : () -> tensor<f32> loc("expr_5_h")
    %4 = "top.Add"(%3, %2) {do_relu = true, relu_limit = 2.0 : f64} : (tensor<f32>, tensor<3x9xf32>) -> tensor<3x9xf32> loc("y")
    return %4 : tensor<3x9xf32> loc(unknown)
  } loc(unknown)
} loc(unknown)

// -----
// clip-product-to-hard-swish
// CHECK-LABEL: func.func @main
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.HardSwish"
// CHECK-NOT: "top.
// CHECK: return
module attributes {module.weight_file = "inputs/parts.npz"} {
  func.func @main(%arg0: tensor<3x9xf32> loc("x")) -> tensor<3x9xf32> {
    %0 = "top.Input"(%arg0) : (tensor<3x9xf32>) -> tensor<3x9xf32> loc("x")
    %1 = "top.Weight"() : () -> tensor<f32> loc("expr_6_s")
    %2 = "top.Mul"(%0, %1) : (tensor<3x9xf32>, tensor<f32>) -> tensor<3x9xf32> loc("a")
    %3 = "top.Weight"() : () -> tensor<f32> loc("expr_6_h")
    %4 = "top.Add"(%2, %3) : (tensor<3x9xf32>, tensor<f32>) -> tensor<3x9xf32> loc("b")
    %5 = "top.Relu"(%4) {relu_limit = 1.0 : f64} : (tensor<3x9xf32>) -> tensor<3x9xf32> loc("c")
    %6 = "top.Mul"(%0, %5) : (tensor<3x9xf32>, tensor<3x9xf32>) -> tensor<3x9xf32> loc("y")
    return %6 : tensor<3x9xf32> loc(unknown)
  } loc(unknown)
} loc(unknown)

// -----
// clip-product-to-hard-swish: not here
// CHECK-LABEL: func.func @main
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.HardSigmoid"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Mul"
// CHECK-NOT: "top.
// CHECK: return
module attributes {module.weight_file = "inputs/parts.npz"} {
  func.func @main(%arg0: tensor<3x9xf32> loc("x")) -> tensor<3x9xf32> {
    %0 = "top.Input"(%arg0) : (tensor<3x9xf32>) -> tensor<3x9xf32> loc("x")
    %1 = "top.Weight"() : () -> tensor<f32> loc("expr_7_s")
    %2 = "top.Mul"(%0, %1) : (tensor<3x9xf32>, tensor<f32>) -> tensor<3x9xf32> loc("a")
    %3 = "top.Weight"() : () -> tensor<f32> loc("expr_7_h")
    %4 = "top.Add"(%2, %3) : (tensor<3x9xf32>, tensor<f32>) -> tensor<3x9xf32> loc("b")
    %5 = "top.Relu"(%4) {relu_limit = 1.0 : f64} : (tensor<3x9xf32>) -> tensor<3x9xf32> loc("c")
    %6 = "top.Mul"(%0, %5) : (tensor<3x9xf32>, tensor<3x9xf32>) -> tensor<3x9xf32> loc("y")
    return %6 : tensor<3x9xf32> loc(unknown)
  } loc(unknown)
} loc(unknown)
