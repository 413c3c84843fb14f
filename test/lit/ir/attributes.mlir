// RUN: %mica-opt %s --verify-roundtrip --no-debuginfo | FileCheck %s

// CHECK: "n"() {a = -1 : i64, b = 255 : ui8, c = -1 : i32, d = 5 : index, e = true, f = true}
"n"() {a = -1, b = 255 : ui8, c = 0xFFFFFFFF : i32, d = 5 : index, e = true, f = -1 : i1} : () -> ()
// CHECK: "f"() {a = 0.1 : f64, b = 0.1 : f32, c = 1.2345678901234567 : f64, d = 1.0e-10 : f64, e = 0x7F800000 : f32, f = -0.0 : f32, g = 1.0 : bf16, h = 0x7FF8000000000001 : f64, i = 1.0 : f32}
"f"() {a = 0.1, b = 0.100000001 : f32, c = 1.23456789012345678, d = 1.0E-10, e = 0x7F800000 : f32, f = -0.0 : f32, g = 1.001 : bf16, h = 0x7FF8000000000001 : f64, i = 0x3F800000 : f32} : () -> ()
// CHECK: "s"() {a = "x\0A\22\\\C3\A9", b = @f, c = @"a b", u}
"s"() {a = "x\n\"\\é", b = @f, c = @"a b", u = unit} : () -> ()
// CHECK: "l"() {"a b" = [1 : i64, "x", [], {}], b = {k = 1 : i64, u}, c = array<i64: 1, -2>, d = array<f64: 0.1, 0x7FF0000000000000>, e = array<i32>, f = array<i8: -1>, g = array<f32: 0.1>}
"l"() {"a b" = [1, "x", [], {}], b = {u, k = 1}, c = array<i64: 1,-2>, d = array<f64: 0.1, 0x7FF0000000000000>, e = array<i32>, f = array<i8: 255>, g = array<f32: 0.1>} : () -> ()
// CHECK: "d"() {a = dense<[1, 2]> : tensor<2xi64>, b = dense<0.5> : tensor<2xf32>, c = dense_resource<w0> : tensor<2xf32>, d = dense<> : tensor<0xf32>}
"d"() {a = dense<[1,2]> : tensor<2xi64>, b = dense<[0.5, 5.0e-1]> : tensor<2xf32>, c = dense_resource<w0> : tensor<2xf32>, d = dense<> : tensor<0xf32>} : () -> ()
// CHECK: "o"() {a = #foo.bar<a, b<c>, ">">, b = #foo<"x">, c = affine_map<(d0) -> (d0)>, d = #foo.bare}
"o"() {a = #foo.bar<a, b<c>, ">">, b = #foo<"x">, c = affine_map<(d0) -> (d0)>, d = #foo.bare} : () -> ()
// CHECK: "t"() {a = tensor<1xf32>, b = (i32) -> i64, c = !quant.uniform<i8:f32, 0.5>}
"t"() {a = tensor<1xf32>, b = (i32) -> i64, c = !quant.uniform<i8:f32, 0.5>} : () -> ()
