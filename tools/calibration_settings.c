/* run_calibration: settings of single tensors and ops. */
#include <stdio.h>
#include <string.h>

#include "passes/calibration/settings.h"
#include "tools/calibration.h"
#include "tools/tool.h"

/* Shows every line; nothing is said twice. */
static mica_status tell(mica_strbuf *problems, mica_status status, mica_error *err) {
    if (problems->len == 0) {
        return status;
    }
    char *rest = NULL;
    for (char *line = strtok_r(problems->data, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
        fprintf(stderr, "run_calibration: error: %s\n", line);
    }
    return tool_reported(err);
}

static mica_status import_scales(calibration_job *job, mica_error *err) {
    mica_strbuf missing = {0};
    mica_strbuf problems = {0};
    mica_status status = mica_scales_read(job->choices, job->settings->import_scales, job->module, &missing,
                                          &problems, err);
    status = tell(&problems, status, err);
    if (status == MICA_OK && missing.len > 0) {
        char *rest = NULL;
        for (char *name = strtok_r(missing.data, "\n", &rest); name != NULL; name = strtok_r(NULL, "\n", &rest)) {
            fprintf(stderr, "run_calibration: warning: %s has no scale for '%s'; %s decides\n",
                    job->settings->import_scales, name, job->settings->method);
        }
    }
    mica_strbuf_free(&missing);
    mica_strbuf_free(&problems);
    return status;
}

static mica_status read_rules(calibration_job *job, mica_error *err) {
    mica_strbuf problems = {0};
    const mica_status status = mica_settings_read(job->choices, job->settings->rules, job->module, job->processor,
                                                  &problems, err);
    const mica_status told = tell(&problems, status, err);
    mica_strbuf_free(&problems);
    MICA_TRY(told);
    if (mica_qtable_count(mica_settings_precisions(job->choices)) > 0 && job->settings->search->common.qtable == NULL) {
        return mica_fail(err, "%s sets precisions: give --quantize_table FILE to write them to",
                         job->settings->rules);
    }
    return MICA_OK;
}

/* Outputs, and what has the same bytes, without their sigmoid. */
static void choose_post_sigmoid(calibration_job *job) {
    static const char *const views[] = {"top.Reshape", "top.Squeeze", "top.Unsqueeze", "top.Flatten"};
    const mica_op *end = mica_func_body(mica_module_func(job->module, "main"))->last;
    for (uint32_t i = 0; i < end->n_operands; ++i) {
        const mica_value *value = end->operands[i].value;
        for (bool more = true; more;) {
            mica_tensor_choice *choice = mica_settings_make(job->choices, mica_value_name(value));
            if (choice->method == NULL && choice->range == NULL) {
                choice->method = mica_method_find("post_sigmoid");
                choice->border_too = true;
            }
            more = false;
            for (size_t k = 0; k < sizeof views / sizeof views[0] && value->def != NULL; ++k) {
                more = more || mica_op_is(value->def, views[k]);
            }
            value = more ? value->def->operands[0].value : value;
        }
    }
}

mica_status calibration_read_settings(calibration_job *job, mica_error *err) {
    const calibration_settings *s = job->settings;
    const bool sigmoid = strcmp(s->quantize_mode, "post_sigmoid") == 0;
    if (s->rules == NULL && s->import_scales == NULL && !sigmoid) {
        return MICA_OK;
    }
    job->choices = mica_settings_create();
    MICA_TRY(s->import_scales != NULL ? import_scales(job, err) : MICA_OK);
    MICA_TRY(s->rules != NULL ? read_rules(job, err) : MICA_OK);
    if (sigmoid) {
        choose_post_sigmoid(job);
    }
    return MICA_OK;
}
