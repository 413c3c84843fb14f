// RUN: %mica-opt %s --split-input-file --top-canonicalize | FileCheck %s

// clip-to-relu, merge-relus, fuse-relu: one Sub remains.
// CHECK-LABEL: func.func @main(%arg0: tensor<3xf32>
// CHECK: "top.Sub"(%{{.*}}) {do_relu = true, relu_limit = 4.0{{.*}}} {{.*}} loc(fused["y", "relu", "d"])
// CHECK-NEXT: return
func.func @main(%a: tensor<3xf32>, %b: tensor<3xf32>) -> tensor<3xf32> {
  %0 = "top.Input"(%a) : (tensor<3xf32>) -> tensor<3xf32> loc("x")
  %1 = "top.Input"(%b) : (tensor<3xf32>) -> tensor<3xf32> loc("z")
  %2 = "top.Sub"(%0, %1) : (tensor<3xf32>, tensor<3xf32>) -> tensor<3xf32> loc("d")
  %3 = "top.Relu"(%2) {relu_limit = 6.0 : f64} : (tensor<3xf32>) -> tensor<3xf32> loc("relu")
  %4 = "top.Clip"(%3) {min = 0.0 : f64, max = 4.0 : f64} : (tensor<3xf32>) -> tensor<3xf32> loc("y")
  return %4 : tensor<3xf32>
}

// -----
// A sum that somebody else needs keeps its Relu apart.
// CHECK-LABEL: func.func @main(%arg0: tensor<3xf32>
// CHECK: %[[S:.*]] = "top.Add"(%{{.*}}) : {{.*}} loc("s")
// CHECK-NEXT: "top.Relu"(%[[S]])
func.func @main(%a: tensor<3xf32>) -> (tensor<3xf32>, tensor<3xf32>) {
  %0 = "top.Input"(%a) : (tensor<3xf32>) -> tensor<3xf32> loc("x")
  %1 = "top.Add"(%0, %0) : (tensor<3xf32>, tensor<3xf32>) -> tensor<3xf32> loc("s")
  %2 = "top.Relu"(%1) : (tensor<3xf32>) -> tensor<3xf32> loc("y")
  return %2, %1 : tensor<3xf32>, tensor<3xf32>
}

// -----
// product-to-swish
// CHECK-LABEL: func.func @main(%arg0: tensor<3xf32>
// CHECK: "top.SiLU"(%{{.*}}) {{.*}} loc(fused["y", "s"])
// CHECK-NEXT: "top.HardSwish"(%{{.*}}) {{.*}} loc(fused["w", "h"])
// CHECK-NEXT: return
func.func @main(%a: tensor<3xf32>) -> (tensor<3xf32>, tensor<3xf32>) {
  %0 = "top.Input"(%a) : (tensor<3xf32>) -> tensor<3xf32> loc("x")
  %1 = "top.Sigmoid"(%0) : (tensor<3xf32>) -> tensor<3xf32> loc("s")
  %2 = "top.Mul"(%0, %1) : (tensor<3xf32>, tensor<3xf32>) -> tensor<3xf32> loc("y")
  %3 = "top.HardSigmoid"(%0) {alpha = 0.16666666666666666 : f64, beta = 0.5 : f64} : (tensor<3xf32>) -> tensor<3xf32> loc("h")
  %4 = "top.Mul"(%3, %0) : (tensor<3xf32>, tensor<3xf32>) -> tensor<3xf32> loc("w")
  return %2, %4 : tensor<3xf32>, tensor<3xf32>
}

// -----
// relu6-to-hard-sigmoid (and then product-to-swish), product-to-hard-swish
// CHECK-LABEL: func.func @main(%arg0: tensor<3xf32>
// CHECK: "top.HardSwish"{{.*}} loc(fused["y", {{.*}}])
// CHECK: "top.HardSwish"{{.*}} loc(fused["z", {{.*}}])
// CHECK-NEXT: return
module attributes {module.weight_file = "inputs/weights.npz"} {
  func.func @main(%a: tensor<3xf32>) -> (tensor<3xf32>, tensor<3xf32>) {
    %0 = "top.Input"(%a) : (tensor<3xf32>) -> tensor<3xf32> loc("x")
    %three = "top.Weight"() : () -> tensor<f32> loc("three")
    %sixth = "top.Weight"() : () -> tensor<f32> loc("sixth")
    %1 = "top.Add"(%0, %three) : (tensor<3xf32>, tensor<f32>) -> tensor<3xf32> loc("a")
    %2 = "top.Relu"(%1) {relu_limit = 6.0 : f64} : (tensor<3xf32>) -> tensor<3xf32> loc("r")
    %3 = "top.Mul"(%2, %sixth) : (tensor<3xf32>, tensor<f32>) -> tensor<3xf32> loc("g")
    %4 = "top.Mul"(%0, %3) : (tensor<3xf32>, tensor<3xf32>) -> tensor<3xf32> loc("y")
    %5 = "top.Mul"(%0, %2) : (tensor<3xf32>, tensor<3xf32>) -> tensor<3xf32> loc("p")
    %6 = "top.Mul"(%5, %sixth) : (tensor<3xf32>, tensor<f32>) -> tensor<3xf32> loc("z")
    return %4, %6 : tensor<3xf32>, tensor<3xf32>
  }
}

// -----
// erf-to-gelu
// CHECK-LABEL: func.func @main(%arg0: tensor<3xf32>
// CHECK: %[[X:.*]] = "top.Input"
// CHECK-NEXT: "top.GELU"(%[[X]]) {{.*}} loc(fused["y", "p"])
// CHECK-NEXT: return
module attributes {module.weight_file = "inputs/weights.npz"} {
  func.func @main(%a: tensor<3xf32>) -> tensor<3xf32> {
    %0 = "top.Input"(%a) : (tensor<3xf32>) -> tensor<3xf32> loc("x")
    %r = "top.Weight"() : () -> tensor<f32> loc("sqrt_half")
    %one = "top.Weight"() : () -> tensor<f32> loc("one")
    %half = "top.Weight"() : () -> tensor<f32> loc("half")
    %1 = "top.Mul"(%0, %r) : (tensor<3xf32>, tensor<f32>) -> tensor<3xf32> loc("s")
    %2 = "top.Erf"(%1) : (tensor<3xf32>) -> tensor<3xf32> loc("e")
    %3 = "top.Add"(%2, %one) : (tensor<3xf32>, tensor<f32>) -> tensor<3xf32> loc("a")
    %4 = "top.Mul"(%0, %3) : (tensor<3xf32>, tensor<3xf32>) -> tensor<3xf32> loc("p")
    %5 = "top.Mul"(%4, %half) : (tensor<3xf32>, tensor<f32>) -> tensor<3xf32> loc("y")
    return %5 : tensor<3xf32>
  }
}

// -----
// Another factor is no GELU.
// CHECK-LABEL: func.func @main(%arg0: tensor<3xf32>
// CHECK: "top.Erf"
module attributes {module.weight_file = "inputs/weights.npz"} {
  func.func @main(%a: tensor<3xf32>) -> tensor<3xf32> {
    %0 = "top.Input"(%a) : (tensor<3xf32>) -> tensor<3xf32> loc("x")
    %one = "top.Weight"() : () -> tensor<f32> loc("one")
    %half = "top.Weight"() : () -> tensor<f32> loc("half")
    %1 = "top.Mul"(%0, %half) : (tensor<3xf32>, tensor<f32>) -> tensor<3xf32> loc("s")
    %2 = "top.Erf"(%1) : (tensor<3xf32>) -> tensor<3xf32> loc("e")
    %3 = "top.Add"(%2, %one) : (tensor<3xf32>, tensor<f32>) -> tensor<3xf32> loc("a")
    %4 = "top.Mul"(%0, %3) : (tensor<3xf32>, tensor<3xf32>) -> tensor<3xf32> loc("p")
    %5 = "top.Mul"(%4, %half) : (tensor<3xf32>, tensor<f32>) -> tensor<3xf32> loc("y")
    return %5 : tensor<3xf32>
  }
}
