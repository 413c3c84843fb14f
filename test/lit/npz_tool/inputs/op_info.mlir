module {
  func.func @main(%arg0: tensor<2x4xf32>) -> tensor<2x4x!quant.uniform<i8:f32, 0.1>> {
    %0 = "top.Input"(%arg0) : (tensor<2x4xf32>) -> tensor<2x4xf32> loc("in")
    %1 = "tpu.Cast"(%0) : (tensor<2x4xf32>) -> tensor<2x4x!quant.uniform<i8:f32, 0.1>> loc("q")
    return %1 : tensor<2x4x!quant.uniform<i8:f32, 0.1>>
  }
}
