// RUN: %mica-opt %s --split-input-file --top-canonicalize | FileCheck %s

// affine-before-conv: x * a + b goes into the Conv that does not pad
// CHECK-LABEL: func.func @main
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Conv"{{.*}}loc({{(fused.)?}}"y"
// CHECK-NOT: "top.
// CHECK: return
module attributes {module.weight_file = "inputs/attention.npz"} {
  func.func @main(%arg0: tensor<1x3x5x5xf32> loc("x")) -> tensor<1x4x5x5xf32> {
    %x = "top.Input"(%arg0) : (tensor<1x3x5x5xf32>) -> tensor<1x3x5x5xf32> loc("x")
    %none = "top.None"() : () -> none
    %c_2 = "top.Weight"() : () -> tensor<f32> loc("c_2")
    %a = "top.Mul"(%x, %c_2) : (tensor<1x3x5x5xf32>, tensor<f32>) -> tensor<1x3x5x5xf32> loc("a")
    %c_0_5 = "top.Weight"() : () -> tensor<f32> loc("c_0_5")
    %b = "top.Add"(%a, %c_0_5) : (tensor<1x3x5x5xf32>, tensor<f32>) -> tensor<1x3x5x5xf32> loc("b")
    %w_4x3x1x1 = "top.Weight"() : () -> tensor<4x3x1x1xf32> loc("w_4x3x1x1")
    %y = "top.Conv"(%b, %w_4x3x1x1, %none) {kernel_shape = array<i64: 1, 1>} : (tensor<1x3x5x5xf32>, tensor<4x3x1x1xf32>, none) -> tensor<1x4x5x5xf32> loc("y")
    return %y : tensor<1x4x5x5xf32>
  }
}

// -----
// affine-before-conv: where the Conv pads, one Scale stays
// CHECK-LABEL: func.func @main
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Scale"{{.*}}loc({{(fused.)?}}"b"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Conv"{{.*}}loc({{(fused.)?}}"y"
// CHECK-NOT: "top.
// CHECK: return
module attributes {module.weight_file = "inputs/attention.npz"} {
  func.func @main(%arg0: tensor<1x3x5x5xf32> loc("x")) -> tensor<1x4x5x5xf32> {
    %x = "top.Input"(%arg0) : (tensor<1x3x5x5xf32>) -> tensor<1x3x5x5xf32> loc("x")
    %p_3x1x1 = "top.Weight"() : () -> tensor<3x1x1xf32> loc("p_3x1x1")
    %a = "top.Mul"(%x, %p_3x1x1) : (tensor<1x3x5x5xf32>, tensor<3x1x1xf32>) -> tensor<1x3x5x5xf32> loc("a")
    %c_0_5 = "top.Weight"() : () -> tensor<f32> loc("c_0_5")
    %b = "top.Add"(%a, %c_0_5) : (tensor<1x3x5x5xf32>, tensor<f32>) -> tensor<1x3x5x5xf32> loc("b")
    %w_4x3x3x3 = "top.Weight"() : () -> tensor<4x3x3x3xf32> loc("w_4x3x3x3")
    %p_4 = "top.Weight"() : () -> tensor<4xf32> loc("p_4")
    %y = "top.Conv"(%b, %w_4x3x3x3, %p_4) {kernel_shape = array<i64: 3, 3>, pads = array<i64: 1, 1, 1, 1>} : (tensor<1x3x5x5xf32>, tensor<4x3x3x3xf32>, tensor<4xf32>) -> tensor<1x4x5x5xf32> loc("y")
    return %y : tensor<1x4x5x5xf32>
  }
}

// -----
// affine-before-conv: a lone sum before padding stays
// CHECK-LABEL: func.func @main
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Add"{{.*}}loc({{(fused.)?}}"b"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Conv"{{.*}}loc({{(fused.)?}}"y"
// CHECK-NOT: "top.
// CHECK: return
module attributes {module.weight_file = "inputs/attention.npz"} {
  func.func @main(%arg0: tensor<1x3x5x5xf32> loc("x")) -> tensor<1x4x5x5xf32> {
    %x = "top.Input"(%arg0) : (tensor<1x3x5x5xf32>) -> tensor<1x3x5x5xf32> loc("x")
    %p_3x1x1 = "top.Weight"() : () -> tensor<3x1x1xf32> loc("p_3x1x1")
    %b = "top.Add"(%x, %p_3x1x1) : (tensor<1x3x5x5xf32>, tensor<3x1x1xf32>) -> tensor<1x3x5x5xf32> loc("b")
    %w_4x3x3x3 = "top.Weight"() : () -> tensor<4x3x3x3xf32> loc("w_4x3x3x3")
    %p_4 = "top.Weight"() : () -> tensor<4xf32> loc("p_4")
    %y = "top.Conv"(%b, %w_4x3x3x3, %p_4) {kernel_shape = array<i64: 3, 3>, pads = array<i64: 1, 1, 1, 1>} : (tensor<1x3x5x5xf32>, tensor<4x3x3x3xf32>, tensor<4xf32>) -> tensor<1x4x5x5xf32> loc("y")
    return %y : tensor<1x4x5x5xf32>
  }
}

// -----
// vector-before-matmul, vector-after-matmul
// CHECK-LABEL: func.func @main
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.MatMul"{{.*}}loc({{(fused.)?}}"y"
// CHECK-NOT: "top.
// CHECK: return
module attributes {module.weight_file = "inputs/attention.npz"} {
  func.func @main(%arg0: tensor<2x5x8xf32> loc("x")) -> tensor<2x5x4xf32> {
    %x = "top.Input"(%arg0) : (tensor<2x5x8xf32>) -> tensor<2x5x8xf32> loc("x")
    %p_8 = "top.Weight"() : () -> tensor<8xf32> loc("p_8")
    %a = "top.Mul"(%x, %p_8) : (tensor<2x5x8xf32>, tensor<8xf32>) -> tensor<2x5x8xf32> loc("a")
    %p_1x8 = "top.Weight"() : () -> tensor<1x8xf32> loc("p_1x8")
    %b = "top.Add"(%a, %p_1x8) : (tensor<2x5x8xf32>, tensor<1x8xf32>) -> tensor<2x5x8xf32> loc("b")
    %w_8x4 = "top.Weight"() : () -> tensor<8x4xf32> loc("w_8x4")
    %p_4 = "top.Weight"() : () -> tensor<4xf32> loc("p_4")
    %m = "top.MatMul"(%b, %w_8x4, %p_4) : (tensor<2x5x8xf32>, tensor<8x4xf32>, tensor<4xf32>) -> tensor<2x5x4xf32> loc("m")
    %w_4 = "top.Weight"() : () -> tensor<4xf32> loc("w_4")
    %s = "top.Mul"(%m, %w_4) : (tensor<2x5x4xf32>, tensor<4xf32>) -> tensor<2x5x4xf32> loc("s")
    %y = "top.Add"(%s, %p_4) : (tensor<2x5x4xf32>, tensor<4xf32>) -> tensor<2x5x4xf32> loc("y")
    return %y : tensor<2x5x4xf32>
  }
}

// -----
// vectors along another axis stay
// CHECK-LABEL: func.func @main
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Mul"{{.*}}loc({{(fused.)?}}"a"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.MatMul"{{.*}}loc({{(fused.)?}}"m"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Mul"{{.*}}loc({{(fused.)?}}"y"
// CHECK-NOT: "top.
// CHECK: return
module attributes {module.weight_file = "inputs/attention.npz"} {
  func.func @main(%arg0: tensor<8x8xf32> loc("x")) -> tensor<8x4xf32> {
    %x = "top.Input"(%arg0) : (tensor<8x8xf32>) -> tensor<8x8xf32> loc("x")
    %p_8x1 = "top.Weight"() : () -> tensor<8x1xf32> loc("p_8x1")
    %a = "top.Mul"(%x, %p_8x1) : (tensor<8x8xf32>, tensor<8x1xf32>) -> tensor<8x8xf32> loc("a")
    %w_8x4 = "top.Weight"() : () -> tensor<8x4xf32> loc("w_8x4")
    %p_4 = "top.Weight"() : () -> tensor<4xf32> loc("p_4")
    %m = "top.MatMul"(%a, %w_8x4, %p_4) : (tensor<8x8xf32>, tensor<8x4xf32>, tensor<4xf32>) -> tensor<8x4xf32> loc("m")
    %y = "top.Mul"(%m, %p_8x1) : (tensor<8x4xf32>, tensor<8x1xf32>) -> tensor<8x4xf32> loc("y")
    return %y : tensor<8x4xf32>
  }
}

// -----
// scale-behind-permute: the layer scale of ConvNeXt
// CHECK-LABEL: func.func @main
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.MatMul"{{.*}}loc({{(fused.)?}}"m_scaled"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Permute"{{.*}}loc({{(fused.)?}}"s"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Exp"{{.*}}loc({{(fused.)?}}"y"
// CHECK-NOT: "top.
// CHECK: return
module attributes {module.weight_file = "inputs/attention.npz"} {
  func.func @main(%arg0: tensor<1x2x3x8xf32> loc("x")) -> tensor<1x4x2x3xf32> {
    %x = "top.Input"(%arg0) : (tensor<1x2x3x8xf32>) -> tensor<1x2x3x8xf32> loc("x")
    %w_8x4 = "top.Weight"() : () -> tensor<8x4xf32> loc("w_8x4")
    %p_4 = "top.Weight"() : () -> tensor<4xf32> loc("p_4")
    %m = "top.MatMul"(%x, %w_8x4, %p_4) : (tensor<1x2x3x8xf32>, tensor<8x4xf32>, tensor<4xf32>) -> tensor<1x2x3x4xf32> loc("m")
    %p = "top.Permute"(%m) {order = array<i64: 0, 3, 1, 2>} : (tensor<1x2x3x4xf32>) -> tensor<1x4x2x3xf32> loc("p")
    %p_4x1x1 = "top.Weight"() : () -> tensor<4x1x1xf32> loc("p_4x1x1")
    %s = "top.Mul"(%p, %p_4x1x1) : (tensor<1x4x2x3xf32>, tensor<4x1x1xf32>) -> tensor<1x4x2x3xf32> loc("s")
    %y = "top.Exp"(%s) : (tensor<1x4x2x3xf32>) -> tensor<1x4x2x3xf32> loc("y")
    return %y : tensor<1x4x2x3xf32>
  }
}

// -----
// scale-behind-permute: rows are no columns
// CHECK-LABEL: func.func @main
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.MatMul"{{.*}}loc({{(fused.)?}}"m"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Scale"{{.*}}loc({{(fused.)?}}"s"
// CHECK-NOT: "top.
// CHECK: return
module attributes {module.weight_file = "inputs/attention.npz"} {
  func.func @main(%arg0: tensor<1x3x8xf32> loc("x")) -> tensor<1x3x4xf32> {
    %x = "top.Input"(%arg0) : (tensor<1x3x8xf32>) -> tensor<1x3x8xf32> loc("x")
    %none = "top.None"() : () -> none
    %w_8x4 = "top.Weight"() : () -> tensor<8x4xf32> loc("w_8x4")
    %p_4 = "top.Weight"() : () -> tensor<4xf32> loc("p_4")
    %m = "top.MatMul"(%x, %w_8x4, %p_4) : (tensor<1x3x8xf32>, tensor<8x4xf32>, tensor<4xf32>) -> tensor<1x3x4xf32> loc("m")
    %p_3 = "top.Weight"() : () -> tensor<3xf32> loc("p_3")
    %s = "top.Scale"(%m, %p_3, %none) : (tensor<1x3x4xf32>, tensor<3xf32>, none) -> tensor<1x3x4xf32> loc("s")
    return %s : tensor<1x3x4xf32>
  }
}

// -----
// mean-to-pool: means over all spatial axes, kept or not
// CHECK-LABEL: func.func @main
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.AvgPool"{{.*}}loc({{(fused.)?}}"a"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Exp"{{.*}}loc({{(fused.)?}}"e"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.AvgPool"{{.*}}loc({{(fused.)?}}"b_pool"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Reshape"{{.*}}loc({{(fused.)?}}"b"
// CHECK-NOT: "top.
// CHECK: return
module attributes {module.weight_file = "inputs/attention.npz"} {
  func.func @main(%arg0: tensor<2x3x4x5xf32> loc("x")) -> (tensor<2x3x1x1xf32>, tensor<2x3xf32>) {
    %x = "top.Input"(%arg0) : (tensor<2x3x4x5xf32>) -> tensor<2x3x4x5xf32> loc("x")
    %a = "top.Reduce"(%x) {axes = array<i64: 2, 3>, mode = "ReduceMean"} : (tensor<2x3x4x5xf32>) -> tensor<2x3x1x1xf32> loc("a")
    %e = "top.Exp"(%x) : (tensor<2x3x4x5xf32>) -> tensor<2x3x4x5xf32> loc("e")
    %b = "top.Reduce"(%e) {axes = array<i64: 2, 3>, mode = "ReduceMean", keepdims = false} : (tensor<2x3x4x5xf32>) -> tensor<2x3xf32> loc("b")
    return %a, %b : tensor<2x3x1x1xf32>, tensor<2x3xf32>
  }
}

// -----
// mean-to-pool: other axes and modes stay
// CHECK-LABEL: func.func @main
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Reduce"{{.*}}loc({{(fused.)?}}"a"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Reduce"{{.*}}loc({{(fused.)?}}"b"
// CHECK-NOT: "top.
// CHECK: return
module attributes {module.weight_file = "inputs/attention.npz"} {
  func.func @main(%arg0: tensor<2x3x4x5xf32> loc("x")) -> (tensor<2x1x1x5xf32>, tensor<2x3x1x1xf32>) {
    %x = "top.Input"(%arg0) : (tensor<2x3x4x5xf32>) -> tensor<2x3x4x5xf32> loc("x")
    %a = "top.Reduce"(%x) {axes = array<i64: 1, 2>, mode = "ReduceMean"} : (tensor<2x3x4x5xf32>) -> tensor<2x1x1x5xf32> loc("a")
    %b = "top.Reduce"(%x) {axes = array<i64: 2, 3>, mode = "ReduceMax"} : (tensor<2x3x4x5xf32>) -> tensor<2x3x1x1xf32> loc("b")
    return %a, %b : tensor<2x1x1x5xf32>, tensor<2x3x1x1xf32>
  }
}

// -----
// affine-of-activation: one Scale for several users
// CHECK-LABEL: func.func @main
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.HardSwish"{{.*}}loc({{(fused.)?}}"h"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Scale"{{.*}}loc({{(fused.)?}}"b"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Exp"{{.*}}loc({{(fused.)?}}"y"
// CHECK-NOT: "top.
// CHECK: return
module attributes {module.weight_file = "inputs/attention.npz"} {
  func.func @main(%arg0: tensor<1x3x5x5xf32> loc("x")) -> (tensor<1x3x5x5xf32>, tensor<1x3x5x5xf32>) {
    %x = "top.Input"(%arg0) : (tensor<1x3x5x5xf32>) -> tensor<1x3x5x5xf32> loc("x")
    %h = "top.HardSwish"(%x) : (tensor<1x3x5x5xf32>) -> tensor<1x3x5x5xf32> loc("h")
    %c_2 = "top.Weight"() : () -> tensor<f32> loc("c_2")
    %a = "top.Mul"(%h, %c_2) : (tensor<1x3x5x5xf32>, tensor<f32>) -> tensor<1x3x5x5xf32> loc("a")
    %p_3x1x1 = "top.Weight"() : () -> tensor<3x1x1xf32> loc("p_3x1x1")
    %b = "top.Add"(%a, %p_3x1x1) : (tensor<1x3x5x5xf32>, tensor<3x1x1xf32>) -> tensor<1x3x5x5xf32> loc("b")
    %y = "top.Exp"(%b) : (tensor<1x3x5x5xf32>) -> tensor<1x3x5x5xf32> loc("y")
    return %b, %y : tensor<1x3x5x5xf32>, tensor<1x3x5x5xf32>
  }
}

// -----
// affine-of-activation: not after other functions
// CHECK-LABEL: func.func @main
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Exp"{{.*}}loc({{(fused.)?}}"h"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Mul"{{.*}}loc({{(fused.)?}}"a"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Add"{{.*}}loc({{(fused.)?}}"b"
// CHECK-NOT: "top.
// CHECK: return
module attributes {module.weight_file = "inputs/attention.npz"} {
  func.func @main(%arg0: tensor<1x3x5x5xf32> loc("x")) -> tensor<1x3x5x5xf32> {
    %x = "top.Input"(%arg0) : (tensor<1x3x5x5xf32>) -> tensor<1x3x5x5xf32> loc("x")
    %h = "top.Exp"(%x) : (tensor<1x3x5x5xf32>) -> tensor<1x3x5x5xf32> loc("h")
    %c_2 = "top.Weight"() : () -> tensor<f32> loc("c_2")
    %a = "top.Mul"(%h, %c_2) : (tensor<1x3x5x5xf32>, tensor<f32>) -> tensor<1x3x5x5xf32> loc("a")
    %c_0_5 = "top.Weight"() : () -> tensor<f32> loc("c_0_5")
    %b = "top.Add"(%a, %c_0_5) : (tensor<1x3x5x5xf32>, tensor<f32>) -> tensor<1x3x5x5xf32> loc("b")
    return %b : tensor<1x3x5x5xf32>
  }
}

// -----
// sum-with-own-product: the sum is made where there are fewer elements
// CHECK-LABEL: func.func @main
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Add"{{.*}}loc({{(fused.)?}}"y_factor"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Mul"{{.*}}loc({{(fused.)?}}"y"
// CHECK-NOT: "top.
// CHECK: return
module attributes {module.weight_file = "inputs/attention.npz"} {
  func.func @main(%arg0: tensor<1x3x5x5xf32> loc("x"), %arg1: tensor<1x3x1x1xf32> loc("s")) -> tensor<1x3x5x5xf32> {
    %x = "top.Input"(%arg0) : (tensor<1x3x5x5xf32>) -> tensor<1x3x5x5xf32> loc("x")
    %s = "top.Input"(%arg1) : (tensor<1x3x1x1xf32>) -> tensor<1x3x1x1xf32> loc("s")
    %a = "top.Mul"(%x, %s) : (tensor<1x3x5x5xf32>, tensor<1x3x1x1xf32>) -> tensor<1x3x5x5xf32> loc("a")
    %y = "top.Add"(%x, %a) : (tensor<1x3x5x5xf32>, tensor<1x3x5x5xf32>) -> tensor<1x3x5x5xf32> loc("y")
    return %y : tensor<1x3x5x5xf32>
  }
}

// -----
// sum-with-own-product: no smaller factor
// CHECK-LABEL: func.func @main
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Mul"{{.*}}loc({{(fused.)?}}"a"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Add"{{.*}}loc({{(fused.)?}}"y"
// CHECK-NOT: "top.
// CHECK: return
module attributes {module.weight_file = "inputs/attention.npz"} {
  func.func @main(%arg0: tensor<1x3x5x5xf32> loc("x"), %arg1: tensor<1x3x5x5xf32> loc("s")) -> tensor<1x3x5x5xf32> {
    %x = "top.Input"(%arg0) : (tensor<1x3x5x5xf32>) -> tensor<1x3x5x5xf32> loc("x")
    %s = "top.Input"(%arg1) : (tensor<1x3x5x5xf32>) -> tensor<1x3x5x5xf32> loc("s")
    %a = "top.Mul"(%x, %s) : (tensor<1x3x5x5xf32>, tensor<1x3x5x5xf32>) -> tensor<1x3x5x5xf32> loc("a")
    %y = "top.Add"(%x, %a) : (tensor<1x3x5x5xf32>, tensor<1x3x5x5xf32>) -> tensor<1x3x5x5xf32> loc("y")
    return %y : tensor<1x3x5x5xf32>
  }
}
