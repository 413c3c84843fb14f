/* npy and npz: round trips, determinism, alignment, damaged and hostile files. */
#include "test/unit/check_main.h"
#include "test/unit/test_utils_dir.h"
#include "utils/arena.h"
#include "utils/file.h"
#include "utils/npy.h"
#include "utils/npz.h"
#include "utils/prng.h"

#include <check.h>

static mica_error err;

#define HEAD "\x93NUMPY\x01\x00"

/* A version 1 npy of the header text and `data` zero bytes. */
static size_t make_npy(const char *text, size_t data, uint8_t *out) {
    size_t n = strlen(text);
    memcpy(out, HEAD, 8);
    out[8] = (uint8_t)n;
    out[9] = (uint8_t)(n >> 8);
    memcpy(out + 10, text, n);
    memset(out + 10 + n, 0, data);
    return 10 + n + data;
}

START_TEST(npy_round_trip) {
    const char *path = scratch_path("a.npy");
    float data[6] = {1, 2, 3, 4, 5, 6};
    int64_t dims[8] = {2, 3};
    ck_assert_int_eq(mica_npy_write(path, "<f4", 2, dims, data, &err), MICA_OK);
    mica_ndarray a;
    ck_assert_int_eq(mica_npy_read(path, &a, &err), MICA_OK);
    ck_assert_str_eq(a.descr, "<f4");
    ck_assert_str_eq(a.name, "");
    ck_assert(a.rank == 2 && a.dims[0] == 2 && a.dims[1] == 3 && a.bytes == 24);
    ck_assert_uint_eq((uintptr_t)a.data % 64, 0);
    ck_assert_mem_eq(a.data, data, 24);
    mica_ndarray_free(&a);
    ck_assert_int_eq(mica_npy_write(path, "<f4", 0, dims, data, &err), MICA_OK);
    ck_assert_int_eq(mica_npy_read(path, &a, &err), MICA_OK);
    ck_assert(a.rank == 0 && a.bytes == 4);
    mica_ndarray_free(&a);
    for (int i = 0; i < 8; i++) { /* the longest header there is */
        dims[i] = i < 7 ? INT64_MAX : 0;
    }
    ck_assert_int_eq(mica_npy_write(path, "<f4", 8, dims, NULL, &err), MICA_FAIL);
    dims[0] = 0;
    ck_assert_int_eq(mica_npy_write(path, "<f4", 1, dims, NULL, &err), MICA_OK);
    ck_assert_int_eq(mica_npy_read(path, &a, &err), MICA_OK);
    ck_assert(a.bytes == 0 && a.data != NULL);
    mica_ndarray_free(&a);
    ck_assert_int_eq(mica_npy_write(path, ">f4", 1, dims, NULL, &err), MICA_FAIL);
}
END_TEST

START_TEST(npy_fortran) {
    uint8_t bytes[400];
    size_t n = make_npy("{'descr': '|u1', 'fortran_order': True, 'shape': (2, 3, 2), }", 12, bytes);
    for (int i = 0; i < 12; i++) {
        bytes[n - 12 + (size_t)i] = (uint8_t)i;
    }
    mica_ndarray a;
    ck_assert_int_eq(mica_npy_read(scratch_write("f.npy", bytes, n), &a, &err), MICA_OK);
    const uint8_t *d = a.data;
    for (int i = 0; i < 2; i++) {
        for (int j = 0; j < 3; j++) {
            for (int k = 0; k < 2; k++) {
                ck_assert_int_eq(d[(i * 3 + j) * 2 + k], i + 2 * j + 6 * k);
            }
        }
    }
    mica_ndarray_free(&a);
}
END_TEST

typedef struct bad_header {
    const char *text, *message;
    size_t data;
} bad_header;

static const bad_header bad_headers[] = {
    {"{'descr': '>f4', 'fortran_order': False, 'shape': (1,), }",
     "element type '>f4' is not supported (big endian)", 4},
    {"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }",
     "element type '|O' is not supported", 8},
    {"{'descr': '<U5', 'fortran_order': False, 'shape': (1,), }",
     "element type '<U5' is not supported", 20},
    {"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }",
     "records are not supported", 4},
    {"{'descr': '<f4', 'fortran_order': Maybe, 'shape': (1,), }",
     "fortran_order is neither True nor False", 4},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }",
     "declares 8 bytes of data but 4 are there", 4},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }",
     "declares 4 bytes of data but 5 are there", 5},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 4), }",
     "the shape is too large", 4},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,), }",
     "dimension 0 is not a number in range", 4},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (4, -1), }",
     "dimension 1 is not a number in range", 4},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,1), }",
     "more than 8 dimensions", 4},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': 1, }", "shape is not a tuple", 4},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (1 1), }", "shape is not closed", 4},
    {"{'descr': '<f4', 'fortran_order': False, }", "descr, fortran_order or shape is missing", 4},
    {"{'descr': '<f4', 'descr': '<f4', 'shape': (), }", "repeated key 'descr'", 4},
    {"{'other': 1}", "unknown key 'other'", 0},
    {"{'descr' '<f4'}", "expected 'key': value", 0},
    {"{'descr': 'abc", "descr is not a string", 0},
    {"[]", "expected '{'", 0},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': ()} x", "text after the closing '}'", 4},
    {"{'descr': '<f4' 'fortran_order': False, 'shape': ()}", "expected ',' or '}'", 4},
};

START_TEST(npy_bad_header) {
    const bad_header *bad = &bad_headers[_i];
    uint8_t bytes[400];
    size_t n = make_npy(bad->text, bad->data, bytes);
    mica_ndarray a;
    ck_assert_int_eq(mica_npy_read(scratch_write("bad.npy", bytes, n), &a, &err), MICA_FAIL);
    ck_assert_msg(strstr(err.text, bad->message) != NULL, "%s", err.text);
    ck_assert_ptr_nonnull(strstr(err.text, "bad.npy"));
}
END_TEST

START_TEST(npy_truncated) {
    uint8_t bytes[400];
    size_t n = make_npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", 24, bytes);
    mica_npy_header h;
    ck_assert_int_eq(mica_npy_parse_header(bytes, n, n, &h, &err), MICA_OK);
    for (size_t cut = 0; cut < n; cut++) {
        uint8_t *copy = mica_alloc(cut); /* exact size, so that a sanitizer sees any overrun */
        memcpy(copy, bytes, cut);
        ck_assert_int_eq(mica_npy_parse_header(copy, cut, cut, &h, &err), MICA_FAIL);
        mica_free(copy);
    }
    bytes[6] = 4;
    ck_assert_int_eq(mica_npy_parse_header(bytes, n, n, &h, &err), MICA_FAIL);
    ck_assert_str_eq(err.text, "npy version 4.0 is not supported, expected 1 to 3");
    bytes[6] = 2; /* the length is now made of the text as well */
    ck_assert_int_eq(mica_npy_parse_header(bytes, n, n, &h, &err), MICA_FAIL);
    ck_assert_ptr_nonnull(strstr(err.text, "is too long"));
}
END_TEST

/* Writes a small archive with various types and keys. */
static const char *write_sample(const char *name, bool compress) {
    const char *path = scratch_path(name);
    mica_npz_writer *w = mica_npz_create(path, compress, &err);
    ck_assert_ptr_nonnull(w);
    float *f = mica_alloc(6 * sizeof *f);
    for (int i = 0; i < 6; i++) {
        f[i] = (float)i / 2;
    }
    ck_assert_int_eq(
        mica_npz_add(w, "a/b:weight", "<f4", 2, (const int64_t[]){2, 3}, f, &err), MICA_OK);
    memset(f, 0xff, 6 * sizeof *f); /* must have been consumed */
    mica_free(f);
    ck_assert_int_eq(mica_npz_add(w, "scalar", "|i1", 0, NULL, (const int8_t[]){-7}, &err),
                     MICA_OK);
    ck_assert_int_eq(mica_npz_add(w, "empty", "<i8", 1, (const int64_t[]){0}, NULL, &err),
                     MICA_OK);
    ck_assert_int_eq(mica_npz_add(w, "flags", "|b1", 1, (const int64_t[]){3}, "\1\0\1", &err),
                     MICA_OK);
    ck_assert_int_eq(mica_npz_finish(w, &err), MICA_OK);
    return path;
}

static void check_sample(const char *path, bool in_place) {
    mica_npz *npz = mica_npz_open(path, &err);
    ck_assert_msg(npz != NULL, "%s", err.text);
    ck_assert_uint_eq(mica_npz_count(npz), 4);
    ck_assert_str_eq(mica_npz_key(npz, 0), "a/b:weight");
    ck_assert_str_eq(mica_npz_key(npz, 3), "flags");
    ck_assert_ptr_null(mica_npz_key(npz, 4));
    const mica_ndarray *a = mica_npz_get(npz, "a/b:weight", &err);
    ck_assert_msg(a != NULL, "%s", err.text);
    ck_assert_str_eq(a->name, "a/b:weight");
    ck_assert_str_eq(a->descr, "<f4");
    ck_assert(a->rank == 2 && a->dims[0] == 2 && a->dims[1] == 3 && a->bytes == 24);
    for (int i = 0; i < 6; i++) {
        ck_assert(((const float *)a->data)[i] == (float)i / 2);
    }
    for (size_t i = 0; i < 4; i++) {
        a = mica_npz_get(npz, mica_npz_key(npz, i), &err);
        ck_assert_msg(a != NULL, "%s", err.text);
        ck_assert_uint_eq((uintptr_t)a->data % 64, 0);
        ck_assert_int_eq(a->owned == NULL, in_place);
    }
    ck_assert_ptr_eq(mica_npz_get(npz, "flags", &err), a);
    mica_npz_release(npz, "flags");
    a = mica_npz_get(npz, "flags", &err);
    ck_assert_mem_eq(a->data, "\1\0\1", 3);
    a = mica_npz_get(npz, "scalar", &err);
    ck_assert(a->rank == 0 && *(const int8_t *)a->data == -7);
    ck_assert(mica_npz_has(npz, "empty") && !mica_npz_has(npz, "nothing"));
    ck_assert_ptr_null(mica_npz_get(npz, "flag", &err));
    ck_assert_ptr_nonnull(strstr(err.text, "has no key 'flag', the nearest is 'flags'"));
    mica_npz_close(npz);
}

START_TEST(npz_round_trip) {
    scratch_clear();
    check_sample(write_sample("s.npz", false), true);
    check_sample(write_sample("c.npz", true), false);
    char *a, *b;
    size_t na, nb;
    for (int compress = 0; compress < 2; compress++) {
        ck_assert_int_eq(
            mica_read_file(write_sample("1.npz", compress), 1 << 20, &a, &na, &err), MICA_OK);
        ck_assert_int_eq(
            mica_read_file(write_sample("2.npz", compress), 1 << 20, &b, &nb, &err), MICA_OK);
        ck_assert_uint_eq(na, nb);
        ck_assert_mem_eq(a, b, na);
        mica_free(a);
        mica_free(b);
    }
    ck_assert_int_eq(scratch_count(), 4);
    mica_npz_close(NULL);
}
END_TEST

START_TEST(npz_large_and_empty) {
    const char *path = scratch_path("l.npz");
    mica_prng prng;
    mica_prng_seed(&prng, 3);
    int64_t n = 300000;
    float *data = mica_alloc((size_t)n * sizeof *data);
    for (int64_t i = 0; i < n; i++) {
        data[i] = mica_prng_normal(&prng);
    }
    for (int compress = 0; compress < 2; compress++) {
        mica_npz_writer *w = mica_npz_create(path, compress, &err);
        ck_assert_int_eq(mica_npz_add(w, "x", "<f4", 1, &n, data, &err), MICA_OK);
        ck_assert_int_eq(mica_npz_finish(w, &err), MICA_OK);
        mica_npz *npz = mica_npz_open(path, &err);
        const mica_ndarray *a = mica_npz_get(npz, "x", &err);
        ck_assert_msg(a != NULL, "%s", err.text);
        ck_assert_mem_eq(a->data, data, (size_t)n * sizeof *data);
        mica_npz_close(npz);
    }
    mica_free(data);
    mica_npz_writer *w = mica_npz_create(path, false, &err);
    ck_assert_int_eq(mica_npz_finish(w, &err), MICA_OK);
    mica_npz *npz = mica_npz_open(path, &err);
    ck_assert_msg(npz != NULL, "%s", err.text);
    ck_assert_uint_eq(mica_npz_count(npz), 0);
    ck_assert_ptr_null(mica_npz_get(npz, "x", &err));
    mica_npz_close(npz);
}
END_TEST

START_TEST(npz_many_entries) { /* more than 65535 need the zip64 end record */
    const char *path = scratch_path("many.npz");
    mica_npz_writer *w = mica_npz_create(path, false, &err);
    char key[16];
    for (int i = 0; i < 70000; i++) {
        snprintf(key, sizeof key, "k%d", i);
        ck_assert_int_eq(mica_npz_add(w, key, "<i4", 0, NULL, &i, &err), MICA_OK);
    }
    ck_assert_int_eq(mica_npz_finish(w, &err), MICA_OK);
    mica_npz *npz = mica_npz_open(path, &err);
    ck_assert_msg(npz != NULL, "%s", err.text);
    ck_assert_uint_eq(mica_npz_count(npz), 70000);
    const mica_ndarray *a = mica_npz_get(npz, "k69999", &err);
    ck_assert(a != NULL && *(const int32_t *)a->data == 69999 && a->owned == NULL);
    mica_npz_close(npz);
}
END_TEST

START_TEST(npz_writer_errors) {
    scratch_clear();
    const char *path = scratch_path("w.npz");
    ck_assert_ptr_null(mica_npz_create("/no/dir/x.npz", false, &err));
    ck_assert_str_eq(err.text, "cannot create '/no/dir/x.npz': No such file or directory");
    mica_npz_writer *w = mica_npz_create(path, false, &err);
    int64_t one = 1, bad = -1;
    ck_assert_int_eq(mica_npz_add(w, "a", "<f4", 1, &one, "1234", &err), MICA_OK);
    ck_assert_int_eq(mica_npz_add(w, "a", "<f4", 1, &one, "1234", &err), MICA_FAIL);
    ck_assert_ptr_nonnull(strstr(err.text, "key 'a' is added twice"));
    ck_assert_int_eq(mica_npz_add(w, "b", "<U4", 1, &one, "1234", &err), MICA_FAIL);
    ck_assert_ptr_nonnull(strstr(err.text, "element type '<U4' is not supported"));
    ck_assert_int_eq(mica_npz_add(w, "b", "<f4", 1, &bad, "1234", &err), MICA_FAIL);
    ck_assert_ptr_nonnull(strstr(err.text, "bad shape"));
    ck_assert_int_eq(mica_npz_add(w, "", "<f4", 1, &one, "1234", &err), MICA_FAIL);
    mica_npz_discard(w);
    mica_npz_discard(NULL);
    ck_assert_int_eq(scratch_count(), 0);
}
END_TEST

/* Opens and reads everything; true if all of it is fine. */
static bool read_all(const char *path) {
    mica_npz *npz = mica_npz_open(path, &err);
    bool ok = npz != NULL;
    for (size_t i = 0; ok && i < mica_npz_count(npz); i++) {
        ok = mica_npz_get(npz, mica_npz_key(npz, i), &err) != NULL;
    }
    mica_npz_close(npz);
    return ok;
}

START_TEST(npz_truncated) {
    char *bytes;
    size_t n;
    for (int compress = 0; compress < 2; compress++) {
        ck_assert_int_eq(
            mica_read_file(write_sample("t.npz", compress), 1 << 20, &bytes, &n, &err), MICA_OK);
        for (size_t cut = 0; cut < n; cut++) {
            err.text[0] = '\0';
            ck_assert(!read_all(scratch_write("cut.npz", bytes, cut)));
            ck_assert_str_ne(err.text, "");
        }
        mica_free(bytes);
    }
    ck_assert_ptr_null(mica_npz_open(scratch_write("n.npz", "not a zip at all ........", 25),
                                     &err));
    ck_assert_ptr_nonnull(strstr(err.text, "n.npz"));
}
END_TEST

START_TEST(npz_damaged) {
    char *bytes;
    size_t n;
    static const uint8_t masks[] = {0x01, 0x80, 0xff};
    for (int compress = 0; compress < 2; compress++) {
        ck_assert_int_eq(
            mica_read_file(write_sample("d.npz", compress), 1 << 20, &bytes, &n, &err), MICA_OK);
        for (size_t at = 0; at < n; at++) {
            for (size_t m = 0; m < sizeof masks; m++) {
                bytes[at] ^= (char)masks[m];
                read_all(scratch_write("flip.npz", bytes, n)); /* any answer, but no harm */
                bytes[at] ^= (char)masks[m];
            }
        }
        mica_free(bytes);
    }
}
END_TEST

static size_t find_bytes(const char *hay, size_t n, const char *needle, size_t m) {
    const char *p = memmem(hay, n, needle, m);
    ck_assert_ptr_nonnull(p);
    return (size_t)(p - hay);
}

START_TEST(npz_data_error) {
    char *bytes;
    size_t n;
    mica_npz *npz;
    ck_assert_int_eq(mica_read_file(write_sample("e.npz", false), 1 << 20, &bytes, &n, &err),
                     MICA_OK);
    float half = 0.5f;
    bytes[find_bytes(bytes, n, (const char *)&half, 4)] ^= 1;
    npz = mica_npz_open(scratch_write("e.npz", bytes, n), &err);
    ck_assert_ptr_nonnull(npz);
    ck_assert_ptr_null(mica_npz_get(npz, "a/b:weight", &err));
    ck_assert_ptr_nonnull(strstr(err.text, "key 'a/b:weight': CRC error"));
    ck_assert_ptr_nonnull(mica_npz_get(npz, "flags", &err));
    mica_npz_close(npz);
    mica_free(bytes);
}
END_TEST

START_TEST(npz_hostile_size) {
    char *bytes;
    size_t n;
    ck_assert_int_eq(mica_read_file(write_sample("h.npz", true), 1 << 20, &bytes, &n, &err),
                     MICA_OK);
    size_t central = find_bytes(bytes, n, "PK\1\2", 4);
    memcpy(bytes + central + 24, "\xf0\xff\xff\xff", 4); /* 4 GiB from a few bytes */
    ck_assert_ptr_null(mica_npz_open(scratch_write("h.npz", bytes, n), &err));
    ck_assert_ptr_nonnull(strstr(err.text, "declares an impossible size of 4294967280 bytes"));
    memcpy(bytes + central + 24, "\x00\x02\x00\x00", 4); /* possible, but not what is there */
    ck_assert(!read_all(scratch_write("h.npz", bytes, n)));
    ck_assert_ptr_nonnull(strstr(err.text, "key 'a/b:weight': "));
    mica_free(bytes);
    /* Two directory entries for the same bytes. */
    ck_assert_int_eq(mica_read_file(write_sample("h.npz", false), 1 << 20, &bytes, &n, &err),
                     MICA_OK);
    central = find_bytes(bytes, n, "PK\1\2", 4);
    size_t second = central + 1 + find_bytes(bytes + central + 1, n - central - 1, "PK\1\2", 4);
    memcpy(bytes + second + 46, bytes + central + 46, 6);
    memcpy(bytes + second + 42, bytes + central + 42, 4);
    ck_assert(!read_all(scratch_write("h.npz", bytes, n)));
    mica_free(bytes);
}
END_TEST

int main(void) {
    scratch_make();
    Suite *suite = suite_create("utils_npz");
    TCase *tests = tcase_create("npz");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, npy_round_trip);
    tcase_add_test(tests, npy_fortran);
    tcase_add_loop_test(tests, npy_bad_header, 0, (int)MICA_COUNT(bad_headers));
    tcase_add_test(tests, npy_truncated);
    tcase_add_test(tests, npz_round_trip);
    tcase_add_test(tests, npz_large_and_empty);
    tcase_add_test(tests, npz_many_entries);
    tcase_add_test(tests, npz_writer_errors);
    tcase_add_test(tests, npz_truncated);
    tcase_add_test(tests, npz_damaged);
    tcase_add_test(tests, npz_data_error);
    tcase_add_test(tests, npz_hostile_size);
    suite_add_tcase(suite, tests);
    const int status = check_run(suite);
    scratch_remove();
    return status;
}
