/* The lines that npz_tool compare prints and saves. */
#include "tools/npz_compare.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { DETAILS = 5 }; /* differing elements shown without --full-array */

void npz_report_begin(npz_report *report) {
    report->cosine.value = report->euclid.value = report->sqnr.value = INFINITY;
    printf("%-11s %-*s  %-16s %9s %10s %8s %10s%s\n", "status", report->name_width, "tensor",
           "shape", "cos", "euclid", "sqnr dB", "max diff", report->ops ? "  op" : "");
    mica_strbuf_append(&report->csv, "name,op,status,target_shape,target_type,reference_shape,"
                                     "reference_type,cos,euclid,sqnr_db,max_diff,max_index\n");
}

/* A CSV cell: quoted where the text needs it. */
static void append_cell(mica_strbuf *csv, const char *text) {
    if (strpbrk(text, ",\"\n") == NULL) {
        mica_strbuf_append(csv, text);
    } else {
        mica_strbuf_append(csv, "\"");
        for (; *text != '\0'; text++) {
            mica_strbuf_append(csv, *text == '"' ? "\"" : "");
            mica_strbuf_appendn(csv, text, 1);
        }
        mica_strbuf_append(csv, "\"");
    }
    mica_strbuf_append(csv, ",");
}

static void append_csv(npz_report *report, const npz_result *r) {
    mica_strbuf *csv = &report->csv;
    append_cell(csv, r->name);
    append_cell(csv, r->op != NULL ? r->op->name : "");
    append_cell(csv, r->status);
    append_cell(csv, npz_shape_text(report->arena, r->target));
    append_cell(csv, mrt_dtype_name(npz_dtype(r->target)));
    append_cell(csv, npz_shape_text(report->arena, r->reference));
    append_cell(csv, mrt_dtype_name(npz_dtype(r->reference)));
    if (r->measured) {
        const mrt_metrics *m = &r->metrics;
        mica_strbuf_printf(csv, "%.9g,%.9g,%.6g,%.9g,%" PRId64 "\n", m->cosine, m->euclid,
                           m->sqnr_db, m->max_abs_diff, m->max_index);
    } else {
        mica_strbuf_append(csv, ",,,,\n");
    }
}

static void print_difference(const npz_report *report, const npz_result *r, int64_t i) {
    char got[32], want[32];
    npz_value_text(r->target, i, got);
    npz_value_text(r->reference, i, want);
    printf("    %-16s target %-14s reference %-14s\n",
           npz_index_text(report->arena, r->target, i), got, want);
}

/* The first elements that differ. */
static void print_details(const npz_report *report, const npz_result *r) {
    const mrt_metrics *m = &r->metrics;
    printf("    target %s %s, reference %s %s: %" PRId64 " of %" PRId64 " elements differ, %" PRId64
           " NaN or infinite on one side only, nsr %.6g, mse %.6g\n",
           npz_shape_text(report->arena, r->target), mrt_dtype_name(npz_dtype(r->target)),
           npz_shape_text(report->arena, r->reference), mrt_dtype_name(npz_dtype(r->reference)),
           m->different, m->count, m->mismatched, m->nsr, m->mse);
    if (m->max_index >= 0) {
        puts("    largest difference:");
        print_difference(report, r, m->max_index);
    }
    int64_t left = report->full ? INT64_MAX : DETAILS;
    for (int64_t i = m->first_index; i >= 0 && i < m->count && left > 0; i++) {
        const double got = npz_value(r->target, i), want = npz_value(r->reference, i);
        if (got != want && !(isnan(got) && isnan(want))) {
            if (i == m->first_index) {
                puts(report->full ? "    all differences:" : "    first differences:");
            }
            print_difference(report, r, i);
            left--;
        }
    }
}

/* Shares of an 8-bit array at the ends of its range and at zero. */
static void print_stats(const mica_ndarray *array) {
    const mrt_dtype dtype = npz_dtype(array);
    const int64_t count = mica_ndarray_count(array);
    if ((dtype != MRT_I8 && dtype != MRT_U8) || count == 0) {
        return;
    }
    const double low = dtype == MRT_I8 ? -128 : 0, high = dtype == MRT_I8 ? 127 : 255;
    int64_t at_low = 0, at_high = 0, at_zero = 0;
    for (int64_t i = 0; i < count; i++) {
        const double x = npz_value(array, i);
        at_low += x == low;
        at_high += x == high;
        at_zero += x == 0;
    }
    const double percent = 100.0 / (double)count;
    printf("    target %s: %.2f%% at %g, %.2f%% at %g, %.2f%% zero\n", mrt_dtype_name(dtype),
           (double)at_low * percent, low, (double)at_high * percent, high,
           (double)at_zero * percent);
}

static void count_result(npz_report *report, const npz_result *r) {
    report->compared++;
    report->passed += r->passes;
    if (!r->passes && report->first_failed == NULL) {
        report->first_failed = r->name;
    }
    if (!r->measured) {
        report->not_match++;
        return;
    }
    report->verdicts[r->verdict]++;
#define KEEP_SMALLEST(field, metric)                                                               \
    if (report->field.name == NULL || r->metrics.metric < report->field.value) {                   \
        report->field.value = r->metrics.metric;                                                   \
        report->field.name = r->name;                                                              \
    }
    KEEP_SMALLEST(cosine, cosine)
    KEEP_SMALLEST(euclid, euclid)
    KEEP_SMALLEST(sqnr, sqnr_db)
#undef KEEP_SMALLEST
}

void npz_report_add(npz_report *report, const npz_result *r) {
    const mrt_metrics *m = &r->metrics;
    const char *op = r->op != NULL ? r->op->name : report->ops ? "?" : "";
    const char *target = npz_shape_text(report->arena, r->target);
    const char *reference = npz_shape_text(report->arena, r->reference);
    count_result(report, r);
    append_csv(report, r);
    printf("%-11s %-*s  ", r->status, report->name_width, r->name);
    if (!r->measured) {
        printf("%s in the target, %s in the reference\n", target, reference);
        return;
    }
    printf("%-16s %9.6f %10.6f %8.2f %10.4g%s%s", target, m->cosine, m->euclid, m->sqnr_db,
           m->max_abs_diff, *op != '\0' ? "  " : "", op);
    if (r->worst_slice >= 0) {
        printf("  (worst slice %" PRId64 ")", r->worst_slice);
    }
    putchar('\n');
    if (report->stats) {
        print_stats(r->target);
    }
    if (report->verbose && m->different > 0) {
        print_details(report, r);
    }
}

void npz_report_end(const npz_report *report) {
    printf("%zu compared: %zu passed, %zu failed\n", report->compared, report->passed,
           report->compared - report->passed);
    printf("  %zu equal, %zu close, %zu similar, %zu not similar, %zu not equal, %zu not match\n",
           report->verdicts[MRT_VERDICT_EQUAL], report->verdicts[MRT_VERDICT_CLOSE],
           report->verdicts[MRT_VERDICT_SIMILAR], report->verdicts[MRT_VERDICT_NOT_SIMILAR],
           report->verdicts[MRT_VERDICT_NOT_EQUAL], report->not_match);
    if (report->cosine.name != NULL) {
        printf("minimum similarity: cos %.6f (%s), euclid %.6f (%s), sqnr %.2f dB (%s)\n",
               report->cosine.value, report->cosine.name, report->euclid.value,
               report->euclid.name, report->sqnr.value, report->sqnr.name);
    }
}
