/* What calibration found, for people and for programs. */
#ifndef MICA_CALIBRATION_REPORT_H
#define MICA_CALIBRATION_REPORT_H

#include "passes/calibration/calibrate.h"
#include "utils/strbuf.h"

typedef struct mica_calibration_quality {
    double symmetric, asymmetric; /* predicted SQNR in dB; infinite: no error */
} mica_calibration_quality;

/* One per tensor of the statistics, which all have rows in the table; freed with mica_free. */
mica_calibration_quality *mica_calibration_qualities(const mica_statistics *statistics,
                                                     const mica_cali_table *table, int threads);

/* JSON [calibration JSON in docs/file_formats.md]. */
void mica_calibration_json(const mica_statistics *statistics, const mica_cali_table *table,
                           const mica_calibration_quality *qualities, const mica_method *method,
                           const char *method_text, const mica_settings *settings, mica_strbuf *out);
/* Ranges alone, as mica_scales_read reads them [Scales in docs/file_formats.md]. */
void mica_scales_json(const mica_cali_table *table, mica_strbuf *out);

#endif
