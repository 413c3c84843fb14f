/* The calibration table: one "name threshold min max" row per tensor, in TPU-MLIR's text format. */
#ifndef MICA_CALI_TABLE_H
#define MICA_CALI_TABLE_H

#include <stdbool.h>
#include <stddef.h>

#include "ir/op.h"
#include "utils/status.h"

typedef struct mica_cali_row {
    const char *name;
    double threshold, min, max;
} mica_cali_row;

typedef struct mica_cali_table mica_cali_table;

mica_cali_table *mica_cali_table_create(void);
void mica_cali_table_destroy(mica_cali_table *table);
/* With rows and sections. */
mica_cali_table *mica_cali_table_copy(const mica_cali_table *from);
/* Adds or replaces a row; the name is copied. */
void mica_cali_table_set(mica_cali_table *table, const char *name, double threshold, double min,
                         double max);
/* Row of a tensor, or NULL. */
const mica_cali_row *mica_cali_table_get(const mica_cali_table *table, const char *name);
size_t mica_cali_table_count(const mica_cali_table *table);
const mica_cali_row *mica_cali_table_at(const mica_cali_table *table, size_t index);

/* Sections after the rows, kept as read: tensors at int4 ("#int4_th", name th min max), ops at int4
 * ("#int4_op") and ops that must be asymmetric ("#asym_op"). */
typedef enum mica_cali_section { MICA_CALI_INT4_TH, MICA_CALI_INT4_OP, MICA_CALI_ASYM_OP } mica_cali_section;
/* In #int4_th a line that is no row, and a second one of a tensor, is left out. */
void mica_cali_table_add_line(mica_cali_table *table, mica_cali_section section, const char *line);
size_t mica_cali_table_lines(const mica_cali_table *table, mica_cali_section section,
                             const char *const **out_lines);

/* Threshold for 4 bits of a tensor, or NULL; row `index` of them. */
const mica_cali_row *mica_cali_table_get_int4(const mica_cali_table *table, const char *name);
const mica_cali_row *mica_cali_table_int4_at(const mica_cali_table *table, size_t index);

/* Reads a table. Names may hold spaces: the last three words of a row are the numbers. Errors name
 * file, line and what is wrong: missing number, not finite, min > max, duplicate name, no row at all.
 * NULL on error. */
mica_cali_table *mica_cali_table_read(const char *path, mica_error *err);

/* What goes into the comment lines. */
typedef struct mica_cali_header {
    const char *model;  /* file name of the .mlir */
    const char *method; /* "KL", "MSE", ... */
    size_t histogram_bins, samples, tuned;
} mica_cali_header;

/* Writes the table atomically; numbers as %.7f (thresholds below that keep 7 significant digits). */
mica_status mica_cali_table_write(const mica_cali_table *table, const char *path,
                                  const mica_cali_header *header, mica_error *err);

/* Puts calibrated types on every real tensor of main that has a row. Symmetric, but for the ops of section #asym_op: [-threshold,
 * threshold], or [0, threshold] when the row's min is >= 0; asymmetric: the row's min and max.
 * Tensors without a row keep their type. Rows that name no tensor fail with the nearest name. Thresholds of section
 * #int4_th become the attribute in_int4_threshold of the Conv and MatMul that read the tensor. */
mica_status mica_import_calibration(mica_module *module, const mica_cali_table *table,
                                    bool asymmetric, mica_error *err);

#endif
