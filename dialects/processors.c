#include "dialects/processors.h"

#include <string.h>
#include <strings.h>

static const char *const mode_names[] = {
#define X(name, summary) #name,
    MICA_MODE_LIST(X)
#undef X
};

enum {
#define X(name, summary) MODE_##name = 1u << MICA_MODE_##name,
    MICA_MODE_LIST(X)
#undef X
};

static const mica_processor processors[] = {
#define PROCESSOR(name, scheme, modes, fallback, lanes, local, banks, mhz, dram, summary)          \
    {#name, MICA_SCHEME_##scheme, modes, MICA_MODE_##fallback, lanes, local, banks, mhz, dram, summary},
#include "dialects/processors.def"
};

static const char *const processor_names[] = {
#define PROCESSOR(name, ...) #name,
#include "dialects/processors.def"
};

enum { N_PROCESSORS = sizeof processors / sizeof processors[0] };

const char *mica_mode_name(mica_mode mode) { return mode_names[mode]; }

const char *const *mica_mode_names(size_t *out_count) {
    *out_count = MICA_MODE_COUNT;
    return mode_names;
}

bool mica_mode_find(const char *name, mica_mode *out_mode) {
    for (int i = 0; i < MICA_MODE_COUNT; ++i) {
        if (strcasecmp(name, mode_names[i]) == 0) {
            *out_mode = (mica_mode)i;
            return true;
        }
    }
    return false;
}

const mica_processor *mica_processor_find(const char *name) {
    for (size_t i = 0; i < N_PROCESSORS; ++i) {
        if (strcasecmp(name, processors[i].name) == 0) {
            return &processors[i];
        }
    }
    return NULL;
}

const char *const *mica_processor_names(size_t *out_count) {
    *out_count = N_PROCESSORS;
    return processor_names;
}

bool mica_processor_has_mode(const mica_processor *processor, mica_mode mode) {
    return (processor->modes >> mode & 1u) != 0;
}

mica_mode mica_processor_nearest_mode(const mica_processor *processor, mica_mode wanted) {
    /* A float mode is nearest to another float mode, widest first; an integer one to INT8. */
    static const mica_mode floats[] = {MICA_MODE_F16, MICA_MODE_BF16, MICA_MODE_F32, MICA_MODE_INT8};
    static const mica_mode integers[] = {MICA_MODE_INT8, MICA_MODE_F16, MICA_MODE_BF16, MICA_MODE_F32};
    const mica_mode *order = mica_mode_has_integers(wanted) ? integers : floats;
    for (int i = 0; i < 4; ++i) {
        if (mica_processor_has_mode(processor, order[i])) {
            return order[i];
        }
    }
    return processor->fallback;
}

const char *mica_scheme_name(mica_scheme scheme) {
    static const char *const names[] = {"multiplier_shift", "shift_only", "qdm"};
    return names[scheme];
}
