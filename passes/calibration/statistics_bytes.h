/* Statistics to bytes and back: integers by 7 bits, the low ones first, the 8th bit: more follow. */
#ifndef MICA_CALIBRATION_STATISTICS_BYTES_H
#define MICA_CALIBRATION_STATISTICS_BYTES_H

#include "passes/calibration/calibrate.h"
#include "utils/strbuf.h"

void mica_put_u64(mica_strbuf *out, uint64_t v);
/* Length and bytes. */
void mica_put_text(mica_strbuf *out, const char *text);
void mica_put_statistics(mica_strbuf *out, const mica_statistics *statistics);

/* Reads [at, end); once `bad`, all values are 0 and texts empty. */
typedef struct mica_byte_reader {
    const uint8_t *at, *end;
    bool bad;
    char text[4096]; /* of the last mica_get_text */
} mica_byte_reader;

size_t mica_bytes_left(const mica_byte_reader *in);
uint64_t mica_get_u64(mica_byte_reader *in);
/* At most `most` bytes, less than sizeof in->text; valid until the next call. */
const char *mica_get_text(mica_byte_reader *in, size_t most);
/* Names go to the arena. *out is to be freed whether or not it went well. */
void mica_get_statistics(mica_byte_reader *in, mica_arena *arena, mica_statistics *out);

#endif
