// RUN: %mica-opt %s | FileCheck %s
// RUN: %mica-opt %s --verify-roundtrip -o %t && %mica-opt %t | diff %t -

// Ops outside a module get one; without loc an op has the place of its name.
// CHECK: module {
// CHECK-NEXT: %0 = "o.a"() : () -> f32 loc("{{.*}}implicit_module.mlir":7:8)
%x   = "o.a"() : () -> f32
// CHECK-NEXT: "o.b"(%0) : (f32) -> () loc("{{.*}}implicit_module.mlir":9:1)
"o.b"(%x) : (f32) -> ()
