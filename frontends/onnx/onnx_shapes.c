/* The text of the option input_shapes. */
#include "frontends/onnx/onnx_internal.h"

#include "utils/strings.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

typedef struct cursor {
    mica_arena *arena;
    const char *text, *at;
    mica_error *err;
} cursor;

static void skip_space(cursor *c) {
    while (isspace((unsigned char)*c->at)) {
        c->at++;
    }
}

static bool accept(cursor *c, char letter) {
    skip_space(c);
    if (*c->at != letter) {
        return false;
    }
    c->at++;
    return true;
}

static mica_status bad(cursor *c, const char *expected) {
    return mica_fail(c->err, "input_shapes '%s': expected %s at '%s'", c->text, expected,
                     *c->at != '\0' ? c->at : "its end");
}

static mica_status parse_number(cursor *c, int64_t *out) {
    skip_space(c);
    const char *start = c->at;
    while (*c->at == '-' || isdigit((unsigned char)*c->at)) {
        c->at++;
    }
    const char *digits = mica_arena_strndup(c->arena, start, (size_t)(c->at - start));
    if (!mica_parse_i64(digits, out) || *out < 0) {
        c->at = start;
        return bad(c, "a dimension (0 or more)");
    }
    return MICA_OK;
}

/* After the opening bracket. */
static mica_status parse_dims(cursor *c, mrt_shape *out) {
    *out = (mrt_shape){0};
    if (accept(c, ']')) {
        return MICA_OK;
    }
    do {
        if (out->rank == MRT_MAX_RANK) {
            return mica_fail(c->err, "input_shapes '%s': a shape has more than %d dimensions",
                             c->text, MRT_MAX_RANK);
        }
        MICA_TRY(parse_number(c, &out->dims[out->rank]));
        out->rank++;
    } while (accept(c, ','));
    return accept(c, ']') ? MICA_OK : bad(c, "',' or ']'");
}

/* After the opening bracket around the shapes of a sequence. */
static mica_status parse_list(cursor *c, mica_onnx_shape_item *item) {
    MICA_VEC(mrt_shape) shapes = {0};
    mrt_shape shape;
    mica_status status = MICA_OK;
    do {
        status = accept(c, '[') ? parse_dims(c, &shape) : bad(c, "'[dims]'");
        mica_vec_push(&shapes, shape);
    } while (status == MICA_OK && accept(c, ','));
    item->list = true;
    item->n_shapes = shapes.len;
    item->shapes = mica_arena_memdup(c->arena, shapes.data, shapes.len * sizeof shape);
    mica_vec_free(&shapes);
    MICA_TRY(status);
    return accept(c, ']') ? MICA_OK : bad(c, "',' or ']'");
}

static mica_status parse_shape_or_list(cursor *c, mica_onnx_shape_item *item) {
    skip_space(c);
    return *c->at == '[' ? parse_list(c, item) : parse_dims(c, &item->shape);
}

/* "name:none". */
static bool parse_none(cursor *c, const char *stop, mica_onnx_shape_item *item) {
    const size_t tail = strlen(":none");
    const char *end = stop;
    while (end > c->at && isspace((unsigned char)end[-1])) {
        end--;
    }
    if ((size_t)(end - c->at) <= tail || strncmp(end - tail, ":none", tail) != 0) {
        return false;
    }
    item->none = true;
    item->name = mica_arena_strndup(c->arena, c->at, (size_t)(end - c->at) - tail);
    c->at = stop;
    return true;
}

/* "name:[...]", "name:[[...],[...]]", "name:none" or "symbol=3"; names may themselves hold ':'
 * ("x:0:[1,3]"). */
static mica_status parse_named(cursor *c, mica_onnx_shape_item *item) {
    const char *start = c->at;
    const char *bracket = strchr(start, '[');
    const char *stop = start + strcspn(start, ",");
    const char *equals = memchr(start, '=', (size_t)(stop - start));
    if (bracket != NULL && bracket > start && bracket < stop) {
        const char *colon = bracket - 1;
        while (colon > start && isspace((unsigned char)*colon)) {
            colon--;
        }
        if (*colon == ':' && colon > start) {
            item->name = mica_arena_strndup(c->arena, start, (size_t)(colon - start));
            c->at = bracket + 1;
            return parse_shape_or_list(c, item);
        }
    }
    if (parse_none(c, stop, item)) {
        return MICA_OK;
    }
    if (equals != NULL && equals > start) {
        const char *end = equals;
        while (end > start && isspace((unsigned char)end[-1])) {
            end--;
        }
        item->name = mica_arena_strndup(c->arena, start, (size_t)(end - start));
        item->symbol = true;
        item->shape.rank = 1;
        c->at = equals + 1;
        return parse_number(c, &item->shape.dims[0]);
    }
    return bad(c, "'[dims]', 'name:[dims]', 'name:[[dims],...]', 'name:none' or 'symbol=value'");
}

static mica_status parse_item(cursor *c, mica_onnx_shape_list *out, bool inside) {
    mica_onnx_shape_item item = {0};
    skip_space(c);
    if (accept(c, '[')) {
        MICA_TRY(parse_dims(c, &item.shape));
    } else if (!inside) {
        MICA_TRY(parse_named(c, &item));
    } else {
        return bad(c, "'[dims]'");
    }
    mica_vec_push(out, item);
    return MICA_OK;
}

/* One value per name. */
static mica_status check_twice(const cursor *c, const mica_onnx_shape_list *list) {
    for (size_t i = 0; i < list->len; i++) {
        const mica_onnx_shape_item *item = &list->data[i];
        for (size_t k = 0; k < i && item->name != NULL; k++) {
            const mica_onnx_shape_item *other = &list->data[k];
            if (other->name != NULL && other->symbol == item->symbol && strcmp(other->name, item->name) == 0) {
                return mica_fail(c->err, "input_shapes '%s': '%s' is given twice", c->text, item->name);
            }
        }
    }
    return MICA_OK;
}

mica_status mica_onnx_parse_shapes(mica_arena *arena, const char *text, mica_onnx_shape_list *out,
                                   mica_error *err) {
    cursor c = {arena, text, text, err};
    skip_space(&c);
    /* "[[1,3],[10]]": an outer bracket around positional shapes. */
    const char *second = c.at + 1;
    while (*c.at == '[' && isspace((unsigned char)*second)) {
        second++;
    }
    const bool wrapped = *c.at == '[' && *second == '[';
    if (*c.at == '\0') {
        return MICA_OK;
    }
    if (wrapped) {
        accept(&c, '[');
    }
    do {
        MICA_TRY(parse_item(&c, out, wrapped));
    } while (accept(&c, ','));
    if (wrapped && !accept(&c, ']')) {
        return bad(&c, "',' or ']'");
    }
    skip_space(&c);
    return *c.at == '\0' ? check_twice(&c, out) : bad(&c, "','");
}
