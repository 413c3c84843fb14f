#include "utils/strings.h"

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ASCII only, so that the result does not depend on the locale. */
static char lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c; }

static bool is_space(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\v' || c == '\f';
}

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

/* Words longer than this are compared by their beginning. */
enum { NEAREST_MAX = 63 };

/* Edit distance with swaps of neighbours counted as one. */
static size_t distance(const char *a, size_t na, const char *b, size_t nb) {
    size_t rows[3][NEAREST_MAX + 1];
    for (size_t j = 0; j <= nb; j++) {
        rows[0][j] = j;
    }
    for (size_t i = 1; i <= na; i++) {
        size_t *row = rows[i % 3], *up = rows[(i - 1) % 3], *up2 = rows[(i + 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= nb; j++) {
            char x = lower(a[i - 1]), y = lower(b[j - 1]);
            size_t best = up[j - 1] + (x != y);
            best = up[j] + 1 < best ? up[j] + 1 : best;
            best = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
            if (i > 1 && j > 1 && x == lower(b[j - 2]) && y == lower(a[i - 2]) &&
                up2[j - 2] + 1 < best) {
                best = up2[j - 2] + 1;
            }
            row[j] = best;
        }
    }
    return rows[na % 3][nb];
}

const char *mica_nearest(const char *word, const char *const *list, size_t n) {
    const char *best = NULL;
    size_t best_distance = 0, nw = strnlen(word, NEAREST_MAX);
    for (size_t i = 0; i < n; i++) {
        size_t nl = strnlen(list[i], NEAREST_MAX);
        size_t longer = nw > nl ? nw : nl;
        size_t limit = longer < 3 ? 1 : (longer + 2) / 3;
        size_t d = distance(word, nw, list[i], nl);
        /* All letters different is no misspelling, however short the word. */
        if (d <= limit && d < longer && (best == NULL || d < best_distance)) {
            best = list[i];
            best_distance = d;
        }
    }
    return best;
}

bool mica_parse_i64(const char *text, int64_t *out) {
    const char *p = text + (*text == '-' || *text == '+');
    if (!is_digit(*p)) {
        return false;
    }
    char *end;
    errno = 0;
    long long v = strtoll(text, &end, 10);
    if (errno != 0 || *end != '\0') {
        return false;
    }
    *out = v;
    return true;
}

/* [+-] digits [. digits] [e [+-] digits], at least one digit before the exponent. */
static bool is_decimal(const char *p) {
    p += *p == '-' || *p == '+';
    size_t digits = 0;
    for (; is_digit(*p); p++) {
        digits++;
    }
    if (*p == '.') {
        for (p++; is_digit(*p); p++) {
            digits++;
        }
    }
    if (digits == 0) {
        return false;
    }
    if (*p == 'e' || *p == 'E') {
        p++;
        p += *p == '-' || *p == '+';
        if (!is_digit(*p)) {
            return false;
        }
        while (is_digit(*p)) {
            p++;
        }
    }
    return *p == '\0';
}

bool mica_parse_f64(const char *text, double *out) {
    if (!is_decimal(text)) {
        return false;
    }
    /* glibc answers this without allocating. */
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (c == (locale_t)0) {
        return false;
    }
    double v = strtod_l(text, NULL, c);
    freelocale(c);
    if (!isfinite(v)) {
        return false;
    }
    *out = v;
    return true;
}

char **mica_split(mica_arena *arena, const char *text, char sep, size_t *n) {
    while (is_space(*text)) {
        text++;
    }
    size_t parts = *text == '\0' ? 0 : 1;
    for (const char *p = text; *p != '\0'; p++) {
        parts += *p == sep;
    }
    char **out = mica_arena_array(arena, parts + 1, sizeof *out);
    for (size_t i = 0; i < parts; i++) {
        const char *end = text;
        while (*end != '\0' && *end != sep) {
            end++;
        }
        const char *from = text, *to = end;
        while (from < to && is_space(*from)) {
            from++;
        }
        while (to > from && is_space(to[-1])) {
            to--;
        }
        out[i] = mica_arena_strndup(arena, from, (size_t)(to - from));
        text = end + (*end != '\0');
    }
    *n = parts;
    return out;
}

bool mica_starts_with(const char *text, const char *prefix) {
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

bool mica_ends_with(const char *text, const char *suffix) {
    size_t n = strlen(text), m = strlen(suffix);
    return n >= m && memcmp(text + n - m, suffix, m) == 0;
}

char *mica_path_join(mica_arena *arena, const char *dir, const char *name) {
    if (name[0] == '/' || dir[0] == '\0') {
        return mica_arena_strdup(arena, name);
    }
    return mica_arena_printf(arena, "%s%s%s", dir, mica_ends_with(dir, "/") ? "" : "/", name);
}

char *mica_path_dir(mica_arena *arena, const char *path) {
    const char *slash = strrchr(path, '/');
    if (slash == NULL) {
        return mica_arena_strdup(arena, ".");
    }
    size_t n = slash == path ? 1 : (size_t)(slash - path);
    return mica_arena_strndup(arena, path, n);
}

static const char *base_of(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash == NULL ? path : slash + 1;
}

char *mica_path_base(mica_arena *arena, const char *path) {
    return mica_arena_strdup(arena, base_of(path));
}

char *mica_path_ext(mica_arena *arena, const char *path) {
    const char *base = base_of(path);
    const char *dot = strrchr(base, '.');
    /* ".profile" is a name without extension. */
    char *ext = mica_arena_strdup(arena, dot == NULL || dot == base ? "" : dot);
    for (char *p = ext; *p != '\0'; p++) {
        *p = lower(*p);
    }
    return ext;
}

const char *mica_human_bytes(uint64_t bytes, char out[16]) {
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double v = (double)bytes;
    size_t u = 0;
    /* 1023.95 and above would print as 1024.0. */
    while ((u == 0 ? v >= 1024 : v >= 1023.95) && u + 1 < sizeof units / sizeof *units) {
        v /= 1024;
        u++;
    }
    if (u == 0) {
        snprintf(out, 16, "%u B", (unsigned)bytes);
    } else {
        snprintf(out, 16, "%.1f %s", v, units[u]);
    }
    return out;
}
