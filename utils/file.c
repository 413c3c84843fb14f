#include "utils/file.h"

#include "utils/vec.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static mica_status fail_errno(mica_error *err, const char *what, const char *path, int code) {
    return mica_fail(err, "cannot %s '%s': %s", what, path, strerror(code));
}

/* Opens path for reading; a directory is refused here because open() itself takes it. */
static int open_read(const char *path, struct stat *st, mica_error *err) {
    /* O_NONBLOCK: a pipe without writer gives end of file instead of a hang. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        (void)fail_errno(err, "open", path, errno);
        return -1;
    }
    int code = fstat(fd, st) != 0 ? errno : S_ISDIR(st->st_mode) ? EISDIR : 0;
    if (code != 0) {
        (void)fail_errno(err, "read", path, code);
        close(fd);
        return -1;
    }
    return fd;
}

/* Reads to end of file, for the size of a pipe or of a file in /proc is not known before. */
static mica_status read_all(int fd, const char *path, size_t max_bytes, char **out, size_t *out_len,
                            mica_error *err) {
    char *data = NULL;
    size_t len = 0, cap = 0;
    for (;;) {
        if (len == cap) {
            cap = cap < 4096 ? 8192 : cap * 2;
            data = mica_realloc(data, cap + 1);
        }
        ssize_t n = read(fd, data + len, cap - len);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            int code = errno;
            mica_free(data);
            return fail_errno(err, "read", path, code);
        }
        if (n == 0) {
            break;
        }
        len += (size_t)n;
        if (len > max_bytes) {
            mica_free(data);
            return mica_fail(err, "'%s' is larger than the limit of %zu bytes", path, max_bytes);
        }
    }
    data[len] = '\0';
    *out = data;
    if (out_len != NULL) {
        *out_len = len;
    }
    return MICA_OK;
}

mica_status mica_read_file(const char *path, size_t max_bytes, char **out, size_t *out_len,
                           mica_error *err) {
    struct stat st;
    int fd = open_read(path, &st, err);
    if (fd < 0) {
        return MICA_FAIL;
    }
    mica_status status;
    if (S_ISREG(st.st_mode) && (uint64_t)st.st_size > max_bytes) {
        status = mica_fail(err, "'%s' has %lld bytes, more than the limit of %zu", path,
                           (long long)st.st_size, max_bytes);
    } else {
        status = read_all(fd, path, max_bytes, out, out_len, err);
    }
    close(fd);
    return status;
}

static const uint8_t empty_file[1];

mica_status mica_map_file(const char *path, mica_mapped *out, mica_error *err) {
    struct stat st;
    int fd = open_read(path, &st, err);
    if (fd < 0) {
        return MICA_FAIL;
    }
    if (!S_ISREG(st.st_mode)) {
        close(fd);
        return mica_fail(err, "cannot map '%s': not a regular file", path);
    }
    size_t size = (size_t)st.st_size;
    void *data = (void *)(uintptr_t)empty_file;
    if (size > 0) {
        data = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
    }
    int code = errno;
    close(fd);
    if (data == MAP_FAILED) {
        return fail_errno(err, "map", path, code);
    }
    *out = (mica_mapped){.data = data, .size = size};
    return MICA_OK;
}

void mica_unmap_file(mica_mapped *mapped) {
    if (mapped->size > 0) {
        munmap((void *)(uintptr_t)mapped->data, mapped->size);
    }
    *mapped = (mica_mapped){0};
}

void mica_map_drop(const mica_mapped *mapped, const void *from, size_t bytes) {
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    const uintptr_t low = (uintptr_t)mapped->data, at = (uintptr_t)from;
    if (at < low || at - low > mapped->size || bytes > mapped->size - (at - low)) {
        return;
    }
    const uintptr_t first = (at + page - 1) / page * page, end = (at + bytes) / page * page;
    if (first < end) {
        madvise((void *)first, end - first, MADV_DONTNEED); /* whole pages inside only */
    }
}

/* Opens a new file beside path; the name holds the process and a counter, and O_EXCL decides. */
static int open_temp(const char *path, char **temp, int *code) {
    size_t room = strlen(path) + 40;
    *temp = mica_alloc(room);
    for (unsigned i = 0; i < 10000; i++) {
        snprintf(*temp, room, "%s.tmp%ld-%u", path, (long)getpid(), i);
        int fd = open(*temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        *code = errno;
        if (fd >= 0 || *code != EEXIST) {
            return fd;
        }
    }
    return -1;
}

static void free_names(mica_atomic_file *file) {
    mica_free(file->path);
    mica_free(file->temp);
    *file = (mica_atomic_file){0};
}

mica_status mica_atomic_open(mica_atomic_file *out, const char *path, mica_error *err) {
    *out = (mica_atomic_file){0};
    mica_atomic_file file = {0};
    struct stat st;
    bool exists = stat(path, &st) == 0;
    if (exists && S_ISDIR(st.st_mode)) {
        return fail_errno(err, "write", path, EISDIR);
    }
    int fd, code = 0;
    if (exists && !S_ISREG(st.st_mode)) {
        file.path = mica_strdup(path);
        fd = open(path, O_WRONLY | O_CLOEXEC);
        code = errno;
    } else {
        /* A link stays a link: the file it names is replaced. */
        char real[PATH_MAX];
        bool resolved = exists && realpath(path, real) != NULL;
        file.path = mica_strdup(resolved ? real : path);
        fd = open_temp(file.path, &file.temp, &code);
    }
    if (fd >= 0) {
        file.stream = fdopen(fd, "wb");
        code = errno;
    }
    if (file.stream == NULL) {
        if (fd >= 0) {
            close(fd);
            if (file.temp != NULL) {
                unlink(file.temp);
            }
        }
        free_names(&file);
        return fail_errno(err, "create", path, code);
    }
    *out = file;
    return MICA_OK;
}

mica_status mica_atomic_commit(mica_atomic_file *file, mica_error *err) {
    bool failed = fflush(file->stream) != 0;
    int code = errno;
    if (!failed && ferror(file->stream)) {
        failed = true;
        code = EIO; /* the reason of an earlier failed write is no longer known */
    }
    if (!failed && file->temp != NULL && fsync(fileno(file->stream)) != 0) {
        failed = true;
        code = errno;
    }
    if (fclose(file->stream) != 0 && !failed) {
        failed = true;
        code = errno;
    }
    if (!failed && file->temp != NULL && rename(file->temp, file->path) != 0) {
        failed = true;
        code = errno;
    }
    mica_status status = MICA_OK;
    if (failed) {
        if (file->temp != NULL) {
            unlink(file->temp);
        }
        status = fail_errno(err, "write", file->path, code);
    }
    free_names(file);
    return status;
}

void mica_atomic_abort(mica_atomic_file *file) {
    if (file->stream != NULL) {
        fclose(file->stream);
    }
    if (file->temp != NULL) {
        unlink(file->temp);
    }
    free_names(file);
}

mica_status mica_write_file_atomic(const char *path, const void *data, size_t len,
                                   mica_error *err) {
    mica_atomic_file file;
    MICA_TRY(mica_atomic_open(&file, path, err));
    if (len > 0 && fwrite(data, 1, len, file.stream) != len) {
        int code = errno;
        mica_atomic_abort(&file);
        return fail_errno(err, "write", path, code);
    }
    return mica_atomic_commit(&file, err);
}

bool mica_file_exists(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && !S_ISDIR(st.st_mode);
}

bool mica_is_dir(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static int by_name(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

mica_status mica_list_dir(const char *path, mica_arena *arena, char ***out, size_t *n,
                          mica_error *err) {
    DIR *dir = opendir(path);
    if (dir == NULL) {
        return fail_errno(err, "list", path, errno);
    }
    MICA_VEC(char *) names = {0};
    const struct dirent *entry;
    errno = 0;
    while ((entry = readdir(dir)) != NULL) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            mica_vec_push(&names, mica_arena_strdup(arena, entry->d_name));
        }
        errno = 0;
    }
    int code = errno;
    closedir(dir);
    if (code != 0) {
        mica_vec_free(&names);
        return fail_errno(err, "list", path, code);
    }
    size_t count = names.len;
    mica_vec_push(&names, NULL);
    qsort(names.data, count, sizeof *names.data, by_name);
    *out = mica_arena_memdup(arena, names.data, names.len * sizeof *names.data);
    *n = count;
    mica_vec_free(&names);
    return MICA_OK;
}
