#include "runtime/kernels/kernels.h"

#include <stddef.h>

/* A kernel without parameters: one byte, which rounds down to no words. */
typedef char NONE;
#define PARAM_BYTES(params) ((sizeof(params) / 8) * 8)

/* Parameter structs are stored word by word. */
#define KERNEL(name, code, params, min_in, max_in, min_out, max_out, flags)                        \
    _Static_assert(sizeof(params) == sizeof(NONE) || sizeof(params) % 8 == 0,                      \
                   "parameters of " #name " are not 64-bit words");
#include "runtime/kernels.def"

/* Indexed by code: the codes are small and dense, and a code used twice is a compiler warning. */
static const mrt_kernel table[] = {
#define KERNEL(name, code, params, min_in, max_in, min_out, max_out, flags)                        \
    [code] = {#name,  code,    PARAM_BYTES(params), min_in,           max_in,                      \
              min_out, max_out, flags,               mrt_##name##_check, mrt_##name##_run,          \
              NULL},
#define PACKED_KERNEL(name, code, params, min_in, max_in, min_out, max_out, flags)                 \
    [code] = {#name,  code,    PARAM_BYTES(params), min_in,           max_in,                      \
              min_out, max_out, flags,               mrt_##name##_check, mrt_##name##_run,          \
              mrt_##name##_pack},
#include "runtime/kernels.def"
};

const mrt_kernel *mrt_kernel_find(uint16_t code) {
    if (code >= sizeof table / sizeof table[0] || table[code].check == NULL) {
        return NULL;
    }
    return &table[code];
}
