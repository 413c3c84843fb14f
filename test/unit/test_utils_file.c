/* Files: reading, mapping, atomic output, listing. */
#include "test/unit/check_main.h"
#include "test/unit/test_utils_dir.h"
#include "utils/file.h"
#include "utils/hash.h"

#include <check.h>

static mica_error err;

START_TEST(read_bounded) {
    const char *path = scratch_write("a", "hello", 5);
    char *text;
    size_t len;
    ck_assert_int_eq(mica_read_file(path, 5, &text, &len, &err), MICA_OK);
    ck_assert_uint_eq(len, 5);
    ck_assert_str_eq(text, "hello");
    mica_free(text);
    ck_assert_int_eq(mica_read_file(path, 4, &text, NULL, &err), MICA_FAIL);
    ck_assert_ptr_nonnull(strstr(err.text, "has 5 bytes, more than the limit of 4"));
    ck_assert_ptr_nonnull(strstr(err.text, path));
    ck_assert_int_eq(mica_read_file("/dev/zero", 100000, &text, NULL, &err), MICA_FAIL);
    ck_assert_str_eq(err.text, "'/dev/zero' is larger than the limit of 100000 bytes");
    ck_assert_int_eq(mica_read_file("/dev/null", 0, &text, &len, &err), MICA_OK);
    ck_assert_uint_eq(len, 0);
    mica_free(text);
    ck_assert_int_eq(mica_read_file("/", 10, &text, NULL, &err), MICA_FAIL);
    ck_assert_str_eq(err.text, "cannot read '/': Is a directory");
    ck_assert_int_eq(mica_read_file("/no/file", 10, &text, NULL, &err), MICA_FAIL);
    ck_assert_str_eq(err.text, "cannot open '/no/file': No such file or directory");
}
END_TEST

START_TEST(map_and_hash) {
    mica_mapped m;
    const char *path = scratch_write("m", "bytes", 5);
    ck_assert_int_eq(mica_map_file(path, &m, &err), MICA_OK);
    ck_assert_uint_eq(m.size, 5);
    ck_assert_mem_eq(m.data, "bytes", 5);
    mica_unmap_file(&m);
    mica_unmap_file(&m);
    char a[MICA_HASH_HEX], b[MICA_HASH_HEX];
    mica_hash_hex("bytes", 5, a);
    ck_assert_int_eq(mica_hash_file_hex(path, b, &err), MICA_OK);
    ck_assert_str_eq(a, b);
    ck_assert_int_eq(mica_map_file(scratch_write("e", "", 0), &m, &err), MICA_OK);
    ck_assert_uint_eq(m.size, 0);
    ck_assert_ptr_nonnull(m.data);
    mica_unmap_file(&m);
    ck_assert_int_eq(mica_map_file("/dev/null", &m, &err), MICA_FAIL);
    ck_assert_str_eq(err.text, "cannot map '/dev/null': not a regular file");
}
END_TEST

static void expect_content(const char *path, const char *want) {
    char *text;
    ck_assert_int_eq(mica_read_file(path, 100, &text, NULL, &err), MICA_OK);
    ck_assert_str_eq(text, want);
    mica_free(text);
}

START_TEST(atomic_output) {
    scratch_clear();
    const char *path = scratch_write("out", "old", 3);
    mica_atomic_file f;
    ck_assert_int_eq(mica_atomic_open(&f, path, &err), MICA_OK);
    fputs("new text", f.stream);
    fflush(f.stream);
    ck_assert_int_eq(scratch_count(), 2);
    expect_content(path, "old");
    mica_atomic_abort(&f);
    mica_atomic_abort(&f);
    ck_assert_int_eq(scratch_count(), 1);
    expect_content(path, "old");

    ck_assert_int_eq(mica_atomic_open(&f, path, &err), MICA_OK);
    mica_atomic_file g; /* two writers at once do not meet in one temporary file */
    ck_assert_int_eq(mica_atomic_open(&g, path, &err), MICA_OK);
    fputs("first", f.stream);
    fputs("second", g.stream);
    ck_assert_int_eq(mica_atomic_commit(&g, &err), MICA_OK);
    expect_content(path, "second");
    ck_assert_int_eq(mica_atomic_commit(&f, &err), MICA_OK);
    expect_content(path, "first");
    ck_assert_int_eq(mica_write_file_atomic(path, "", 0, &err), MICA_OK);
    expect_content(path, "");
    ck_assert_int_eq(scratch_count(), 1);
}
END_TEST

START_TEST(atomic_failures) {
    scratch_clear();
    mica_atomic_file f;
    ck_assert_int_eq(mica_atomic_open(&f, "/no/dir/out", &err), MICA_FAIL);
    ck_assert_str_eq(err.text, "cannot create '/no/dir/out': No such file or directory");
    ck_assert_int_eq(mica_write_file_atomic(scratch, "x", 1, &err), MICA_FAIL);
    ck_assert_ptr_nonnull(strstr(err.text, "Is a directory"));
    /* The target became a directory meanwhile: the temporary file goes. */
    const char *path = scratch_path("later");
    ck_assert_int_eq(mica_atomic_open(&f, path, &err), MICA_OK);
    ck_assert_int_eq(mkdir(path, 0777), 0);
    ck_assert_int_eq(mica_atomic_commit(&f, &err), MICA_FAIL);
    ck_assert_ptr_nonnull(strstr(err.text, "cannot write"));
    ck_assert_int_eq(scratch_count(), 1);
    /* A device is written to, never replaced; a full one is reported. */
    ck_assert_int_eq(mica_write_file_atomic("/dev/null", "x", 1, &err), MICA_OK);
    struct stat st;
    ck_assert(stat("/dev/null", &st) == 0 && S_ISCHR(st.st_mode));
    ck_assert_int_eq(mica_write_file_atomic("/dev/full", "x", 1, &err), MICA_FAIL);
    ck_assert_str_eq(err.text, "cannot write '/dev/full': No space left on device");
}
END_TEST

START_TEST(atomic_keeps_links) {
    scratch_clear();
    const char *target = scratch_write("target", "old", 3), *link = scratch_path("link");
    ck_assert_int_eq(symlink(target, link), 0);
    ck_assert_int_eq(mica_write_file_atomic(link, "new", 3, &err), MICA_OK);
    expect_content(target, "new");
    struct stat st;
    ck_assert(lstat(link, &st) == 0 && S_ISLNK(st.st_mode));
}
END_TEST

START_TEST(listing) {
    scratch_clear();
    scratch_write("b", "", 0);
    scratch_write("a", "", 0);
    scratch_write("B", "", 0);
    mica_arena *arena = mica_arena_create();
    char **names;
    size_t n;
    ck_assert_int_eq(mica_list_dir(scratch, arena, &names, &n, &err), MICA_OK);
    ck_assert_uint_eq(n, 3);
    ck_assert_str_eq(names[0], "B");
    ck_assert_str_eq(names[1], "a");
    ck_assert_str_eq(names[2], "b");
    ck_assert_ptr_null(names[3]);
    ck_assert_int_eq(mica_list_dir("/no/dir", arena, &names, &n, &err), MICA_FAIL);
    ck_assert_str_eq(err.text, "cannot list '/no/dir': No such file or directory");
    ck_assert(mica_is_dir(scratch) && !mica_is_dir(scratch_path("a")) && !mica_is_dir("/no"));
    ck_assert(!mica_file_exists(scratch) && mica_file_exists(scratch_path("a")));
    mica_arena_destroy(arena);
}
END_TEST

int main(void) {
    scratch_make();
    Suite *suite = suite_create("utils_file");
    TCase *tests = tcase_create("file");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, read_bounded);
    tcase_add_test(tests, map_and_hash);
    tcase_add_test(tests, atomic_output);
    tcase_add_test(tests, atomic_failures);
    tcase_add_test(tests, atomic_keeps_links);
    tcase_add_test(tests, listing);
    suite_add_tcase(suite, tests);
    const int status = check_run(suite);
    scratch_remove();
    return status;
}
