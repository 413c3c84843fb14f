// RUN: %mica-opt %s --verify-diagnostics --split-input-file

// expected-error@+1 {{'func.func' op must end with 'func.return', but it is empty}}
func.func @f(%a: f32) {
}
// -----
func.func @f(%a: f32) {
  // expected-error@+1 {{'func.func' op must end with 'func.return', got 'o.a'}}
  "o.a"() : () -> ()
}
// -----
func.func @f(%a: f32) -> f32 {
  // expected-error@+1 {{'func.return' op has 2 operands, but the function has 1 results}}
  return %a, %a : f32, f32
}
// -----
func.func @f(%a: f32) -> i32 {
  // expected-error@+1 {{operand 0 of 'func.return' op has type f32, but the function returns i32}}
  return %a : f32
}
// -----
func.func @f() {
  // expected-error@+1 {{'func.return' op must be the last of its block}}
  return
  return
}
// -----
// expected-error@+1 {{'func.return' op must be inside 'func.func'}}
"func.return"() : () -> ()
// -----
func.func private @f()
// expected-error@+1 {{symbol 'f' is defined twice}}
func.func private @f()
// -----
// expected-error@+1 {{'func.func' op needs a name (sym_name)}}
"func.func"() ({}) {function_type = () -> ()} : () -> ()
// -----
// expected-error@+1 {{'func.func' op needs a function type}}
"func.func"() ({}) {sym_name = "f", function_type = f32} : () -> ()
// -----
// expected-error@+1 {{'func.func' op must have one region of at most one block}}
"func.func"() {sym_name = "f", function_type = () -> ()} : () -> ()
// -----
// expected-error@+1 {{'func.func' op has 1 arguments, but its type has 0}}
"func.func"() ({
^bb0(%a: f32):
  "func.return"() : () -> ()
}) {sym_name = "f", function_type = () -> ()} : () -> ()
// -----
// expected-error@+1 {{argument 0 of 'func.func' op has type f32, but its type says i32}}
"func.func"() ({
^bb0(%a: f32):
  "func.return"() : () -> ()
}) {sym_name = "f", function_type = (i32) -> ()} : () -> ()
// -----
// expected-error@+1 {{'builtin.module' op attribute 'chip' must have a dialect prefix, like 'module.chip'}}
module attributes {chip = "x"} {
}
// -----
// expected-error@+1 {{'builtin.module' op attribute 'sym_name' must be a string}}
"builtin.module"() ({^bb0:}) {sym_name = 1} : () -> ()
// -----
"o.regions"() ({
^bb0(%a: f32):
  "o.a"() : () -> ()
^bb1:
  // expected-error@+1 {{operand #0 of 'o.b' op is not defined before it}}
  "o.b"(%a) : (f32) -> ()
}) : () -> ()
// -----
// expected-error@+1 {{'o.a' op has 2 scales on axis 1, which does not fit tensor<2x3x!quant.uniform<i8:f32:1, {0.1,0.2}>>}}
%0 = "o.a"() : () -> tensor<2x3x!quant.uniform<i8:f32:1, {0.1,0.2}>>
// -----
// Errors of one op do not hide those of the next, and named locations have their line.
// expected-error@+1 {{unknown op 'top.Cnov'; did you mean 'top.Conv'?}}
"top.Cnov"() : () -> () loc("first")
// expected-error@+1 {{unknown op 'tpu.Zzzzzz'}}
"tpu.Zzzzzz"() : () -> () loc("second")
