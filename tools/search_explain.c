/* Explanations: files, and the worst ops on the screen. */
#include <stdio.h>

#include "passes/search/explain.h"
#include "tools/search.h"
#include "utils/file.h"
#include "utils/strbuf.h"

enum { MOST_PRINTED = 5 };

static void print_worst(const mica_explain *e) {
    size_t printed[MOST_PRINTED] = {0};
    for (size_t n = 0; n < MOST_PRINTED; ++n) {
        const mica_explain_row *worst = NULL;
        for (size_t i = 0; i < e->count; ++i) {
            bool known = false;
            for (size_t k = 0; k < n; ++k) {
                known = known || printed[k] == i;
            }
            if (!known && e->rows[i].why[0] != '\0' && (worst == NULL || e->rows[i].share > worst->share)) {
                worst = &e->rows[i];
                printed[n] = i;
            }
        }
        if (worst == NULL) {
            return;
        }
        printf("  %5.1f %% %s (%s): %s; %s, up to +%.2f dB\n", worst->share, worst->name, worst->type, worst->why,
               worst->help, worst->gain_db);
    }
}

static mica_status write_files(const mica_explain *e, const search_job *job, const char *path, mica_error *err) {
    mica_strbuf text = {0};
    mica_strbuf json = {0};
    mica_explain_text(e, &text);
    mica_explain_json(e, &json);
    mica_status status = mica_write_file_atomic(path, mica_strbuf_text(&text), text.len, err);
    if (status == MICA_OK) {
        status = mica_write_file_atomic(mica_arena_printf(job->arena, "%s.json", path), mica_strbuf_text(&json), json.len,
                                        err);
    }
    mica_strbuf_free(&text);
    mica_strbuf_free(&json);
    return status;
}

mica_status search_explain(const search_job *job, const mica_qtable *qtable, const mica_statistics *statistics,
                           const char *path, mica_error *err) {
    search_session session;
    MICA_TRY(search_session_open(job, &session, err));
    const mica_explain_options options = {.table = job->base, .qtable = qtable, .statistics = statistics,
                                          .method = job->methods[0]};
    mica_explain e;
    mica_status status = mica_explain_model(&session.job, &options, &e, err);
    if (status == MICA_OK) {
        status = write_files(&e, job, path, err);
        printf("explained in %s: SQNR of the outputs %.2f dB; shares of the error sum to %.1f %%\n", path,
               mica_nsr_to_db(e.nsr), e.share_sum);
        print_worst(&e);
        mica_explain_free(&e);
    }
    search_session_close(&session);
    return status;
}
