/* A small chart as PNG: a line, marked points, axes with numbers and labels. */
#ifndef MICA_CHART_H
#define MICA_CHART_H

#include <stdbool.h>
#include <stddef.h>

#include "utils/status.h"

typedef struct mica_chart_point {
    double x, y; /* not finite: left out */
    bool in_line;
    bool dot;    /* a small mark */
    bool chosen; /* a large mark */
} mica_chart_point;

typedef struct mica_chart {
    const char *title, *x_label, *y_label; /* letters, digits and .,%+-():; case is not shown */
    const mica_chart_point *points;        /* in the order of the line */
    size_t count;
} mica_chart;

/* Writes `path`, 640 x 400. The same chart gives the same bytes. */
MICA_MUST_CHECK mica_status mica_chart_write(const mica_chart *chart, const char *path, mica_error *err);

#endif
