/* run_calibration: statistics from the samples or from the cache. */
#include <stdio.h>

#include "passes/calibration/statistics_cache.h"
#include "tools/calibration.h"
#include "tools/tool.h"
#include "utils/file.h"
#include "utils/strings.h"

/* Seconds between two states of an unfinished pass in the cache. */
static const double CHECKPOINT_SECONDS = 2.0;

mica_status calibration_read_cache(calibration_job *job, mica_error *err) {
    const calibration_settings *s = job->settings;
    if (s->resume && s->cache == NULL) {
        return mica_fail(err, "--resume has no effect without --cache");
    }
    if (s->cache == NULL) {
        return MICA_OK;
    }
    job->cache = mica_is_dir(s->cache)
                     ? mica_path_join(job->arena, s->cache,
                                      mica_arena_printf(job->arena, "%s.statistics",
                                                        tool_stem(job->arena, s->mlir)))
                     : s->cache;
    return tool_check_output(job->cache, err);
}

/* The constants lie beside the text. */
static const char *weight_file(const calibration_job *job) {
    mica_attr file = mica_op_attr(job->module->op, "module.weight_file");
    return file != NULL ? mica_path_join(job->arena, mica_path_dir(job->arena, job->settings->mlir),
                                         file->text)
                        : NULL;
}

typedef struct checkpoint {
    const char *path;
    const mica_cache_key *key;
} checkpoint;

static mica_status write_checkpoint(void *user, const mica_statistics *so_far, mica_error *err) {
    const checkpoint *c = user;
    return mica_cache_write(c->path, c->key, so_far, err);
}

/* Says what the cache was good for; true: its statistics are those of all samples. */
static bool use_cache(const calibration_job *job, mica_cache_state state, mica_statistics *held,
                      const mica_error *why) {
    const bool go_on = state == MICA_CACHE_PART && job->settings->resume;
    if (state == MICA_CACHE_WHOLE) {
        return true;
    }
    if (state == MICA_CACHE_PART && !go_on) {
        fprintf(stderr, "run_calibration: warning: cache '%s' refused: its pass was interrupted after %zu samples "
                        "(--resume goes on from there); all samples run again\n", job->cache, held->samples);
        mica_statistics_free(held);
    } else if (state == MICA_CACHE_REFUSED) {
        fprintf(stderr, "run_calibration: warning: cache '%s' refused: %s; all samples run again\n", job->cache,
                why->text);
    } else if (go_on) {
        printf("resumed after %zu samples\n", held->samples);
    } else if (job->settings->resume) {
        printf("nothing to resume: there is no '%s' yet\n", job->cache);
    }
    return false;
}

static mica_status collect_with_cache(calibration_job *job, mica_collect_options *options,
                                      const mica_cache_key *key, mica_error *err) {
    mica_statistics held;
    mica_error why = {0};
    const mica_cache_state state = mica_cache_read(job->cache, key, job->arena, &held, &why);
    if (state == MICA_CACHE_FOREIGN) {
        return mica_fail(err, "--cache: %s", why.text);
    }
    if (use_cache(job, state, &held, &why)) {
        job->statistics = held;
        job->cached = true;
        return MICA_OK;
    }
    checkpoint c = {.path = job->cache, .key = key};
    options->begun = held.count > 0 ? &held : NULL;
    options->checkpoint_seconds = CHECKPOINT_SECONDS;
    options->checkpoint = write_checkpoint;
    options->user = &c;
    mica_status status = mica_collect(job->module, job->dataset, options, &job->statistics, err);
    mica_statistics_free(&held);
    if (status == MICA_OK) {
        status = mica_cache_write(job->cache, key, &job->statistics, err);
    }
    return status;
}

mica_status calibration_cache_key(const calibration_job *job, mica_cache_key *out, mica_error *err) {
    return mica_cache_key_make(job->settings->mlir, weight_file(job), job->dataset, false, out, err);
}

mica_status calibration_collect(calibration_job *job, mica_error *err) {
    mica_collect_options options = {.threads = job->threads, .quiet = job->settings->quiet,
                                    .per_channel = job->settings->per_channel || job->settings->search->explain != NULL, .groups = true};
    if (job->cache == NULL) {
        return mica_collect(job->module, job->dataset, &options, &job->statistics, err);
    }
    mica_cache_key key = {0};
    MICA_TRY(mica_cache_key_make(job->settings->mlir, weight_file(job), job->dataset,
                                 options.per_channel, &key, err));
    const mica_status status = collect_with_cache(job, &options, &key, err);
    mica_cache_key_free(&key);
    return status;
}
