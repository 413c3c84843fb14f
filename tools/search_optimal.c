/* --search optimal: the front, the choice and their files. */
#include <math.h>
#include <stdio.h>

#include "passes/search/optimal.h"
#include "tools/search.h"
#include "utils/arena.h"
#include "utils/chart.h"
#include "utils/file.h"
#include "utils/progress.h"
#include "utils/strings.h"

static void print_modes(const mica_optimal_result *r) {
    bool first = true;
    printf("optimal: modes ");
    for (int m = 0; m < MICA_MODE_COUNT; ++m) {
        if (r->used[m]) {
            printf("%s%s", first ? "" : ", ", mica_mode_name((mica_mode)m));
            first = false;
        }
    }
    for (int m = 0; m < MICA_MODE_COUNT; ++m) {
        if (r->beaten_by[m] != MICA_MODE_COUNT) {
            printf("; %s is left out: nowhere less noise than %s at the same cost", mica_mode_name((mica_mode)m),
                   mica_mode_name(r->beaten_by[m]));
        }
    }
    printf("\n");
}

static void print_point(const mica_optimal_result *r, size_t i) {
    const mica_optimal_point *p = &r->points[i];
    printf("  %+8.2f %%  %7.2f %%  %9.2f dB  ", p->cost, p->macs, mica_nsr_to_db(p->nsr));
    if (p->was_run) {
        printf("%7.2f dB  %.6f", mica_nsr_to_db(p->real.nsr), p->real.cosine);
    } else {
        printf("%10s  %8s", "-", "-");
    }
    printf("  %zu%s\n", p->n_float, i == r->chosen ? "  chosen" : "");
}

/* What the points rise by. */
static double axis(const mica_optimal_result *r, size_t i) {
    return r->by_macs ? r->points[i].macs : r->points[i].cost;
}

/* A few points of the front and all that were run. */
static void print_front(const mica_optimal_result *r) {
    static const double costs[] = {0.0, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0};
    size_t next = 0;
    printf("      cost   not INT8   predicted        real    cosine  float ops\n");
    for (size_t i = 0; i < r->count; ++i) {
        const bool last = i + 1 == r->count;
        bool shown = i == 0 || last || r->points[i].was_run;
        while (next < sizeof costs / sizeof costs[0] && (last || axis(r, i + 1) > costs[next])) {
            shown = true;
            next++;
        }
        if (shown) {
            print_point(r, i);
        }
    }
}

static void print_result(const mica_optimal_result *r, size_t samples) {
    const mica_optimal_point *p = &r->points[r->chosen];
    print_modes(r);
    printf("INT8: predicted %.2f dB, real %.2f dB, cosine %.6f (noise of ops from %zu samples, runs with %zu)\n",
           mica_nsr_to_db(r->int8_nsr), mica_nsr_to_db(r->int8.nsr), r->int8.cosine, r->noise_samples, samples);
    printf("front: %zu points, %.2f s to measure, %.2f s to solve\n", r->count, r->noise_seconds, r->solve_seconds);
    print_front(r);
    printf("chosen: predicted %.2f dB, %.2f dB as the other runs differ, real %.2f dB, cosine %.6f\n",
           mica_nsr_to_db(p->nsr), r->expected_db, mica_nsr_to_db(p->real.nsr), p->real.cosine);
    printf("by addition alone it has %.2f dB, and no choice of this cost more than %.2f dB (gap %.2f %%)\n",
           mica_nsr_to_db(p->sum), mica_nsr_to_db(p->bound), 100.0 * r->gap);
}

static mica_status write_csv(const char *path, const mica_optimal_result *r, mica_error *err) {
    mica_strbuf csv = {0};
    mica_strbuf_append(&csv, "cost_percent,macs_not_int8_percent,float_ops,predicted_db,bound_db,real_db,real_cosine,chosen\n");
    for (size_t i = 0; i < r->count; ++i) {
        const mica_optimal_point *p = &r->points[i];
        mica_strbuf_printf(&csv, "%.6f,%.6f,%zu,%.4f,%.4f,", p->cost, p->macs, p->n_float, mica_nsr_to_db(p->nsr),
                           mica_nsr_to_db(p->bound));
        if (p->was_run) {
            mica_strbuf_printf(&csv, "%.4f,%.8f", mica_nsr_to_db(p->real.nsr), p->real.cosine);
        } else {
            mica_strbuf_append(&csv, ",");
        }
        mica_strbuf_printf(&csv, ",%d\n", i == r->chosen);
    }
    const mica_status status = mica_write_file_atomic(path, mica_strbuf_text(&csv), csv.len, err);
    mica_strbuf_free(&csv);
    return status;
}

/* SQNR over the budget up to twice of it, or up to the chosen point; real ones as dots. */
static mica_status write_plot(const char *path, const mica_optimal_result *r, double budget, mica_error *err) {
    const double end = 2.0 * fmax(fmax(budget, axis(r, r->chosen)), 1.0);
    mica_chart_point *points = mica_alloc((2 * r->count + 1) * sizeof *points);
    size_t n = 0;
    for (size_t i = 0; i < r->count && axis(r, i) <= end; ++i) {
        const mica_optimal_point *p = &r->points[i];
        points[n++] = (mica_chart_point){.x = axis(r, i), .y = mica_nsr_to_db(p->nsr), .in_line = true};
        if (p->was_run) {
            points[n++] = (mica_chart_point){.x = axis(r, i), .y = mica_nsr_to_db(p->real.nsr), .dot = true,
                                             .chosen = i == r->chosen};
        }
    }
    const mica_chart chart = {.title = "SQNR: line predicted, dots real, red chosen",
                              .x_label = r->by_macs ? "MACs not INT8, %" : "cost above INT8, %",
                              .y_label = "SQNR of the outputs, dB", .points = points, .count = n};
    const mica_status status = mica_chart_write(&chart, path, err);
    mica_free(points);
    return status;
}

static mica_status write_pareto(const char *path, const mica_optimal_result *r, double budget, mica_error *err) {
    return mica_ends_with(path, ".png") ? write_plot(path, r, budget, err) : write_csv(path, r, err);
}

static mica_status report(const search_job *job, const mica_optimal_result *r, size_t samples, double start,
                          mica_error *err) {
    const search_settings *s = job->settings;
    const mica_optimal_point *p = &r->points[r->chosen];
    const char *header = mica_arena_printf(
        job->arena, "# mlir: %s\n# chip: %s  optimal: cost +%.2f %%, predicted %.2f dB, real %.2f dB\n",
        mica_path_base(job->arena, job->mlir), job->processor->name, p->cost, mica_nsr_to_db(p->nsr),
        mica_nsr_to_db(p->real.nsr));
    print_result(r, samples);
    MICA_TRY(mica_qtable_write(r->qtable, s->qtable, header, err));
    MICA_TRY(s->pareto != NULL ? write_pareto(s->pareto, r, s->macs_given ? s->max_float_macs : s->max_cost, err) : MICA_OK);
    printf("run result:\nint8 outputs_cos:%.6f old\nmix model outputs_cos:%.6f\n", r->int8.cosine, p->real.cosine);
    printf("Output mix quantization table to %s\ntotal time:%.6f\nsuccess search optimal\n", s->qtable,
           mica_seconds() - start);
    if (!r->reached) {
        *job->unreached = true;
        return mica_fail(err, "expected_cos %g was not reached: the best cosine is %.6f; limited by %s %g (the "
                              "files are written)", s->expected_cos, p->real.cosine,
                         s->macs_given ? "--max_float_macs" : "--max_cost",
                         s->macs_given ? s->max_float_macs : s->max_cost);
    }
    return MICA_OK;
}

mica_status search_run_optimal(const search_job *job, mica_error *err) {
    const double start = mica_seconds();
    const search_settings *s = job->settings;
    search_session session;
    MICA_TRY(search_session_open(job, &session, err));
    const mica_optimal_options options = {.table = job->base,
                                          .fixed = session.fixed,
                                          .max_cost = s->max_cost,
                                          .max_float_macs = s->max_float_macs,
                                          .expected_cos = s->expected_given ? s->expected_cos : 0.0};
    mica_optimal_result result;
    mica_status status = mica_search_optimal(&session.real, &options, &result, err);
    if (status == MICA_OK) {
        status = report(job, &result, session.job.samples, start, err);
        mica_optimal_result_free(&result);
    }
    search_session_close(&session);
    return status;
}
