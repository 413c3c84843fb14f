/* search_qtable and run_sensitive_layer: the search, its report and its files. */
#include <stdio.h>
#include <string.h>

#include "tools/search.h"
#include "utils/file.h"
#include "utils/progress.h"
#include "utils/strings.h"

static void print_layers(const search_session *s, const mica_layers_result *r) {
    for (size_t i = 0; i < r->count; ++i) {
        const mica_net_op *op = &s->net.ops[r->rows[i].op];
        printf("the layer %s is %zu sensitive layer, loss is %.10g, type is %s\n", op->name, i, r->rows[i].loss, op->type);
    }
}

/* new_cali_table.txt and the log lie beside the quantize table. */
static mica_status write_files(const search_job *job, const mica_layers_result *r, const char *log, mica_mode mode,
                               mica_error *err) {
    const char *folder = mica_path_dir(job->arena, job->settings->qtable);
    const char *base = mica_path_base(job->arena, job->mlir);
    const char *header = mica_arena_printf(job->arena, "# mlir: %s\n# chip: %s  mix_mode: %s\n# number of %s layer: %zu\n",
                                           base, job->processor->name, mica_mode_name(mode), mica_mode_name(mode),
                                           mica_qtable_count(r->qtable));
    MICA_TRY(mica_qtable_write(r->qtable, job->settings->qtable, header, err));
    char methods[64] = {0};
    for (size_t i = 0; i < job->n_methods; ++i) {
        const size_t at = strlen(methods);
        snprintf(methods + at, sizeof methods - at, "%s%s", i > 0 ? "," : "", job->methods[i]);
    }
    const mica_cali_header table = {.model = base, .method = methods, .histogram_bins = MICA_HISTOGRAM_BINS,
                                    .samples = mica_dataset_count(job->dataset)};
    MICA_TRY(mica_cali_table_write(r->table, mica_path_join(job->arena, folder, "new_cali_table.txt"), &table, err));
    return mica_write_file_atomic(mica_path_join(job->arena, folder, log), mica_strbuf_text(&r->log), r->log.len, err);
}

static void print_summary(const search_job *job, const search_session *session, const mica_layers_result *r,
                          double seconds, const char *done) {
    printf("run result:\n");
    printf("int8 outputs_cos:%.6f old\n", r->int8.cosine);
    printf("mix model outputs_cos:%.6f\n", r->mixed.cosine);
    printf("SQNR: int8 %.2f dB, mix model %.2f dB; %zu float layers; %zu runs of whole models\n",
           mica_nsr_to_db(r->int8.nsr), mica_nsr_to_db(r->mixed.nsr), r->n_float, session->real.runs);
    printf("Output mix quantization table to %s\n", job->settings->qtable);
    printf("total time:%.6f\n", seconds);
    printf("%s\n", done);
}

static mica_status report(const search_job *job, const search_session *session, const mica_layers_result *r,
                          const char *log, mica_mode mode, double start, const char *done, mica_error *err) {
    print_layers(session, r);
    MICA_TRY(write_files(job, r, log, mode, err));
    print_summary(job, session, r, mica_seconds() - start, done);
    if (!r->reached) {
        *job->unreached = true;
        return mica_fail(err, "expected_cos %g was not reached: the best cosine is %.6f with %zu float layers; limited by "
                              "%s (the files are written)", job->settings->expected_cos, r->mixed.cosine, r->n_float,
                         r->limit);
    }
    return MICA_OK;
}

mica_status search_run_layers(const search_job *job, const char *log, const char *done, mica_error *err) {
    const double start = mica_seconds();
    const search_settings *s = job->settings;
    mica_mode mode = MICA_MODE_F32;
    MICA_TRY(search_check(s, job->processor, &mode, err));
    search_session session;
    MICA_TRY(search_session_open(job, &session, err));
    const mica_layers_options options = {.base = job->base,
                                         .tables = job->tables,
                                         .methods = job->methods,
                                         .n_methods = job->n_methods,
                                         .mlir = mica_path_base(job->arena, job->mlir),
                                         .float_mode = mode,
                                         .expected_cos = s->expected_cos,
                                         .max_float = (size_t)s->max_float_layers,
                                         .fixed = session.fixed,
                                         .transformer = s->transformer,
                                         .by_loss = job->by_loss,
                                         .cluster = s->cluster,
                                         .fast = s->fast};
    mica_layers_result result;
    mica_status status = mica_search_layers(&session.real, &options, &result, err);
    if (status == MICA_OK) {
        status = report(job, &session, &result, log, mode, start, done, err);
        mica_layers_result_free(&result);
    }
    search_session_close(&session);
    return status;
}
