// RUN: %mica-opt %s --verify-roundtrip | FileCheck %s
// RUN: %mica-opt %s --mlir-print-op-generic | %mica-opt - | FileCheck %s
// RUN: %mica-opt %s --mlir-print-op-generic | FileCheck %s --check-prefix=GENERIC
// RUN: %mica-opt %s --no-debuginfo | FileCheck %s --check-prefix=BARE

// CHECK: module @net attributes {module.chip = "ALL", module.n = 1 : i64} {
// GENERIC: "builtin.module"() ({
// BARE-NOT: loc(
module @net attributes {module.n = 1, module.chip = "ALL"} {
  // CHECK: func.func @main(%arg0: tensor<1x3xf32> loc("x"), %arg1: f32 loc(unknown)) -> (f32, tensor<1x3xf32>) attributes {keep} {
  // GENERIC: "func.func"() ({
  // GENERIC-NEXT: ^bb0(%arg0: tensor<1x3xf32> loc("x"), %arg1: f32 loc(unknown)):
  func.func @main(%x: tensor<1x3xf32> loc("x"), %y: f32 loc(unknown)) -> (f32, tensor<1x3xf32>) attributes {keep} {
    // CHECK-NEXT: %0:3 = "o.three"(%arg0, %arg1) {a = 1 : i64, b = 2 : i64} : (tensor<1x3xf32>, f32) -> (f32, f32, f32) loc(fused["a", "b", "c"])
    %p:2, %q = "o.three"(%x, %y) <{b = 2}> {a = 1} : (tensor<1x3xf32>, f32) -> (f32, f32, f32) loc(fused["a", "b", "c"])
    // CHECK-NEXT: %1 = "o.one"(%0#1, %0#2, %0#0)
    %r = "o.one"(%p#1, %q, %p) : (f32, f32, f32) -> f32 loc("one")
    // CHECK-NEXT: %2 = "o.unused"() : () -> none
    "o.unused"() : () -> none loc("unused")
    // CHECK-NEXT: return %1, %arg0 : f32, tensor<1x3xf32> loc("r")
    // GENERIC: "func.return"(%1, %arg0) : (f32, tensor<1x3xf32>) -> () loc("r")
    return %r, %x : f32, tensor<1x3xf32> loc("r")
  // CHECK-NEXT: } loc("main")
  } loc("main")
  // CHECK-NEXT: func.func private @declared(f32, none) loc("d")
  func.func private @declared(f32, none) loc("d")
  // CHECK-NEXT: func.func @dicts(%arg0: f32 {a.x = 1 : i64} loc("u")) -> (f32 {b.y}) {
  func.func @dicts(%u: f32 {a.x = 1} loc("u")) -> (f32 {b.y}) {
    // CHECK-NEXT: return {note = "n"} %arg0 : f32
    func.return {note = "n"} %u : f32
  }
  // CHECK: func.func @"odd name"() {
  func.func @"odd name"() {
    // CHECK-NEXT: return
    return
  }
  // CHECK: "o.regions"() ({
  // CHECK-NEXT: }, {
  // CHECK-NEXT: ^bb0:
  // CHECK-NEXT: }, {
  // CHECK-NEXT: ^bb0(%arg0: f32 loc("b")):
  // CHECK-NEXT: "o.in"(%arg0) : (f32) -> () loc("in")
  // CHECK-NEXT: ^bb1:
  // CHECK-NEXT: "o.in2"() : () -> () loc("in2")
  // CHECK-NEXT: }) {z = "z"} : () -> () loc("regions")
  "o.regions"() ({}, {^bb7:}, {
  ^bb0(%b: f32 loc("b")):
    "o.in"(%b) : (f32) -> () loc("in")
  ^bb1:
    "o.in2"() : () -> () loc("in2")
  }) {z = "z"} : () -> () loc("regions")
  // CHECK-NEXT: module {
  // CHECK-NEXT: } loc("inner")
  module {} loc("inner")
// CHECK-NEXT: } loc("net")
} loc("net")
