// RUN: %mica-opt %s --split-input-file --top-canonicalize | FileCheck %s

// slice-of-concat
// CHECK-LABEL: func.func @main
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Concat"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Exp"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Exp"
// CHECK-NOT: "top.
// CHECK: return
module attributes {module.weight_file = "inputs/parts.npz"} {
  func.func @main(%arg0: tensor<1x3x4xf32> loc("x"), %arg1: tensor<1x2x4xf32> loc("z")) -> (tensor<1x2x4xf32>, tensor<1x5x4xf32>) {
    %0 = "top.Input"(%arg0) : (tensor<1x3x4xf32>) -> tensor<1x3x4xf32> loc("x")
    %1 = "top.Input"(%arg1) : (tensor<1x2x4xf32>) -> tensor<1x2x4xf32> loc("z")
    %2 = "top.Concat"(%0, %1) {axis = 1 : i64} : (tensor<1x3x4xf32>, tensor<1x2x4xf32>) -> tensor<1x5x4xf32> loc("a")
    %3 = "top.Slice"(%2) {ends = array<i64: 1, 5, 4>, offset = array<i64: 0, 3, 0>, steps = array<i64: 1, 1, 1>} : (tensor<1x5x4xf32>) -> tensor<1x2x4xf32> loc("s")
    %4 = "top.Exp"(%3) : (tensor<1x2x4xf32>) -> tensor<1x2x4xf32> loc("y")
    %5 = "top.Exp"(%2) : (tensor<1x5x4xf32>) -> tensor<1x5x4xf32> loc("w")
    return %4, %5 : tensor<1x2x4xf32>, tensor<1x5x4xf32> loc(unknown)
  } loc(unknown)
} loc(unknown)

// -----
// slice-of-concat: not here
// CHECK-LABEL: func.func @main
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Concat"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Slice"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Exp"
// CHECK-NOT: "top.
// CHECK: return
module attributes {module.weight_file = "inputs/parts.npz"} {
  func.func @main(%arg0: tensor<1x3x4xf32> loc("x"), %arg1: tensor<1x2x4xf32> loc("z")) -> tensor<1x2x4xf32> {
    %0 = "top.Input"(%arg0) : (tensor<1x3x4xf32>) -> tensor<1x3x4xf32> loc("x")
    %1 = "top.Input"(%arg1) : (tensor<1x2x4xf32>) -> tensor<1x2x4xf32> loc("z")
    %2 = "top.Concat"(%0, %1) {axis = 1 : i64} : (tensor<1x3x4xf32>, tensor<1x2x4xf32>) -> tensor<1x5x4xf32> loc("a")
    %3 = "top.Slice"(%2) {ends = array<i64: 1, 4, 4>, offset = array<i64: 0, 2, 0>, steps = array<i64: 1, 1, 1>} : (tensor<1x5x4xf32>) -> tensor<1x2x4xf32> loc("s")
    %4 = "top.Exp"(%3) : (tensor<1x2x4xf32>) -> tensor<1x2x4xf32> loc("y")
    return %4 : tensor<1x2x4xf32> loc(unknown)
  } loc(unknown)
} loc(unknown)

// -----
// concat-of-parts
// CHECK-LABEL: func.func @main
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Exp"
// CHECK-NOT: "top.
// CHECK: return
module attributes {module.weight_file = "inputs/parts.npz"} {
  func.func @main(%arg0: tensor<1x5x4xf32> loc("x")) -> tensor<1x5x4xf32> {
    %0 = "top.Input"(%arg0) : (tensor<1x5x4xf32>) -> tensor<1x5x4xf32> loc("x")
    %1 = "top.Slice"(%0) {ends = array<i64: 1, 3, 4>, offset = array<i64: 0, 0, 0>, steps = array<i64: 1, 1, 1>} : (tensor<1x5x4xf32>) -> tensor<1x3x4xf32> loc("a")
    %2 = "top.Slice"(%0) {ends = array<i64: 1, 5, 4>, offset = array<i64: 0, 3, 0>, steps = array<i64: 1, 1, 1>} : (tensor<1x5x4xf32>) -> tensor<1x2x4xf32> loc("b")
    %3 = "top.Concat"(%1, %2) {axis = 1 : i64} : (tensor<1x3x4xf32>, tensor<1x2x4xf32>) -> tensor<1x5x4xf32> loc("c")
    %4 = "top.Exp"(%3) : (tensor<1x5x4xf32>) -> tensor<1x5x4xf32> loc("y")
    return %4 : tensor<1x5x4xf32> loc(unknown)
  } loc(unknown)
} loc(unknown)

// -----
// concat-of-parts: not here
// CHECK-LABEL: func.func @main
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Split"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Concat"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Exp"
// CHECK-NOT: "top.
// CHECK: return
module attributes {module.weight_file = "inputs/parts.npz"} {
  func.func @main(%arg0: tensor<1x4x4xf32> loc("x")) -> tensor<1x4x4xf32> {
    %0 = "top.Input"(%arg0) : (tensor<1x4x4xf32>) -> tensor<1x4x4xf32> loc("x")
    %1:2 = "top.Split"(%0) {axis = 1 : i64, split_size = array<i64: 2, 2>} : (tensor<1x4x4xf32>) -> (tensor<1x2x4xf32>, tensor<1x2x4xf32>) loc(fused["a", "b"])
    %2 = "top.Concat"(%1#1, %1#0) {axis = 1 : i64} : (tensor<1x2x4xf32>, tensor<1x2x4xf32>) -> tensor<1x4x4xf32> loc("c")
    %3 = "top.Exp"(%2) : (tensor<1x4x4xf32>) -> tensor<1x4x4xf32> loc("y")
    return %3 : tensor<1x4x4xf32> loc(unknown)
  } loc(unknown)
} loc(unknown)

// -----
// flatten-concats
// CHECK-LABEL: func.func @main
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Concat"
// CHECK-NOT: "top.
// CHECK: return
module attributes {module.weight_file = "inputs/parts.npz"} {
  func.func @main(%arg0: tensor<1x3x4xf32> loc("x"), %arg1: tensor<1x2x4xf32> loc("z")) -> tensor<1x10x4xf32> {
    %0 = "top.Input"(%arg0) : (tensor<1x3x4xf32>) -> tensor<1x3x4xf32> loc("x")
    %1 = "top.Input"(%arg1) : (tensor<1x2x4xf32>) -> tensor<1x2x4xf32> loc("z")
    %2 = "top.Concat"(%0, %1) {axis = 1 : i64} : (tensor<1x3x4xf32>, tensor<1x2x4xf32>) -> tensor<1x5x4xf32> loc("a")
    %3 = "top.Concat"(%1, %2, %0) {axis = -2 : i64, do_relu = true} : (tensor<1x2x4xf32>, tensor<1x5x4xf32>, tensor<1x3x4xf32>) -> tensor<1x10x4xf32> loc("b")
    return %3 : tensor<1x10x4xf32> loc(unknown)
  } loc(unknown)
} loc(unknown)

// -----
// flatten-concats: not here
// CHECK-LABEL: func.func @main
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Concat"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Concat"
// CHECK-NOT: "top.
// CHECK: return
module attributes {module.weight_file = "inputs/parts.npz"} {
  func.func @main(%arg0: tensor<1x3x4xf32> loc("x"), %arg1: tensor<1x2x4xf32> loc("z")) -> (tensor<1x7x4xf32>, tensor<1x5x4xf32>) {
    %0 = "top.Input"(%arg0) : (tensor<1x3x4xf32>) -> tensor<1x3x4xf32> loc("x")
    %1 = "top.Input"(%arg1) : (tensor<1x2x4xf32>) -> tensor<1x2x4xf32> loc("z")
    %2 = "top.Concat"(%0, %1) {axis = 1 : i64} : (tensor<1x3x4xf32>, tensor<1x2x4xf32>) -> tensor<1x5x4xf32> loc("a")
    %3 = "top.Concat"(%1, %2) {axis = 1 : i64} : (tensor<1x2x4xf32>, tensor<1x5x4xf32>) -> tensor<1x7x4xf32> loc("b")
    return %3, %2 : tensor<1x7x4xf32>, tensor<1x5x4xf32> loc(unknown)
  } loc(unknown)
} loc(unknown)

// -----
// merge-slices
// CHECK-LABEL: func.func @main
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Slice"
// CHECK-NOT: "top.
// CHECK: return
module attributes {module.weight_file = "inputs/parts.npz"} {
  func.func @main(%arg0: tensor<1x20x9xf32> loc("x")) -> tensor<1x3x3xf32> {
    %0 = "top.Input"(%arg0) : (tensor<1x20x9xf32>) -> tensor<1x20x9xf32> loc("x")
    %1 = "top.Slice"(%0) {ends = array<i64: 1, 18, 9>, offset = array<i64: 0, 1, 2>, steps = array<i64: 1, 2, 1>} : (tensor<1x20x9xf32>) -> tensor<1x9x7xf32> loc("a")
    %2 = "top.Slice"(%1) {ends = array<i64: 1, 9, 6>, offset = array<i64: 0, 2, 1>, steps = array<i64: 1, 3, 2>} : (tensor<1x9x7xf32>) -> tensor<1x3x3xf32> loc("y")
    return %2 : tensor<1x3x3xf32> loc(unknown)
  } loc(unknown)
} loc(unknown)

// -----
// merge-slices: not here
// CHECK-LABEL: func.func @main
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Slice"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Slice"
// CHECK-NOT: "top.
// CHECK: return
module attributes {module.weight_file = "inputs/parts.npz"} {
  func.func @main(%arg0: tensor<1x9xf32> loc("x")) -> tensor<1x4xf32> {
    %0 = "top.Input"(%arg0) : (tensor<1x9xf32>) -> tensor<1x9xf32> loc("x")
    %1 = "top.Slice"(%0) {ends = array<i64: 1, -1>, offset = array<i64: 0, 8>, steps = array<i64: 1, -1>} : (tensor<1x9xf32>) -> tensor<1x9xf32> loc("a")
    %2 = "top.Slice"(%1) {ends = array<i64: 1, 6>, offset = array<i64: 0, 2>, steps = array<i64: 1, 1>} : (tensor<1x9xf32>) -> tensor<1x4xf32> loc("y")
    return %2 : tensor<1x4xf32> loc(unknown)
  } loc(unknown)
} loc(unknown)

// -----
// permute-to-block
// CHECK-LABEL: func.func @main
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Depth2Space"
// CHECK-NOT: "top.
// CHECK: return
module attributes {module.weight_file = "inputs/parts.npz"} {
  func.func @main(%arg0: tensor<2x12x3x5xf32> loc("x")) -> tensor<2x3x6x10xf32> {
    %0 = "top.Input"(%arg0) : (tensor<2x12x3x5xf32>) -> tensor<2x12x3x5xf32> loc("x")
    %1 = "top.Reshape"(%0) {shape = array<i64: 2, 2, 2, 3, 3, 5>} : (tensor<2x12x3x5xf32>) -> tensor<2x2x2x3x3x5xf32> loc("a")
    %2 = "top.Permute"(%1) {order = array<i64: 0, 3, 4, 1, 5, 2>} : (tensor<2x2x2x3x3x5xf32>) -> tensor<2x3x3x2x5x2xf32> loc("p")
    %3 = "top.Reshape"(%2) {shape = array<i64: 2, 3, 6, 10>} : (tensor<2x3x3x2x5x2xf32>) -> tensor<2x3x6x10xf32> loc("y")
    return %3 : tensor<2x3x6x10xf32> loc(unknown)
  } loc(unknown)
} loc(unknown)

// -----
// permute-to-block: not here
// CHECK-LABEL: func.func @main
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Reshape"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Permute"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Reshape"
// CHECK-NOT: "top.
// CHECK: return
module attributes {module.weight_file = "inputs/parts.npz"} {
  func.func @main(%arg0: tensor<2x12x3x5xf32> loc("x")) -> tensor<2x2x6x15xf32> {
    %0 = "top.Input"(%arg0) : (tensor<2x12x3x5xf32>) -> tensor<2x12x3x5xf32> loc("x")
    %1 = "top.Reshape"(%0) {shape = array<i64: 2, 2, 3, 2, 3, 5>} : (tensor<2x12x3x5xf32>) -> tensor<2x2x3x2x3x5xf32> loc("a")
    %2 = "top.Permute"(%1) {order = array<i64: 0, 3, 4, 1, 5, 2>} : (tensor<2x2x3x2x3x5xf32>) -> tensor<2x2x3x2x5x3xf32> loc("p")
    %3 = "top.Reshape"(%2) {shape = array<i64: 2, 2, 6, 15>} : (tensor<2x2x3x2x5x3xf32>) -> tensor<2x2x6x15xf32> loc("y")
    return %3 : tensor<2x2x6x15xf32> loc(unknown)
  } loc(unknown)
} loc(unknown)

// -----
// expand-to-nearest
// CHECK-LABEL: func.func @main
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Interp"
// CHECK-NOT: "top.
// CHECK: return
module attributes {module.weight_file = "inputs/parts.npz"} {
  func.func @main(%arg0: tensor<2x3x4x5xf32> loc("x")) -> tensor<2x3x8x15xf32> {
    %0 = "top.Input"(%arg0) : (tensor<2x3x4x5xf32>) -> tensor<2x3x4x5xf32> loc("x")
    %1 = "top.Reshape"(%0) {shape = array<i64: 2, 3, 4, 1, 5, 1>} : (tensor<2x3x4x5xf32>) -> tensor<2x3x4x1x5x1xf32> loc("a")
    %2 = "top.Expand"(%1) {shape = array<i64: 2, 3, 4, 2, 5, 3>} : (tensor<2x3x4x1x5x1xf32>) -> tensor<2x3x4x2x5x3xf32> loc("e")
    %3 = "top.Reshape"(%2) {shape = array<i64: 2, 3, 8, 15>} : (tensor<2x3x4x2x5x3xf32>) -> tensor<2x3x8x15xf32> loc("y")
    return %3 : tensor<2x3x8x15xf32> loc(unknown)
  } loc(unknown)
} loc(unknown)

// -----
// expand-to-nearest: not here
// CHECK-LABEL: func.func @main
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Reshape"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Expand"
// CHECK-NOT: "top.{{[^INW]}}
// CHECK: "top.Reshape"
// CHECK-NOT: "top.
// CHECK: return
module attributes {module.weight_file = "inputs/parts.npz"} {
  func.func @main(%arg0: tensor<2x3x4x5xf32> loc("x")) -> tensor<2x3x8x10xf32> {
    %0 = "top.Input"(%arg0) : (tensor<2x3x4x5xf32>) -> tensor<2x3x4x5xf32> loc("x")
    %1 = "top.Reshape"(%0) {shape = array<i64: 2, 3, 1, 4, 1, 5>} : (tensor<2x3x4x5xf32>) -> tensor<2x3x1x4x1x5xf32> loc("a")
    %2 = "top.Expand"(%1) {shape = array<i64: 2, 3, 2, 4, 2, 5>} : (tensor<2x3x1x4x1x5xf32>) -> tensor<2x3x2x4x2x5xf32> loc("e")
    %3 = "top.Reshape"(%2) {shape = array<i64: 2, 3, 8, 10>} : (tensor<2x3x2x4x2x5xf32>) -> tensor<2x3x8x10xf32> loc("y")
    return %3 : tensor<2x3x8x10xf32> loc(unknown)
  } loc(unknown)
} loc(unknown)
