#!/usr/bin/env python3
"""Library code takes memory from its own allocators only, and never prints or ends the process."""
import re

import style

CALL = r"(?<![\w.>])(?:%s)\s*\("
# What, pattern, files that may.
RULES = (
    ("takes heap memory",
     CALL % "malloc|calloc|realloc|free|strdup|strndup|aligned_alloc|posix_memalign",
     # arena.c is the compiler's heap; the runtime has its own; the writer of bundles takes over
     # the block that the C++ file hands it.
     ("utils/arena.c", "runtime/", "backends/bundle/bundle_fb.cpp",
      "backends/bundle/bundle_writer.c")),
    ("ends the process", CALL % "exit|_exit|abort|quick_exit", ("utils/arena.c",)),
    # A stream that the caller gave is no printing: only the process's own streams are.
    ("prints", CALL % "printf|vprintf|puts|putchar|perror" + r"|\b(?:stdout|stderr)\b",
     # The out-of-memory hook, progress and help that were asked for, the diagnostic handler.
     ("utils/arena.c", "utils/progress.c", "utils/options.c", "utils/options_help.c", "ir/diag.c",
      "ir/pass.c")),
)


def problems_of(path):
    lines = style.without_comments(style.read(path)).split("\n")
    for number, line in enumerate(lines, 1):
        for what, pattern, exempt in RULES:
            if not path.startswith(exempt) and re.search(pattern, line):
                yield "%s:%d: library code %s" % (path, number, what)


if __name__ == "__main__":
    files = style.sources(style.LIBRARIES, (".c", ".h", ".cpp"))
    style.verdict([p for f in files for p in problems_of(f)], "forbidden: %d files" % len(files))
