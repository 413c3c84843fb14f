#!/usr/bin/env python3
"""Every #include "..." of a library must stay inside the include matrix."""
import os
import re

import style

# Folder -> prefixes of what it may include besides itself.
MATRIX = {
    "utils": (),
    "runtime": ("dialects/ops.def",),
    "ir": ("utils/",),
    "dialects": ("ir/", "utils/", "runtime/"),
    "passes": ("dialects/", "ir/", "utils/", "runtime/"),
    "frontends": ("dialects/", "ir/", "utils/", "runtime/", "onnx/onnx.pb-c.h"),
    "backends": ("dialects/", "ir/", "utils/", "runtime/", "bundle_generated.h"),
}
# Generated headers that one file of a folder may see.
GENERATED = {"runtime": ("bundle_generated.h",)}
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*"([^"]+)"', re.M)


def problems_of(path):
    folder = path.split("/")[0]
    allowed = (folder + "/",) + MATRIX[folder] + GENERATED.get(folder, ())
    text = style.read(path)
    for match in INCLUDE.finditer(text):
        name = match.group(1)
        line = text.count("\n", 0, match.start()) + 1
        if not name.startswith(allowed):
            yield "%s:%d: '%s' may not include \"%s\"" % (path, line, folder, name)
        elif "/" in name and not name.startswith("onnx/") and not os.path.exists(
                os.path.join(style.ROOT, name)):
            yield "%s:%d: \"%s\" does not exist; paths start at the root" % (path, line, name)


if __name__ == "__main__":
    files = style.sources(style.LIBRARIES, (".c", ".h", ".cpp", ".def"))
    style.verdict([p for f in files for p in problems_of(f)], "layers: %d files" % len(files))
