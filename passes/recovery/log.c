#include "passes/recovery/log.h"

#include <stdio.h>
#include <string.h>

#include "dialects/top/top.h"
#include "passes/calibration/statistics_bytes.h"
#include "passes/recovery/layers.h"
#include "utils/arena.h"
#include "utils/file.h"
#include "utils/map.h"
#include "utils/progress.h"

enum { FORMAT = 1, MAGIC_BYTES = 8, HEAD = MAGIC_BYTES + 2 * MICA_HASH_HEX };
static const char MAGIC[MAGIC_BYTES + 1] = "micarecv";
static const size_t MOST_BYTES = (size_t)1 << 32;
static const double WRITE_SECONDS = 2.0;

/* A result lies in the body: number, count of constants, and per constant its name, count and floats. */
struct mica_recovery_log {
    char *path;
    char key[MICA_HASH_HEX];
    mica_strbuf body;
    mica_map *places; /* "step name" -> place in the body + 1 */
    size_t taken, written;
    double last;
};

void mica_log_key(const mica_cache_key *inputs, const mica_recovery_options *options, const mica_cali_table *table,
                  char out[MICA_HASH_HEX]) {
    mica_strbuf text = {0};
    mica_strbuf_printf(&text, "%d %s %d %d %d %zu %s\n", FORMAT, options->processor->name, (int)options->mode,
                       options->asymmetric, options->pow2, inputs->n_samples, inputs->model);
    for (size_t i = 0; i < sizeof options->wanted / sizeof options->wanted[0]; ++i) {
        mica_strbuf_printf(&text, "%d ", options->wanted[i]);
    }
    for (size_t i = 0; i < inputs->n_samples; ++i) {
        mica_strbuf_printf(&text, "%s\n", inputs->samples[i]);
    }
    for (size_t i = 0; i < mica_cali_table_count(table); ++i) {
        const mica_cali_row *row = mica_cali_table_at(table, i);
        mica_strbuf_printf(&text, "%s %a %a %a\n", row->name, row->threshold, row->min, row->max);
    }
    const char *const *lines = NULL;
    const size_t n = mica_cali_table_lines(table, MICA_CALI_ASYM_OP, &lines);
    for (size_t i = 0; i < n; ++i) {
        mica_strbuf_printf(&text, "%s\n", lines[i]);
    }
    mica_hash_hex(text.data, text.len, out);
    mica_strbuf_free(&text);
}

/* --- reading ------------------------------------------------------------------------------------ */

/* Steps over a result; false when it is not whole. */
static bool skip_result(mica_byte_reader *in) {
    (void)mica_get_u64(in);
    const uint64_t constants = mica_get_u64(in);
    for (uint64_t i = 0; i < constants && !in->bad; ++i) {
        (void)mica_get_text(in, sizeof in->text - 1);
        const uint64_t n = mica_get_u64(in);
        if (n > mica_bytes_left(in) / sizeof(float)) {
            in->bad = true;
        } else {
            in->at += n * sizeof(float);
        }
    }
    return !in->bad;
}

static void *place_of(size_t at) { return (void *)(uintptr_t)(at + 1); }

/* The results of a body, whose hash was right. */
static bool index_body(mica_recovery_log *log) {
    const uint8_t *begin = (const uint8_t *)log->body.data;
    mica_byte_reader in = {.at = begin, .end = begin + log->body.len};
    while (mica_bytes_left(&in) > 0) {
        char name[sizeof in.text];
        snprintf(name, sizeof name, "%s", mica_get_text(&in, sizeof in.text - 1));
        const size_t at = (size_t)(in.at - begin);
        if (!skip_result(&in)) {
            return false;
        }
        log->taken += !mica_map_has(log->places, name);
        mica_map_set(log->places, name, place_of(at));
    }
    return true;
}

static mica_cache_state take(mica_recovery_log *log, const char *bytes, size_t size, mica_error *why) {
    if (size < MAGIC_BYTES || memcmp(bytes, MAGIC, MAGIC_BYTES) != 0) {
        (void)!mica_fail(why, "'%s' is no recovery log", log->path);
        return MICA_CACHE_FOREIGN;
    }
    char hash[MICA_HASH_HEX];
    if (size >= HEAD) {
        mica_hash_hex(bytes + MAGIC_BYTES + MICA_HASH_HEX, size - MAGIC_BYTES - MICA_HASH_HEX, hash);
    }
    if (size < HEAD || memcmp(hash, bytes + MAGIC_BYTES, MICA_HASH_HEX) != 0) {
        (void)!mica_fail(why, "it is damaged");
        return MICA_CACHE_REFUSED;
    }
    if (memcmp(log->key, bytes + MAGIC_BYTES + MICA_HASH_HEX, MICA_HASH_HEX) != 0) {
        (void)!mica_fail(why, "it belongs to another model, table, options or samples");
        return MICA_CACHE_REFUSED;
    }
    mica_strbuf_appendn(&log->body, bytes + HEAD, size - HEAD);
    log->written = log->body.len;
    if (!index_body(log)) {
        (void)!mica_fail(why, "it is damaged");
        return MICA_CACHE_REFUSED;
    }
    return MICA_CACHE_PART;
}

/* Without any result. */
static void clear(mica_recovery_log *log) {
    mica_map_destroy(log->places);
    log->places = mica_map_create();
    mica_strbuf_free(&log->body);
    log->body = (mica_strbuf){0};
    log->taken = log->written = 0;
}

mica_recovery_log *mica_log_open(const char *path, const char *key, bool resume, mica_cache_state *state, mica_error *why) {
    mica_recovery_log *log = mica_alloc(sizeof *log);
    *log = (mica_recovery_log){.path = mica_alloc(strlen(path) + 1), .places = mica_map_create(), .last = mica_seconds()};
    strcpy(log->path, path);
    memcpy(log->key, key, MICA_HASH_HEX);
    *state = MICA_CACHE_ABSENT;
    char *bytes = NULL;
    size_t size = 0;
    if (!mica_file_exists(path)) {
        return log;
    }
    if (mica_read_file(path, MOST_BYTES, &bytes, &size, why) != MICA_OK) {
        *state = MICA_CACHE_FOREIGN;
        return log;
    }
    *state = take(log, bytes, size, why);
    mica_free(bytes);
    if (*state != MICA_CACHE_PART || !resume) {
        clear(log);
    }
    return log;
}

size_t mica_log_taken(const mica_recovery_log *log) { return log->taken; }

/* --- writing ------------------------------------------------------------------------------------ */

static mica_status write_log(mica_recovery_log *log, mica_error *err) {
    mica_strbuf rest = {0}; /* all that is hashed */
    mica_strbuf_appendn(&rest, log->key, MICA_HASH_HEX);
    mica_strbuf_appendn(&rest, log->body.len > 0 ? log->body.data : "", log->body.len);
    char hash[MICA_HASH_HEX];
    mica_hash_hex(rest.data, rest.len, hash);
    mica_atomic_file file;
    mica_status status = mica_atomic_open(&file, log->path, err);
    if (status == MICA_OK) {
        if (fwrite(MAGIC, 1, MAGIC_BYTES, file.stream) == MAGIC_BYTES &&
            fwrite(hash, 1, sizeof hash, file.stream) == sizeof hash &&
            fwrite(rest.data, 1, rest.len, file.stream) == rest.len) {
            status = mica_atomic_commit(&file, err);
        } else {
            mica_atomic_abort(&file);
            status = mica_fail(err, "cannot write '%s'", log->path);
        }
    }
    mica_strbuf_free(&rest);
    log->written = log->body.len;
    log->last = mica_seconds();
    return status;
}

mica_status mica_log_close(mica_recovery_log *log, mica_error *err) {
    if (log == NULL) {
        return MICA_OK;
    }
    const mica_status status = log->written < log->body.len ? write_log(log, err) : MICA_OK;
    mica_map_destroy(log->places);
    mica_strbuf_free(&log->body);
    mica_free(log->path);
    mica_free(log);
    return status;
}

/* Filter and bias of a layer; returns how many there are. */
static size_t constants_of(const mica_op *op, const mica_value *out[2]) {
    size_t n = 0;
    for (uint32_t i = 1; op != NULL && i <= 2; ++i) {
        const mica_value *value = i < op->n_operands ? mica_op_present(op, i) : NULL;
        if (value != NULL) {
            out[n++] = value;
        }
    }
    return n;
}

mica_status mica_log_add(mica_recovery_log *log, const char *step, const char *name, const mica_op *op, uint64_t number,
                         mica_error *err) {
    if (log == NULL) {
        return MICA_OK;
    }
    const mica_value *values[2];
    const size_t count = constants_of(op, values);
    mica_strbuf key = {0};
    mica_strbuf_printf(&key, "%s %s", step, name);
    mica_put_text(&log->body, mica_strbuf_text(&key));
    mica_map_set(log->places, mica_strbuf_text(&key), place_of(log->body.len));
    mica_strbuf_free(&key);
    mica_put_u64(&log->body, number);
    mica_put_u64(&log->body, count);
    for (size_t i = 0; i < count; ++i) {
        const mica_ndarray *data = mica_weight_data(values[i]);
        mica_put_text(&log->body, mica_value_name(values[i]));
        mica_put_u64(&log->body, (uint64_t)mica_ndarray_count(data));
        mica_strbuf_appendn(&log->body, data->data, (size_t)mica_ndarray_count(data) * sizeof(float));
    }
    return mica_seconds() - log->last > WRITE_SECONDS ? write_log(log, err) : MICA_OK;
}

/* The value becomes the next constant of the reader; false when it is not that one. */
static bool set_constant(mica_module *module, const mica_value *value, mica_byte_reader *in) {
    const bool same = strcmp(mica_get_text(in, sizeof in->text - 1), mica_value_name(value)) == 0;
    const uint64_t n = mica_get_u64(in);
    const mica_ndarray *old = mica_weight_data(value);
    if (in->bad || !same || old == NULL || strcmp(old->descr, "<f4") != 0 || (uint64_t)mica_ndarray_count(old) != n) {
        return false;
    }
    float *data = mica_alloc((size_t)n * sizeof *data + 1);
    memcpy(data, in->at, (size_t)n * sizeof *data);
    in->at += n * sizeof *data;
    mica_set_constant(module, value, data);
    mica_free(data);
    return true;
}

bool mica_log_replay(const mica_recovery_log *log, mica_module *module, const char *step, const char *name,
                     const mica_op *op, uint64_t *number) {
    if (log == NULL) {
        return false;
    }
    mica_strbuf key = {0};
    mica_strbuf_printf(&key, "%s %s", step, name);
    const uintptr_t place = (uintptr_t)mica_map_get(log->places, mica_strbuf_text(&key));
    mica_strbuf_free(&key);
    if (place == 0) {
        return false;
    }
    const mica_value *values[2];
    const uint8_t *begin = (const uint8_t *)log->body.data;
    mica_byte_reader in = {.at = begin + place - 1, .end = begin + log->body.len};
    *number = mica_get_u64(&in);
    bool ok = mica_get_u64(&in) == constants_of(op, values);
    for (size_t i = 0; ok && i < constants_of(op, values); ++i) {
        ok = set_constant(module, values[i], &in);
    }
    return ok;
}
