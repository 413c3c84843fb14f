// RUN: %mica-opt %s --split-input-file --top-canonicalize | FileCheck %s

// packed-projection by Split, scale-into-projection, transposed-heads: the attention of a vision transformer
// CHECK-LABEL: func.func @main
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.MatMul"{{.*}}loc({{(fused.)?}}"q0_proj_scaled"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Reshape"{{.*}}loc({{(fused.)?}}"q0_split_scaled"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Permute"{{.*}}loc({{(fused.)?}}"q0_heads_scaled"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.MatMul"{{.*}}loc({{(fused.)?}}"k0_proj"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Reshape"{{.*}}loc({{(fused.)?}}"k0_split"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.MatMul"{{.*}}loc({{(fused.)?}}"v0_proj"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Reshape"{{.*}}loc({{(fused.)?}}"v0_split"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Permute"{{.*}}loc({{(fused.)?}}"v0_heads"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Permute"{{.*}}loc({{(fused.)?}}"kt_rows"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.MatMul"{{.*}}right_transpose = true{{.*}}loc({{(fused.)?}}"z"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Softmax"{{.*}}loc({{(fused.)?}}"p"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.MatMul"{{.*}}loc({{(fused.)?}}"y"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Permute"{{.*}}loc({{(fused.)?}}"o"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Reshape"{{.*}}loc({{(fused.)?}}"f"
// CHECK-NOT: "top.
// CHECK: return
module attributes {module.weight_file = "inputs/attention.npz"} {
  func.func @main(%arg0: tensor<1x5x8xf32> loc("x")) -> tensor<1x5x32xf32> {
    %x = "top.Input"(%arg0) : (tensor<1x5x8xf32>) -> tensor<1x5x8xf32> loc("x")
    %none = "top.None"() : () -> none
    %w_8x96 = "top.Weight"() : () -> tensor<8x96xf32> loc("w_8x96")
    %p_96 = "top.Weight"() : () -> tensor<96xf32> loc("p_96")
    %m = "top.MatMul"(%x, %w_8x96, %p_96) : (tensor<1x5x8xf32>, tensor<8x96xf32>, tensor<96xf32>) -> tensor<1x5x96xf32> loc("m")
    %r = "top.Reshape"(%m) {shape = array<i64: 1, 5, 3, 2, 16>} : (tensor<1x5x96xf32>) -> tensor<1x5x3x2x16xf32> loc("r")
    %t = "top.Permute"(%r) {order = array<i64: 2, 0, 3, 1, 4>} : (tensor<1x5x3x2x16xf32>) -> tensor<3x1x2x5x16xf32> loc("t")
    %q0:3 = "top.Split"(%t) {axis = 0 : i64, split_size = array<i64: 1, 1, 1>} : (tensor<3x1x2x5x16xf32>) -> (tensor<1x1x2x5x16xf32>, tensor<1x1x2x5x16xf32>, tensor<1x1x2x5x16xf32>) loc(fused["q0", "k0", "v0"])
    %q = "top.Reshape"(%q0#0) {shape = array<i64: 1, 2, 5, 16>} : (tensor<1x1x2x5x16xf32>) -> tensor<1x2x5x16xf32> loc("q")
    %k = "top.Reshape"(%q0#1) {shape = array<i64: 1, 2, 5, 16>} : (tensor<1x1x2x5x16xf32>) -> tensor<1x2x5x16xf32> loc("k")
    %v = "top.Reshape"(%q0#2) {shape = array<i64: 1, 2, 5, 16>} : (tensor<1x1x2x5x16xf32>) -> tensor<1x2x5x16xf32> loc("v")
    %kt = "top.Permute"(%k) {order = array<i64: 0, 1, 3, 2>} : (tensor<1x2x5x16xf32>) -> tensor<1x2x16x5xf32> loc("kt")
    %s = "top.MatMul"(%q, %kt, %none) : (tensor<1x2x5x16xf32>, tensor<1x2x16x5xf32>, none) -> tensor<1x2x5x5xf32> loc("s")
    %c_0_25 = "top.Weight"() : () -> tensor<f32> loc("c_0_25")
    %z = "top.Mul"(%s, %c_0_25) : (tensor<1x2x5x5xf32>, tensor<f32>) -> tensor<1x2x5x5xf32> loc("z")
    %p = "top.Softmax"(%z) {axis = 3 : i64} : (tensor<1x2x5x5xf32>) -> tensor<1x2x5x5xf32> loc("p")
    %y = "top.MatMul"(%p, %v, %none) : (tensor<1x2x5x5xf32>, tensor<1x2x5x16xf32>, none) -> tensor<1x2x5x16xf32> loc("y")
    %o = "top.Permute"(%y) {order = array<i64: 0, 2, 1, 3>} : (tensor<1x2x5x16xf32>) -> tensor<1x5x2x16xf32> loc("o")
    %f = "top.Reshape"(%o) {shape = array<i64: 1, 5, 32>} : (tensor<1x5x2x16xf32>) -> tensor<1x5x32xf32> loc("f")
    return %f : tensor<1x5x32xf32>
  }
}

// -----
// packed-projection by Slice: the scale comes before the scores
// CHECK-LABEL: func.func @main
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.MatMul"{{.*}}loc({{(fused.)?}}"q0_proj_scaled"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Reshape"{{.*}}loc({{(fused.)?}}"q0_split_scaled"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Permute"{{.*}}loc({{(fused.)?}}"q0_heads_scaled"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.MatMul"{{.*}}loc({{(fused.)?}}"k0_proj"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Reshape"{{.*}}loc({{(fused.)?}}"k0_split"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Permute"{{.*}}loc({{(fused.)?}}"k0_heads"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.MatMul"{{.*}}loc({{(fused.)?}}"v0_proj"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Reshape"{{.*}}loc({{(fused.)?}}"v0_split"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Permute"{{.*}}loc({{(fused.)?}}"v0_heads"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.MatMul"{{.*}}right_transpose = true{{.*}}loc({{(fused.)?}}"s"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Softmax"{{.*}}loc({{(fused.)?}}"p"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.MatMul"{{.*}}loc({{(fused.)?}}"y"
// CHECK-NOT: "top.
// CHECK: return
module attributes {module.weight_file = "inputs/attention.npz"} {
  func.func @main(%arg0: tensor<1x5x8xf32> loc("x")) -> tensor<1x2x5x16xf32> {
    %x = "top.Input"(%arg0) : (tensor<1x5x8xf32>) -> tensor<1x5x8xf32> loc("x")
    %none = "top.None"() : () -> none
    %w_8x96 = "top.Weight"() : () -> tensor<8x96xf32> loc("w_8x96")
    %m = "top.MatMul"(%x, %w_8x96, %none) : (tensor<1x5x8xf32>, tensor<8x96xf32>, none) -> tensor<1x5x96xf32> loc("m")
    %r = "top.Reshape"(%m) {shape = array<i64: 1, 5, 3, 2, 16>} : (tensor<1x5x96xf32>) -> tensor<1x5x3x2x16xf32> loc("r")
    %t = "top.Permute"(%r) {order = array<i64: 2, 0, 3, 1, 4>} : (tensor<1x5x3x2x16xf32>) -> tensor<3x1x2x5x16xf32> loc("t")
    %q0 = "top.Slice"(%t) {offset = array<i64: 0, 0, 0, 0, 0>, steps = array<i64: 1, 1, 1, 1, 1>, ends = array<i64: 1, 1, 2, 5, 16>} : (tensor<3x1x2x5x16xf32>) -> tensor<1x1x2x5x16xf32> loc("q0")
    %k0 = "top.Slice"(%t) {offset = array<i64: 1, 0, 0, 0, 0>, steps = array<i64: 1, 1, 1, 1, 1>, ends = array<i64: 2, 1, 2, 5, 16>} : (tensor<3x1x2x5x16xf32>) -> tensor<1x1x2x5x16xf32> loc("k0")
    %v0 = "top.Slice"(%t) {offset = array<i64: 2, 0, 0, 0, 0>, steps = array<i64: 1, 1, 1, 1, 1>, ends = array<i64: 3, 1, 2, 5, 16>} : (tensor<3x1x2x5x16xf32>) -> tensor<1x1x2x5x16xf32> loc("v0")
    %q = "top.Reshape"(%q0) {shape = array<i64: 1, 2, 5, 16>} : (tensor<1x1x2x5x16xf32>) -> tensor<1x2x5x16xf32> loc("q")
    %k = "top.Reshape"(%k0) {shape = array<i64: 1, 2, 5, 16>} : (tensor<1x1x2x5x16xf32>) -> tensor<1x2x5x16xf32> loc("k")
    %v = "top.Reshape"(%v0) {shape = array<i64: 1, 2, 5, 16>} : (tensor<1x1x2x5x16xf32>) -> tensor<1x2x5x16xf32> loc("v")
    %c_0_25 = "top.Weight"() : () -> tensor<f32> loc("c_0_25")
    %u = "top.Mul"(%q, %c_0_25) : (tensor<1x2x5x16xf32>, tensor<f32>) -> tensor<1x2x5x16xf32> loc("u")
    %s = "top.MatMul"(%u, %k, %none) {right_transpose = true} : (tensor<1x2x5x16xf32>, tensor<1x2x5x16xf32>, none) -> tensor<1x2x5x5xf32> loc("s")
    %p = "top.Softmax"(%s) {axis = 3 : i64} : (tensor<1x2x5x5xf32>) -> tensor<1x2x5x5xf32> loc("p")
    %y = "top.MatMul"(%p, %v, %none) : (tensor<1x2x5x5xf32>, tensor<1x2x5x16xf32>, none) -> tensor<1x2x5x16xf32> loc("y")
    return %y : tensor<1x2x5x16xf32>
  }
}

// -----
// packed-projection by Gather, as of torch.nn.MultiheadAttention
// CHECK-LABEL: func.func @main
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.MatMul"{{.*}}right_transpose = true{{.*}}loc({{(fused.)?}}"q_proj"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.MatMul"{{.*}}right_transpose = true{{.*}}loc({{(fused.)?}}"k_proj"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.MatMul"{{.*}}right_transpose = true{{.*}}loc({{(fused.)?}}"v_proj"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Mul"{{.*}}loc({{(fused.)?}}"a"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Add"{{.*}}loc({{(fused.)?}}"y"
// CHECK-NOT: "top.
// CHECK: return
module attributes {module.weight_file = "inputs/attention.npz"} {
  func.func @main(%arg0: tensor<5x2x8xf32> loc("x")) -> tensor<5x2x32xf32> {
    %x = "top.Input"(%arg0) : (tensor<5x2x8xf32>) -> tensor<5x2x8xf32> loc("x")
    %w_96x8 = "top.Weight"() : () -> tensor<96x8xf32> loc("w_96x8")
    %p_96 = "top.Weight"() : () -> tensor<96xf32> loc("p_96")
    %m = "top.MatMul"(%x, %w_96x8, %p_96) {right_transpose = true} : (tensor<5x2x8xf32>, tensor<96x8xf32>, tensor<96xf32>) -> tensor<5x2x96xf32> loc("m")
    %r = "top.Reshape"(%m) {shape = array<i64: 1, 5, 2, 3, 32>} : (tensor<5x2x96xf32>) -> tensor<1x5x2x3x32xf32> loc("r")
    %t = "top.Permute"(%r) {order = array<i64: 3, 1, 2, 0, 4>} : (tensor<1x5x2x3x32xf32>) -> tensor<3x5x2x1x32xf32> loc("t")
    %g = "top.Reshape"(%t) {shape = array<i64: 3, 5, 2, 32>} : (tensor<3x5x2x1x32xf32>) -> tensor<3x5x2x32xf32> loc("g")
    %i_0 = "top.Weight"() : () -> tensor<i64> loc("i_0")
    %q = "top.Gather"(%g, %i_0) {axis = 0 : i64} : (tensor<3x5x2x32xf32>, tensor<i64>) -> tensor<5x2x32xf32> loc("q")
    %i_1 = "top.Weight"() : () -> tensor<i64> loc("i_1")
    %k = "top.Gather"(%g, %i_1) {axis = 0 : i64} : (tensor<3x5x2x32xf32>, tensor<i64>) -> tensor<5x2x32xf32> loc("k")
    %i_m1 = "top.Weight"() : () -> tensor<i64> loc("i_m1")
    %v = "top.Gather"(%g, %i_m1) {axis = 0 : i64} : (tensor<3x5x2x32xf32>, tensor<i64>) -> tensor<5x2x32xf32> loc("v")
    %a = "top.Mul"(%q, %k) : (tensor<5x2x32xf32>, tensor<5x2x32xf32>) -> tensor<5x2x32xf32> loc("a")
    %y = "top.Add"(%a, %v) : (tensor<5x2x32xf32>, tensor<5x2x32xf32>) -> tensor<5x2x32xf32> loc("y")
    return %y : tensor<5x2x32xf32>
  }
}

// -----
// scale-into-projection for queries and keys, transposed-heads: separate projections and a mask, as of BERT and scaled_dot_product_attention
// CHECK-LABEL: func.func @main
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.MatMul"{{.*}}loc({{(fused.)?}}"q0_scaled"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Reshape"{{.*}}loc({{(fused.)?}}"q1_scaled"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Permute"{{.*}}loc({{(fused.)?}}"q"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.MatMul"{{.*}}loc({{(fused.)?}}"k0_scaled"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Reshape"{{.*}}loc({{(fused.)?}}"k1_scaled"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.MatMul"{{.*}}loc({{(fused.)?}}"v0"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Reshape"{{.*}}loc({{(fused.)?}}"v1"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Permute"{{.*}}loc({{(fused.)?}}"v"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Permute"{{.*}}loc({{(fused.)?}}"k_rows"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.MatMul"{{.*}}right_transpose = true{{.*}}loc({{(fused.)?}}"s"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Add"{{.*}}loc({{(fused.)?}}"a"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Softmax"{{.*}}loc({{(fused.)?}}"p"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.MatMul"{{.*}}loc({{(fused.)?}}"y"
// CHECK-NOT: "top.
// CHECK: return
module attributes {module.weight_file = "inputs/attention.npz"} {
  func.func @main(%arg0: tensor<1x5x8xf32> loc("x"), %arg1: tensor<1x1x1x5xf32> loc("mask")) -> tensor<1x2x5x8xf32> {
    %x = "top.Input"(%arg0) : (tensor<1x5x8xf32>) -> tensor<1x5x8xf32> loc("x")
    %mask = "top.Input"(%arg1) : (tensor<1x1x1x5xf32>) -> tensor<1x1x1x5xf32> loc("mask")
    %none = "top.None"() : () -> none
    %w_8x16 = "top.Weight"() : () -> tensor<8x16xf32> loc("w_8x16")
    %p_16 = "top.Weight"() : () -> tensor<16xf32> loc("p_16")
    %q0 = "top.MatMul"(%x, %w_8x16, %p_16) : (tensor<1x5x8xf32>, tensor<8x16xf32>, tensor<16xf32>) -> tensor<1x5x16xf32> loc("q0")
    %q1 = "top.Reshape"(%q0) {shape = array<i64: 1, 5, 2, 8>} : (tensor<1x5x16xf32>) -> tensor<1x5x2x8xf32> loc("q1")
    %q2 = "top.Permute"(%q1) {order = array<i64: 0, 2, 1, 3>} : (tensor<1x5x2x8xf32>) -> tensor<1x2x5x8xf32> loc("q2")
    %c_0_5 = "top.Weight"() : () -> tensor<f32> loc("c_0_5")
    %q = "top.Mul"(%q2, %c_0_5) : (tensor<1x2x5x8xf32>, tensor<f32>) -> tensor<1x2x5x8xf32> loc("q")
    %k0 = "top.MatMul"(%x, %w_8x16, %none) : (tensor<1x5x8xf32>, tensor<8x16xf32>, none) -> tensor<1x5x16xf32> loc("k0")
    %k1 = "top.Reshape"(%k0) {shape = array<i64: 1, 5, 2, 8>} : (tensor<1x5x16xf32>) -> tensor<1x5x2x8xf32> loc("k1")
    %k2 = "top.Permute"(%k1) {order = array<i64: 0, 2, 3, 1>} : (tensor<1x5x2x8xf32>) -> tensor<1x2x8x5xf32> loc("k2")
    %k = "top.Mul"(%k2, %c_0_5) : (tensor<1x2x8x5xf32>, tensor<f32>) -> tensor<1x2x8x5xf32> loc("k")
    %v0 = "top.MatMul"(%x, %w_8x16, %none) : (tensor<1x5x8xf32>, tensor<8x16xf32>, none) -> tensor<1x5x16xf32> loc("v0")
    %v1 = "top.Reshape"(%v0) {shape = array<i64: 1, 5, 2, 8>} : (tensor<1x5x16xf32>) -> tensor<1x5x2x8xf32> loc("v1")
    %v = "top.Permute"(%v1) {order = array<i64: 0, 2, 1, 3>} : (tensor<1x5x2x8xf32>) -> tensor<1x2x5x8xf32> loc("v")
    %s = "top.MatMul"(%q, %k, %none) : (tensor<1x2x5x8xf32>, tensor<1x2x8x5xf32>, none) -> tensor<1x2x5x5xf32> loc("s")
    %a = "top.Add"(%s, %mask) : (tensor<1x2x5x5xf32>, tensor<1x1x1x5xf32>) -> tensor<1x2x5x5xf32> loc("a")
    %p = "top.Softmax"(%a) {axis = 3 : i64} : (tensor<1x2x5x5xf32>) -> tensor<1x2x5x5xf32> loc("p")
    %y = "top.MatMul"(%p, %v, %none) : (tensor<1x2x5x5xf32>, tensor<1x2x5x8xf32>, none) -> tensor<1x2x5x8xf32> loc("y")
    return %y : tensor<1x2x5x8xf32>
  }
}

// -----
// add-between-reshapes, merge-added-constants: position bias and mask of shifted windows
// CHECK-LABEL: func.func @main
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.MatMul"{{.*}}right_transpose = true{{.*}}loc({{(fused.)?}}"s"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Add"{{.*}}loc({{(fused.)?}}"w"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Softmax"{{.*}}loc({{(fused.)?}}"p"
// CHECK-NOT: "top.
// CHECK: return
module attributes {module.weight_file = "inputs/attention.npz"} {
  func.func @main(%arg0: tensor<4x2x9x8xf32> loc("q"), %arg1: tensor<4x2x9x8xf32> loc("k")) -> tensor<4x2x9x9xf32> {
    %q = "top.Input"(%arg0) : (tensor<4x2x9x8xf32>) -> tensor<4x2x9x8xf32> loc("q")
    %k = "top.Input"(%arg1) : (tensor<4x2x9x8xf32>) -> tensor<4x2x9x8xf32> loc("k")
    %none = "top.None"() : () -> none
    %s = "top.MatMul"(%q, %k, %none) {right_transpose = true} : (tensor<4x2x9x8xf32>, tensor<4x2x9x8xf32>, none) -> tensor<4x2x9x9xf32> loc("s")
    %p_1x2x9x9 = "top.Weight"() : () -> tensor<1x2x9x9xf32> loc("p_1x2x9x9")
    %b = "top.Add"(%s, %p_1x2x9x9) : (tensor<4x2x9x9xf32>, tensor<1x2x9x9xf32>) -> tensor<4x2x9x9xf32> loc("b")
    %r = "top.Reshape"(%b) {shape = array<i64: 1, 4, 2, 9, 9>} : (tensor<4x2x9x9xf32>) -> tensor<1x4x2x9x9xf32> loc("r")
    %p_1x4x1x9x9 = "top.Weight"() : () -> tensor<1x4x1x9x9xf32> loc("p_1x4x1x9x9")
    %m = "top.Add"(%r, %p_1x4x1x9x9) : (tensor<1x4x2x9x9xf32>, tensor<1x4x1x9x9xf32>) -> tensor<1x4x2x9x9xf32> loc("m")
    %w = "top.Reshape"(%m) {shape = array<i64: 4, 2, 9, 9>} : (tensor<1x4x2x9x9xf32>) -> tensor<4x2x9x9xf32> loc("w")
    %p = "top.Softmax"(%w) {axis = 3 : i64} : (tensor<4x2x9x9xf32>) -> tensor<4x2x9x9xf32> loc("p")
    return %p : tensor<4x2x9x9xf32>
  }
}

// -----
// None of them: parts too narrow, scores without a projection, a head that is returned, a constant that would grow
// CHECK-LABEL: func.func @main
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.MatMul"{{.*}}loc({{(fused.)?}}"m"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Split"{{.*}}loc({{(fused.)?}}"a"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.MatMul"{{.*}}right_transpose = true{{.*}}loc({{(fused.)?}}"s"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Mul"{{.*}}loc({{(fused.)?}}"z"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.MatMul"{{.*}}loc({{(fused.)?}}"h"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Reshape"{{.*}}loc({{(fused.)?}}"r"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Mul"{{.*}}loc({{(fused.)?}}"u"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Add"{{.*}}loc({{(fused.)?}}"e"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Add"{{.*}}loc({{(fused.)?}}"g"
// CHECK-NOT: "top.
// CHECK: return
module attributes {module.weight_file = "inputs/attention.npz"} {
  func.func @main(%arg0: tensor<1x5x8xf32> loc("x"), %arg1: tensor<1x2x5x8xf32> loc("q"), %arg2: tensor<1x2x5x8xf32> loc("k")) -> (tensor<1x5x10xf32>, tensor<1x5x10xf32>, tensor<1x2x5x5xf32>, tensor<1x5x2x8xf32>, tensor<1x5x2x8xf32>, tensor<1x5x8xf32>) {
    %x = "top.Input"(%arg0) : (tensor<1x5x8xf32>) -> tensor<1x5x8xf32> loc("x")
    %q = "top.Input"(%arg1) : (tensor<1x2x5x8xf32>) -> tensor<1x2x5x8xf32> loc("q")
    %k = "top.Input"(%arg2) : (tensor<1x2x5x8xf32>) -> tensor<1x2x5x8xf32> loc("k")
    %none = "top.None"() : () -> none
    %w_8x20 = "top.Weight"() : () -> tensor<8x20xf32> loc("w_8x20")
    %m = "top.MatMul"(%x, %w_8x20, %none) : (tensor<1x5x8xf32>, tensor<8x20xf32>, none) -> tensor<1x5x20xf32> loc("m")
    %a:2 = "top.Split"(%m) {axis = 2 : i64, split_size = array<i64: 10, 10>} : (tensor<1x5x20xf32>) -> (tensor<1x5x10xf32>, tensor<1x5x10xf32>) loc(fused["a", "b"])
    %s = "top.MatMul"(%q, %k, %none) {right_transpose = true} : (tensor<1x2x5x8xf32>, tensor<1x2x5x8xf32>, none) -> tensor<1x2x5x5xf32> loc("s")
    %c_0_25 = "top.Weight"() : () -> tensor<f32> loc("c_0_25")
    %z = "top.Mul"(%s, %c_0_25) : (tensor<1x2x5x5xf32>, tensor<f32>) -> tensor<1x2x5x5xf32> loc("z")
    %w_8x16 = "top.Weight"() : () -> tensor<8x16xf32> loc("w_8x16")
    %h = "top.MatMul"(%x, %w_8x16, %none) : (tensor<1x5x8xf32>, tensor<8x16xf32>, none) -> tensor<1x5x16xf32> loc("h")
    %r = "top.Reshape"(%h) {shape = array<i64: 1, 5, 2, 8>} : (tensor<1x5x16xf32>) -> tensor<1x5x2x8xf32> loc("r")
    %u = "top.Mul"(%r, %c_0_25) : (tensor<1x5x2x8xf32>, tensor<f32>) -> tensor<1x5x2x8xf32> loc("u")
    %p_5x1 = "top.Weight"() : () -> tensor<5x1xf32> loc("p_5x1")
    %e = "top.Add"(%x, %p_5x1) : (tensor<1x5x8xf32>, tensor<5x1xf32>) -> tensor<1x5x8xf32> loc("e")
    %p_8 = "top.Weight"() : () -> tensor<8xf32> loc("p_8")
    %g = "top.Add"(%e, %p_8) : (tensor<1x5x8xf32>, tensor<8xf32>) -> tensor<1x5x8xf32> loc("g")
    return %a#0, %a#1, %z, %u, %r, %g : tensor<1x5x10xf32>, tensor<1x5x10xf32>, tensor<1x2x5x5xf32>, tensor<1x5x2x8xf32>, tensor<1x5x2x8xf32>, tensor<1x5x8xf32>
  }
}
