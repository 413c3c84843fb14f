// RUN: %mica-opt %s --split-input-file --top-canonicalize | FileCheck %s

// log-to-softplus; with Tanh and the product it is Mish
// CHECK-LABEL: func.func @main
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Mish"{{.*}}loc({{(fused.)?}}"y"
// CHECK-NOT: "top.
// CHECK: return
module attributes {module.weight_file = "inputs/attention.npz"} {
  func.func @main(%arg0: tensor<2x3xf32> loc("x")) -> tensor<2x3xf32> {
    %x = "top.Input"(%arg0) : (tensor<2x3xf32>) -> tensor<2x3xf32> loc("x")
    %e = "top.Exp"(%x) : (tensor<2x3xf32>) -> tensor<2x3xf32> loc("e")
    %c_1 = "top.Weight"() : () -> tensor<f32> loc("c_1")
    %a = "top.Add"(%e, %c_1) : (tensor<2x3xf32>, tensor<f32>) -> tensor<2x3xf32> loc("a")
    %l = "top.Log"(%a) : (tensor<2x3xf32>) -> tensor<2x3xf32> loc("l")
    %t = "top.Tanh"(%l) : (tensor<2x3xf32>) -> tensor<2x3xf32> loc("t")
    %y = "top.Mul"(%x, %t) : (tensor<2x3xf32>, tensor<2x3xf32>) -> tensor<2x3xf32> loc("y")
    return %y : tensor<2x3xf32>
  }
}

// -----
// log-to-softplus: log(2 + exp(x)) is none
// CHECK-LABEL: func.func @main
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Exp"{{.*}}loc({{(fused.)?}}"e"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Add"{{.*}}loc({{(fused.)?}}"a"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Log"{{.*}}loc({{(fused.)?}}"y"
// CHECK-NOT: "top.
// CHECK: return
module attributes {module.weight_file = "inputs/attention.npz"} {
  func.func @main(%arg0: tensor<2x3xf32> loc("x")) -> tensor<2x3xf32> {
    %x = "top.Input"(%arg0) : (tensor<2x3xf32>) -> tensor<2x3xf32> loc("x")
    %e = "top.Exp"(%x) : (tensor<2x3xf32>) -> tensor<2x3xf32> loc("e")
    %c_2 = "top.Weight"() : () -> tensor<f32> loc("c_2")
    %a = "top.Add"(%e, %c_2) : (tensor<2x3xf32>, tensor<f32>) -> tensor<2x3xf32> loc("a")
    %y = "top.Log"(%a) : (tensor<2x3xf32>) -> tensor<2x3xf32> loc("y")
    return %y : tensor<2x3xf32>
  }
}

// -----
// reciprocal-to-sigmoid; with the product it is SiLU
// CHECK-LABEL: func.func @main
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.SiLU"{{.*}}loc({{(fused.)?}}"y"
// CHECK-NOT: "top.
// CHECK: return
module attributes {module.weight_file = "inputs/attention.npz"} {
  func.func @main(%arg0: tensor<2x3xf32> loc("x")) -> tensor<2x3xf32> {
    %x = "top.Input"(%arg0) : (tensor<2x3xf32>) -> tensor<2x3xf32> loc("x")
    %n = "top.Neg"(%x) : (tensor<2x3xf32>) -> tensor<2x3xf32> loc("n")
    %e = "top.Exp"(%n) : (tensor<2x3xf32>) -> tensor<2x3xf32> loc("e")
    %c_1 = "top.Weight"() : () -> tensor<f32> loc("c_1")
    %a = "top.Add"(%e, %c_1) : (tensor<2x3xf32>, tensor<f32>) -> tensor<2x3xf32> loc("a")
    %d = "top.Div"(%c_1, %a) : (tensor<f32>, tensor<2x3xf32>) -> tensor<2x3xf32> loc("d")
    %y = "top.Mul"(%x, %d) : (tensor<2x3xf32>, tensor<2x3xf32>) -> tensor<2x3xf32> loc("y")
    return %y : tensor<2x3xf32>
  }
}

// -----
// reciprocal-to-sigmoid: 1 / (1 + exp(x)) is none
// CHECK-LABEL: func.func @main
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Exp"{{.*}}loc({{(fused.)?}}"e"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Add"{{.*}}loc({{(fused.)?}}"a"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Reciprocal"{{.*}}loc({{(fused.)?}}"y"
// CHECK-NOT: "top.
// CHECK: return
module attributes {module.weight_file = "inputs/attention.npz"} {
  func.func @main(%arg0: tensor<2x3xf32> loc("x")) -> tensor<2x3xf32> {
    %x = "top.Input"(%arg0) : (tensor<2x3xf32>) -> tensor<2x3xf32> loc("x")
    %e = "top.Exp"(%x) : (tensor<2x3xf32>) -> tensor<2x3xf32> loc("e")
    %c_1 = "top.Weight"() : () -> tensor<f32> loc("c_1")
    %a = "top.Add"(%e, %c_1) : (tensor<2x3xf32>, tensor<f32>) -> tensor<2x3xf32> loc("a")
    %y = "top.Div"(%c_1, %a) : (tensor<f32>, tensor<2x3xf32>) -> tensor<2x3xf32> loc("y")
    return %y : tensor<2x3xf32>
  }
}

// -----
// root-to-l2; clipped it stays a quotient
// CHECK-LABEL: func.func @main
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Reduce"{{.*}}loc({{(fused.)?}}"s"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Clip"{{.*}}loc({{(fused.)?}}"c"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Div"{{.*}}loc({{(fused.)?}}"y"
// CHECK-NOT: "top.
// CHECK: return
module attributes {module.weight_file = "inputs/attention.npz"} {
  func.func @main(%arg0: tensor<2x5xf32> loc("x")) -> tensor<2x5xf32> {
    %x = "top.Input"(%arg0) : (tensor<2x5xf32>) -> tensor<2x5xf32> loc("x")
    %q = "top.Mul"(%x, %x) : (tensor<2x5xf32>, tensor<2x5xf32>) -> tensor<2x5xf32> loc("q")
    %r = "top.Reduce"(%q) {axes = array<i64: 1>, mode = "ReduceSum"} : (tensor<2x5xf32>) -> tensor<2x1xf32> loc("r")
    %s = "top.Sqrt"(%r) : (tensor<2x1xf32>) -> tensor<2x1xf32> loc("s")
    %c = "top.Clip"(%s) {min = 0.5 : f64} : (tensor<2x1xf32>) -> tensor<2x1xf32> loc("c")
    %y = "top.Div"(%x, %c) : (tensor<2x5xf32>, tensor<2x1xf32>) -> tensor<2x5xf32> loc("y")
    return %y : tensor<2x5xf32>
  }
}

// -----
// root-to-l2, quotient-to-rms-norm
// CHECK-LABEL: func.func @main
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.RMSNorm"{{.*}}loc({{(fused.)?}}"y"
// CHECK-NOT: "top.
// CHECK: return
module attributes {module.weight_file = "inputs/attention.npz"} {
  func.func @main(%arg0: tensor<2x5xf32> loc("x")) -> tensor<2x5xf32> {
    %x = "top.Input"(%arg0) : (tensor<2x5xf32>) -> tensor<2x5xf32> loc("x")
    %q = "top.Square"(%x) : (tensor<2x5xf32>) -> tensor<2x5xf32> loc("q")
    %r = "top.Reduce"(%q) {axes = array<i64: 1>, mode = "ReduceSum"} : (tensor<2x5xf32>) -> tensor<2x1xf32> loc("r")
    %s = "top.Sqrt"(%r) : (tensor<2x1xf32>) -> tensor<2x1xf32> loc("s")
    %y = "top.Div"(%x, %s) : (tensor<2x5xf32>, tensor<2x1xf32>) -> tensor<2x5xf32> loc("y")
    return %y : tensor<2x5xf32>
  }
}

// -----
// quotient-to-rms-norm with a constant under the root
// CHECK-LABEL: func.func @main
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.RMSNorm"{{.*}}loc({{(fused.)?}}"y"
// CHECK-NOT: "top.
// CHECK: return
module attributes {module.weight_file = "inputs/attention.npz"} {
  func.func @main(%arg0: tensor<2x3x5xf32> loc("x")) -> tensor<2x3x5xf32> {
    %x = "top.Input"(%arg0) : (tensor<2x3x5xf32>) -> tensor<2x3x5xf32> loc("x")
    %r = "top.Reduce"(%x) {axes = array<i64: 2>, mode = "ReduceSumSquare"} : (tensor<2x3x5xf32>) -> tensor<2x3x1xf32> loc("r")
    %c_0_001 = "top.Weight"() : () -> tensor<f32> loc("c_0_001")
    %a = "top.Add"(%r, %c_0_001) : (tensor<2x3x1xf32>, tensor<f32>) -> tensor<2x3x1xf32> loc("a")
    %s = "top.Sqrt"(%a) : (tensor<2x3x1xf32>) -> tensor<2x3x1xf32> loc("s")
    %y = "top.Div"(%x, %s) : (tensor<2x3x5xf32>, tensor<2x3x1xf32>) -> tensor<2x3x5xf32> loc("y")
    return %y : tensor<2x3x5xf32>
  }
}

// -----
// quotient-to-rms-norm: another axis stays
// CHECK-LABEL: func.func @main
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Reduce"{{.*}}loc({{(fused.)?}}"r"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Div"{{.*}}loc({{(fused.)?}}"y"
// CHECK-NOT: "top.
// CHECK: return
module attributes {module.weight_file = "inputs/attention.npz"} {
  func.func @main(%arg0: tensor<2x5xf32> loc("x")) -> tensor<2x5xf32> {
    %x = "top.Input"(%arg0) : (tensor<2x5xf32>) -> tensor<2x5xf32> loc("x")
    %r = "top.Reduce"(%x) {axes = array<i64: 0>, mode = "ReduceL2"} : (tensor<2x5xf32>) -> tensor<1x5xf32> loc("r")
    %y = "top.Div"(%x, %r) : (tensor<2x5xf32>, tensor<1x5xf32>) -> tensor<2x5xf32> loc("y")
    return %y : tensor<2x5xf32>
  }
}

// -----
// root-to-norm over all spatial axes: InstanceNorm, which takes weights per channel
// CHECK-LABEL: func.func @main
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.InstanceNorm"{{.*}}loc({{(fused.)?}}"y"
// CHECK-NOT: "top.
// CHECK: return
module attributes {module.weight_file = "inputs/attention.npz"} {
  func.func @main(%arg0: tensor<2x3x4x5xf32> loc("x")) -> tensor<2x3x4x5xf32> {
    %x = "top.Input"(%arg0) : (tensor<2x3x4x5xf32>) -> tensor<2x3x4x5xf32> loc("x")
    %m = "top.Reduce"(%x) {axes = array<i64: 2, 3>, mode = "ReduceMean"} : (tensor<2x3x4x5xf32>) -> tensor<2x3x1x1xf32> loc("m")
    %d = "top.Sub"(%x, %m) : (tensor<2x3x4x5xf32>, tensor<2x3x1x1xf32>) -> tensor<2x3x4x5xf32> loc("d")
    %c_2 = "top.Weight"() : () -> tensor<f32> loc("c_2")
    %q = "top.Pow"(%d, %c_2) : (tensor<2x3x4x5xf32>, tensor<f32>) -> tensor<2x3x4x5xf32> loc("q")
    %v = "top.Reduce"(%q) {axes = array<i64: 2, 3>, mode = "ReduceMean"} : (tensor<2x3x4x5xf32>) -> tensor<2x3x1x1xf32> loc("v")
    %c_0_001 = "top.Weight"() : () -> tensor<f32> loc("c_0_001")
    %a = "top.Add"(%v, %c_0_001) : (tensor<2x3x1x1xf32>, tensor<f32>) -> tensor<2x3x1x1xf32> loc("a")
    %s = "top.Sqrt"(%a) : (tensor<2x3x1x1xf32>) -> tensor<2x3x1x1xf32> loc("s")
    %z = "top.Div"(%d, %s) : (tensor<2x3x4x5xf32>, tensor<2x3x1x1xf32>) -> tensor<2x3x4x5xf32> loc("z")
    %p_3x1x1 = "top.Weight"() : () -> tensor<3x1x1xf32> loc("p_3x1x1")
    %g = "top.Mul"(%z, %p_3x1x1) : (tensor<2x3x4x5xf32>, tensor<3x1x1xf32>) -> tensor<2x3x4x5xf32> loc("g")
    %w_3x1x1 = "top.Weight"() : () -> tensor<3x1x1xf32> loc("w_3x1x1")
    %y = "top.Add"(%g, %w_3x1x1) : (tensor<2x3x4x5xf32>, tensor<3x1x1xf32>) -> tensor<2x3x4x5xf32> loc("y")
    return %y : tensor<2x3x4x5xf32>
  }
}

// -----
// root-to-norm over the last two axes: LayerNorm
// CHECK-LABEL: func.func @main
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.LayerNorm"{{.*}}loc({{(fused.)?}}"y"
// CHECK-NOT: "top.
// CHECK: return
module attributes {module.weight_file = "inputs/attention.npz"} {
  func.func @main(%arg0: tensor<2x4x5xf32> loc("x")) -> tensor<2x4x5xf32> {
    %x = "top.Input"(%arg0) : (tensor<2x4x5xf32>) -> tensor<2x4x5xf32> loc("x")
    %m = "top.Reduce"(%x) {axes = array<i64: 1, 2>, mode = "ReduceMean"} : (tensor<2x4x5xf32>) -> tensor<2x1x1xf32> loc("m")
    %d = "top.Sub"(%x, %m) : (tensor<2x4x5xf32>, tensor<2x1x1xf32>) -> tensor<2x4x5xf32> loc("d")
    %q = "top.Mul"(%d, %d) : (tensor<2x4x5xf32>, tensor<2x4x5xf32>) -> tensor<2x4x5xf32> loc("q")
    %v = "top.Reduce"(%q) {axes = array<i64: 1, 2>, mode = "ReduceMean"} : (tensor<2x4x5xf32>) -> tensor<2x1x1xf32> loc("v")
    %c_0_001 = "top.Weight"() : () -> tensor<f32> loc("c_0_001")
    %a = "top.Add"(%v, %c_0_001) : (tensor<2x1x1xf32>, tensor<f32>) -> tensor<2x1x1xf32> loc("a")
    %s = "top.Sqrt"(%a) : (tensor<2x1x1xf32>) -> tensor<2x1x1xf32> loc("s")
    %y = "top.Div"(%d, %s) : (tensor<2x4x5xf32>, tensor<2x1x1xf32>) -> tensor<2x4x5xf32> loc("y")
    return %y : tensor<2x4x5xf32>
  }
}

// -----
// reshaped-instance-norm of a LayerNorm: GroupNorm with its weights
// CHECK-LABEL: func.func @main
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.GroupNorm"{{.*}}loc({{(fused.)?}}"y"
// CHECK-NOT: "top.
// CHECK: return
module attributes {module.weight_file = "inputs/attention.npz"} {
  func.func @main(%arg0: tensor<2x6x4x4xf32> loc("x")) -> tensor<2x6x4x4xf32> {
    %x = "top.Input"(%arg0) : (tensor<2x6x4x4xf32>) -> tensor<2x6x4x4xf32> loc("x")
    %none = "top.None"() : () -> none
    %r = "top.Reshape"(%x) {shape = array<i64: 2, 3, 32>} : (tensor<2x6x4x4xf32>) -> tensor<2x3x32xf32> loc("r")
    %n = "top.LayerNorm"(%r, %none, %none) {axis = 2 : i64} : (tensor<2x3x32xf32>, none, none) -> tensor<2x3x32xf32> loc("n")
    %b = "top.Reshape"(%n) {shape = array<i64: 2, 6, 4, 4>} : (tensor<2x3x32xf32>) -> tensor<2x6x4x4xf32> loc("b")
    %p_6x1x1 = "top.Weight"() : () -> tensor<6x1x1xf32> loc("p_6x1x1")
    %g = "top.Mul"(%b, %p_6x1x1) : (tensor<2x6x4x4xf32>, tensor<6x1x1xf32>) -> tensor<2x6x4x4xf32> loc("g")
    %w_6x1x1 = "top.Weight"() : () -> tensor<6x1x1xf32> loc("w_6x1x1")
    %y = "top.Add"(%g, %w_6x1x1) : (tensor<2x6x4x4xf32>, tensor<6x1x1xf32>) -> tensor<2x6x4x4xf32> loc("y")
    return %y : tensor<2x6x4x4xf32>
  }
}

// -----
// conv-of-one-pixel
// CHECK-LABEL: func.func @main
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Conv"{{.*}}loc({{(fused.)?}}"y"
// CHECK-NOT: "top.
// CHECK: return
module attributes {module.weight_file = "inputs/attention.npz"} {
  func.func @main(%arg0: tensor<2x3x1x1xf32> loc("x")) -> tensor<2x4x1x1xf32> {
    %x = "top.Input"(%arg0) : (tensor<2x3x1x1xf32>) -> tensor<2x3x1x1xf32> loc("x")
    %w_4x3x3x3 = "top.Weight"() : () -> tensor<4x3x3x3xf32> loc("w_4x3x3x3")
    %p_4 = "top.Weight"() : () -> tensor<4xf32> loc("p_4")
    %y = "top.Conv"(%x, %w_4x3x3x3, %p_4) {kernel_shape = array<i64: 3, 3>, pads = array<i64: 1, 1, 1, 1>} : (tensor<2x3x1x1xf32>, tensor<4x3x3x3xf32>, tensor<4xf32>) -> tensor<2x4x1x1xf32> loc("y")
    return %y : tensor<2x4x1x1xf32>
  }
}

// -----
// conv-of-one-pixel: two pixels see two taps
// CHECK-LABEL: func.func @main
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Conv"{{.*}}loc({{(fused.)?}}"y"
// CHECK-NOT: "top.
// CHECK: return
module attributes {module.weight_file = "inputs/attention.npz"} {
  func.func @main(%arg0: tensor<2x3x2x1xf32> loc("x")) -> tensor<2x4x2x1xf32> {
    %x = "top.Input"(%arg0) : (tensor<2x3x2x1xf32>) -> tensor<2x3x2x1xf32> loc("x")
    %w_4x3x3x3 = "top.Weight"() : () -> tensor<4x3x3x3xf32> loc("w_4x3x3x3")
    %p_4 = "top.Weight"() : () -> tensor<4xf32> loc("p_4")
    %y = "top.Conv"(%x, %w_4x3x3x3, %p_4) {kernel_shape = array<i64: 3, 3>, pads = array<i64: 1, 1, 1, 1>} : (tensor<2x3x2x1xf32>, tensor<4x3x3x3xf32>, tensor<4xf32>) -> tensor<2x4x2x1xf32> loc("y")
    return %y : tensor<2x4x2x1xf32>
  }
}
