/* Printing of types, attributes and locations into a buffer; for ir/ only. */
#ifndef MICA_IR_PRINT_H
#define MICA_IR_PRINT_H

#include "ir/attr.h"
#include "ir/location.h"
#include "ir/type.h"
#include "utils/strbuf.h"

void mica_print_type(mica_strbuf *out, mica_type type);
void mica_print_attr(mica_strbuf *out, mica_attr attr);
/* "{a = 1 : i64, b}"; a unit attribute is its name alone. `skip` names left out (NULL-terminated,
 * may be NULL). Returns how many entries were written; writes nothing at all for none. */
size_t mica_print_entries(mica_strbuf *out, const char *open, const mica_named_attr *entries,
                          size_t count, const char *const *skip, const char *close);
/* "a", "f":1:2, unknown: what stands inside loc(...). */
void mica_print_loc(mica_strbuf *out, mica_loc loc);
/* Quoted, with MLIR's escapes. */
void mica_print_string(mica_strbuf *out, const char *text, size_t length);
/* @name, quoted when it is not a plain identifier. */
void mica_print_symbol(mica_strbuf *out, const char *name);
/* Letters, digits, '_', '$' and '.', not starting with a digit. */
bool mica_is_identifier(const char *text);

#endif
