module attributes {module.state = "TOP_F32", module.weight_file = "weights.npz"} {
  func.func @main(%a: tensor<1x3x8x8xf32>, %i: tensor<2xi64>) -> (tensor<1x4x2x6xf32>, tensor<1x4x6x6xf32>) {
    %0 = "top.Input"(%a) : (tensor<1x3x8x8xf32>) -> tensor<1x3x8x8xf32> loc("x")
    %1 = "top.Input"(%i) : (tensor<2xi64>) -> tensor<2xi64> loc("rows")
    %w = "top.Weight"() : () -> tensor<4x3x3x3xf32> loc("filter")
    %b = "top.Weight"() : () -> tensor<4xf32> loc("filter_bias")
    %2 = "top.Conv"(%0, %w, %b) {kernel_shape = array<i64: 3, 3>} : (tensor<1x3x8x8xf32>, tensor<4x3x3x3xf32>, tensor<4xf32>) -> tensor<1x4x6x6xf32> loc("conv")
    %3 = "top.Relu"(%2) : (tensor<1x4x6x6xf32>) -> tensor<1x4x6x6xf32> loc("relu")
    %4 = "top.Gather"(%3, %1) {axis = 2 : i64} : (tensor<1x4x6x6xf32>, tensor<2xi64>) -> tensor<1x4x2x6xf32> loc("picked")
    %5 = "top.Softmax"(%2) {axis = 1 : i64} : (tensor<1x4x6x6xf32>) -> tensor<1x4x6x6xf32> loc("soft")
    return %4, %5 : tensor<1x4x2x6xf32>, tensor<1x4x6x6xf32>
  }
}
