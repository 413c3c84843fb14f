// RUN: %mica-opt %s --top-canonicalize --no-debuginfo | FileCheck %s
// RUN: %mica-opt %s --top-canonicalize=disable=merge-relus,fuse-relu --no-debuginfo | FileCheck %s --check-prefix=WITHOUT
// RUN: %mica-opt %s --top-canonicalize=stats=true -o %t 2>&1 | FileCheck %s --check-prefix=STATS

// CHECK: "top.Add"(%{{.*}}) {do_relu = true
// CHECK-NOT: "top.Relu"
// CHECK-NOT: "top.Exp"
// WITHOUT: "top.Add"(%{{.*}}) :
// WITHOUT: "top.Relu"
// WITHOUT: "top.Relu"
// WITHOUT-NOT: "top.Exp"
// STATS: remark: pattern fuse-relu fired {{[12]}} times
func.func @main(%a: tensor<3xf32>) -> tensor<3xf32> {
  %0 = "top.Input"(%a) : (tensor<3xf32>) -> tensor<3xf32> loc("x")
  %dead = "top.Exp"(%0) : (tensor<3xf32>) -> tensor<3xf32> loc("dead")
  %1 = "top.Add"(%0, %0) : (tensor<3xf32>, tensor<3xf32>) -> tensor<3xf32> loc("s")
  %2 = "top.Relu"(%1) : (tensor<3xf32>) -> tensor<3xf32> loc("r")
  %3 = "top.Relu"(%2) {relu_limit = 6.0 : f64} : (tensor<3xf32>) -> tensor<3xf32> loc("y")
  return %3 : tensor<3xf32>
}
