#!/usr/bin/env python3
"""No hand-written file above 600 lines; prints the median."""
import statistics

import style

LIMIT = 600

if __name__ == "__main__":
    lengths = {f: style.read(f).count("\n") for f in style.sources()}
    problems = ["%s: %d lines, the limit is %d" % (f, n, LIMIT)
                for f, n in lengths.items() if n > LIMIT]
    style.verdict(problems, "length: %d files, median %d lines, longest %d" % (
        len(lengths), statistics.median(lengths.values() or [0]), max(lengths.values() or [0])))
