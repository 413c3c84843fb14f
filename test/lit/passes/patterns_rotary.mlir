// RUN: %mica-opt %s --split-input-file --top-canonicalize | FileCheck %s

// sum-to-rope: halves, constant angles
// CHECK-LABEL: func.func @main
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Rope"{{.*}}loc({{(fused.)?}}"y"
// CHECK-NOT: "top.
// CHECK: return
module attributes {module.weight_file = "inputs/attention.npz"} {
  func.func @main(%arg0: tensor<2x3x5x8xf32> loc("x")) -> tensor<2x3x5x8xf32> {
    %x = "top.Input"(%arg0) : (tensor<2x3x5x8xf32>) -> tensor<2x3x5x8xf32> loc("x")
    %a = "top.Slice"(%x) {offset = array<i64: 0, 0, 0, 0>, steps = array<i64: 1, 1, 1, 1>, ends = array<i64: 2, 3, 5, 4>} : (tensor<2x3x5x8xf32>) -> tensor<2x3x5x4xf32> loc("a")
    %b = "top.Slice"(%x) {offset = array<i64: 0, 0, 0, 4>, steps = array<i64: 1, 1, 1, 1>, ends = array<i64: 2, 3, 5, 8>} : (tensor<2x3x5x8xf32>) -> tensor<2x3x5x4xf32> loc("b")
    %n = "top.Neg"(%b) : (tensor<2x3x5x4xf32>) -> tensor<2x3x5x4xf32> loc("n")
    %r = "top.Concat"(%n, %a) {axis = 3 : i64} : (tensor<2x3x5x4xf32>, tensor<2x3x5x4xf32>) -> tensor<2x3x5x8xf32> loc("r")
    %p_1x1x5x8 = "top.Weight"() : () -> tensor<1x1x5x8xf32> loc("p_1x1x5x8")
    %p = "top.Mul"(%x, %p_1x1x5x8) : (tensor<2x3x5x8xf32>, tensor<1x1x5x8xf32>) -> tensor<2x3x5x8xf32> loc("p")
    %w_1x1x5x8 = "top.Weight"() : () -> tensor<1x1x5x8xf32> loc("w_1x1x5x8")
    %q = "top.Mul"(%r, %w_1x1x5x8) : (tensor<2x3x5x8xf32>, tensor<1x1x5x8xf32>) -> tensor<2x3x5x8xf32> loc("q")
    %y = "top.Add"(%p, %q) : (tensor<2x3x5x8xf32>, tensor<2x3x5x8xf32>) -> tensor<2x3x5x8xf32> loc("y")
    return %y : tensor<2x3x5x8xf32>
  }
}

// -----
// sum-to-rope: halves by Split, angles that are inputs
// CHECK-LABEL: func.func @main
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Rope"{{.*}}loc({{(fused.)?}}"y"
// CHECK-NOT: "top.
// CHECK: return
module attributes {module.weight_file = "inputs/attention.npz"} {
  func.func @main(%arg0: tensor<2x3x5x8xf32> loc("x"), %arg1: tensor<2x1x5x8xf32> loc("c"), %arg2: tensor<2x1x5x8xf32> loc("s")) -> tensor<2x3x5x8xf32> {
    %x = "top.Input"(%arg0) : (tensor<2x3x5x8xf32>) -> tensor<2x3x5x8xf32> loc("x")
    %c = "top.Input"(%arg1) : (tensor<2x1x5x8xf32>) -> tensor<2x1x5x8xf32> loc("c")
    %s = "top.Input"(%arg2) : (tensor<2x1x5x8xf32>) -> tensor<2x1x5x8xf32> loc("s")
    %a:2 = "top.Split"(%x) {axis = 3 : i64, split_size = array<i64: 4, 4>} : (tensor<2x3x5x8xf32>) -> (tensor<2x3x5x4xf32>, tensor<2x3x5x4xf32>) loc(fused["a", "b"])
    %n = "top.Neg"(%a#1) : (tensor<2x3x5x4xf32>) -> tensor<2x3x5x4xf32> loc("n")
    %r = "top.Concat"(%n, %a#0) {axis = -1 : i64} : (tensor<2x3x5x4xf32>, tensor<2x3x5x4xf32>) -> tensor<2x3x5x8xf32> loc("r")
    %p = "top.Mul"(%c, %x) : (tensor<2x1x5x8xf32>, tensor<2x3x5x8xf32>) -> tensor<2x3x5x8xf32> loc("p")
    %q = "top.Mul"(%s, %r) : (tensor<2x1x5x8xf32>, tensor<2x3x5x8xf32>) -> tensor<2x3x5x8xf32> loc("q")
    %y = "top.Add"(%q, %p) : (tensor<2x3x5x8xf32>, tensor<2x3x5x8xf32>) -> tensor<2x3x5x8xf32> loc("y")
    return %y : tensor<2x3x5x8xf32>
  }
}

// -----
// sum-to-rope: neighbours
// CHECK-LABEL: func.func @main
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Rope"{{.*}}loc({{(fused.)?}}"y"
// CHECK-NOT: "top.
// CHECK: return
module attributes {module.weight_file = "inputs/attention.npz"} {
  func.func @main(%arg0: tensor<3x5x8xf32> loc("x")) -> tensor<3x5x8xf32> {
    %x = "top.Input"(%arg0) : (tensor<3x5x8xf32>) -> tensor<3x5x8xf32> loc("x")
    %a = "top.Slice"(%x) {offset = array<i64: 0, 0, 0>, steps = array<i64: 1, 1, 2>, ends = array<i64: 3, 5, 8>} : (tensor<3x5x8xf32>) -> tensor<3x5x4xf32> loc("a")
    %b = "top.Slice"(%x) {offset = array<i64: 0, 0, 1>, steps = array<i64: 1, 1, 2>, ends = array<i64: 3, 5, 8>} : (tensor<3x5x8xf32>) -> tensor<3x5x4xf32> loc("b")
    %n = "top.Neg"(%b) : (tensor<3x5x4xf32>) -> tensor<3x5x4xf32> loc("n")
    %u = "top.Reshape"(%n) {shape = array<i64: 3, 5, 4, 1>} : (tensor<3x5x4xf32>) -> tensor<3x5x4x1xf32> loc("u")
    %v = "top.Reshape"(%a) {shape = array<i64: 3, 5, 4, 1>} : (tensor<3x5x4xf32>) -> tensor<3x5x4x1xf32> loc("v")
    %t = "top.Concat"(%u, %v) {axis = 3 : i64} : (tensor<3x5x4x1xf32>, tensor<3x5x4x1xf32>) -> tensor<3x5x4x2xf32> loc("t")
    %r = "top.Reshape"(%t) {shape = array<i64: 3, 5, 8>} : (tensor<3x5x4x2xf32>) -> tensor<3x5x8xf32> loc("r")
    %p_5x8 = "top.Weight"() : () -> tensor<5x8xf32> loc("p_5x8")
    %p = "top.Mul"(%x, %p_5x8) : (tensor<3x5x8xf32>, tensor<5x8xf32>) -> tensor<3x5x8xf32> loc("p")
    %w_5x8 = "top.Weight"() : () -> tensor<5x8xf32> loc("w_5x8")
    %q = "top.Mul"(%r, %w_5x8) : (tensor<3x5x8xf32>, tensor<5x8xf32>) -> tensor<3x5x8xf32> loc("q")
    %y = "top.Add"(%p, %q) : (tensor<3x5x8xf32>, tensor<3x5x8xf32>) -> tensor<3x5x8xf32> loc("y")
    return %y : tensor<3x5x8xf32>
  }
}

// -----
// join-to-rope: one angle for both of a pair
// CHECK-LABEL: func.func @main
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Rope"{{.*}}loc({{(fused.)?}}"y"
// CHECK-NOT: "top.
// CHECK: return
module attributes {module.weight_file = "inputs/attention.npz"} {
  func.func @main(%arg0: tensor<2x3x5x8xf32> loc("x"), %arg1: tensor<2x1x5x4xf32> loc("c"), %arg2: tensor<2x1x5x4xf32> loc("s")) -> tensor<2x3x5x8xf32> {
    %x = "top.Input"(%arg0) : (tensor<2x3x5x8xf32>) -> tensor<2x3x5x8xf32> loc("x")
    %c = "top.Input"(%arg1) : (tensor<2x1x5x4xf32>) -> tensor<2x1x5x4xf32> loc("c")
    %s = "top.Input"(%arg2) : (tensor<2x1x5x4xf32>) -> tensor<2x1x5x4xf32> loc("s")
    %a = "top.Slice"(%x) {offset = array<i64: 0, 0, 0, 0>, steps = array<i64: 1, 1, 1, 1>, ends = array<i64: 2, 3, 5, 4>} : (tensor<2x3x5x8xf32>) -> tensor<2x3x5x4xf32> loc("a")
    %b = "top.Slice"(%x) {offset = array<i64: 0, 0, 0, 4>, steps = array<i64: 1, 1, 1, 1>, ends = array<i64: 2, 3, 5, 8>} : (tensor<2x3x5x8xf32>) -> tensor<2x3x5x4xf32> loc("b")
    %ca = "top.Mul"(%c, %a) : (tensor<2x1x5x4xf32>, tensor<2x3x5x4xf32>) -> tensor<2x3x5x4xf32> loc("ca")
    %sb = "top.Mul"(%s, %b) : (tensor<2x1x5x4xf32>, tensor<2x3x5x4xf32>) -> tensor<2x3x5x4xf32> loc("sb")
    %sa = "top.Mul"(%s, %a) : (tensor<2x1x5x4xf32>, tensor<2x3x5x4xf32>) -> tensor<2x3x5x4xf32> loc("sa")
    %cb = "top.Mul"(%c, %b) : (tensor<2x1x5x4xf32>, tensor<2x3x5x4xf32>) -> tensor<2x3x5x4xf32> loc("cb")
    %re = "top.Sub"(%ca, %sb) : (tensor<2x3x5x4xf32>, tensor<2x3x5x4xf32>) -> tensor<2x3x5x4xf32> loc("re")
    %im = "top.Add"(%sa, %cb) : (tensor<2x3x5x4xf32>, tensor<2x3x5x4xf32>) -> tensor<2x3x5x4xf32> loc("im")
    %y = "top.Concat"(%re, %im) {axis = 3 : i64} : (tensor<2x3x5x4xf32>, tensor<2x3x5x4xf32>) -> tensor<2x3x5x8xf32> loc("y")
    return %y : tensor<2x3x5x8xf32>
  }
}

// -----
// pairs-to-rope: neighbours, one angle for both
// CHECK-LABEL: func.func @main
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Rope"{{.*}}loc({{(fused.)?}}"y"
// CHECK-NOT: "top.
// CHECK: return
module attributes {module.weight_file = "inputs/attention.npz"} {
  func.func @main(%arg0: tensor<2x3x5x8xf32> loc("x"), %arg1: tensor<2x1x5x4xf32> loc("c"), %arg2: tensor<2x1x5x4xf32> loc("s")) -> tensor<2x3x5x8xf32> {
    %x = "top.Input"(%arg0) : (tensor<2x3x5x8xf32>) -> tensor<2x3x5x8xf32> loc("x")
    %c = "top.Input"(%arg1) : (tensor<2x1x5x4xf32>) -> tensor<2x1x5x4xf32> loc("c")
    %s = "top.Input"(%arg2) : (tensor<2x1x5x4xf32>) -> tensor<2x1x5x4xf32> loc("s")
    %a = "top.Slice"(%x) {offset = array<i64: 0, 0, 0, 0>, steps = array<i64: 1, 1, 1, 2>, ends = array<i64: 2, 3, 5, 8>} : (tensor<2x3x5x8xf32>) -> tensor<2x3x5x4xf32> loc("a")
    %b = "top.Slice"(%x) {offset = array<i64: 0, 0, 0, 1>, steps = array<i64: 1, 1, 1, 2>, ends = array<i64: 2, 3, 5, 8>} : (tensor<2x3x5x8xf32>) -> tensor<2x3x5x4xf32> loc("b")
    %ca = "top.Mul"(%c, %a) : (tensor<2x1x5x4xf32>, tensor<2x3x5x4xf32>) -> tensor<2x3x5x4xf32> loc("ca")
    %sb = "top.Mul"(%s, %b) : (tensor<2x1x5x4xf32>, tensor<2x3x5x4xf32>) -> tensor<2x3x5x4xf32> loc("sb")
    %sa = "top.Mul"(%s, %a) : (tensor<2x1x5x4xf32>, tensor<2x3x5x4xf32>) -> tensor<2x3x5x4xf32> loc("sa")
    %cb = "top.Mul"(%c, %b) : (tensor<2x1x5x4xf32>, tensor<2x3x5x4xf32>) -> tensor<2x3x5x4xf32> loc("cb")
    %re = "top.Sub"(%ca, %sb) : (tensor<2x3x5x4xf32>, tensor<2x3x5x4xf32>) -> tensor<2x3x5x4xf32> loc("re")
    %im = "top.Add"(%sa, %cb) : (tensor<2x3x5x4xf32>, tensor<2x3x5x4xf32>) -> tensor<2x3x5x4xf32> loc("im")
    %u = "top.Reshape"(%re) {shape = array<i64: 2, 3, 5, 4, 1>} : (tensor<2x3x5x4xf32>) -> tensor<2x3x5x4x1xf32> loc("u")
    %v = "top.Reshape"(%im) {shape = array<i64: 2, 3, 5, 4, 1>} : (tensor<2x3x5x4xf32>) -> tensor<2x3x5x4x1xf32> loc("v")
    %t = "top.Concat"(%u, %v) {axis = 4 : i64} : (tensor<2x3x5x4x1xf32>, tensor<2x3x5x4x1xf32>) -> tensor<2x3x5x4x2xf32> loc("t")
    %y = "top.Reshape"(%t) {shape = array<i64: 2, 3, 5, 8>} : (tensor<2x3x5x4x2xf32>) -> tensor<2x3x5x8xf32> loc("y")
    return %y : tensor<2x3x5x8xf32>
  }
}

// -----
// None of them: the other half is negated
// CHECK-LABEL: func.func @main
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Slice"{{.*}}loc({{(fused.)?}}"a"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Slice"{{.*}}loc({{(fused.)?}}"b"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Neg"{{.*}}loc({{(fused.)?}}"n"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Concat"{{.*}}loc({{(fused.)?}}"r"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Mul"{{.*}}loc({{(fused.)?}}"p"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Mul"{{.*}}loc({{(fused.)?}}"q"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Add"{{.*}}loc({{(fused.)?}}"y"
// CHECK-NOT: "top.
// CHECK: return
module attributes {module.weight_file = "inputs/attention.npz"} {
  func.func @main(%arg0: tensor<5x8xf32> loc("x")) -> tensor<5x8xf32> {
    %x = "top.Input"(%arg0) : (tensor<5x8xf32>) -> tensor<5x8xf32> loc("x")
    %a = "top.Slice"(%x) {offset = array<i64: 0, 0>, steps = array<i64: 1, 1>, ends = array<i64: 5, 4>} : (tensor<5x8xf32>) -> tensor<5x4xf32> loc("a")
    %b = "top.Slice"(%x) {offset = array<i64: 0, 4>, steps = array<i64: 1, 1>, ends = array<i64: 5, 8>} : (tensor<5x8xf32>) -> tensor<5x4xf32> loc("b")
    %n = "top.Neg"(%a) : (tensor<5x4xf32>) -> tensor<5x4xf32> loc("n")
    %r = "top.Concat"(%b, %n) {axis = 1 : i64} : (tensor<5x4xf32>, tensor<5x4xf32>) -> tensor<5x8xf32> loc("r")
    %p_5x8 = "top.Weight"() : () -> tensor<5x8xf32> loc("p_5x8")
    %p = "top.Mul"(%x, %p_5x8) : (tensor<5x8xf32>, tensor<5x8xf32>) -> tensor<5x8xf32> loc("p")
    %w_5x8 = "top.Weight"() : () -> tensor<5x8xf32> loc("w_5x8")
    %q = "top.Mul"(%r, %w_5x8) : (tensor<5x8xf32>, tensor<5x8xf32>) -> tensor<5x8xf32> loc("q")
    %y = "top.Add"(%p, %q) : (tensor<5x8xf32>, tensor<5x8xf32>) -> tensor<5x8xf32> loc("y")
    return %y : tensor<5x8xf32>
  }
}
