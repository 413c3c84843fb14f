/* Inside of the pass manager; for ir/ only. */
#ifndef MICA_IR_PASS_IMPL_H
#define MICA_IR_PASS_IMPL_H

#include "ir/pass.h"
#include "utils/vec.h"

/* One step of a pipeline: a pass with the value of each of its options (NULL: no value). */
struct mica_pass_options {
    const mica_pass_info *info;
    const char **values;
    double seconds;
};

struct mica_pass_manager {
    mica_arena *arena;
    mica_context *context;
    const mica_pass_info *table;
    size_t count;
    mica_pass_config config;
    MICA_VEC(mica_pass_options) steps;
    double verify_seconds;
};

#endif
