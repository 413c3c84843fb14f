/* Float element formats as numbers: rounding to a format, bit patterns, text. For ir/ only. */
#ifndef MICA_IR_FLOAT_FORMAT_H
#define MICA_IR_FLOAT_FORMAT_H

#include "ir/type.h"
#include "utils/strbuf.h"

int mica_float_width(mica_float_kind kind);       /* bits */
const char *mica_float_name(mica_float_kind kind); /* "f32" */
/* Finds a format by its name; false if there is none. */
bool mica_float_by_name(const char *name, size_t length, mica_float_kind *out);
/* Nearest value of the format, ties to even; overflow gives infinity, NaN in formats without it,
 * the largest number in formats with neither. */
double mica_float_round(mica_float_kind kind, double value);
/* Value of a bit pattern of the format's width; a NaN keeps its payload in the upper bits. */
double mica_float_from_bits(mica_float_kind kind, uint64_t bits);
/* Bit pattern of an infinity or NaN. */
uint64_t mica_float_special_bits(mica_float_kind kind, double value);
/* Writes the shortest decimal that reads back as the same value (always with a '.'), or the bit
 * pattern in hexadecimal for infinities and NaN: what MLIR's lexer accepts. */
void mica_float_print(mica_strbuf *out, mica_float_kind kind, double value);
/* The fast way to the digits of `mica_float_print`, as printf's %g spells them: writes up to 32 bytes
 * of text. False when it does not know them beyond doubt. */
bool mica_float_digits(mica_float_kind kind, double value, char *out);

#endif
