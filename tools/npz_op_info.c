/* Ops and scales of the tensors of a model, for npz_tool compare. */
#include "tools/npz_compare.h"

#include "dialects/quant/quant.h"
#include "ir/text.h"
#include "utils/strings.h"

#include <string.h>

static void add_results(mica_map *map, mica_arena *arena, const mica_op *op) {
    for (uint32_t i = 0; i < op->n_results; i++) {
        const char *name = mica_value_name(&op->results[i]);
        if (name == NULL || *name == '\0') {
            continue;
        }
        npz_op *info = mica_arena_alloc(arena, sizeof *info);
        info->name = mica_arena_strdup(arena, op->name);
        mica_quant quant;
        if (mica_quant_of(&op->results[i], &quant)) {
            info->scale = quant.scale;
            info->zero_point = quant.zero_point;
        }
        mica_map_set(map, name, info);
    }
}

mica_map *npz_read_op_info(const char *path, mica_arena *arena, mica_error *err) {
    if (strcmp(mica_path_ext(arena, path), ".mlir") != 0) {
        (void)mica_fail(err, "option '--op_info': expected a .mlir file, got '%s'", path);
        return NULL;
    }
    mica_context *context = tool_context();
    mica_module *module = mica_parse_file(context, path, false);
    mica_map *map = NULL;
    if (module == NULL) {
        (void)!tool_reported(err);
    } else {
        map = mica_map_create();
        for (mica_op *op = module->op; op != NULL; op = mica_op_walk_next(module->op, op)) {
            add_results(map, arena, op);
        }
        mica_module_destroy(module);
    }
    mica_context_destroy(context);
    return map;
}
