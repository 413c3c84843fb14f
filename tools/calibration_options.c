/* run_calibration: the method and the processor, as the options name them. */
#include <string.h>
#include <strings.h>

#include "tools/calibration.h"
#include "tools/tool.h"
#include "utils/strbuf.h"
#include "utils/strings.h"

mica_status calibration_read_method(calibration_job *job, mica_error *err) {
    const calibration_settings *s = job->settings;
    mica_method *out = &job->method;
    if (!mica_method_parse(s->method, out)) {
        size_t n = 0;
        const char *const *names = mica_method_names(&n);
        const char *nearest = mica_nearest(s->method, names, n);
        mica_strbuf list = {0};
        for (size_t i = 0; i < n; ++i) {
            mica_strbuf_printf(&list, "%s%s", i > 0 ? ", " : "", names[i]);
        }
        const mica_status status =
            mica_fail(err, "unknown --cali_method '%s'%s%s (methods: %s; percentile with a number from 50 to 100, as in percentile9999 or percentile_abs99.9)",
                      s->method, nearest != NULL ? "; nearest is " : "", nearest != NULL ? nearest : "",
                      mica_strbuf_text(&list));
        mica_strbuf_free(&list);
        return status;
    }
    if (!(s->mmse_range >= 0.0 && s->mmse_range <= 1.0)) {
        return mica_fail(err, "--mmse_range %g: expected a share from 0 to 1", s->mmse_range);
    }
    if (!(s->outlier_factor > 0.0 && s->outlier_factor <= 1e6)) {
        return mica_fail(err, "--outlier_factor %g: expected above 0, up to 1e6", s->outlier_factor);
    }
    out->settings.kl_bins = (int)s->search->common.kl_bins;
    out->settings.mmse_range = s->mmse_range;
    out->settings.outlier_factor = s->outlier_factor;
    out->settings.pow2 = strcmp(s->scale, "pow2") == 0;
    mica_mode mix;
    const bool searches = strcmp(s->search->kind, "False") != 0;
    out->settings.int4 = s->int4 || (searches && calibration_mixes_narrow(job, &mix) && mix == MICA_MODE_INT4);
    if (out->settings.pow2 && s->asymmetric) {
        return mica_fail(err, "--scale pow2 makes symmetric ranges; leave out --asymmetric");
    }
    return MICA_OK;
}

mica_status calibration_read_processor(calibration_job *job, mica_error *err) {
    job->processor = mica_processor_find(job->settings->processor);
    if (job->processor == NULL) {
        size_t n = 0;
        const char *const *names = mica_processor_names(&n);
        const char *nearest = mica_nearest(job->settings->processor, names, n);
        return mica_fail(err, "unknown --processor '%s'%s%s", job->settings->processor,
                         nearest != NULL ? "; nearest is " : "", nearest != NULL ? nearest : "");
    }
    return MICA_OK;
}
