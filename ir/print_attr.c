/* Text of types, attributes and locations. */
#include "ir/print.h"

#include "ir/context_impl.h"
#include "ir/float_format.h"

#include <string.h>

/* --- words ------------------------------------------------------------------------------------ */

bool mica_is_identifier(const char *text) {
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_";
    static const char rest[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789$.";
    return text[0] && strchr(letters, text[0]) && text[strspn(text, rest)] == '\0';
}

void mica_print_string(mica_strbuf *out, const char *text, size_t length) {
    mica_strbuf_append(out, "\"");
    size_t from = 0;
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c >= 0x20 && c < 0x7F && c != '"' && c != '\\') {
            continue;
        }
        mica_strbuf_appendn(out, text + from, i - from);
        if (c == '\\') {
            mica_strbuf_append(out, "\\\\");
        } else {
            mica_strbuf_printf(out, "\\%02X", c);
        }
        from = i + 1;
    }
    mica_strbuf_appendn(out, text + from, length - from);
    mica_strbuf_append(out, "\"");
}

void mica_print_symbol(mica_strbuf *out, const char *name) {
    mica_strbuf_append(out, "@");
    if (mica_is_identifier(name)) {
        mica_strbuf_append(out, name);
    } else {
        mica_print_string(out, name, strlen(name));
    }
}

/* --- types ------------------------------------------------------------------------------------ */

static void print_integer_type(mica_strbuf *out, mica_type type, bool in_quant) {
    static const char *const prefixes[] = {
        [MICA_SIGNLESS] = "i", [MICA_SIGNED] = "si", [MICA_UNSIGNED] = "ui"};
    const char *prefix = prefixes[type->sign];
    if (in_quant) {
        prefix = type->sign == MICA_UNSIGNED ? "u" : "i";
    }
    mica_strbuf_printf(out, "%s%d", prefix, type->width);
}

static void print_tensor(mica_strbuf *out, mica_type type) {
    mica_strbuf_append(out, type->rank < 0 ? "tensor<*x" : "tensor<");
    for (int i = 0; i < type->rank; i++) {
        if (type->dims[i] < 0) {
            mica_strbuf_append(out, "?x");
        } else {
            mica_strbuf_printf(out, "%lldx", (long long)type->dims[i]);
        }
    }
    mica_print_type(out, type->element);
    if (type->encoding) {
        mica_strbuf_append(out, ", ");
        mica_print_attr(out, type->encoding);
    }
    mica_strbuf_append(out, ">");
}

static void print_type_list(mica_strbuf *out, const mica_type *types, size_t count) {
    mica_strbuf_append(out, "(");
    for (size_t i = 0; i < count; i++) {
        mica_strbuf_append(out, i > 0 ? ", " : "");
        mica_print_type(out, types[i]);
    }
    mica_strbuf_append(out, ")");
}

static void print_function(mica_strbuf *out, mica_type type) {
    print_type_list(out, type->inputs, type->n_inputs);
    mica_strbuf_append(out, " -> ");
    bool bare = type->n_results == 1 && type->results[0]->kind != MICA_TYPE_FUNCTION;
    if (bare) {
        mica_print_type(out, type->results[0]);
    } else {
        print_type_list(out, type->results, type->n_results);
    }
}

static void print_scale(mica_strbuf *out, double scale, int64_t zero_point) {
    mica_float_print(out, MICA_F64, scale);
    if (zero_point != 0) {
        mica_strbuf_printf(out, ":%lld", (long long)zero_point);
    }
}

static void print_uniform(mica_strbuf *out, mica_type type) {
    mica_strbuf_append(out, "!quant.uniform<");
    print_integer_type(out, type->storage, true);
    int64_t min, max;
    mica_type_integer_range(type->storage, &min, &max);
    if (type->storage_min != min || type->storage_max != max) {
        mica_strbuf_printf(out, "<%lld:%lld>", (long long)type->storage_min,
                           (long long)type->storage_max);
    }
    mica_strbuf_append(out, ":");
    mica_print_type(out, type->element);
    if (type->kind == MICA_TYPE_UNIFORM) {
        mica_strbuf_append(out, ", ");
        print_scale(out, type->scales[0], type->zero_points[0]);
    } else {
        mica_strbuf_printf(out, ":%d, {", type->axis);
        for (size_t i = 0; i < type->n_scales; i++) {
            mica_strbuf_append(out, i > 0 ? "," : "");
            print_scale(out, type->scales[i], type->zero_points[i]);
        }
        mica_strbuf_append(out, "}");
    }
    mica_strbuf_append(out, ">");
}

static void print_calibrated(mica_strbuf *out, mica_type type) {
    mica_strbuf_append(out, "!quant.calibrated<");
    mica_print_type(out, type->element);
    mica_strbuf_append(out, "<");
    mica_float_print(out, MICA_F64, type->min);
    mica_strbuf_append(out, ":");
    mica_float_print(out, MICA_F64, type->max);
    mica_strbuf_append(out, ">>");
}

void mica_print_type(mica_strbuf *out, mica_type type) {
    switch (type->kind) {
    case MICA_TYPE_NONE:
        mica_strbuf_append(out, "none");
        break;
    case MICA_TYPE_INDEX:
        mica_strbuf_append(out, "index");
        break;
    case MICA_TYPE_INTEGER:
        print_integer_type(out, type, false);
        break;
    case MICA_TYPE_FLOAT:
        mica_strbuf_append(out, mica_float_name(type->float_kind));
        break;
    case MICA_TYPE_TENSOR:
        print_tensor(out, type);
        break;
    case MICA_TYPE_FUNCTION:
        print_function(out, type);
        break;
    case MICA_TYPE_CALIBRATED:
        print_calibrated(out, type);
        break;
    case MICA_TYPE_UNIFORM:
    case MICA_TYPE_UNIFORM_AXIS:
        print_uniform(out, type);
        break;
    }
}

/* --- attributes ------------------------------------------------------------------------------- */

static void print_integer(mica_strbuf *out, mica_attr attr) {
    if (attr->type->sign == MICA_UNSIGNED) {
        mica_strbuf_printf(out, "%llu", (unsigned long long)attr->integer);
    } else {
        mica_strbuf_printf(out, "%lld", (long long)attr->integer);
    }
}

static void print_numbers(mica_strbuf *out, mica_attr attr, const char *type) {
    mica_strbuf_printf(out, "array<%s", type);
    for (size_t i = 0; i < attr->count; i++) {
        mica_strbuf_append(out, i > 0 ? ", " : ": ");
        if (attr->kind == MICA_ATTR_F64S || attr->kind == MICA_ATTR_F32S) {
            mica_float_print(out, attr->kind == MICA_ATTR_F64S ? MICA_F64 : MICA_F32,
                             attr->reals[i]);
        } else {
            mica_strbuf_printf(out, "%lld", (long long)attr->integers[i]);
        }
    }
    mica_strbuf_append(out, ">");
}

static void print_array(mica_strbuf *out, mica_attr attr) {
    mica_strbuf_append(out, "[");
    for (size_t i = 0; i < attr->count; i++) {
        mica_strbuf_append(out, i > 0 ? ", " : "");
        mica_print_attr(out, attr->items[i]);
    }
    mica_strbuf_append(out, "]");
}

static bool is_skipped(const char *name, const char *const *skip) {
    for (; skip && *skip; skip++) {
        if (strcmp(name, *skip) == 0) {
            return true;
        }
    }
    return false;
}

size_t mica_print_entries(mica_strbuf *out, const char *open, const mica_named_attr *entries,
                          size_t count, const char *const *skip, const char *close) {
    size_t written = 0;
    for (size_t i = 0; i < count; i++) {
        if (is_skipped(entries[i].name, skip)) {
            continue;
        }
        mica_strbuf_append(out, written++ > 0 ? ", " : open);
        if (mica_is_identifier(entries[i].name)) {
            mica_strbuf_append(out, entries[i].name);
        } else {
            mica_print_string(out, entries[i].name, strlen(entries[i].name));
        }
        if (entries[i].value->kind != MICA_ATTR_UNIT) {
            mica_strbuf_append(out, " = ");
            mica_print_attr(out, entries[i].value);
        }
    }
    if (written > 0) {
        mica_strbuf_append(out, close);
    }
    return written;
}

void mica_print_attr(mica_strbuf *out, mica_attr attr) {
    switch (attr->kind) {
    case MICA_ATTR_UNIT:
        mica_strbuf_append(out, "unit");
        break;
    case MICA_ATTR_BOOL:
        mica_strbuf_append(out, attr->integer ? "true" : "false");
        break;
    case MICA_ATTR_INTEGER:
        print_integer(out, attr);
        mica_strbuf_append(out, " : ");
        mica_print_type(out, attr->type);
        break;
    case MICA_ATTR_FLOAT:
        mica_float_print(out, attr->type->float_kind, attr->real);
        mica_strbuf_append(out, " : ");
        mica_print_type(out, attr->type);
        break;
    case MICA_ATTR_STRING:
        mica_print_string(out, attr->text, attr->length);
        break;
    case MICA_ATTR_ARRAY:
        print_array(out, attr);
        break;
    case MICA_ATTR_DICT:
        if (mica_print_entries(out, "{", attr->entries, attr->count, NULL, "}") == 0) {
            mica_strbuf_append(out, "{}");
        }
        break;
    case MICA_ATTR_TYPE:
        mica_print_type(out, attr->type);
        break;
    case MICA_ATTR_SYMBOL:
        mica_print_symbol(out, attr->text);
        break;
    case MICA_ATTR_I64S:
        print_numbers(out, attr, "i64");
        break;
    case MICA_ATTR_I32S:
        print_numbers(out, attr, "i32");
        break;
    case MICA_ATTR_I8S:
        print_numbers(out, attr, "i8");
        break;
    case MICA_ATTR_F64S:
        print_numbers(out, attr, "f64");
        break;
    case MICA_ATTR_F32S:
        print_numbers(out, attr, "f32");
        break;
    case MICA_ATTR_ELEMENTS:
        mica_strbuf_printf(out, "%s : ", attr->text);
        mica_print_type(out, attr->type);
        break;
    case MICA_ATTR_OPAQUE:
        mica_strbuf_append(out, attr->text);
        break;
    }
}

/* --- locations -------------------------------------------------------------------------------- */

void mica_print_loc(mica_strbuf *out, mica_loc loc) {
    switch (loc->kind) {
    case MICA_LOC_UNKNOWN:
        mica_strbuf_append(out, "unknown");
        break;
    case MICA_LOC_FILE:
        mica_print_string(out, loc->name, strlen(loc->name));
        mica_strbuf_printf(out, ":%d:%d", loc->line, loc->column);
        break;
    case MICA_LOC_NAME:
        mica_print_string(out, loc->name, strlen(loc->name));
        if (loc->child) {
            mica_strbuf_append(out, "(");
            mica_print_loc(out, loc->child);
            mica_strbuf_append(out, ")");
        }
        break;
    case MICA_LOC_FUSED:
        mica_strbuf_append(out, "fused[");
        for (size_t i = 0; i < loc->n_parts; i++) {
            mica_strbuf_append(out, i > 0 ? ", " : "");
            mica_print_loc(out, loc->parts[i]);
        }
        mica_strbuf_append(out, "]");
        break;
    }
}

/* --- text on the context ---------------------------------------------------------------------- */

/* Interned, so that asking again takes no more memory. */
static const char *keep(mica_context *context, mica_strbuf *text) {
    const char *kept = mica_intern_n(context, mica_strbuf_text(text), text->len);
    mica_strbuf_free(text);
    return kept;
}

const char *mica_type_text(mica_type type) {
    mica_strbuf text = {0};
    mica_print_type(&text, type);
    return keep(type->context, &text);
}

const char *mica_attr_text(mica_attr attr) {
    mica_strbuf text = {0};
    mica_print_attr(&text, attr);
    return keep(attr->context, &text);
}

const char *mica_loc_text(mica_loc loc) {
    mica_strbuf text = {0};
    mica_print_loc(&text, loc);
    return keep(loc->context, &text);
}
