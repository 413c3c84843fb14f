/* Passes and their manager. */
#ifndef MICA_IR_PASS_H
#define MICA_IR_PASS_H

#include "ir/op.h"

/* Options of one pass instance as key=value text; unknown keys are refused before the pass runs. */
typedef struct mica_pass_options mica_pass_options;
const char *mica_pass_option(const mica_pass_options *options, const char *key); /* or NULL */

typedef struct mica_pass_option_info {
    const char *key, *fallback, *doc;
} mica_pass_option_info;

/* A pass changes the module; returns MICA_FAIL after diagnostics. */
typedef mica_status mica_pass_fn(mica_module *module, const mica_pass_options *options);

typedef struct mica_pass_info {
    const char *name;    /* "top-fold-const" */
    const char *summary;
    mica_pass_fn *run;
    const mica_pass_option_info *options;
    size_t n_options;
} mica_pass_info;

typedef struct mica_pass_manager mica_pass_manager;

typedef struct mica_pass_config {
    bool verify_each;          /* verify before the first and after each pass */
    bool print_before_all, print_after_all;
    const char *print_before, *print_after; /* comma-separated pass names */
    bool timing;               /* table to stderr at the end */
} mica_pass_config;

/* `table` is the registry of all passes (passes/passes.def). */
mica_pass_manager *mica_pass_manager_create(mica_context *context, const mica_pass_info *table,
                                            size_t count, const mica_pass_config *config);
void mica_pass_manager_destroy(mica_pass_manager *manager);
/* Appends "name{key=value key2=value2},name2,..."; the form builtin.module(...) is accepted too.
 * Unknown pass or option: error naming the nearest. */
mica_status mica_pass_manager_add(mica_pass_manager *manager, const char *pipeline,
                                  mica_error *err);
mica_status mica_pass_manager_run(mica_pass_manager *manager, mica_module *module);

#endif
