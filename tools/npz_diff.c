/* npz_tool visualize_diff: distribution, places and channels of the differences, as text. */
#include "tools/npz_tool.h"

#include "utils/strings.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { BINS = 11, BAR = 40, CHANNELS = 16 };

typedef struct diff {
    npz_run run;
    const char *target_path, *reference_path, *names;
    int64_t top, axis;
    mica_npz *target, *reference;
    const mica_ndarray *got, *want; /* the pair at work */
} diff;

static double difference(const diff *d, int64_t i) {
    const double got = npz_value(d->got, i), want = npz_value(d->want, i);
    return got == want || (isnan(got) && isnan(want)) ? 0 : got - want;
}

/* A place where one side is NaN or infinite counts as the largest difference. */
static double size_of_difference(const void *user, int64_t i) {
    const double x = difference(user, i);
    return isnan(x) ? INFINITY : fabs(x);
}

static void print_bar(double share) {
    static const char bar[] = "########################################";
    int length = (int)lround(share * BAR);
    length = length == 0 && share > 0 ? 1 : length;
    printf("%.*s\n", length, bar);
}

static void print_histogram(const diff *d, int64_t count, double largest) {
    int64_t bins[BINS] = {0}, most = 1;
    for (int64_t i = 0; i < count; i++) {
        const double x = difference(d, i);
        if (isfinite(x)) {
            const int64_t at = (int64_t)((x / largest + 1) * 0.5 * BINS);
            bins[at < BINS ? at : BINS - 1]++;
        }
    }
    for (int i = 0; i < BINS; i++) {
        most = bins[i] > most ? bins[i] : most;
    }
    puts("  target - reference        elements");
    for (int i = 0; i < BINS; i++) {
        const double step = 2 * largest / BINS;
        printf("  %10.3g .. %-10.3g %10" PRId64 " ", -largest + step * i, -largest + step * (i + 1),
               bins[i]);
        print_bar((double)bins[i] / (double)most);
    }
}

static void print_largest(const diff *d, int64_t count) {
    int64_t n = 0;
    const int64_t *best = npz_largest(d->run.arena, size_of_difference, d, count, d->top, &n);
    puts("  largest differences");
    for (int64_t i = 0; i < n && size_of_difference(d, best[i]) > 0; i++) {
        char got[32], want[32];
        npz_value_text(d->got, best[i], got);
        npz_value_text(d->want, best[i], want);
        printf("  %-16s target %-14s reference %-14s difference %.4g\n",
               npz_index_text(d->run.arena, d->got, best[i]), got, want, difference(d, best[i]));
    }
}

static double channel_key(const void *user, int64_t i) { return ((const double *)user)[i]; }

/* Root mean square of the difference for the worst indices of one axis. */
static void print_channels(const diff *d, int64_t count) {
    const mica_ndarray *a = d->got;
    if (d->axis < 0 || d->axis >= a->rank || a->dims[d->axis] < 2) {
        return;
    }
    const int64_t channels = a->dims[d->axis];
    int64_t inner = 1, n = 0;
    for (int i = (int)d->axis + 1; i < a->rank; i++) {
        inner *= a->dims[i];
    }
    double *squares = mica_arena_array(d->run.arena, (size_t)channels, sizeof *squares);
    for (int64_t i = 0; i < count; i++) {
        const double x = difference(d, i);
        squares[i / inner % channels] += isfinite(x) ? x * x : 0;
    }
    const int64_t *best =
        npz_largest(d->run.arena, channel_key, squares, channels, CHANNELS, &n);
    const double most = sqrt(squares[best[0]]);
    printf("  worst of %" PRId64 " indices of axis %" PRId64 ", root mean square\n", channels,
           d->axis);
    for (int64_t i = 0; i < n && squares[best[i]] > 0; i++) {
        printf("  %6" PRId64 " %10.3g ", best[i],
               sqrt(squares[best[i]] * (double)channels / (double)count));
        print_bar(sqrt(squares[best[i]]) / most);
    }
}

static void show(const diff *d, const char *name) {
    const int64_t count = mica_ndarray_count(d->got);
    double largest = 0;
    int64_t different = 0, mismatched = 0;
    for (int64_t i = 0; i < count; i++) {
        const double x = size_of_difference(d, i);
        different += x != 0;
        mismatched += !isfinite(x);
        largest = isfinite(x) && x > largest ? x : largest;
    }
    printf("%s %s: %" PRId64 " of %" PRId64 " elements differ\n", name,
           npz_shape_text(d->run.arena, d->got), different, count);
    if (mismatched > 0) {
        printf("  %" PRId64 " NaN or infinite on one side only\n", mismatched);
    }
    if (largest > 0) {
        print_histogram(d, count, largest);
        print_channels(d, count);
    }
    if (different > 0) {
        print_largest(d, count);
    }
}

static mica_status show_named(diff *d, const char *name) {
    d->got = mica_npz_get(d->target, name, &d->run.err);
    d->want = d->got != NULL ? mica_npz_get(d->reference, name, &d->run.err) : NULL;
    if (d->want == NULL) {
        return MICA_FAIL;
    }
    if (mica_ndarray_count(d->got) != mica_ndarray_count(d->want)) {
        printf("%s: %s in the target, %s in the reference\n", name,
               npz_shape_text(d->run.arena, d->got), npz_shape_text(d->run.arena, d->want));
    } else {
        show(d, name);
    }
    mica_npz_release(d->target, name);
    mica_npz_release(d->reference, name);
    return MICA_OK;
}

static mica_status show_all(diff *d) {
    mica_error *err = &d->run.err;
    if (d->top < 1 || d->top > NPZ_MAX_TOP) {
        return mica_fail(err, "option '--top': expected 1 to %d, got %" PRId64, NPZ_MAX_TOP, d->top);
    }
    if (d->axis < -1 || d->axis >= MICA_NDARRAY_MAX_RANK) {
        return mica_fail(err, "option '--axis': expected an axis from 0 to %d, or -1, got %" PRId64,
                         MICA_NDARRAY_MAX_RANK - 1, d->axis);
    }
    d->target = mica_npz_open(d->target_path, err);
    d->reference = d->target != NULL ? mica_npz_open(d->reference_path, err) : NULL;
    if (d->reference == NULL) {
        return MICA_FAIL;
    }
    size_t n = 0, shown = 0;
    char **names = mica_split(d->run.arena, d->names != NULL ? d->names : "", ',', &n);
    for (size_t i = 0; i < n; i++, shown++) {
        MICA_TRY(show_named(d, names[i]));
    }
    for (size_t i = 0; n == 0 && i < mica_npz_count(d->target); i++) {
        const char *name = mica_npz_key(d->target, i);
        if (mica_npz_has(d->reference, name)) {
            MICA_TRY(show_named(d, name));
            shown++;
        }
    }
    return shown > 0 ? MICA_OK
                     : mica_fail(err, "'%s' and '%s' have no tensor in common", d->target_path,
                                 d->reference_path);
}

int npz_visualize_diff_main(int argc, char **argv) {
    diff d = {0};
    mica_option rows[] = {
        {.name = "target", .kind = MICA_OPT_STRING, .required = true, .help = "npz to look at",
         .dest = &d.target_path},
        {.name = "reference", .kind = MICA_OPT_STRING, .required = true,
         .help = "npz to compare with", .dest = &d.reference_path},
        {.name = "--tensor", .kind = MICA_OPT_STRING, .multi = true, .metavar = "NAME",
         .help = "only these tensors; without: all that both files have", .dest = &d.names},
        {.name = "--top", .kind = MICA_OPT_INT, .default_text = "10", .metavar = "N",
         .help = "largest differences shown for each tensor", .dest = &d.top},
        {.name = "--axis", .kind = MICA_OPT_INT, .default_text = "1", .metavar = "AXIS",
         .help = "show which indices of this axis are worst; -1: do not", .dest = &d.axis},
    };
    int code = TOOL_OK;
    if (!npz_run_begin(&d.run, "visualize_diff", rows, MICA_COUNT(rows), argc, argv, &code)) {
        return code;
    }
    const mica_status status = show_all(&d);
    mica_npz_close(d.target);
    mica_npz_close(d.reference);
    return npz_run_end(&d.run, status);
}
