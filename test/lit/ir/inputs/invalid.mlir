"top.Cnov"() : () -> () loc("first")
"tpu.Lto"() : () -> () loc("second")
