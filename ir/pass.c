/* Running pipelines: verification, dumps, timing. The text of pipelines is in pipeline.c. */
#include "ir/pass.h"

#include "ir/context_impl.h"
#include "ir/pass_impl.h"
#include "ir/text.h"
#include "ir/verify.h"
#include "utils/progress.h"

#include <stdio.h>
#include <string.h>

mica_pass_manager *mica_pass_manager_create(mica_context *context, const mica_pass_info *table,
                                            size_t count, const mica_pass_config *config) {
    mica_pass_manager *manager = mica_alloc(sizeof *manager);
    manager->arena = mica_arena_create();
    manager->context = context;
    manager->table = table;
    manager->count = count;
    manager->config = *config;
    return manager;
}

void mica_pass_manager_destroy(mica_pass_manager *manager) {
    if (manager) {
        mica_vec_free(&manager->steps);
        mica_arena_destroy(manager->arena);
        mica_free(manager);
    }
}

const char *mica_pass_option(const mica_pass_options *options, const char *key) {
    for (size_t i = 0; i < options->info->n_options; i++) {
        if (strcmp(options->info->options[i].key, key) == 0) {
            return options->values[i];
        }
    }
    return NULL;
}

/* --- dumps ------------------------------------------------------------------------------------ */

/* Whether `name` is one of the comma-separated names. */
static bool is_listed(const char *list, const char *name) {
    size_t length = strlen(name);
    for (const char *p = list; p && *p;) {
        size_t n = strcspn(p, ",");
        if (n == length && memcmp(p, name, n) == 0) {
            return true;
        }
        p += n + (p[n] == ',');
    }
    return false;
}

static void dump(const mica_module *module, const char *when, const char *pass) {
    mica_strbuf text = {0};
    mica_print(&text, module->op);
    fprintf(stderr, "// -----// IR Dump %s %s //----- //\n%s\n", when, pass,
            mica_strbuf_text(&text));
    mica_strbuf_free(&text);
}

/* --- running ---------------------------------------------------------------------------------- */

static mica_status verify_after(mica_module *module, const char *pass) {
    if (mica_verify(module) == MICA_OK) {
        return MICA_OK;
    }
    if (pass) {
        mica_emit(module->context, MICA_NOTE, mica_loc_unknown(module->context),
                  "the IR is invalid after pass '%s'", pass);
    }
    return MICA_FAIL;
}

static mica_status run_step(mica_pass_manager *manager, mica_pass_options *step,
                            mica_module *module) {
    const mica_pass_config *config = &manager->config;
    const char *name = step->info->name;
    if (config->print_before_all || is_listed(config->print_before, name)) {
        dump(module, "Before", name);
    }
    size_t errors = mica_error_count(manager->context);
    double start = mica_seconds();
    mica_status status = step->info->run(module, step);
    step->seconds += mica_seconds() - start;
    if (status != MICA_OK && mica_error_count(manager->context) == errors) {
        mica_emit_error(manager->context, module->op->loc, "pass '%s' failed", name);
    }
    if (config->print_after_all || is_listed(config->print_after, name)) {
        dump(module, status == MICA_OK ? "After" : "After Failed", name);
    }
    MICA_TRY(status);
    start = mica_seconds();
    status = config->verify_each ? verify_after(module, name) : MICA_OK;
    manager->verify_seconds += mica_seconds() - start;
    return status;
}

static void print_timing(const mica_pass_manager *manager) {
    double total = manager->verify_seconds;
    for (size_t i = 0; i < manager->steps.len; i++) {
        total += manager->steps.data[i].seconds;
    }
    double percent = total > 0 ? 100.0 / total : 0.0;
    fprintf(stderr, "%12s %7s  %s\n", "seconds", "share", "pass");
    for (size_t i = 0; i < manager->steps.len; i++) {
        const mica_pass_options *step = &manager->steps.data[i];
        fprintf(stderr, "%12.6f %6.1f%%  %s\n", step->seconds, step->seconds * percent,
                step->info->name);
    }
    fprintf(stderr, "%12.6f %6.1f%%  (verifier)\n", manager->verify_seconds,
            manager->verify_seconds * percent);
    fprintf(stderr, "%12.6f %6.1f%%  (total)\n", total, total * percent);
}

mica_status mica_pass_manager_run(mica_pass_manager *manager, mica_module *module) {
    mica_status status = manager->config.verify_each ? verify_after(module, NULL) : MICA_OK;
    for (size_t i = 0; status == MICA_OK && i < manager->steps.len; i++) {
        status = run_step(manager, &manager->steps.data[i], module);
    }
    if (manager->config.timing) {
        print_timing(manager);
    }
    return status;
}
