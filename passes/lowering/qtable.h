/* The quantize table: one "op_name MODE" row per op that does not use the global mode. */
#ifndef MICA_LOWERING_QTABLE_H
#define MICA_LOWERING_QTABLE_H

#include "dialects/processors.h"
#include "ir/op.h"
#include "utils/map.h"
#include "utils/status.h"

typedef struct mica_qtable mica_qtable;

mica_qtable *mica_qtable_create(void);
void mica_qtable_destroy(mica_qtable *table);
/* Adds or replaces a row. */
void mica_qtable_set(mica_qtable *table, const char *op, mica_mode mode);
/* True and the mode when `op` has a row. */
bool mica_qtable_get(const mica_qtable *table, const char *op, mica_mode *out_mode);
size_t mica_qtable_count(const mica_qtable *table);
/* Row `index` in file order. */
const char *mica_qtable_at(const mica_qtable *table, size_t index, mica_mode *out_mode);

/* Reads TPU-MLIR's text: '#' comments, then "op_name MODE" per line. Errors name file and line, the
 * text found, and the nearest mode. NULL on error. */
mica_qtable *mica_qtable_read(const char *path, mica_error *err);
/* Writes the same format atomically; `header` is put into comment lines (may be NULL). */
mica_status mica_qtable_write(const mica_qtable *table, const char *path, const char *header,
                              mica_error *err);
/* Fails when a row names no op of `func` (with the nearest op name). */
mica_status mica_qtable_check(const mica_qtable *table, const mica_op *func, mica_error *err);

#endif
