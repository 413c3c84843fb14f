#include "runtime/mrt_cpu.h"

#include "runtime/kernels/tile_f32.h"
#include "runtime/kernels/tile_isa.h"

#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__aarch64__) && defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif
#if defined(__x86_64__) && defined(__GNUC__)
#include <cpuid.h>
#define CPU_X86 1
#ifdef __linux__
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif
#endif

/* --- features ---------------------------------------------------------------------------------- */

#ifdef CPU_X86
enum { EAX, EBX, ECX, EDX };
/* Registers that the system must save, bits of XCR0: SSE and AVX; the three of AVX-512; tiles. */
enum { SAVES_AVX = 0x6, SAVES_AVX512 = 0xe6, SAVES_AMX = 0x60006 };

static const struct {
    const char *name;
    uint32_t leaf, subleaf, bit;
    int where;
    uint64_t saved;
} feature_table[] = {
    {"AVX2", 7, 0, 5, EBX, SAVES_AVX},
    {"FMA", 1, 0, 12, ECX, SAVES_AVX},
    {"AVX512F", 7, 0, 16, EBX, SAVES_AVX512},
    {"AVX512BW", 7, 0, 30, EBX, SAVES_AVX512},
    {"AVX512VL", 7, 0, 31, EBX, SAVES_AVX512},
    {"AVX512DQ", 7, 0, 17, EBX, SAVES_AVX512},
    {"AVX512-VNNI", 7, 0, 11, ECX, SAVES_AVX512},
    {"AVX-VNNI", 7, 1, 4, EAX, SAVES_AVX},
    {"AMX-TILE", 7, 0, 24, EDX, SAVES_AMX},
    {"AMX-INT8", 7, 0, 25, EDX, SAVES_AMX},
};
enum { FEATURES = sizeof feature_table / sizeof feature_table[0] };

/* Register groups that the system saves; 0 when it does not say. */
static uint64_t saved_registers(void) {
    uint32_t a = 0, b = 0, c = 0, d = 0;
    if (!__get_cpuid(1, &a, &b, &c, &d) || (c & (1u << 27)) == 0) {
        return 0;
    }
    uint32_t low = 0, high = 0;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

bool mrt_cpu_feature_at(int i, mrt_cpu_feature *out) {
    if (i < 0 || i >= FEATURES) {
        return false;
    }
    uint32_t r[4] = {0};
    const bool known = __get_cpuid_count(feature_table[i].leaf, feature_table[i].subleaf, &r[EAX],
                                         &r[EBX], &r[ECX], &r[EDX]) != 0;
    const uint64_t saved = feature_table[i].saved;
    out->name = feature_table[i].name;
    out->present = known && (r[feature_table[i].where] >> feature_table[i].bit & 1u) != 0 &&
                   (saved_registers() & saved) == saved;
    return true;
}

void mrt_cpu_name(char text[MRT_CPU_NAME]) {
    uint32_t words[13] = {0};
    snprintf(text, MRT_CPU_NAME, "unknown");
    for (uint32_t i = 0; i < 3; i++) {
        uint32_t *w = words + 4 * i;
        if (!__get_cpuid(0x80000002u + i, &w[0], &w[1], &w[2], &w[3])) {
            return;
        }
    }
    const char *brand = (const char *)words;
    while (*brand == ' ') {
        brand++;
    }
    if (*brand != '\0') {
        snprintf(text, MRT_CPU_NAME, "%.48s", brand);
    }
}
#else
bool mrt_cpu_feature_at(int i, mrt_cpu_feature *out) {
#ifdef __aarch64__
    const mrt_cpu_feature features[] = {{"NEON", true}, {"DOTPROD", mrt_cpu_dotprod()},
                                        {"I8MM", mrt_cpu_i8mm()}};
    if (i >= 0 && i < (int)(sizeof features / sizeof features[0])) {
        *out = features[i];
        return true;
    }
#endif
    (void)i;
    (void)out;
    return false;
}

void mrt_cpu_name(char text[MRT_CPU_NAME]) { snprintf(text, MRT_CPU_NAME, "unknown"); }
#endif

#if defined(CPU_X86) && defined(__linux__)
static bool has_feature(const char *name) {
    mrt_cpu_feature f;
    for (int i = 0; mrt_cpu_feature_at(i, &f); i++) {
        if (strcmp(f.name, name) == 0) {
            return f.present;
        }
    }
    return false;
}

static bool ask_for_tiles(void) {
    enum { REQUEST = 0x1023, TILE_DATA = 18 }; /* ARCH_REQ_XCOMP_PERM, number of the registers */
    return has_feature("AMX-TILE") && has_feature("AMX-INT8") &&
           syscall(SYS_arch_prctl, REQUEST, TILE_DATA) == 0;
}

static bool ask_for_avx_vnni(void) { return has_feature("AVX2") && has_feature("AVX-VNNI"); }

/* An answer is written once for the process: cpuid leaves a virtual machine, which costs as much as a
 * small kernel, and kernels ask at each call. Threads that race write the same. */
static bool answered(atomic_int *answer, bool (*ask)(void)) {
    enum { UNKNOWN, REFUSED, GRANTED };
    int known = atomic_load_explicit(answer, memory_order_relaxed);
    if (known == UNKNOWN) {
        known = ask() ? GRANTED : REFUSED;
        atomic_store_explicit(answer, known, memory_order_relaxed);
    }
    return known == GRANTED;
}

bool mrt_cpu_tiles(void) {
    static atomic_int answer;
    return answered(&answer, ask_for_tiles);
}

bool mrt_cpu_avx_vnni(void) {
    static atomic_int answer;
    return answered(&answer, ask_for_avx_vnni);
}
#else
bool mrt_cpu_tiles(void) { return false; }
bool mrt_cpu_avx_vnni(void) { return false; }
#endif

#if defined(__aarch64__) && defined(__linux__)
bool mrt_cpu_dotprod(void) { return (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0; }
bool mrt_cpu_i8mm(void) { return (getauxval(AT_HWCAP2) & HWCAP2_I8MM) != 0; }
#else
bool mrt_cpu_dotprod(void) { return false; }
bool mrt_cpu_i8mm(void) { return false; }
#endif

int mrt_cpu_threads(void) {
    cpu_set_t set;
    CPU_ZERO(&set);
    const int n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    return n < 1 ? 1 : n > MRT_CPU_MOST_THREADS ? MRT_CPU_MOST_THREADS : n;
}

/* --- tables ------------------------------------------------------------------------------------ */

/* Fills a table from the functions that every one has: row, availability, choice. */
#define FILL(out, text, at, has, select)                                                           \
    do {                                                                                           \
        *(out) = (mrt_cpu_table){.name = text, .chosen = select()->name};                          \
        for (int k = 0; k < MRT_CPU_ROWS && at(k) != NULL; k++) {                                  \
            (out)->row[k] = at(k)->name;                                                           \
            (out)->available[k] = has(at(k));                                                      \
            (out)->rows = k + 1;                                                                   \
        }                                                                                          \
    } while (0)

bool mrt_cpu_table_at(int i, mrt_cpu_table *out) {
    switch (i) {
    case 0:
        FILL(out, "integer", mrt_tile_isa_at, mrt_tile_isa_available,
             mrt_tile_isa_select);
        return true;
    case 1:
        FILL(out, "float", mrt_tile_f32_isa_at, mrt_tile_f32_isa_available,
             mrt_tile_f32_isa_select);
        return true;
    default:
        return false;
    }
}

/* Appends ", name" unless the text has that name already. */
static void add_name(char *text, size_t size, const char *name) {
    const size_t length = strlen(name);
    for (const char *at = text; (at = strstr(at, name)) != NULL; at += length) {
        if ((at == text || at[-1] == ' ') && (at[length] == ',' || at[length] == '\0')) {
            return;
        }
    }
    const size_t used = strlen(text);
    snprintf(text + used, size - used, "%s%s", used > 0 ? ", " : "", name);
}

mrt_status mrt_cpu_check_isa(mrt_error *err) {
    const char *wanted = getenv("MICA_ISA");
    char known[128] = "", usable[128] = "";
    bool found = false;
    mrt_cpu_table table;
    if (wanted == NULL || *wanted == '\0') {
        return MRT_OK;
    }
    for (int i = 0; mrt_cpu_table_at(i, &table); i++) {
        for (int k = 0; k < table.rows; k++) {
            const bool same = strcmp(wanted, table.row[k]) == 0;
            if (same && table.available[k]) {
                return MRT_OK;
            }
            found = found || same;
            add_name(known, sizeof known, table.row[k]);
            if (table.available[k]) {
                add_name(usable, sizeof usable, table.row[k]);
            }
        }
    }
    return found ? mrt_fail(err, MRT_UNSUPPORTED, "MICA_ISA is '%.40s', which this processor lacks; "
                            "it has %s", wanted, usable)
                 : mrt_fail(err, MRT_INVALID, "MICA_ISA is '%.40s'; expected one of %s", wanted,
                            known);
}
