// RUN: mica-opt %s --verify-diagnostics --split-input-file

func.func @spatial(%x: tensor<1x3x8x!quant.uniform<i8:f32, 0.5>>, %w: tensor<4x3x3xi8>, %n: none) {
  // expected-error@+1 {{'tpu.Conv2D' op expects 2 spatial axes, got 1}}
  %1 = "tpu.Conv2D"(%x, %w, %n) {kernel_shape = array<i64: 3>} : (tensor<1x3x8x!quant.uniform<i8:f32, 0.5>>, tensor<4x3x3xi8>, none) -> tensor<1x4x6x!quant.uniform<i8:f32, 0.5>>
  return
}

// -----

func.func @multipliers(%x: tensor<1x3x8x!quant.uniform<i8:f32, 0.5>>, %w: tensor<4x3x3xi8>, %n: none) {
  // expected-error@+1 {{'tpu.Conv1D' op expects 1 or 4 values in attributes 'multiplier' and 'rshift', got 3 and 4}}
  %1 = "tpu.Conv1D"(%x, %w, %n) {kernel_shape = array<i64: 3>, multiplier = array<i64: 1, 2, 3>, rshift = array<i64: 1, 2, 3, 4>} : (tensor<1x3x8x!quant.uniform<i8:f32, 0.5>>, tensor<4x3x3xi8>, none) -> tensor<1x4x6x!quant.uniform<i8:f32, 0.5>>
  return
}

// -----

func.func @shift(%x: tensor<1x3x8x!quant.uniform<i8:f32, 0.5>>, %w: tensor<4x3x3xi8>, %n: none) {
  // expected-error@+1 {{'tpu.Conv1D' op expects values from 0 to 62 in attribute 'rshift', got 63}}
  %1 = "tpu.Conv1D"(%x, %w, %n) {kernel_shape = array<i64: 3>, multiplier = array<i64: 1>, rshift = array<i64: 63>} : (tensor<1x3x8x!quant.uniform<i8:f32, 0.5>>, tensor<4x3x3xi8>, none) -> tensor<1x4x6x!quant.uniform<i8:f32, 0.5>>
  return
}

// -----

func.func @real(%x: tensor<2x3x!quant.uniform<i8:f32, 0.5>>, %w: tensor<3x4x!quant.uniform<i8:f32, 0.5>>, %n: none) {
  %0 = "tpu.MatMul"(%x, %w, %n) : (tensor<2x3x!quant.uniform<i8:f32, 0.5>>, tensor<3x4x!quant.uniform<i8:f32, 0.5>>, none) -> tensor<2x4xf32>
  // expected-error@+1 {{'tpu.MatMul' op expects a quantized result for quantized operands, got tensor<2x4xf32>}}
  %1 = "tpu.MatMul"(%x, %w, %n) {multiplier = array<i64: 1>, rshift = array<i64: 1>} : (tensor<2x3x!quant.uniform<i8:f32, 0.5>>, tensor<3x4x!quant.uniform<i8:f32, 0.5>>, none) -> tensor<2x4xf32>
  return
}

// -----

func.func @result(%x: tensor<2x3x!quant.uniform<i8:f32, 0.5>>, %w: tensor<3x4xi8>, %n: none) {
  // expected-error@+1 {{'tpu.MatMul' op expects a quantized result for quantized operands, got tensor<2x4xf32>}}
  %1 = "tpu.MatMul"(%x, %w, %n) {multiplier = array<i64: 1>, rshift = array<i64: 1>} : (tensor<2x3x!quant.uniform<i8:f32, 0.5>>, tensor<3x4xi8>, none) -> tensor<2x4xf32>
  return
}

// -----

func.func @add(%x: tensor<2x!quant.uniform<i8:f32, 0.5>>) {
  // expected-error@+1 {{'tpu.Add' op expects 2 values in attribute 'multiplier', got 1}}
  %1 = "tpu.Add"(%x, %x) {multiplier = array<i64: 1>, rshift = array<i64: 1>} : (tensor<2x!quant.uniform<i8:f32, 0.5>>, tensor<2x!quant.uniform<i8:f32, 0.5>>) -> tensor<2x!quant.uniform<i8:f32, 0.5>>
  return
}

// -----

func.func @active(%x: tensor<2xf32>) {
  // expected-error@+1 {{'tpu.Active' op expects the name of an element-wise function in attribute 'mode', got "Sigmoyd"}}
  %1 = "tpu.Active"(%x) {mode = "Sigmoyd"} : (tensor<2xf32>) -> tensor<2xf32>
  return
}

// -----

func.func @active_quant(%x: tensor<2x!quant.uniform<i8:f32, 0.5>>) {
  // expected-error@+1 {{'tpu.Active' op expects a float operand}}
  %1 = "tpu.Active"(%x) {mode = "Sigmoid"} : (tensor<2x!quant.uniform<i8:f32, 0.5>>) -> tensor<2x!quant.uniform<i8:f32, 0.5>>
  return
}

// -----

func.func @lut(%x: tensor<2x!quant.uniform<i8:f32, 0.5>>, %t: tensor<255xi8>) {
  // expected-error@+1 {{'tpu.Lut' op expects a table of shape [256], got [255]}}
  %1 = "tpu.Lut"(%x, %t) : (tensor<2x!quant.uniform<i8:f32, 0.5>>, tensor<255xi8>) -> tensor<2x!quant.uniform<i8:f32, 0.5>>
  return
}

// -----

func.func @lut_float(%x: tensor<2xf32>, %t: tensor<256xi8>) {
  // expected-error@+1 {{'tpu.Lut' op expects 8-bit elements in the input, got tensor<2xf32>}}
  %1 = "tpu.Lut"(%x, %t) : (tensor<2xf32>, tensor<256xi8>) -> tensor<2xi8>
  return
}

// -----

func.func @softmax_axis(%x: tensor<2x3x!quant.uniform<i8:f32, 0.5>>) {
  // expected-error@+1 {{'tpu.Softmax' op expects the last axis and no logarithm in its integer form}}
  %1 = "tpu.Softmax"(%x) {axis = 0 : i64, multiplier = array<i64: 1>, rshift = array<i64: 1>} : (tensor<2x3x!quant.uniform<i8:f32, 0.5>>) -> tensor<2x3x!quant.uniform<u8:f32, 0.5>>
  return
}
