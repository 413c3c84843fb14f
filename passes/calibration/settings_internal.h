/* What the readers of settings and of scales share. */
#ifndef MICA_CALIBRATION_SETTINGS_INTERNAL_H
#define MICA_CALIBRATION_SETTINGS_INTERNAL_H

#include <jansson.h>

#include "passes/calibration/settings.h"
#include "utils/map.h"
#include "utils/vec.h"

/* A real tensor of main. */
typedef struct settings_tensor {
    const char *name;
    mica_op *op;
    bool is_border;
    int range_rule, bits_rule; /* line of the rule that set it, 0: none */
} settings_tensor;

struct mica_settings {
    mica_arena *arena;
    mica_map *choices; /* of tensors */
    mica_qtable *precisions;
};

/* The file as JSON and as text (mica_free); NULL on error. */
json_t *mica_settings_load(const char *path, char **out_text, mica_error *err);
/* Real tensors of main in order. */
typedef MICA_VEC(settings_tensor) settings_tensors;
void mica_settings_tensors(mica_module *module, settings_tensors *out);

#endif
