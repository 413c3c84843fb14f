/* A scratch directory for one test program, removed with all that is in it at exit. */
#ifndef MICA_TEST_UNIT_TEST_UTILS_DIR_H
#define MICA_TEST_UNIT_TEST_UTILS_DIR_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char scratch[256];

static inline void scratch_make(void) {
    const char *base = getenv("TMPDIR");
    snprintf(scratch, sizeof scratch, "%s/mica_test_XXXXXX", base != NULL ? base : "/tmp");
    if (mkdtemp(scratch) == NULL) {
        perror(scratch);
        exit(2);
    }
}

/* Path of a file in the directory, in one of a few rotating buffers. */
static inline const char *scratch_path(const char *name) {
    static char paths[8][512];
    static unsigned next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", scratch, name);
    return path;
}

/* Number of entries in the directory. */
static inline int scratch_count(void) {
    DIR *dir = opendir(scratch);
    int n = 0;
    for (const struct dirent *e; (e = readdir(dir)) != NULL;) {
        n += e->d_name[0] != '.';
    }
    closedir(dir);
    return n;
}

/* Removes the files; the directory stays. */
static inline void scratch_clear(void) {
    DIR *dir = opendir(scratch);
    for (const struct dirent *e; (e = readdir(dir)) != NULL;) {
        if (e->d_name[0] != '.' && unlink(scratch_path(e->d_name)) != 0) {
            rmdir(scratch_path(e->d_name));
        }
    }
    closedir(dir);
}

static inline void scratch_remove(void) {
    scratch_clear();
    rmdir(scratch);
}

/* Writes a file there in the plainest way and returns its path. */
static inline const char *scratch_write(const char *name, const void *data, size_t len) {
    const char *path = scratch_path(name);
    FILE *f = fopen(path, "wb");
    if (f == NULL || fwrite(data, 1, len, f) != len || fclose(f) != 0) {
        perror(path);
        exit(2);
    }
    return path;
}

#endif
