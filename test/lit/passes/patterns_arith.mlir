// RUN: %mica-opt %s --split-input-file --top-canonicalize | FileCheck %s

// div-to-mul: the reciprocal is a new constant.
// CHECK-LABEL: func.func @main(%arg0: tensor<3xf32>
// CHECK: %[[C:.*]] = "top.Weight"() {{.*}} loc("y_reciprocal")
// CHECK: "top.Mul"(%{{.*}}, %[[C]]) {{.*}} loc("y")
// CHECK-NOT: "top.Div"
module attributes {module.weight_file = "inputs/weights.npz"} {
  func.func @main(%a: tensor<3xf32>) -> tensor<3xf32> {
    %0 = "top.Input"(%a) : (tensor<3xf32>) -> tensor<3xf32> loc("x")
    %c = "top.Weight"() : () -> tensor<f32> loc("four")
    %1 = "top.Div"(%0, %c) : (tensor<3xf32>, tensor<f32>) -> tensor<3xf32> loc("y")
    return %1 : tensor<3xf32>
  }
}

// -----
// A division by zero stays what it is.
// CHECK-LABEL: func.func @main(%arg0: tensor<3xf32>
// CHECK: "top.Div"
module attributes {module.weight_file = "inputs/weights.npz"} {
  func.func @main(%a: tensor<3xf32>) -> tensor<3xf32> {
    %0 = "top.Input"(%a) : (tensor<3xf32>) -> tensor<3xf32> loc("x")
    %c = "top.Weight"() : () -> tensor<f32> loc("zero")
    %1 = "top.Div"(%0, %c) : (tensor<3xf32>, tensor<f32>) -> tensor<3xf32> loc("y")
    return %1 : tensor<3xf32>
  }
}

// -----
// drop-neutral: * 1 and + 0 go, * 1 that adds an axis stays.
// CHECK-LABEL: func.func @main(%arg0: tensor<3xf32>
// CHECK: %[[X:.*]] = "top.Input"
// CHECK: %[[M:.*]] = "top.Mul"(%[[X]], %{{.*}}) : (tensor<3xf32>, tensor<1x1xf32>) -> tensor<1x3xf32> loc("wider")
// CHECK-NEXT: "top.Exp"(%[[M]])
module attributes {module.weight_file = "inputs/weights.npz"} {
  func.func @main(%a: tensor<3xf32>) -> tensor<1x3xf32> {
    %0 = "top.Input"(%a) : (tensor<3xf32>) -> tensor<3xf32> loc("x")
    %one = "top.Weight"() : () -> tensor<3xf32> loc("ones3")
    %zero = "top.Weight"() : () -> tensor<f32> loc("zero")
    %half = "top.Weight"() : () -> tensor<1x1xf32> loc("half_11")
    %1 = "top.Mul"(%one, %0) : (tensor<3xf32>, tensor<3xf32>) -> tensor<3xf32> loc("same")
    %2 = "top.Add"(%1, %zero) : (tensor<3xf32>, tensor<f32>) -> tensor<3xf32> loc("same2")
    %3 = "top.Mul"(%2, %half) : (tensor<3xf32>, tensor<1x1xf32>) -> tensor<1x3xf32> loc("wider")
    %4 = "top.Exp"(%3) : (tensor<1x3xf32>) -> tensor<1x3xf32> loc("y")
    return %4 : tensor<1x3xf32>
  }
}

// -----
// merge-scalars
// CHECK-LABEL: func.func @main(%arg0: tensor<3xf32>
// CHECK: %[[C:.*]] = "top.Weight"() : () -> tensor<f32> loc("y_scalar")
// CHECK-NEXT: "top.Mul"(%{{.*}}, %[[C]]) {{.*}} loc(fused["y", "first"])
module attributes {module.weight_file = "inputs/weights.npz"} {
  func.func @main(%a: tensor<3xf32>) -> tensor<3xf32> {
    %0 = "top.Input"(%a) : (tensor<3xf32>) -> tensor<3xf32> loc("x")
    %two = "top.Weight"() : () -> tensor<f32> loc("two")
    %three = "top.Weight"() : () -> tensor<f32> loc("three")
    %1 = "top.Mul"(%0, %two) : (tensor<3xf32>, tensor<f32>) -> tensor<3xf32> loc("first")
    %2 = "top.Mul"(%three, %1) : (tensor<f32>, tensor<3xf32>) -> tensor<3xf32> loc("y")
    return %2 : tensor<3xf32>
  }
}

// -----
// pow-to-function
// CHECK-LABEL: func.func @main(%arg0: tensor<3xf32>
// CHECK: %[[S:.*]] = "top.Square"
// CHECK: %[[R:.*]] = "top.Sqrt"(%[[S]])
// CHECK: "top.Pow"(%[[R]]
module attributes {module.weight_file = "inputs/weights.npz"} {
  func.func @main(%a: tensor<3xf32>) -> tensor<3xf32> {
    %0 = "top.Input"(%a) : (tensor<3xf32>) -> tensor<3xf32> loc("x")
    %two = "top.Weight"() : () -> tensor<f32> loc("two")
    %half = "top.Weight"() : () -> tensor<f32> loc("half")
    %three = "top.Weight"() : () -> tensor<f32> loc("three")
    %1 = "top.Pow"(%0, %two) : (tensor<3xf32>, tensor<f32>) -> tensor<3xf32> loc("a")
    %2 = "top.Pow"(%1, %half) : (tensor<3xf32>, tensor<f32>) -> tensor<3xf32> loc("b")
    %3 = "top.Pow"(%2, %three) : (tensor<3xf32>, tensor<f32>) -> tensor<3xf32> loc("y")
    return %3 : tensor<3xf32>
  }
}
