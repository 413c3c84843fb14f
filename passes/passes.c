#include "passes/passes.h"

#define PASS(name, function, summary, options) mica_pass_fn mica_pass_##function;
#include "passes/passes.def"

#define OPT(key, fallback, doc) {key, fallback, doc},
#define UNPACK(...) __VA_ARGS__

#define PASS(name, function, summary, options)                                                     \
    static const mica_pass_option_info options_##function[] = {UNPACK options{0}};
#include "passes/passes.def"

static const mica_pass_info passes[] = {
#define PASS(name, function, summary, options)                                                     \
    {name, summary, mica_pass_##function, options_##function,                                      \
     sizeof options_##function / sizeof options_##function[0] - 1},
#include "passes/passes.def"
};

const mica_pass_info *mica_passes(size_t *out_count) {
    *out_count = sizeof passes / sizeof passes[0];
    return passes;
}
