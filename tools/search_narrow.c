/* --mix_mode 4_8 and w4a8: the search, its report and its files. */
#include <stdio.h>

#include "passes/search/narrow.h"
#include "tools/search.h"
#include "utils/file.h"
#include "utils/progress.h"
#include "utils/strings.h"

static void print_layers(const search_session *s, const mica_narrow_result *r, mica_mode mode) {
    for (size_t i = 0; i < r->count; ++i) {
        const mica_net_op *op = &s->net.ops[r->rows[i].op];
        printf("the layer %s is %zu sensitive layer, loss is %.10g, type is %s, mode is %s\n", op->name, i, r->rows[i].loss,
               op->type, mica_mode_name(r->rows[i].is_narrow ? mode : MICA_MODE_INT8));
    }
}

/* The table with the layers of INT4 in its section; their thresholds are there already. */
static mica_cali_table *table_with_ops(const search_job *job, const search_session *s, const mica_narrow_result *r,
                                       mica_mode mode) {
    mica_cali_table *table = mica_cali_table_copy(job->base);
    for (size_t i = 0; i < r->count && mode == MICA_MODE_INT4; ++i) {
        if (r->rows[i].is_narrow) {
            mica_cali_table_add_line(table, MICA_CALI_INT4_OP, s->net.ops[r->rows[i].op].name);
        }
    }
    return table;
}

static mica_status write_files(const search_job *job, const search_session *s, const mica_narrow_result *r,
                               const char *log, mica_mode mode, mica_error *err) {
    const char *folder = mica_path_dir(job->arena, job->settings->qtable);
    const char *base = mica_path_base(job->arena, job->mlir);
    const char *header = mica_arena_printf(job->arena, "# mlir: %s\n# chip: %s  mix_mode: %s\n# number of %s layer: %zu\n",
                                           base, job->processor->name, mica_mode_name(mode), mica_mode_name(mode),
                                           r->n_narrow);
    MICA_TRY(mica_qtable_write(r->qtable, job->settings->qtable, header, err));
    const mica_cali_header about = {.model = base, .method = job->methods[0], .histogram_bins = MICA_HISTOGRAM_BINS,
                                    .samples = mica_dataset_count(job->dataset)};
    mica_cali_table *table = table_with_ops(job, s, r, mode);
    const mica_status status =
        mica_cali_table_write(table, mica_path_join(job->arena, folder, "new_cali_table.txt"), &about, err);
    mica_cali_table_destroy(table);
    MICA_TRY(status);
    return mica_write_file_atomic(mica_path_join(job->arena, folder, log), mica_strbuf_text(&r->log), r->log.len, err);
}

static void print_summary(const search_job *job, const mica_narrow_result *r, mica_mode mode, double seconds,
                          const char *done) {
    printf("run result:\n");
    printf("int8 outputs_cos:%.6f old\n", r->int8.cosine);
    printf("mix model outputs_cos:%.6f\n", r->mixed.cosine);
    printf("SQNR: int8 %.2f dB, mix model %.2f dB; %zu of %zu layers in %s (%.1f %% of the MACs), cost %+.2f %% (all of "
           "them: %+.2f %%); front of %zu points, %zu runs of whole models\n",
           mica_nsr_to_db(r->int8.nsr), mica_nsr_to_db(r->mixed.nsr), r->n_narrow, r->count, mica_mode_name(mode), r->macs,
           r->cost, r->least_cost, r->points, r->runs);
    printf("Output mix quantization table to %s\n", job->settings->qtable);
    printf("total time:%.6f\n", seconds);
    printf("%s\n", done);
}

static mica_status report(const search_job *job, const search_session *session, const mica_narrow_result *r,
                          const char *log, mica_mode mode, double start, const char *done, mica_error *err) {
    print_layers(session, r, mode);
    MICA_TRY(write_files(job, session, r, log, mode, err));
    print_summary(job, r, mode, mica_seconds() - start, done);
    if (r->reached) {
        return MICA_OK;
    }
    *job->unreached = true;
    return job->settings->cost_given
               ? mica_fail(err, "--max_cost %g was not reached: all layers in %s cost %+.2f %% (the files are written)",
                           job->settings->max_cost, mica_mode_name(mode), r->least_cost)
               : mica_fail(err, "expected_cos %g was not reached: INT8 has %.6f (the files are written)",
                           job->settings->expected_cos, r->int8.cosine);
}

mica_status search_run_narrow(const search_job *job, mica_mode mode, const char *log, const char *done, mica_error *err) {
    const double start = mica_seconds();
    const search_settings *s = job->settings;
    search_session session;
    MICA_TRY(search_session_open(job, &session, err));
    const mica_narrow_options options = {.table = job->base,
                                         .fixed = session.fixed,
                                         .mlir = mica_path_base(job->arena, job->mlir),
                                         .mode = mode,
                                         .expected_cos = s->expected_given ? s->expected_cos : 0.0,
                                         .max_cost = s->cost_given ? s->max_cost : 0.0};
    mica_narrow_result result;
    mica_status status = mica_search_narrow(&session.real, &options, &result, err);
    if (status == MICA_OK) {
        status = report(job, &session, &result, log, mode, start, done, err);
        mica_narrow_result_free(&result);
    }
    search_session_close(&session);
    return status;
}
