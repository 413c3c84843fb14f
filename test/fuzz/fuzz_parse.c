/* Fuzz target of the text reader: any bytes either give diagnostics or a module that prints, reads
 * back equal, clones and verifies without a crash. Build:
 *     clang -fsanitize=fuzzer,address,undefined -I. test/fuzz/fuzz_parse.c <libraries> */
#include "dialects/dialects.h"
#include "ir/builder.h"
#include "ir/equal.h"
#include "ir/text.h"
#include "ir/verify.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void ignore(void *user, mica_severity severity, mica_loc loc, const char *text) {
    (void)user;
    (void)severity;
    (void)loc;
    (void)text;
}

static void check_roundtrip(mica_module *module, unsigned flags) {
    mica_strbuf text = {0};
    mica_print_with(&text, module->op, flags);
    mica_module *again = mica_parse(module->context, text.data, text.len, "printed");
    if (!again || !mica_module_equal(module, again, NULL)) {
        abort();
    }
    mica_module_destroy(again);
    mica_strbuf_free(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    mica_context *context = mica_context_create();
    mica_register_dialects(context);
    mica_set_diag_handler(context, ignore, NULL);
    mica_module *module = mica_parse(context, (const char *)data, size, "fuzz.mlir");
    if (module) {
        check_roundtrip(module, 0);
        check_roundtrip(module, MICA_PRINT_GENERIC);
        mica_verify(module);
        mica_module *copy = mica_module_clone(module);
        if (!mica_module_equal(module, copy, NULL)) {
            abort();
        }
        mica_module_destroy(copy);
        mica_module_destroy(module);
    }
    mica_context_destroy(context);
    return 0;
}
