"""Makes the constants of the text tests of attention, affine and parts: make_attention.py FILE TEST ...
(needs numpy). The name of a constant says what it is: w_4x3 and p_4 random numbers of that shape, c_0_5 the
scalar 0.5, i_m1 the index -1."""
import re
import sys

import numpy as np

names = set()
for path in sys.argv[2:]:
    names.update(re.findall(r'"top\.Weight"\(\).* loc\("(\w+)"\)', open(path).read()))
rng = np.random.default_rng(7)
arrays = {}
for name in sorted(names):
    kind, value = name.split("_", 1)
    if kind == "c":
        arrays[name] = np.array(float(value.replace("_", ".")), np.float32)
    elif kind == "i":
        arrays[name] = np.array(int(value.replace("m", "-")), np.int64)
    else:
        arrays[name] = rng.normal(size=[int(d) for d in value.split("x")]).astype(np.float32)
np.savez(sys.argv[1], **arrays)
