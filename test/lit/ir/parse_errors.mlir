// RUN: %mica-opt %s --verify-diagnostics --split-input-file

// expected-error@+1 {{'arith.add' has no short form: write the op's name in quotes}}
arith.add %0
// -----
// expected-error@+1 {{expected an op, got ')'}}
)
// -----
// expected-error@+1 {{unexpected character}}
"a"() : () -> () ;
// -----
// expected-error@+1 {{op name is empty or contains a NUL character}}
""() : () -> ()
// -----
// expected-error@+1 {{expected '(' and operands, got '{'}}
"a" {} : () -> ()
// -----
// expected-error@+1 {{expected ':' and the op's type, got 'loc'}}
"a"() loc("x")
// -----
// expected-error@+1 {{'a' op has 0 operands, but 1 operand types}}
"a"() : (f32) -> ()
// -----
%0 = "a"() : () -> f32
// expected-error@+1 {{operand 0 of 'b' op has type f32, not i32}}
"b"(%0) : (i32) -> ()
// -----
// expected-error@+1 {{value '%0' is used before it is defined}}
"b"(%0) : (i32) -> ()
// -----
%0 = "a"() : () -> f32
// expected-error@+1 {{value '%0' is defined twice}}
%0 = "a"() : () -> f32
// -----
// expected-error@+1 {{'a' op has 1 results, but more are named}}
%0:2 = "a"() : () -> f32
// -----
// expected-error@+1 {{'a' op has 2 results, but 1 are named}}
%0 = "a"() : () -> (f32, f32)
// -----
// expected-error@+1 {{number of results must be 1 or more}}
%0:0 = "a"() : () -> ()
// -----
%0:2 = "a"() : () -> (f32, f32)
// expected-error@+1 {{result 2 does not exist: '%0' has 2}}
"b"(%0#2) : (f32) -> ()
// -----
%0 = "a"() : () -> f32
// expected-error@+1 {{expected a result number after '#'}}
"b"(%0#x) : (f32) -> ()
// -----
%0 = "a"() : () -> f32
func.func @f() {
  // expected-error@+1 {{value '%0' is used before it is defined}}
  "b"(%0) : (f32) -> ()
  return
}
// -----
"r"() ({
  %0 = "a"() : () -> f32
}) : () -> ()
// expected-error@+1 {{value '%0' is used before it is defined}}
"b"(%0) : (f32) -> ()
// -----
// expected-error@+1 {{ops with successor blocks are not supported}}
"a"()[^bb1] : () -> ()
// -----
// expected-error@+1 {{attribute 'a' is given twice}}
"a"() <{a = 1}> {a = 1} : () -> ()
// -----
// expected-error@+1 {{expected an attribute name, got '1'}}
"a"() {1 = 2} : () -> ()
// -----
// expected-error@+1 {{a number with an exponent needs a decimal point: 1.0e5}}
"a"() {a = 1e5} : () -> ()
// -----
// expected-error@+1 {{integer does not fit in type i8}}
"a"() {a = 256 : i8} : () -> ()
// -----
// expected-error@+1 {{integer does not fit in type i64}}
"a"() {a = 18446744073709551616} : () -> ()
// -----
// expected-error@+1 {{integer does not fit in type ui8}}
"a"() {a = -1 : ui8} : () -> ()
// -----
// expected-error@+1 {{a number of type f32 needs a decimal point, or 32 bits in hexadecimal}}
"a"() {a = 1 : f32} : () -> ()
// -----
// expected-error@+1 {{a floating point number cannot have type i32}}
"a"() {a = 1.0 : i32} : () -> ()
// -----
// expected-error@+1 {{floating point number is too large}}
"a"() {a = 1.0e999} : () -> ()
// -----
// expected-error@+1 {{a number cannot have type tensor<2xf32>}}
"a"() {a = 1 : tensor<2xf32>} : () -> ()
// -----
// expected-error@+1 {{string does not end on its line}}
"a"() {a = "x} : () -> ()
// -----
// expected-error@+1 {{unknown escape in string}}
"a"() {a = "\q"} : () -> ()
// -----
// expected-error@+1 {{strings with a type are not supported}}
"a"() {a = "x" : i32} : () -> ()
// -----
// expected-error@+1 {{nested symbol names are not supported}}
"a"() {a = @a::@b} : () -> ()
// -----
// expected-error@+1 {{array elements must be i8, i32, i64, f32 or f64, got i1}}
"a"() {a = array<i1: true>} : () -> ()
// -----
// expected-error@+1 {{expected a number of type i64}}
"a"() {a = array<i64: 1.0>} : () -> ()
// -----
// expected-error@+1 {{unsupported attribute 'sparse'}}
"a"() {a = sparse<[[0]], [1]> : tensor<3xi64>} : () -> ()
// -----
// expected-error@+1 {{elements must have a tensor type of known shape, got 'tensor<?xf32>'}}
"a"() {a = dense<1.0> : tensor<?xf32>} : () -> ()
// -----
// expected-error@+1 {{attribute body has unbalanced brackets}}
"a"() {a = #foo.bar<(>} : () -> ()
// -----
// expected-error@+1 {{alias '#foo' is not defined}}
"a"() {a = #foo} : () -> ()
// -----
#foo = loc("x")
// expected-error@+1 {{alias is not an attribute}}
"a"() {a = #foo} : () -> ()
// -----
#foo = 1
// expected-error@+1 {{alias is not a location}}
"a"() : () -> () loc(#foo)
// -----
#foo = 1
// expected-error@+1 {{alias '#foo' is defined twice}}
#foo = 1
// -----
#a = [#b]
// expected-error@+1 {{alias '#a' is defined by itself}}
#b = [#a]
// -----
// expected-error@+1 {{alias name '#a.b' contains a dot}}
#a.b = 1
// -----
// expected-error@+1 {{unsupported type 'memref'}}
"a"() : () -> memref<2xf32>
// -----
// expected-error@+1 {{unsupported type 'i128'}}
"a"() : () -> i128
// -----
// expected-error@+1 {{unsupported type '!foo.bar'}}
"a"() : () -> !foo.bar<x>
// -----
// expected-error@+1 {{expected a type}}
"a"() : () -> "f32"
// -----
// expected-error@+1 {{expected 'x' after a dimension}}
"a"() : () -> tensor<3f32>
// -----
// expected-error@+1 {{dimension does not fit in 64 bits}}
"a"() : () -> tensor<99999999999999999999xf32>
// -----
// expected-error@+1 {{tensor has more than 2^63 elements}}
"a"() : () -> tensor<4294967296x4294967296xf32>
// -----
// expected-error@+1 {{tensor has more than 8 dimensions}}
"a"() : () -> tensor<1x1x1x1x1x1x1x1x1xf32>
// -----
// expected-error@+1 {{type cannot be the element type of a tensor}}
"a"() : () -> tensor<2xnone>
// -----
// expected-error@+1 {{expected '>' at the end of the tensor type}}
"a"() : () -> tensor<2xf32)
// -----
// expected-error@+1 {{scale must be above zero, got 0}}
"a"() : () -> !quant.uniform<i8:f32, 0.0>
// -----
// expected-error@+1 {{scale must be above zero, got -1}}
"a"() : () -> !quant.uniform<i8:f32, -1.0>
// -----
// expected-error@+1 {{expected a number with a decimal point, got '1'}}
"a"() : () -> !quant.uniform<i8:f32, 1>
// -----
// expected-error@+1 {{expected a storage type like i8 or u8 of at most 32 bits}}
"a"() : () -> !quant.uniform<i64:f32, 1.0>
// -----
// expected-error@+1 {{storage range -129:127 is empty or not inside si8}}
"a"() : () -> !quant.uniform<i8<-129:127>:f32, 1.0>
// -----
// expected-error@+1 {{expected a float type, got 'i32'}}
"a"() : () -> !quant.uniform<i8:i32, 1.0>
// -----
// expected-error@+1 {{quantized axis must be 0 to 7, got 8}}
"a"() : () -> !quant.uniform<i8:f32:8, {1.0}>
// -----
// expected-error@+1 {{several scales need an axis}}
"a"() : () -> !quant.uniform<i8:f32, 1.0, 2.0>
// -----
// expected-error@+1 {{calibrated range must have min < max, got 1 and 1}}
"a"() : () -> !quant.calibrated<f32<1.0:1.0>>
// -----
// expected-error@+1 {{callsite locations are not supported}}
"a"() : () -> () loc(callsite("a" at "b"))
// -----
// expected-error@+1 {{expected a location, got '1'}}
"a"() : () -> () loc(1)
// -----
// expected-error@+1 {{line or column is too large}}
"a"() : () -> () loc("f":99999999999:1)
// -----
// expected-error@+1 {{expected a symbol name like @main, got '('}}
func.func (%a: f32) {
}
// -----
// expected-error@+1 {{either all arguments have names or none}}
func.func private @f(%a: f32, f32)
// -----
// expected-error@+1 {{a function with a body needs names of arguments}}
func.func @f(f32) {
}
// -----
func.func @f(%a: f32) -> f32 {
  // expected-error@+1 {{operand 0 of 'func.return' op has type f32, not i32}}
  return %a : i32
}
// -----
// expected-error@+1 {{'builtin.module' op must have one region of one block}}
"builtin.module"() : () -> ()
// -----
module {
  "a"() : () -> ()
// expected-error@+2 {{expected '}' before the end of text}}

