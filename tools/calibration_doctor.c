/* run_calibration: is the data what the model was trained on? */
#include <stdio.h>
#include <string.h>

#include "passes/calibration/doctor.h"
#include "tools/calibration.h"

/* Relative deviation of thresholds that costs accuracy. */
static const double MUCH = 0.1;

static bool is_off(const calibration_job *job) { return strcmp(job->settings->doctor, "off") == 0; }

/* Every finding in a line of its own. */
static mica_status tell(const calibration_job *job, mica_strbuf *findings, mica_error *err) {
    size_t n = 0;
    char *rest = NULL;
    char *text = findings->len > 0 ? findings->data : NULL;
    for (char *line = text != NULL ? strtok_r(text, "\n", &rest) : NULL; line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        fprintf(stderr, "run_calibration: warning: doctor: %s\n", line);
        ++n;
    }
    mica_strbuf_free(findings);
    return n == 0 || strcmp(job->settings->doctor, "strict") != 0
               ? MICA_OK
               : mica_fail(err, "--doctor strict: %zu finding(s)", n);
}

mica_status calibration_doctor(const calibration_job *job, mica_error *err) {
    if (is_off(job)) {
        return MICA_OK;
    }
    mica_strbuf findings = {0};
    if (mica_doctor_check(job->module, job->dataset, job->threads, &findings, err) != MICA_OK) {
        mica_strbuf_free(&findings);
        return MICA_FAIL;
    }
    return tell(job, &findings, err);
}

mica_status calibration_stability(const calibration_job *job, mica_error *err) {
    if (is_off(job)) {
        return MICA_OK;
    }
    const mica_stability s = mica_doctor_stability(&job->statistics, &job->method, job->threads);
    mica_strbuf findings = {0};
    if (s.samples > 0) {
        printf("thresholds stable at %zu samples: sets of that size differ by %.1f %%\n", s.samples, 100.0 * s.deviation);
    } else if (s.tensors > 0 && s.deviation <= MUCH) {
        printf("thresholds of %zu samples differ by %.1f %%; about %zu samples would make them stable\n",
               job->statistics.samples, 100.0 * s.deviation, s.wanted);
    } else if (s.tensors > 0) {
        mica_strbuf_printf(&findings, "samples: too few: thresholds of sets of %zu still differ by %.1f %%; about %zu samples are needed\n",
                           job->statistics.samples, 100.0 * s.deviation, s.wanted);
    } else if (job->statistics.samples < MICA_SAMPLE_GROUPS) {
        mica_strbuf_printf(&findings, "samples: too few: %zu, take 16 or more\n", job->statistics.samples);
    }
    return tell(job, &findings, err);
}
