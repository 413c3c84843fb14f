#include "tools/model_profile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "utils/arena.h"
#include "utils/progress.h"
#include "utils/strings.h"

/* --- measuring --------------------------------------------------------------------------------- */

typedef struct recorder {
    profile *p;
    double *seconds; /* [steps][runs] */
    int64_t run;
    double start;
} recorder;

static void record(void *user, int32_t index, const mrt_call *call, double begin, double end) {
    recorder *r = user;
    profile_step *s = &r->p->steps[index];
    if (r->start < 0) {
        r->start = begin;
    }
    const mrt_work work = mrt_work_of(s->step->kernel, call);
    double *seconds = &r->seconds[(int64_t)index * r->p->runs + r->run];
    if (*seconds > 0) { /* a further part of a batch */
        *seconds += end - begin;
        s->work.macs += work.macs;
        s->work.bytes_read += work.bytes_read;
        s->work.bytes_written += work.bytes_written;
        return;
    }
    *seconds = end - begin;
    s->begin = begin - r->start;
    s->end = end - r->start;
    s->shape = call->out[0]->shape;
    s->work = work;
}

static int compare_double(const void *a, const void *b) {
    const double x = *(const double *)a;
    const double y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, int64_t n) {
    qsort(values, (size_t)n, sizeof *values, compare_double);
    return values[n / 2];
}

mica_status profile_measure(tool_model *model, int64_t runs, profile *out, mica_error *err) {
    const mrt_plan *plan = mrt_exec_plan(model->exec);
    mrt_error error;
    *out = (profile){.plan = plan, .runs = runs};
    if (mrt_probe(model->pool, 0.05, &out->limits, &error) != MRT_OK) {
        return mica_fail(err, "%s", error.text);
    }
    const size_t n = (size_t)plan->n_steps;
    out->steps = mica_alloc((n + 1) * sizeof *out->steps);
    double *whole = mica_alloc((size_t)runs * sizeof *whole);
    recorder r = {.p = out, .seconds = mica_alloc((n * (size_t)runs + 1) * sizeof(double))};
    for (size_t i = 0; i < n; ++i) {
        out->steps[i].step = &plan->steps[i];
    }
    mrt_exec_set_trace(model->exec, record, &r);
    for (r.run = 0; r.run < runs; ++r.run) {
        r.start = -1.0;
        const double start = mica_seconds();
        mrt_exec_run(model->exec, NULL, NULL);
        whole[r.run] = mica_seconds() - start;
    }
    mrt_exec_set_trace(model->exec, NULL, NULL);
    for (size_t i = 0; i < n; ++i) {
        out->steps[i].seconds = median(r.seconds + i * (size_t)runs, runs);
    }
    out->run_seconds = median(whole, runs);
    mica_free(r.seconds);
    mica_free(whole);
    return MICA_OK;
}

void profile_free(profile *p) {
    mica_free(p->steps);
    *p = (profile){0};
}

/* --- what is told of a step, or of all --------------------------------------------------------- */

typedef struct figures {
    double seconds, macs, bytes, limit; /* limit: least seconds that the machine needs */
    const char *bound;
} figures;

static figures figures_of(const profile *p, const profile_step *s) {
    bool memory = false;
    figures f = {.seconds = s->seconds, .macs = s->work.macs,
                 .bytes = s->work.bytes_read + s->work.bytes_written};
    f.limit = mrt_limits_seconds(&p->limits, &s->work, &memory);
    f.bound = memory ? "memory" : "compute";
    return f;
}

static figures sum_of(const profile *p) {
    figures sum = {.bound = ""};
    for (int32_t i = 0; i < p->plan->n_steps; ++i) {
        const figures f = figures_of(p, &p->steps[i]);
        sum.seconds += f.seconds;
        sum.macs += f.macs;
        sum.bytes += f.bytes;
        sum.limit += f.limit;
    }
    return sum;
}

static double ratio(double a, double b) { return b > 0 ? a / b : 0; }

static void shape_text(const mrt_shape *shape, char *text, size_t size) {
    size_t at = 0;
    snprintf(text, size, "scalar");
    for (int i = 0; i < shape->rank && at < size; ++i) {
        at += (size_t)snprintf(text + at, size - at, "%s%lld", i > 0 ? "x" : "", (long long)shape->dims[i]);
    }
}

enum { NAME_WIDTH = 48 };

/* The end of a long name, where names of one model differ. */
static const char *short_name(const char *name, char text[NAME_WIDTH + 1]) {
    const size_t length = strlen(name);
    if (length <= NAME_WIDTH) {
        return name;
    }
    snprintf(text, NAME_WIDTH + 1, "...%s", name + length - (NAME_WIDTH - 3));
    return text;
}

/* --- table ------------------------------------------------------------------------------------- */

static int compare_time(const void *a, const void *b) {
    const profile_step *x = *(const profile_step *const *)a;
    const profile_step *y = *(const profile_step *const *)b;
    if (x->seconds != y->seconds) {
        return x->seconds < y->seconds ? 1 : -1;
    }
    return (x->step > y->step) - (x->step < y->step);
}

static void print_figures(const figures *f, double total) {
    printf(" %9.4f %6.1f %10.3f %8.1f %9.1f %7.1f %6.1f  %s\n", 1e3 * f->seconds,
           100.0 * ratio(f->seconds, total), 1e-6 * f->macs, 1e-9 * ratio(f->macs, f->seconds),
           f->bytes / 1024.0, 1e-9 * ratio(f->bytes, f->seconds), 100.0 * ratio(f->limit, f->seconds), f->bound);
}

static void print_limits(const profile *p) {
    const mrt_limits *l = &p->limits;
    printf("machine limits with %d thread%s: int8 (%s) %.1f GMAC/s, f32 %.1f, f32 in written order %.1f, "
           "copies in the second cache %.1f GB/s, of large blocks %.1f\n", l->threads, l->threads == 1 ? "" : "s", l->int8_isa,
           1e-9 * l->macs[MRT_WORK_INT8], 1e-9 * l->macs[MRT_WORK_F32], 1e-9 * l->macs[MRT_WORK_F32_WRITTEN],
           1e-9 * l->near_bytes, 1e-9 * l->far_bytes);
}

void profile_print(const profile *p, bool by_time) {
    const size_t n = (size_t)p->plan->n_steps;
    const profile_step **order = mica_alloc((n + 1) * sizeof(const profile_step *));
    int name = 2, kernel = 6, width = 6;
    char shape[160], op[NAME_WIDTH + 1];
    for (size_t i = 0; i < n; ++i) {
        order[i] = &p->steps[i];
        shape_text(&p->steps[i].shape, shape, sizeof shape);
        const int lengths[] = {(int)strlen(short_name(p->steps[i].step->op, op)), (int)strlen(p->steps[i].step->kernel->name),
                               (int)strlen(shape)};
        name = lengths[0] > name ? lengths[0] : name;
        kernel = lengths[1] > kernel ? lengths[1] : kernel;
        width = lengths[2] > width ? lengths[2] : width;
    }
    if (by_time) {
        qsort(order, n, sizeof *order, compare_time);
    }
    const figures sum = sum_of(p);
    print_limits(p);
    printf("%-*s %-*s %-*s %9s %6s %10s %8s %9s %7s %6s  %s\n", name, "op", kernel, "kernel", width, "output",
           "ms", "%", "MMAC", "GMAC/s", "KiB", "GB/s", "limit%", "bound");
    for (size_t i = 0; i < n; ++i) {
        const figures f = figures_of(p, order[i]);
        shape_text(&order[i]->shape, shape, sizeof shape);
        printf("%-*s %-*s %-*s", name, short_name(order[i]->step->op, op), kernel, order[i]->step->kernel->name,
               width, shape);
        print_figures(&f, sum.seconds);
    }
    printf("%-*s", name + kernel + width + 2, "total");
    print_figures(&sum, sum.seconds);
    printf("%lld runs, whole run: median %.4f ms; the limits of all steps add up to %.4f ms\n", (long long)p->runs,
           1e3 * p->run_seconds, 1e3 * sum.limit);
    printf("arena %lld bytes (largest live set %lld), scratch %lld bytes\n", (long long)p->plan->arena_bytes,
           (long long)p->plan->live_bytes, (long long)p->plan->scratch_bytes);
    mica_free((void *)order);
}

/* --- JSON -------------------------------------------------------------------------------------- */

/* Names of models need not be UTF-8; JSON must. */
static json_t *text_json(const char *text) {
    json_t *value = json_string(text);
    if (value == NULL) {
        char *plain = mica_strdup(text);
        for (char *c = plain; *c != '\0'; ++c) {
            *c = (unsigned char)*c > 126 ? '?' : *c;
        }
        value = json_string(plain);
        mica_free(plain);
    }
    return value;
}

static json_t *step_json(const profile *p, const profile_step *s) {
    const figures f = figures_of(p, s);
    char shape[160];
    shape_text(&s->shape, shape, sizeof shape);
    return json_pack("{s:o, s:s, s:s, s:f, s:f, s:f, s:f, s:f, s:s}", "op", text_json(s->step->op), "kernel",
                     s->step->kernel->name, "output", shape, "ms", 1e3 * f.seconds, "macs", f.macs, "bytes_read",
                     s->work.bytes_read, "bytes_written", s->work.bytes_written, "limit_ms", 1e3 * f.limit, "bound",
                     f.bound);
}

json_t *profile_json(const profile *p) {
    const mrt_limits *l = &p->limits;
    const figures sum = sum_of(p);
    json_t *steps = json_array();
    for (int32_t i = 0; i < p->plan->n_steps; ++i) {
        json_array_append_new(steps, step_json(p, &p->steps[i]));
    }
    return json_pack("{s:I, s:i, s:{s:s, s:f, s:f, s:f, s:f, s:f}, s:I, s:I, s:I, s:o, s:{s:f, s:f, s:f, s:f, s:f}}",
                     "runs", (json_int_t)p->runs, "threads", l->threads, "limits", "int8_isa", l->int8_isa,
                     "int8_gmacs", 1e-9 * l->macs[MRT_WORK_INT8], "f32_gmacs", 1e-9 * l->macs[MRT_WORK_F32],
                     "f32_written_gmacs", 1e-9 * l->macs[MRT_WORK_F32_WRITTEN], "near_gbytes", 1e-9 * l->near_bytes,
                     "far_gbytes", 1e-9 * l->far_bytes,
                     "arena_bytes", (json_int_t)p->plan->arena_bytes, "live_bytes", (json_int_t)p->plan->live_bytes,
                     "scratch_bytes", (json_int_t)p->plan->scratch_bytes, "steps", steps, "total", "ms",
                     1e3 * sum.seconds, "run_ms", 1e3 * p->run_seconds, "macs", sum.macs, "bytes", sum.bytes,
                     "limit_ms", 1e3 * sum.limit);
}

json_t *profile_trace(const profile *p, const char *model) {
    json_t *events = json_array();
    json_array_append_new(events, json_pack("{s:s, s:s, s:i, s:{s:o}}", "name", "process_name", "ph", "M", "pid", 1,
                                            "args", "name", text_json(model)));
    json_array_append_new(events, json_pack("{s:s, s:s, s:i, s:i, s:{s:s}}", "name", "thread_name", "ph", "M", "pid",
                                            1, "tid", 1, "args", "name", "executor"));
    for (int32_t i = 0; i < p->plan->n_steps; ++i) {
        const profile_step *s = &p->steps[i];
        char shape[160];
        shape_text(&s->shape, shape, sizeof shape);
        json_array_append_new(
            events, json_pack("{s:o, s:s, s:s, s:f, s:f, s:i, s:i, s:{s:s, s:s, s:f, s:f, s:i}}", "name",
                              text_json(s->step->op), "cat", s->step->kernel->name, "ph", "X", "ts", 1e6 * s->begin, "dur",
                              1e6 * (s->end - s->begin), "pid", 1, "tid", 1, "args", "kernel", s->step->kernel->name,
                              "output", shape, "macs", s->work.macs, "bytes",
                              s->work.bytes_read + s->work.bytes_written, "threads", p->limits.threads));
    }
    return json_pack("{s:s, s:o}", "displayTimeUnit", "ms", "traceEvents", events);
}
