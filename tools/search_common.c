/* Searches: options, and what all of them measure with. */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "tools/search.h"
#include "utils/strings.h"

static mica_status choose_float(const search_settings *s, const mica_processor *processor, mica_mode *out,
                                mica_error *err) {
    if (strcmp(s->fp_type, "auto") == 0) {
        *out = mica_processor_has_mode(processor, MICA_MODE_F16)    ? MICA_MODE_F16
               : mica_processor_has_mode(processor, MICA_MODE_BF16) ? MICA_MODE_BF16
                                                                    : MICA_MODE_F32;
        return MICA_OK;
    }
    return mica_mode_find(s->fp_type, out) && mica_processor_has_mode(processor, *out)
               ? MICA_OK
               : mica_fail(err, "processor %s does not execute %s; nearest mode: %s", processor->name, s->fp_type,
                           mica_mode_name(mica_processor_nearest_mode(processor, *out)));
}

mica_status search_check(const search_settings *s, const mica_processor *processor, mica_mode *out_float,
                         mica_error *err) {
    if (!(s->expected_cos >= 0.0 && s->expected_cos <= 1.0)) {
        return mica_fail(err, "--expected_cos %g: expected a cosine from 0 to 1", s->expected_cos);
    }
    if (s->inference_num < 1) {
        return mica_fail(err, "--inference_num %lld: expected at least 1", (long long)s->inference_num);
    }
    if (s->max_float_layers < 0) {
        return mica_fail(err, "--max_float_layers %lld: expected at least 1", (long long)s->max_float_layers);
    }
    if (!(s->post_seconds > 0.0 && s->post_seconds <= 86400.0)) {
        return mica_fail(err, "--post_process_seconds %g: expected above 0, up to 86400", s->post_seconds);
    }
    if (!mica_processor_has_mode(processor, MICA_MODE_INT8)) {
        return mica_fail(err, "processor %s has no INT8 to search for", processor->name);
    }
    MICA_TRY(choose_float(s, processor, out_float, err));
    const mica_lowering_options lowering = {.processor = processor, .mode = MICA_MODE_INT8};
    MICA_TRY(mica_lowering_check(&lowering, err));
    const mica_post_process post = {.program = s->post_process, .seconds = s->post_seconds};
    MICA_TRY(s->post_process != NULL ? mica_post_process_check(&post, err) : MICA_OK);
    return s->qtable != NULL ? tool_check_output(s->qtable, err) : MICA_OK;
}

mica_status search_check_bins(const search_settings *s, const mica_method *methods, size_t n, mica_error *err) {
    bool used = false;
    for (size_t i = 0; i < n; ++i) {
        used = used || methods[i].fn == mica_method_kl;
    }
    if (s->kl_bins < 256 || s->kl_bins > 65536) {
        return mica_fail(err, "--histogram_bin_num %lld: expected 256 to 65536", (long long)s->kl_bins);
    }
    return used || !s->bins_given ? MICA_OK : mica_fail(err, "--histogram_bin_num has no effect without the method kl");
}

mica_status search_methods(const char *option, const char *list, int64_t bins, mica_arena *arena, mica_method **out_methods,
                           const char ***out_names, size_t *out_count, mica_error *err) {
    size_t n = 0;
    char **texts = mica_split(arena, list, ',', &n);
    if (n == 0) {
        return mica_fail(err, "%s names no method", option);
    }
    mica_method *methods = mica_arena_array(arena, n, sizeof *methods);
    const char **names = mica_arena_array(arena, n, sizeof *names);
    for (size_t i = 0; i < n; ++i) {
        char *lower = mica_arena_strdup(arena, texts[i]);
        for (char *c = lower; *c != '\0'; ++c) {
            *c = (char)tolower((unsigned char)*c);
        }
        if (!mica_method_parse(lower, &methods[i])) {
            size_t count = 0;
            const char *const *known = mica_method_names(&count);
            const char *nearest = mica_nearest(lower, known, count);
            return mica_fail(err, "%s: unknown method '%s'%s%s", option, texts[i],
                             nearest != NULL ? "; nearest is " : "", nearest != NULL ? nearest : "");
        }
        for (size_t k = 0; k < i; ++k) {
            if (strcasecmp(texts[k], texts[i]) == 0) {
                return mica_fail(err, "%s names '%s' twice", option, texts[i]);
            }
        }
        names[i] = texts[i];
        methods[i].settings.kl_bins = (int)bins;
    }
    *out_methods = methods;
    *out_names = names;
    *out_count = n;
    return MICA_OK;
}

static mica_status open_net(const search_job *job, search_session *s, mica_error *err) {
    const mica_lowered_options options = {.keep_all = true};
    s->float_model = mica_lowered_open(job->module, &options, err);
    if (s->float_model == NULL) {
        return MICA_FAIL;
    }
    mica_net_make(job->module, s->float_model->plan, &s->net);
    MICA_TRY(mica_compare_make(&s->net, job->settings->compare_layers, job->arena, &s->compare, err));
    const size_t pinned = job->pinned != NULL ? mica_qtable_count(job->pinned) : 0;
    if (job->settings->pre_qtable == NULL && pinned == 0) {
        return MICA_OK;
    }
    s->fixed = job->settings->pre_qtable != NULL ? mica_qtable_read(job->settings->pre_qtable, err)
                                                 : mica_qtable_create();
    for (size_t i = 0; i < pinned && s->fixed != NULL; ++i) {
        mica_mode mode = MICA_MODE_F32;
        const char *op = mica_qtable_at(job->pinned, i, &mode);
        mica_qtable_set(s->fixed, op, mode);
    }
    return s->fixed != NULL ? mica_qtable_check(s->fixed, mica_module_func(job->module, "main"), err) : MICA_FAIL;
}

mica_status search_session_open(const search_job *job, search_session *out, mica_error *err) {
    const search_settings *s = job->settings;
    *out = (search_session){.post = {.program = s->post_process, .seconds = s->post_seconds}};
    mica_status status = open_net(job, out, err);
    const size_t have = mica_dataset_count(job->dataset);
    out->job = (mica_search_job){.module = job->module,
                                 .dataset = job->dataset,
                                 .samples = (size_t)s->inference_num < have ? (size_t)s->inference_num : have,
                                 .processor = job->processor,
                                 .asymmetric = job->asymmetric,
                                 .threads = job->threads,
                                 .quiet = job->quiet,
                                 .net = &out->net,
                                 .compare = &out->compare};
    if (status == MICA_OK) {
        status = mica_real_open(&out->job, s->post_process != NULL ? &out->post : NULL, &out->real, err);
    }
    if (status != MICA_OK) {
        search_session_close(out);
    }
    return status;
}

void search_session_close(search_session *session) {
    mica_real_close(&session->real);
    mica_compare_free(&session->compare);
    if (session->net.values != NULL) {
        mica_net_free(&session->net);
    }
    if (session->fixed != NULL) {
        mica_qtable_destroy(session->fixed);
    }
    mica_lowered_close(session->float_model);
}
