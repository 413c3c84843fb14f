// RUN: %mica-opt %s --split-input-file --no-verify --top-shape-infer --verify-diagnostics

func.func @main(%a: tensor<2x3xf32>, %b: tensor<4x5xf32>) -> tensor<*xf32> {
  // expected-error@+1 {{'top.Add' op}}
  %0 = "top.Add"(%a, %b) : (tensor<2x3xf32>, tensor<4x5xf32>) -> tensor<*xf32> loc("y")
  return %0 : tensor<*xf32>
}

// -----
// expected-error@+1 {{module has no function 'main'}}
module {
}
