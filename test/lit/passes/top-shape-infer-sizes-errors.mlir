// RUN: %mica-opt %s --split-input-file --no-verify --top-shape-infer --verify-diagnostics

func.func @main(%x: tensor<3x4xf32>, %y: tensor<12xi64>) -> tensor<*xi64> {
  %1 = "top.NonZero"(%x) : (tensor<3x4xf32>) -> tensor<*xi64> loc("found")
  // expected-error@+1 {{'top.Add' op cannot take operand 'found', whose size depends on the data that 'found' (top.NonZero) finds: with another size}}
  %2 = "top.Add"(%1, %y) : (tensor<*xi64>, tensor<12xi64>) -> tensor<*xi64>
  return %2 : tensor<*xi64>
}

// -----

func.func @main(%x: tensor<3x4xf32>) -> tensor<*xi64> {
  %1 = "top.NonZero"(%x) : (tensor<3x4xf32>) -> tensor<*xi64> loc("found")
  // expected-error@+1 {{'top.Reshape' op cannot take operand 'found'}}
  %2 = "top.Reshape"(%1) {shape = array<i64: 3, -1>} : (tensor<*xi64>) -> tensor<*xi64>
  return %2 : tensor<*xi64>
}

// -----

func.func @main(%x: tensor<8xf32>) -> tensor<*xi64> {
  %1 = "top.NonZero"(%x) : (tensor<8xf32>) -> tensor<*xi64> loc("found")
  %2 = "top.Permute"(%1) {order = array<i64: 1, 0>} : (tensor<*xi64>) -> tensor<*xi64>
  %3 = "top.Add"(%1, %2) : (tensor<*xi64>, tensor<*xi64>) -> tensor<*xi64> loc("table")
  // expected-error@+1 {{'top.Reshape' op cannot take operand 'table', whose size depends on the data that 'found' (top.NonZero) finds: dimension 0 of its result 0, at most 64, follows by no simple rule}}
  %4 = "top.Reshape"(%3) {shape = array<i64: -1>} : (tensor<*xi64>) -> tensor<*xi64>
  return %4 : tensor<*xi64>
}

// -----

func.func @main(%x: tensor<8xf32>) -> tensor<*xi64> {
  %1 = "top.NonZero"(%x) : (tensor<8xf32>) -> tensor<*xi64> loc("found")
  // expected-error@+1 {{cut the model before this op with output_names}}
  %2:2 = "top.TopK"(%1) {k = 3 : i64, axis = 1 : i64} : (tensor<*xi64>) -> (tensor<*xi64>, tensor<*xi64>)
  return %2#0 : tensor<*xi64>
}
