// RUN: %mica-opt %s --dce --no-debuginfo | FileCheck %s
// RUN: %mica-opt %s --dce --top-cse --dce --print-ir-before=dce --print-ir-after=top-cse,other -o %t 2>&1 | FileCheck %s --check-prefix=ORDER
// RUN: %mica-opt %s --top-cse --pass-pipeline='builtin.module(dce)' --print-ir-before-all --print-ir-after-all -o %t 2>&1 | FileCheck %s --check-prefix=ALL
// RUN: %mica-opt %s --dce --timing -o %t 2>&1 | FileCheck %s --check-prefix=TIMING
// RUN: %mica-opt %s --top-canonicalize=disable=a,b,stats=false --pass-pipeline 'top-canonicalize{disable=x stats=false}' -o %t
// RUN: not %mica-opt %s --dec -o %t 2>&1 | FileCheck %s --check-prefix=NEAR
// RUN: not %mica-opt %s --pass-pipeline=dec -o %t 2>&1 | FileCheck %s --check-prefix=NEAR2
// RUN: not %mica-opt %s --dce=x=1 -o %t 2>&1 | FileCheck %s --check-prefix=OPTION
// RUN: not %mica-opt %s --top-canonicalize=stat=1 -o %t 2>&1 | FileCheck %s --check-prefix=OPTION2
// RUN: not %mica-opt %s --pass-pipeline 2>&1 | FileCheck %s --check-prefix=MISSING

// CHECK: "top.None"
// CHECK-NOT: "top.None"
// CHECK: return
func.func @main(%x: f32 loc("x")) -> none {
  %0 = "top.None"() : () -> none loc("used")
  %1 = "top.None"() : () -> none loc("dead")
  return %0 : none
}

// ORDER-NOT: IR Dump
// ORDER: // -----// IR Dump Before dce //----- //
// ORDER: loc("dead")
// ORDER-NOT: IR Dump
// ORDER: // -----// IR Dump After top-cse //----- //
// ORDER-NOT: loc("dead")
// ORDER: // -----// IR Dump Before dce //----- //
// ORDER-NOT: IR Dump

// ALL: IR Dump Before top-cse
// ALL: IR Dump After top-cse
// ALL: IR Dump Before dce
// ALL: IR Dump After dce

// TIMING: seconds share pass
// TIMING-NEXT: {{[0-9.]+ +[0-9.]+% +}}dce
// TIMING-NEXT: (verifier)
// TIMING-NEXT: 100.0% (total)

// NEAR: mica-opt: error: unknown pass '--dec'; did you mean '--dce'?
// NEAR2: mica-opt: error: unknown pass 'dec'; did you mean 'dce'?
// OPTION: mica-opt: error: unknown option of pass 'dce': 'x'
// OPTION2: mica-opt: error: unknown option of pass 'top-canonicalize': 'stat'; did you mean 'stats'?
// MISSING: --pass-pipeline
