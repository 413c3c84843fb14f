/* Statistics in a file, so that another method or an interrupted pass need not run the model again.
 *
 * The file [Statistics cache in docs/file_formats.md] holds a key beside the statistics: what model,
 * samples and options they belong to. It is used only when the key fits, and it is hashed. */
#ifndef MICA_CALIBRATION_STATISTICS_CACHE_H
#define MICA_CALIBRATION_STATISTICS_CACHE_H

#include "passes/calibration/calibrate.h"
#include "utils/hash.h"

typedef struct mica_cache_key {
    char model[MICA_HASH_HEX];           /* of the module's text and its constants */
    bool per_channel;
    size_t n_samples;
    char (*samples)[MICA_HASH_HEX];      /* contents, in the order of the dataset; owned */
} mica_cache_key;

/* Hashes files: the module's text, its weight file (NULL: none), all samples. */
mica_status mica_cache_key_make(const char *mlir, const char *weights, const mica_dataset *dataset,
                                bool per_channel, mica_cache_key *out, mica_error *err);
void mica_cache_key_free(mica_cache_key *key);

/* Writes statistics of the first statistics->samples samples of the key, atomically. */
mica_status mica_cache_write(const char *path, const mica_cache_key *key,
                             const mica_statistics *statistics, mica_error *err);

typedef enum mica_cache_state {
    MICA_CACHE_ABSENT,  /* no such file */
    MICA_CACHE_WHOLE,   /* *out holds the statistics of all samples */
    MICA_CACHE_PART,    /* those of the first out->samples: the pass was interrupted */
    MICA_CACHE_REFUSED, /* stale or damaged: err tells why; the file may be replaced */
    MICA_CACHE_FOREIGN, /* err: not a cache, or not readable: must not be replaced */
} mica_cache_state;

/* Reads what fits the key; names go to `arena`. */
mica_cache_state mica_cache_read(const char *path, const mica_cache_key *key, mica_arena *arena,
                                 mica_statistics *out, mica_error *err);

#endif
