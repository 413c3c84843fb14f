/* Settings of single tensors and ops: which method, range, bits or precision instead of the general
 * one. Read from JSON [Calibration settings in docs/file_formats.md]. */
#ifndef MICA_CALIBRATION_SETTINGS_H
#define MICA_CALIBRATION_SETTINGS_H

#include "dialects/processors.h"
#include "passes/calibration/methods.h"
#include "passes/lowering/qtable.h"
#include "utils/strbuf.h"

/* What was chosen for a tensor. */
typedef struct mica_tensor_choice {
    const mica_method *method; /* NULL: the general one */
    const mica_range *range;   /* NULL: by the method; else as it is */
    int bits;                  /* 0: 8 */
    bool border_too;           /* also when it is an input or output of the network */
} mica_tensor_choice;

typedef struct mica_settings mica_settings;

mica_settings *mica_settings_create(void);
void mica_settings_destroy(mica_settings *settings);

/* Reads rules and finds the tensors and ops of main that they mean. Everything that is wrong with them
 * is told, one line "path:line: text" each, in `problems`: unknown keys, names and values, rules
 * without effect, overlapping rules, modes that the processor lacks. Fails when there are problems or
 * the file is not JSON (err). */
mica_status mica_settings_read(mica_settings *settings, const char *path, mica_module *module,
                               const mica_processor *processor, mica_strbuf *problems, mica_error *err);

/* Choice for a tensor, or NULL. */
const mica_tensor_choice *mica_settings_get(const mica_settings *settings, const char *tensor);
/* Choice that can be changed; made when there is none. */
mica_tensor_choice *mica_settings_make(mica_settings *settings, const char *tensor);
/* Memory of what choices point to. */
mica_arena *mica_settings_arena(mica_settings *settings);
/* Ops with a precision of their own. */
const mica_qtable *mica_settings_precisions(const mica_settings *settings);

/* Numbers of lines of the rules of a JSON text, whose syntax is right: every object two levels deep and every
 * key in it. 0 when there is none. */
int mica_settings_line(const char *text, size_t rule, const char *key);

/* --- scales ------------------------------------------------------------------------------------- */

/* Ranges from JSON [Scales]: every entry becomes a choice with a range. Tensors of main without one are
 * named in `missing`, one a line. Problems as above. */
mica_status mica_scales_read(mica_settings *settings, const char *path, mica_module *module,
                             mica_strbuf *missing, mica_strbuf *problems, mica_error *err);

#endif
