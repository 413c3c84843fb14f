#!/usr/bin/env python3
"""Library code takes memory from its own allocators only, and never prints or ends the process."""
import re

import style

CALL = r"(?<![\w.>])(?:%s)\s*\("
RULES = (
    ("takes heap memory", CALL % "malloc|calloc|realloc|free|strdup|strndup|aligned_alloc|posix_memalign",
     # arena.c is the compiler's heap; runtime has its own; the C++ borders hand memory over.
     ("utils/arena.c", "runtime/", "backends/bundle/")),
    ("ends the process", CALL % "exit|_exit|abort|quick_exit", ("utils/arena.c",)),
    ("prints", CALL % "printf|puts|putchar|vprintf|perror|fputs|fprintf|putc|fputc|fwrite",
     # Streams given by the caller, the diagnostic handler, and output that was asked for by name.
     ("utils/progress.c", "utils/arena.c", "utils/options_help.c", "utils/options.c",
      "ir/diag.c", "ir/pass.c")),
)
# Writing to a stream that is a parameter is no printing: only the process's own streams are.
STREAM = re.compile(r"\b(?:fprintf|fputs|fputc|putc|fwrite)\s*\(")
STANDARD = re.compile(r"\b(?:stdout|stderr)\b")


def problems_of(path):
    lines = style.without_comments(style.read(path)).split("\n")
    for number, line in enumerate(lines, 1):
        for what, pattern, exempt in RULES:
            if path.startswith(exempt) or not re.search(pattern, line):
                continue
            if what == "prints" and STREAM.search(line):
                continue
            yield "%s:%d: library code %s" % (path, number, what)
        if STANDARD.search(line) and not path.startswith(RULES[2][2]):
            yield "%s:%d: library code names stdout or stderr" % (path, number)


if __name__ == "__main__":
    files = style.sources(style.LIBRARIES, (".c", ".h", ".cpp"))
    style.verdict([p for f in files for p in problems_of(f)], "forbidden: %d files" % len(files))
