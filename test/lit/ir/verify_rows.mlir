// RUN: not %mica-opt %s --split-input-file 2>&1 | FileCheck %s

%x = "o.x"() : () -> tensor<1x3xf32>
%n = "top.None"() : () -> none
// CHECK: error: 'top.Relu' op expects 1 operands, got 0
"top.Relu"() : () -> tensor<1x3xf32>
// CHECK: error: 'top.Conv' op expects 2 to 3 operands, got 1
// CHECK: error: 'top.Conv' op needs attribute 'kernel_shape'
"top.Conv"(%x) : (tensor<1x3xf32>) -> tensor<1x3xf32>
// CHECK: error: 'top.Relu' op expects 1 results, got 2
"top.Relu"(%x) : (tensor<1x3xf32>) -> (tensor<1x3xf32>, tensor<1x3xf32>)
// CHECK: error: 'top.Relu' op operand #0 'input' must be a value, got none
"top.Relu"(%n) : (none) -> tensor<1x3xf32>
// CHECK: error: 'top.Concat' op attribute 'axis' must be an integer, got 1.0 : f64
"top.Concat"(%x, %x) {axis = 1.0} : (tensor<1x3xf32>, tensor<1x3xf32>) -> tensor<1x6xf32>
// CHECK: error: 'top.Add' op has no attribute 'do_rleu'; did you mean 'do_relu'?
"top.Add"(%x, %x) {do_rleu = true} : (tensor<1x3xf32>, tensor<1x3xf32>) -> tensor<1x3xf32>
// CHECK: error: 'top.Add' op attribute 'do_relu' must be true or false, got 1 : i64
// CHECK: error: 'top.Add' op attribute 'relu_limit' must be a floating point number like 1.0, got 6 : i64
"top.Add"(%x, %x) {do_relu = 1, relu_limit = 6} : (tensor<1x3xf32>, tensor<1x3xf32>) -> tensor<1x3xf32>
// CHECK: error: 'top.Input' op attribute 'resize_dims' must be a list like array<i64: 1, 2>, got ["a"]
// CHECK: error: 'top.Input' op attribute 'pad_type' must be one of normal|center, got 'middle'
"top.Input"(%x) {pad_type = "middle", resize_dims = ["a"], "my.note" = 1} : (tensor<1x3xf32>) -> tensor<1x3xf32>
// CHECK-NOT: error
