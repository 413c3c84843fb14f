// RUN: %mica-opt %s --top-narrow-f64 --no-debuginfo | FileCheck %s
// Double precision becomes single before calibration and lowering: arguments, values, casts.
// CHECK: func.func @main(%arg0: tensor<4xf32>, %arg1: tensor<4xi64>) -> (tensor<4xf32>, tensor<4xi64>)
// CHECK: "top.DtypeCast"(%{{.*}}) {to = "f32"} : (tensor<4xi64>) -> tensor<4xf32>
// CHECK: "top.Add"(%{{.*}}) : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
// CHECK: return %{{.*}} : tensor<4xf32>, tensor<4xi64>
module @net attributes {module.state = "TOP_F32"} {
  func.func @main(%arg0: tensor<4xf64> loc("x"), %arg1: tensor<4xi64> loc("n")) -> (tensor<4xf64>, tensor<4xi64>) {
    %0 = "top.Input"(%arg0) : (tensor<4xf64>) -> tensor<4xf64> loc("x")
    %1 = "top.Input"(%arg1) : (tensor<4xi64>) -> tensor<4xi64> loc("n")
    %2 = "top.DtypeCast"(%1) {to = "f64"} : (tensor<4xi64>) -> tensor<4xf64> loc("wide")
    %3 = "top.Add"(%0, %2) : (tensor<4xf64>, tensor<4xf64>) -> tensor<4xf64> loc("sum")
    return %3, %1 : tensor<4xf64>, tensor<4xi64>
  }
}
