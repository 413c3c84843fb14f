/* Ranges of tensors from JSON. */
#include <math.h>
#include <string.h>

#include "passes/calibration/settings_internal.h"
#include "utils/strings.h"

static const char *nearest_tensor(const settings_tensors *tensors, const char *name) {
    MICA_VEC(const char *) known = {0};
    for (size_t i = 0; i < tensors->len; ++i) {
        mica_vec_push(&known, tensors->data[i].name);
    }
    const char *nearest = mica_nearest(name, known.data, known.len);
    mica_vec_free(&known);
    return nearest;
}

/* Threshold, minimum and maximum; what is not there follows from the rest. */
static bool read_entry(const json_t *entry, mica_range *out) {
    const json_t *threshold = json_object_get(entry, "threshold");
    const json_t *scale = json_object_get(entry, "scale");
    const json_t *low = json_object_get(entry, "min");
    const json_t *high = json_object_get(entry, "max");
    if ((threshold == NULL && scale == NULL) || (low == NULL) != (high == NULL) ||
        (threshold != NULL && !json_is_number(threshold)) || (scale != NULL && !json_is_number(scale)) ||
        (low != NULL && (!json_is_number(low) || !json_is_number(high)))) {
        return false;
    }
    const bool is_signed = low == NULL || json_number_value(low) < 0.0;
    const double t = threshold != NULL ? json_number_value(threshold)
                                       : json_number_value(scale) * (is_signed ? 127.0 : 255.0);
    *out = (mica_range){t, low != NULL ? json_number_value(low) : -t,
                        high != NULL ? json_number_value(high) : t};
    return t > 0.0 && t <= 1e30 && out->min <= out->max;
}

mica_status mica_scales_read(mica_settings *settings, const char *path, mica_module *module,
                             mica_strbuf *missing, mica_strbuf *problems, mica_error *err) {
    char *text = NULL;
    json_t *root = mica_settings_load(path, &text, err);
    if (root == NULL) {
        return MICA_FAIL;
    }
    mica_free(text);
    const json_t *list = json_object_get(root, "tensors");
    settings_tensors tensors = {0};
    mica_settings_tensors(module, &tensors);
    mica_map *known = mica_map_create();
    for (size_t i = 0; i < tensors.len; ++i) {
        mica_map_set(known, tensors.data[i].name, NULL);
        if (json_object_get(list, tensors.data[i].name) == NULL) {
            mica_strbuf_printf(missing, "%s\n", tensors.data[i].name);
        }
    }
    if (!json_is_object(list)) {
        mica_strbuf_printf(problems, "%s: expected {\"tensors\": {name: {\"threshold\": ..}}}\n", path);
    }
    const char *name = NULL;
    json_t *entry = NULL;
    json_object_foreach((json_t *)(uintptr_t)list, name, entry) {
        mica_range *range = mica_arena_alloc(settings->arena, sizeof *range);
        if (!mica_map_has(known, name)) {
            const char *nearest = nearest_tensor(&tensors, name);
            mica_strbuf_printf(problems, "%s: '%s' is no tensor of the model%s%s%s\n", path, name,
                               nearest != NULL ? "; nearest is '" : "", nearest != NULL ? nearest : "",
                               nearest != NULL ? "'" : "");
        } else if (!read_entry(entry, range)) {
            mica_strbuf_printf(problems, "%s: '%s': expected a positive threshold or scale, and min <= max or neither\n",
                               path, name);
        } else {
            mica_tensor_choice *choice = mica_settings_make(settings, name);
            choice->range = range;
            choice->border_too = true;
        }
    }
    mica_map_destroy(known);
    mica_vec_free(&tensors);
    json_decref(root);
    return problems->len == 0 ? MICA_OK : mica_fail(err, "%s: the scales cannot be used", path);
}
