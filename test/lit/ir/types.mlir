// RUN: %mica-opt %s --verify-roundtrip --no-debuginfo | FileCheck %s

// CHECK: "a"() : () -> (i1, si8, ui16, i64, index, none, f16, bf16, f32, f64, f8E4M3FN, f8E5M2)
"a"() : () -> (i1, si8, ui16, i64, index, none, f16, bf16, f32, f64, f8E4M3FN, f8E5M2)
// CHECK: "small"() : () -> (f8E4M3FNUZ, f8E5M2FNUZ, f8E8M0FNU, tensor<2xf6E2M3FN>, f6E3M2FN, tensor<3xf4E2M1FN>, tensor<4xi4>, ui4, i2, tensor<ui2>)
"small"() : () -> (f8E4M3FNUZ, f8E5M2FNUZ, f8E8M0FNU, tensor<2xf6E2M3FN>, f6E3M2FN, tensor<3xf4E2M1FN>, tensor<4xi4>, ui4, i2, tensor<ui2>)
// CHECK: "b"() : () -> (tensor<f32>, tensor<*xf32>, tensor<1x?x0x4xi8>, tensor<0x3xf32>, tensor<1x8xsi8, 4096 : i64>, tensor<2xf32, {a = "b"}>)
"b"() : () -> (tensor<f32>, tensor<*xf32>, tensor<1x?x0 x 4xi8>, tensor<0x3xf32>, tensor<1x8xsi8, 4096 : i64>, tensor<2xf32, {a = "b"}>)
// CHECK: "c"() : () -> ((f32, (i32) -> none) -> (), () -> (f32, f32))
"c"() : () -> ((f32, (i32) -> none) -> (), () -> (f32, f32))
// CHECK: "d"() : () -> ((f32) -> f32)
"d"() : () -> ((f32) -> (f32))
// CHECK: "e"() : () -> (!quant.uniform<i8:f32, 0.012345678901234567:-5>, !quant.uniform<u8:f32, 1.0e-10>, !quant.uniform<i8<-127:127>:f32, 0.5>)
"e"() : () -> (!quant.uniform<i8:f32, 0.012345678901234567:-5>, !quant.uniform<ui8:f32, 1.0e-10:0>, !quant.uniform<si8<-127:127>:f32, 0.5>)
// CHECK: "f"() : () -> tensor<2x3x!quant.uniform<i8:f32:1, {0.1,0.2:1,0.3}>>
"f"() : () -> tensor<2x3x!quant.uniform<i8:f32:1, {1.000000e-01, 0.2:1, 0.3:0}>>
// CHECK: "g"() : () -> (!quant.calibrated<f32<-0.012345678901234567:1.5>>, tensor<4x!quant.calibrated<f32<0.0:1.0>>>)
"g"() : () -> (!quant.calibrated<f32<-0.012345678901234567:1.5>>, tensor<4x!quant.calibrated<f32<-0.0:1.0>>>)
