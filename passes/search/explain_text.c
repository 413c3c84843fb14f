/* Explanations for people and for programs. */
#include <jansson.h>
#include <math.h>

#include "passes/search/explain.h"
#include "utils/arena.h"

/* Numbers of rows, the largest share first. */
static size_t *by_share(const mica_explain *e) {
    size_t *order = mica_alloc((e->count + 1) * sizeof *order);
    for (size_t i = 0; i < e->count; ++i) {
        size_t at = i;
        for (; at > 0 && e->rows[order[at - 1]].share < e->rows[i].share; --at) {
            order[at] = order[at - 1];
        }
        order[at] = i;
    }
    return order;
}

static void print_number(mica_strbuf *out, double v, const char *format) {
    if (v > 0.0 && v < 200.0) {
        mica_strbuf_printf(out, format, v);
    } else {
        mica_strbuf_printf(out, "%9s", "-");
    }
}

void mica_explain_text(const mica_explain *e, mica_strbuf *out) {
    size_t *order = by_share(e);
    mica_strbuf_printf(out, "# SQNR of the outputs %.2f dB (%zu samples); shares of that error sum to %.1f %%\n",
                       mica_nsr_to_db(e->nsr), e->samples, e->share_sum);
    mica_strbuf_append(out, "#   share  mode  threshold   predicted   real dB   kurtosis  method      op (type): why; what "
                            "would help\n");
    for (size_t i = 0; i < e->count; ++i) {
        const mica_explain_row *r = &e->rows[order[i]];
        mica_strbuf_printf(out, "%8.2f %%  %-4s ", r->share, mica_mode_name(r->mode));
        if (r->threshold > 0.0) {
            mica_strbuf_printf(out, "%10.5g  ", r->threshold);
        } else {
            mica_strbuf_printf(out, "%10s  ", "-");
        }
        print_number(out, r->predicted_db, "%9.1f");
        mica_strbuf_append(out, "  ");
        print_number(out, r->real_db, "%9.1f");
        mica_strbuf_printf(out, "  %8.1f  %-10s  %s (%s)", r->kurtosis, r->method, r->name, r->type);
        if (r->why[0] != '\0') {
            mica_strbuf_printf(out, ": %s; %s, up to +%.2f dB", r->why, r->help, r->gain_db);
        }
        mica_strbuf_append(out, "\n");
    }
    mica_free(order);
}

/* Names need not be UTF-8. */
static json_t *name_of(const char *s) {
    json_t *value = json_string(s);
    return value != NULL ? value : json_stringn_nocheck("?", 1);
}

static int append(const char *bytes, size_t n, void *out) {
    mica_strbuf_appendn(out, bytes, n);
    return 0;
}

void mica_explain_json(const mica_explain *e, mica_strbuf *out) {
    json_t *rows = json_array();
    for (size_t i = 0; i < e->count; ++i) {
        const mica_explain_row *r = &e->rows[i];
        json_array_append_new(
            rows, json_pack("{s:o, s:s, s:s, s:f, s:s, s:f, s:f, s:f, s:f, s:s, s:s, s:f}", "op", name_of(r->name), "type",
                            r->type, "mode", mica_mode_name(r->mode), "threshold", r->threshold, "method", r->method,
                            "predicted_db", r->predicted_db, "real_db", r->real_db, "kurtosis", r->kurtosis,
                            "share_percent", r->share, "why", r->why, "help", r->help, "gain_db", r->gain_db));
    }
    json_t *root = json_pack("{s:f, s:f, s:I, s:o}", "sqnr_db", mica_nsr_to_db(e->nsr), "share_sum_percent", e->share_sum,
                             "samples", (json_int_t)e->samples, "ops", rows);
    json_dump_callback(root, append, out, JSON_INDENT(1) | JSON_REAL_PRECISION(9));
    mica_strbuf_append(out, "\n");
    json_decref(root);
}
