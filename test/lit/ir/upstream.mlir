// REQUIRES: mlir-opt
// What upstream makes of our text must read back as the same module, in both of its forms.
// RUN: %mica-opt %s -o %t.1
// RUN: %mlir-opt --allow-unregistered-dialect -mlir-print-debuginfo %t.1 -o %t.2
// RUN: %mica-opt %t.2 | diff %t.1 -
// RUN: %mlir-opt --allow-unregistered-dialect -mlir-print-debuginfo -mlir-print-op-generic %t.1 -o %t.3
// RUN: %mica-opt %t.3 | diff %t.1 -
// RUN: %mica-opt %t.1 --mlir-print-op-generic -o %t.4
// RUN: %mlir-opt --allow-unregistered-dialect -mlir-print-debuginfo %t.4 | diff %t.2 -
// RUN: %mlir-opt --allow-unregistered-dialect -mlir-print-debuginfo %t.2 | diff %t.2 -

module @net attributes {module.a = 0.012345678901234567, module.b = 0.100000001 : f32, module.c = 123456789.5, module.d = [1.0e300, -1], module.e = array<f64: 0.012345678901234567, 0xFFF0000000000000>, module.f = 1.5e-45 : f32, module.g = "\C3\A9\22\0A", module.h = 0xFFC00001 : f32, module.i = 65504.0 : f16, module.j = dense<[0.1, 0.3]> : tensor<2xf32>} {
  func.func @main(%arg0: tensor<1x3xf32> loc("x"), %arg1: tensor<?x3xf32> loc(unknown)) -> (tensor<1x3xf32>, !quant.uniform<i8<-127:127>:f32:1, {0.1,0.2:1}>) attributes {b, c = "q"} {
    %0 = "o.none"() : () -> none loc(unknown)
    %1:2 = "o.split"(%arg0) {"c d" = array<i64: 1, 2>, f = [1, 2.0, "s\n\00q\\"], g = {x = 1, y = unit}, h = tensor<1x8xsi8, 4096 : i64>, i = @main, j = dense<[1, 2]> : tensor<2xi64>, k = dense_resource<w0> : tensor<2xf32>, l = #foo.bar<a, b<c>>, m = affine_map<(d0) -> (d0)>, n = array<i8: 1>, p = array<i32>, q = 5 : index, r = -5 : si8, s = 255 : ui8, t = (i32) -> i64, v = 0xFF : i32, x = 1.0 : bf16, z = 1.0 : f8E4M3FN, w = 18446744073709551615 : ui64} : (tensor<1x3xf32>) -> (tensor<1x3xf32>, tensor<1x3x!quant.calibrated<f32<-0.1234567890123456789:1.5>>>) loc(fused["a", "b"])
    %2 = "o.if"(%1#0) ({
      "o.yield"(%1#1) : (tensor<1x3x!quant.calibrated<f32<-0.1234567890123456789:1.5>>>) -> () loc("f":1:2)
    }, {
    ^bb0(%b: f32 loc("bb")):
      "o.yield"(%b) : (f32) -> () loc("n"("f":1:2))
    }) : (tensor<1x3xf32>) -> !quant.uniform<i8<-127:127>:f32:1, {0.1,0.2:1}> loc(fused["a", "c", "a"])
    %3 = "o.scales"() : () -> (tensor<4x!quant.uniform<u8:f32:0, {1.1754943e-38,123456789.5:3,1.0e-10:255,0.3333333333333333333}>>) loc("s")
    %4:7 = "o.small"() {a = 1.0 : f8E4M3FNUZ, b = 0xFF : f8E4M3FN, c = 0x80 : f8E5M2FNUZ, d = -3 : i4} : () -> (tensor<8xf8E4M3FN>, tensor<f8E4M3FNUZ>, f8E5M2, tensor<2x2xf8E5M2FNUZ>, tensor<3xi4>, tensor<?xui4>, tensor<2xui2>) loc("u")
    return %1#0, %2 : tensor<1x3xf32>, !quant.uniform<i8<-127:127>:f32:1, {0.1,0.2:1}> loc("r")
  } loc("f")
  func.func private @ext(tensor<f32> {a.x = 1}) -> (f32 {b.y = 2}) loc("f")
} loc("m")
