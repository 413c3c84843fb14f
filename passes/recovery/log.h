/* What finished layers and blocks of a recovery have become, in a file, so that an interrupted one goes on there.
 *
 * The file [Recovery log in docs/file_formats.md] holds a key beside the constants: model, samples, table and
 * options that they belong to. It is used only when the key fits, and it is hashed. */
#ifndef MICA_RECOVERY_LOG_H
#define MICA_RECOVERY_LOG_H

#include "passes/calibration/statistics_cache.h"
#include "passes/recovery/recovery.h"

typedef struct mica_recovery_log mica_recovery_log;

/* A hash of all that the results depend on. */
void mica_log_key(const mica_cache_key *inputs, const mica_recovery_options *options, const mica_cali_table *table,
                  char out[MICA_HASH_HEX]);

/* resume: takes the results that the file holds for this key; else, and where there is no file, begins with none.
 * *state as for the statistics cache: ABSENT, PART (results were taken), REFUSED and FOREIGN with *why. NULL never;
 * a FOREIGN file must not be written over: close the log. */
mica_recovery_log *mica_log_open(const char *path, const char *key, bool resume, mica_cache_state *state, mica_error *why);
/* Writes what is new. */
mica_status mica_log_close(mica_recovery_log *log, mica_error *err);
/* Results that were taken from the file. */
size_t mica_log_taken(const mica_recovery_log *log);

/* Sets filter and bias of `op` of the module to what they became in a step, unless op is NULL; *number is the step's
 * own. False when that is not known. log may be NULL. */
bool mica_log_replay(const mica_recovery_log *log, mica_module *module, const char *step, const char *name,
                     const mica_op *op, uint64_t *number);
/* Notes filter and bias of `op` (NULL: none) as they are now; every few seconds the file is written. log may be NULL. */
mica_status mica_log_add(mica_recovery_log *log, const char *step, const char *name, const mica_op *op, uint64_t number,
                         mica_error *err);

#endif
