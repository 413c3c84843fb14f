#!/usr/bin/env python3
"""Random tests of the kernels with new seeds until the time is over.

    differential.py [--build build] [--seconds 300] [--seed N] [--rounds 20] [--jobs N] [PROGRAM ...]

Runs the case "random" of unit test programs: every row of the kernel tables that the machine has, with 1 to 4
threads, against oracles of their own, and random graphs in channels-last form against row-major form. Each
run gets the next seed, beginning with --seed (default: from the clock). A failure is printed with the command that
repeats it; the exit status is then 1. --rounds is how much of its usual number of cases a run draws, in percent."""
import argparse
import concurrent.futures
import os
import re
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PROGRAMS = ["test_tile_isa", "test_kernels_int", "test_kernels_int_elem", "test_runtime_layout",
            "test_runtime_layout_float"]


def run(options, program, seed):
    """The output of a run that failed, else None."""
    settings = {"MICA_TEST_SEED": str(seed), "MICA_TEST_ROUNDS": str(options.rounds),
                "CK_RUN_CASE": "random"}
    path = os.path.join(options.build, "test", program)
    environment = dict(os.environ, CK_TIMEOUT_MULTIPLIER="100", **settings)
    try:
        done = subprocess.run([path], env=environment, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=900, check=False)
        text, failed = done.stdout, done.returncode != 0 or not re.search(r"Checks: [1-9]\d*, Failures: 0, Errors: 0", done.stdout)
    except subprocess.TimeoutExpired:
        text, failed = "no end within 900 s\n", True
    command = " ".join("%s=%s" % pair for pair in settings.items())
    return "%sto repeat: %s %s\n" % (text, command, path) if failed else None


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=os.path.join(ROOT, "build"))
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--seed", type=int, default=int(time.time()) * 1000)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("programs", nargs="*", metavar="PROGRAM", default=PROGRAMS)
    options = parser.parse_args()
    if options.rounds < 1 or options.jobs < 1 or options.seed < 0:
        parser.error("--rounds and --jobs are at least 1, --seed at least 0")
    for program in options.programs:
        if not os.access(os.path.join(options.build, "test", program), os.X_OK):
            parser.error("no program %s in %s/test" % (program, options.build))
    end = time.monotonic() + options.seconds
    runs, failures = 0, 0
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        waiting = set()
        # every program runs at least once
        while runs < len(options.programs) or (time.monotonic() < end and failures < 10):
            program = options.programs[runs % len(options.programs)]
            waiting.add(pool.submit(run, options, program, options.seed + runs))
            runs += 1
            if len(waiting) >= options.jobs:
                done, waiting = concurrent.futures.wait(
                    waiting, return_when=concurrent.futures.FIRST_COMPLETED)
                failures += report(done)
        failures += report(waiting)
    print("differential: seeds %d to %d, %d runs, %d failed" %
          (options.seed, options.seed + runs - 1, runs, failures))
    return 1 if failures else 0


def report(futures):
    texts = [f.result() for f in futures]
    for text in filter(None, texts):
        print(text, flush=True)
    return sum(1 for text in texts if text)


if __name__ == "__main__":
    sys.exit(main())
