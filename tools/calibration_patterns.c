/* run_calibration: quantize tables that need no search: of known kinds of models, and of kinds of ops. */
#include <stdio.h>
#include <string.h>

#include "passes/search/family.h"
#include "passes/search/part.h"
#include "tools/calibration.h"
#include "utils/file.h"
#include "utils/strings.h"

static const char MARK[] = "# of the pattern";

mica_status calibration_read_patterns(calibration_job *job, mica_error *err) {
    const calibration_search_settings *s = job->settings->search;
    const bool custom = strcmp(s->part, "custom_mode") == 0;
    if (s->part_asymmetric && job->settings->asymmetric) {
        return mica_fail(err, "--part_asymmetric has no effect with --asymmetric: all ops have zero points");
    }
    if (custom != (s->custom != NULL)) {
        return custom ? mica_fail(err, "--part_quantize custom_mode needs --custom_operator")
                      : mica_fail(err, "--custom_operator has no effect without --part_quantize custom_mode");
    }
    if (strcmp(s->part, "none") == 0) {
        return MICA_OK;
    }
    if (job->searches) {
        return mica_fail(err, "--part_quantize and --search both choose the modes of ops: give one of them");
    }
    if (s->common.qtable == NULL) {
        return mica_fail(err, "--part_quantize needs --quantize_table");
    }
    mica_mode mode = MICA_MODE_F32;
    return search_check(&s->common, job->processor, &mode, err);
}

void calibration_part_asymmetric(const calibration_job *job, mica_cali_table *table) {
    if (job->settings->search->part_asymmetric) {
        const size_t n = mica_part_asymmetric(job->module, table);
        if (table == job->table) {
            printf("part_asymmetric: %zu ops with zero points\n", n);
        }
    }
}

static mica_mode float_mode(const calibration_job *job) {
    mica_mode mode = MICA_MODE_F32;
    mica_error ignored = {0};
    return search_check(&job->settings->search->common, job->processor, &mode, &ignored) == MICA_OK
               ? mode
               : job->processor->fallback;
}

static mica_status write_part(calibration_job *job, mica_error *err) {
    const calibration_search_settings *s = job->settings->search;
    const mica_mode mode = float_mode(job);
    mica_qtable *table = mica_qtable_create();
    size_t integer = 0;
    mica_status status = mica_part_table(job->module, s->part, s->custom, mode, table, &integer, err);
    const mica_qtable *own = job->choices != NULL ? mica_settings_precisions(job->choices) : NULL;
    for (size_t i = 0; own != NULL && i < mica_qtable_count(own); ++i) {
        mica_mode set;
        const char *op = mica_qtable_at(own, i, &set);
        mica_qtable_set(table, op, set);
    }
    if (status == MICA_OK) {
        const char *header = mica_arena_printf(job->arena, "# chip: %s  part_quantize: %s\n", job->processor->name, s->part);
        status = mica_qtable_write(table, s->common.qtable, header, err);
    }
    if (status == MICA_OK) {
        printf("%s: %zu ops in INT8, %zu in %s; table in %s\n", s->part, integer, mica_qtable_count(table),
               mica_mode_name(mode), s->common.qtable);
    }
    mica_qtable_destroy(table);
    return status;
}

/* A table that somebody else made is never replaced. */
static bool may_write(const char *path) {
    char begin[sizeof MARK] = {0};
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        return true;
    }
    const bool ours = fread(begin, 1, sizeof MARK - 1, file) == sizeof MARK - 1 && strcmp(begin, MARK) == 0;
    fclose(file);
    return ours;
}

static mica_status write_family(calibration_job *job, const mica_qtable *table, const char *family, const char *said,
                                mica_error *err) {
    const char *path = mica_path_join(job->arena, mica_path_dir(job->arena, job->settings->table), "qtable");
    const char *header = mica_arena_printf(job->arena, "%s %s\n# mlir: %s\n", MARK, family,
                                           mica_path_base(job->arena, job->settings->mlir));
    printf("%s", said);
    if (!may_write(path)) {
        printf("The qtable was not generated: %s exists already and is another one\n", path);
        return MICA_OK;
    }
    MICA_TRY(mica_qtable_write(table, path, header, err));
    printf("The qtable has been generated in: %s !!!\n", path);
    return MICA_OK;
}

mica_status calibration_patterns(calibration_job *job, mica_error *err) {
    const calibration_search_settings *s = job->settings->search;
    if (strcmp(s->part, "none") != 0) {
        return write_part(job, err);
    }
    if (job->searches || job->processor->scheme != MICA_SCHEME_MULTIPLIER_SHIFT) {
        return MICA_OK;
    }
    mica_strbuf said = {0};
    mica_qtable *table = mica_qtable_create();
    const char *family = NULL;
    mica_family_table(job->module, float_mode(job), table, &family, &said);
    const mica_status status =
        family != NULL ? write_family(job, table, family, mica_strbuf_text(&said), err) : MICA_OK;
    mica_qtable_destroy(table);
    mica_strbuf_free(&said);
    return status;
}

void calibration_add_family(const calibration_job *job, mica_qtable *table) {
    mica_strbuf said = {0};
    const char *family = NULL;
    mica_family_table(job->module, float_mode(job), table, &family, &said);
    printf("%s", mica_strbuf_text(&said));
    mica_strbuf_free(&said);
}
