module attributes {module.chip = "cpu", module.state = "TPU_LOWERED", module.mode = "INT4"} {
  func.func @main(%arg0: tensor<4xf32> loc("x")) -> tensor<4xf32> {
    %0 = "top.Input"(%arg0) : (tensor<4xf32>) -> tensor<4xf32> loc("x")
    %1 = "tpu.Cast"(%0) : (tensor<4xf32>) -> tensor<4x!quant.uniform<i4:f32, 0.5>> loc("q")
    %2 = "tpu.Cast"(%1) : (tensor<4x!quant.uniform<i4:f32, 0.5>>) -> tensor<4xf32> loc("y")
    return %2 : tensor<4xf32>
  }
}
