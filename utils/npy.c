#include "utils/npy.h"

#include "utils/arena.h"
#include "utils/file.h"
#include "utils/strings.h"

#include <stdio.h>
#include <string.h>

static const uint8_t magic[6] = {0x93, 'N', 'U', 'M', 'P', 'Y'};

/* Reader of the header text, a Python dict literal:
 * {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), } */
typedef struct cursor {
    const char *p; /* NUL-terminated */
} cursor;

static void skip_space(cursor *c) {
    while (*c->p == ' ' || *c->p == '\n' || *c->p == '\t' || *c->p == '\r') {
        c->p++;
    }
}

static bool take(cursor *c, char wanted) {
    skip_space(c);
    if (*c->p != wanted) {
        return false;
    }
    c->p++;
    return true;
}

/* A quoted string without escapes, cut to room - 1 characters (our keys and types are short). */
static bool take_string(cursor *c, char *out, size_t room) {
    skip_space(c);
    char quote = *c->p;
    if (quote != '\'' && quote != '"') {
        return false;
    }
    const char *from = ++c->p;
    while (*c->p != '\0' && *c->p != quote && *c->p != '\\') {
        c->p++;
    }
    if (*c->p != quote) {
        return false;
    }
    size_t n = (size_t)(c->p++ - from);
    n = n < room ? n : room - 1;
    memcpy(out, from, n);
    out[n] = '\0';
    return true;
}

static bool take_bool(cursor *c, bool *out) {
    skip_space(c);
    *out = mica_starts_with(c->p, "True");
    if (!*out && !mica_starts_with(c->p, "False")) {
        return false;
    }
    c->p += *out ? 4 : 5;
    return true;
}

static bool take_dim(cursor *c, int64_t *out) {
    skip_space(c);
    char digits[24];
    size_t n = 0;
    while (*c->p >= '0' && *c->p <= '9' && n + 1 < sizeof digits) {
        digits[n++] = *c->p++;
    }
    digits[n] = '\0';
    /* Python 2 wrote long integers as 3L. */
    c->p += *c->p == 'L';
    return mica_parse_i64(digits, out);
}

/* "()", "(3,)", "(3, 4)". */
static mica_status take_shape(cursor *c, mica_npy_header *out, mica_error *err) {
    if (!take(c, '(')) {
        return mica_fail(err, "npy header: shape is not a tuple");
    }
    while (!take(c, ')')) {
        if (out->rank == MICA_NDARRAY_MAX_RANK) {
            return mica_fail(err, "npy header: more than %d dimensions", MICA_NDARRAY_MAX_RANK);
        }
        if (!take_dim(c, &out->dims[out->rank])) {
            return mica_fail(err, "npy header: dimension %d is not a number in range", out->rank);
        }
        out->rank++;
        if (!take(c, ',')) {
            if (!take(c, ')')) {
                return mica_fail(err, "npy header: shape is not closed");
            }
            break;
        }
    }
    return MICA_OK;
}

static mica_status take_descr(cursor *c, mica_npy_header *out, mica_error *err) {
    char descr[24];
    skip_space(c);
    if (*c->p == '[') {
        return mica_fail(err, "npy header: records are not supported");
    }
    if (!take_string(c, descr, sizeof descr)) {
        return mica_fail(err, "npy header: descr is not a string");
    }
    const char *canonical = mica_descr_canonical(descr);
    if (canonical == NULL) {
        return mica_fail(err, "npy header: element type '%s' is not supported%s", descr,
                         descr[0] == '>' ? " (big endian)" : "");
    }
    strcpy(out->descr, canonical);
    return MICA_OK;
}

enum { HAS_DESCR = 1, HAS_ORDER = 2, HAS_SHAPE = 4, HAS_ALL = 7 };

static mica_status take_entry(cursor *c, unsigned *seen, mica_npy_header *out, mica_error *err) {
    char key[24];
    if (!take_string(c, key, sizeof key) || !take(c, ':')) {
        return mica_fail(err, "npy header: expected 'key': value");
    }
    unsigned bit = strcmp(key, "descr") == 0           ? HAS_DESCR
                   : strcmp(key, "fortran_order") == 0 ? HAS_ORDER
                   : strcmp(key, "shape") == 0         ? HAS_SHAPE
                                                       : 0;
    if (bit == 0 || (*seen & bit) != 0) {
        return mica_fail(err, "npy header: %s key '%s'", bit == 0 ? "unknown" : "repeated", key);
    }
    *seen |= bit;
    if (bit == HAS_DESCR) {
        return take_descr(c, out, err);
    }
    if (bit == HAS_SHAPE) {
        return take_shape(c, out, err);
    }
    if (!take_bool(c, &out->fortran)) {
        return mica_fail(err, "npy header: fortran_order is neither True nor False");
    }
    return MICA_OK;
}

static mica_status parse_text(const char *text, mica_npy_header *out, mica_error *err) {
    cursor c = {text};
    unsigned seen = 0;
    if (!take(&c, '{')) {
        return mica_fail(err, "npy header: expected '{'");
    }
    while (!take(&c, '}')) {
        MICA_TRY(take_entry(&c, &seen, out, err));
        if (!take(&c, ',')) {
            if (!take(&c, '}')) {
                return mica_fail(err, "npy header: expected ',' or '}'");
            }
            break;
        }
    }
    skip_space(&c);
    if (*c.p != '\0' || seen != HAS_ALL) {
        return mica_fail(err, "npy header: %s", seen != HAS_ALL
                                                    ? "descr, fortran_order or shape is missing"
                                                    : "text after the closing '}'");
    }
    return MICA_OK;
}

/* Finds the header text: *from bytes after the magic, *len bytes long. */
static mica_status find_text(const uint8_t *bytes, size_t avail, size_t *from, size_t *len,
                             mica_error *err) {
    if (avail < 10 || memcmp(bytes, magic, sizeof magic) != 0) {
        return mica_fail(err, "not a npy file: the magic string is missing");
    }
    int major = bytes[6];
    if (major < 1 || major > 3) {
        return mica_fail(err, "npy version %d.%d is not supported, expected 1 to 3", major,
                         bytes[7]);
    }
    *len = (size_t)bytes[8] | (size_t)bytes[9] << 8;
    *from = 10;
    if (major > 1) {
        if (avail < 12) {
            return mica_fail(err, "npy header is cut off");
        }
        *len |= (size_t)bytes[10] << 16 | (size_t)bytes[11] << 24;
        *from = 12;
    }
    if (*len > MICA_NPY_MAX_HEADER - *from) {
        return mica_fail(err, "npy header of %zu bytes is too long", *len);
    }
    if (*len > avail - *from) {
        return mica_fail(err, "npy header is cut off");
    }
    return MICA_OK;
}

mica_status mica_npy_parse_header(const uint8_t *bytes, size_t avail, size_t total,
                                  mica_npy_header *out, mica_error *err) {
    size_t from, len;
    MICA_TRY(find_text(bytes, avail, &from, &len, err));
    char text[MICA_NPY_MAX_HEADER + 1];
    memcpy(text, bytes + from, len);
    text[len] = '\0';
    if (strlen(text) != len) {
        return mica_fail(err, "npy header holds a NUL byte");
    }
    mica_npy_header h = {0};
    MICA_TRY(parse_text(text, &h, err));
    h.data_offset = from + len;
    if (!mica_shape_bytes(h.rank, h.dims, mica_descr_size(h.descr), &h.data_bytes)) {
        return mica_fail(err, "npy header: the shape is too large");
    }
    if (total < h.data_offset || total - h.data_offset != h.data_bytes) {
        return mica_fail(err, "npy header declares %zu bytes of data but %zu are there",
                         h.data_bytes, total < h.data_offset ? 0 : total - h.data_offset);
    }
    *out = h;
    return MICA_OK;
}

size_t mica_npy_build_header(const char *descr, int rank, const int64_t *dims, size_t lead,
                             uint8_t out[MICA_NPY_WRITE_MAX]) {
    char text[MICA_NPY_WRITE_MAX];
    int n = snprintf(text, sizeof text, "{'descr': '%s', 'fortran_order': False, 'shape': (",
                     mica_descr_canonical(descr));
    for (int i = 0; i < rank; i++) {
        n += snprintf(text + n, sizeof text - (size_t)n, "%s%lld", i == 0 ? "" : ", ",
                      (long long)dims[i]);
    }
    n += snprintf(text + n, sizeof text - (size_t)n, "%s), }", rank == 1 ? "," : "");
    size_t bare = 10 + (size_t)n + 1; /* the text ends with a newline */
    size_t length = bare + (64 - (lead + bare) % 64) % 64;
    memcpy(out, magic, sizeof magic);
    out[6] = 1;
    out[7] = 0;
    out[8] = (uint8_t)((length - 10) & 0xff);
    out[9] = (uint8_t)((length - 10) >> 8);
    memcpy(out + 10, text, (size_t)n);
    memset(out + 10 + n, ' ', length - bare);
    out[length - 1] = '\n';
    return length;
}

void mica_npy_fortran_to_c(const mica_npy_header *header, const void *src, void *dst) {
    size_t item = mica_descr_size(header->descr), stride[MICA_NDARRAY_MAX_RANK];
    size_t at = 0, step = item;
    for (int i = 0; i < header->rank; i++) {
        stride[i] = step;
        step *= (size_t)header->dims[i];
    }
    int64_t index[MICA_NDARRAY_MAX_RANK] = {0};
    const char *in = src;
    char *out = dst;
    for (size_t done = 0; done < header->data_bytes; done += item) {
        memcpy(out + done, in + at, item);
        for (int i = header->rank - 1; i >= 0; i--) {
            at += stride[i];
            if (++index[i] < header->dims[i]) {
                break;
            }
            at -= stride[i] * (size_t)header->dims[i];
            index[i] = 0;
        }
    }
}

mica_status mica_npy_read(const char *path, mica_ndarray *out, mica_error *err) {
    mica_mapped file;
    MICA_TRY(mica_map_file(path, &file, err));
    mica_npy_header h;
    mica_error why = {0};
    if (mica_npy_parse_header(file.data, file.size, file.size, &h, &why) != MICA_OK) {
        mica_unmap_file(&file);
        return mica_fail(err, "'%s': %s", path, why.text);
    }
    mica_ndarray array = {.name = mica_strdup(""), .rank = h.rank, .bytes = h.data_bytes};
    memcpy(array.descr, h.descr, sizeof array.descr);
    memcpy(array.dims, h.dims, sizeof array.dims);
    array.owned = mica_alloc_aligned(h.data_bytes, 64);
    array.data = array.owned;
    if (h.fortran) {
        mica_npy_fortran_to_c(&h, file.data + h.data_offset, array.owned);
    } else if (h.data_bytes > 0) {
        memcpy(array.owned, file.data + h.data_offset, h.data_bytes);
    }
    mica_unmap_file(&file);
    *out = array;
    return MICA_OK;
}

mica_status mica_npy_write(const char *path, const char *descr, int rank, const int64_t *dims,
                           const void *data, mica_error *err) {
    size_t bytes;
    if (mica_descr_size(descr) == 0) {
        return mica_fail(err, "'%s': element type '%s' is not supported", path, descr);
    }
    if (!mica_shape_bytes(rank, dims, mica_descr_size(descr), &bytes)) {
        return mica_fail(err, "'%s': bad shape", path);
    }
    uint8_t header[MICA_NPY_WRITE_MAX];
    size_t length = mica_npy_build_header(descr, rank, dims, 0, header);
    mica_atomic_file file;
    MICA_TRY(mica_atomic_open(&file, path, err));
    if (fwrite(header, 1, length, file.stream) != length ||
        (bytes > 0 && fwrite(data, 1, bytes, file.stream) != bytes)) {
        mica_atomic_abort(&file);
        return mica_fail(err, "cannot write '%s'", path);
    }
    return mica_atomic_commit(&file, err);
}
