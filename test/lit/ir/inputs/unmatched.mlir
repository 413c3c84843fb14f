"top.Cnov"() : () -> () // expected-warning {{on the same line}}
// expected-error {{something else}}
