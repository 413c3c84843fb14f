/* Named constants of a module: the arrays that ops like top.Weight refer to by name.
 * Stored as an npz beside the text; data is borrowed (mapped npz, imported model) or owned. */
#ifndef MICA_IR_WEIGHTS_H
#define MICA_IR_WEIGHTS_H

#include "ir/context.h"
#include "utils/ndarray.h"

typedef struct mica_weights mica_weights;

mica_weights *mica_weights_create(void);
void mica_weights_destroy(mica_weights *weights);
/* A store with the same arrays. Data is shared and lives as long as one of the stores. */
mica_weights *mica_weights_clone(const mica_weights *weights);
/* Array called `name`, or NULL. Loaded on first use when it comes from an npz. */
const mica_ndarray *mica_weights_get(const mica_weights *weights, const char *name);
size_t mica_weights_count(const mica_weights *weights);
const char *mica_weights_name_at(const mica_weights *weights, size_t index);
/* Adds or replaces. `data` is copied when `copy`, else borrowed and must outlive the store. */
void mica_weights_set(mica_weights *weights, const char *name, const char *descr, int rank,
                      const int64_t *dims, const void *data, bool copy);
void mica_weights_remove(mica_weights *weights, const char *name);
/* Keeps something alive until the store is destroyed (an unpacked model, a mapping). */
void mica_weights_keep(mica_weights *weights, void *object, void (*release)(void *));
/* Opens an npz: its keys become names (replacing equal ones), arrays are read lazily. A damaged
 * entry is found at first use and then counts as absent. */
mica_status mica_weights_load(mica_weights *weights, const char *path, mica_error *err);
/* Writes the named arrays (count names, in that order) as a stored npz, atomically. */
mica_status mica_weights_save(const mica_weights *weights, const char *const *names, size_t count,
                              const char *path, mica_error *err);

#endif
