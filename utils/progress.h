/* Progress line on stderr, monotonic clock and peak memory.
 *
 * On a terminal the line is rewritten in place; otherwise a line is written at most every 2
 * seconds, and one at the end. One thread at a time. */
#ifndef MICA_UTILS_PROGRESS_H
#define MICA_UTILS_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

typedef struct mica_progress {
    const char *label; /* borrowed */
    const char *unit;  /* borrowed; "images", "layers" */
    int64_t total;     /* units in all, 0 if unknown */
    int64_t done;
    double start, last; /* seconds of mica_seconds() */
    bool tty;
    bool quiet;  /* set after begin to suppress all output */
    int width;   /* columns of the line on screen */
    FILE *out;   /* stderr */
} mica_progress;

/* Starts a progress line; label and unit must outlive it. */
void mica_progress_begin(mica_progress *progress, const char *label, const char *unit,
                         int64_t total);
/* Counts n more units done and shows the line when it is due. */
void mica_progress_step(mica_progress *progress, int64_t n);
/* Writes the final line: count, seconds, rate. */
void mica_progress_end(mica_progress *progress);

/* Monotonic time in seconds from an arbitrary origin. */
double mica_seconds(void);
/* Largest resident memory of this process so far, in bytes. */
uint64_t mica_peak_rss_bytes(void);

#endif
