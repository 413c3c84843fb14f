// RUN: %mica-opt %s --verify-roundtrip | FileCheck %s

#before = loc("before")
#dense_map = affine_map<(d0) -> (d0)>
!alias = tensor<2xf32>
// CHECK: "a"() : () -> () loc("before")
"a"() : () -> () loc(#before)
// CHECK: "b"() : () -> () loc("after"("child"("f.c":1:2)))
"b"() : () -> () loc(#after)
// CHECK: "c"() : () -> () loc(fused["before", "x", "f":3:4])
"c"() : () -> () loc(fused<"metadata">[#before, "x", unknown, "f":3:4, "x"])
// CHECK: "d"() : () -> () loc("x")
"d"() : () -> () loc(fused["x", fused["x", unknown]])
// CHECK: "e"() : () -> () loc(unknown)
"e"() : () -> () loc(unknown)
// CHECK: "f"() : () -> () loc("n")
"f"() : () -> () loc("n"(unknown))
// CHECK: "g"() {m = affine_map<(d0) -> (d0)>, n = [1 : i64]} : () -> tensor<2xf32> loc("")
"g"() {m = #dense_map, n = #late} : () -> !alias loc("")
// CHECK: "h"() : () -> f32 loc("\C3\A9\22")
"h"() : () -> f32 loc("\C3\A9\22")
// CHECK: func.func @f(%arg0: f32 loc("child"("f.c":1:2))) {
func.func @f(%arg0: f32 loc(#child)) {
  return
}
#child = loc("child"("f.c":1:2))
#after = loc("after"(#child))
#late = [1]
