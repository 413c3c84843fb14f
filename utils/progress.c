#include "utils/progress.h"

#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

double mica_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

uint64_t mica_peak_rss_bytes(void) {
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) != 0) {
        return 0;
    }
    return (uint64_t)usage.ru_maxrss * 1024; /* Linux counts in KiB */
}

void mica_progress_begin(mica_progress *progress, const char *label, const char *unit,
                         int64_t total) {
    double now = mica_seconds();
    *progress = (mica_progress){.label = label,
                                .unit = unit,
                                .total = total > 0 ? total : 0,
                                .start = now,
                                .last = now,
                                .tty = isatty(STDERR_FILENO) == 1,
                                .out = stderr};
}

/* "1:02:03" or "2:03". */
static void format_time(double seconds, char *out, size_t room) {
    long long s = seconds < 1e9 ? (long long)(seconds + 0.5) : 1000000000;
    if (s >= 3600) {
        snprintf(out, room, "%lld:%02lld:%02lld", s / 3600, s / 60 % 60, s % 60);
    } else {
        snprintf(out, room, "%lld:%02lld", s / 60, s % 60);
    }
}

static void show(mica_progress *p, double now, bool final) {
    char line[256], count[64], tail[64] = "", clock[32];
    double elapsed = now - p->start;
    double rate = elapsed > 0 ? (double)p->done / elapsed : 0;
    if (p->total > 0) {
        snprintf(count, sizeof count, "%lld/%lld (%d%%)", (long long)p->done, (long long)p->total,
                 (int)(100.0 * (double)p->done / (double)p->total));
    } else {
        snprintf(count, sizeof count, "%lld", (long long)p->done);
    }
    if (final) {
        snprintf(tail, sizeof tail, ", %.1f s", elapsed);
    } else if (p->total > p->done && rate > 0) {
        format_time((double)(p->total - p->done) / rate, clock, sizeof clock);
        snprintf(tail, sizeof tail, ", %s left", clock);
    }
    int n = snprintf(line, sizeof line, "%s: %s %s, %.1f %s/s%s", p->label, count, p->unit, rate,
                     p->unit, tail);
    n = n < (int)sizeof line ? n : (int)sizeof line - 1;
    if (p->tty) {
        /* Spaces wipe what is left of a longer line before. */
        fprintf(p->out, "\r%s%*s%s", line, p->width > n ? p->width - n : 0, "", final ? "\n" : "");
        p->width = n;
    } else {
        fprintf(p->out, "%s\n", line);
    }
    fflush(p->out);
}

void mica_progress_step(mica_progress *progress, int64_t n) {
    progress->done += n;
    if (progress->quiet) {
        return;
    }
    double now = mica_seconds();
    if (now - progress->last >= (progress->tty ? 0.1 : 2.0)) {
        progress->last = now;
        show(progress, now, false);
    }
}

void mica_progress_end(mica_progress *progress) {
    if (!progress->quiet) {
        show(progress, mica_seconds(), true);
    }
}
