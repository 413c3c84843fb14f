#!/usr/bin/env python3
"""Speed of inference side by side: Mica float and int8, onnxruntime float and QDQ int8, the machine's limit.
    bench/compare.py [--build build] [--shared ../shared] [--quick] [--isa vnni avx512] [--no-write] [MODEL ...]
All programs of one row take turns in one run, so that they meet the same load; onnxruntime runs the model quantized by
quantize_static, per channel, with the same calibration samples. Prints a Markdown table and adds it, with date,
processor and load, to bench/RESULTS.md. Files that take long to make are kept in --work. Without onnxruntime in this
Python its columns say so; then models with random weights (topologies.py) exist only if an earlier run made them."""
import argparse
import datetime
import importlib.metadata
import json
import math
import os
import statistics
import subprocess
import sys
import time

import flow as flows
from flow import EFFICIENTNET, HERE, calibrate, deploy, digit_files, int8, mica, peer, photos, transform, write_list

MARK = "<!-- compare.py adds here -->"
RESULTS = os.path.join(HERE, "RESULTS.md")
GENERATED = ("resnet18", "resnet50", "mobilenetv2", "vit_tiny")
MODELS = ("resnet18", "resnet50", "mobilenetv2", "efficientnet_lite0", "vit_tiny", "minilm_l3", "light_resnet50",
          "mnist_lenet", "mnist_mobilenetv2", "mnist_vit")
QUICK = ("mobilenetv2", "efficientnet_lite0", "resnet18", "minilm_l3")
SAMPLES = 8
# Wanted ratios with 1 and 2 threads: int8 to the peer's int8 by instruction set, or to its float.
CONVOLUTION = {"vnni": (0.90, 0.90), "avx512": (0.85, 0.85), "avx2": (0.85, 0.85)}
WANTED = {"resnet18": dict(CONVOLUTION, amx=(0.35, 0.40)), "resnet50": dict(CONVOLUTION, amx=(0.35, 0.40)),
          "mobilenetv2": dict(CONVOLUTION, amx=(0.65, 0.70)), "efficientnet_lite0": dict(CONVOLUTION, amx=(0.65, 0.70))}
WANTED_TO_FLOAT = {"minilm_l3": 0.5, "vit_tiny": 0.5, "mnist_vit": 0.5}
WANTED_FLOAT = 1.0


# --- files ----------------------------------------------------------------------------------------------

def newer(flow, path):
    """The file exists and was made by these programs, or later."""
    programs = ("model_transform", "run_calibration", "model_deploy")
    return os.path.exists(path) and os.path.getmtime(path) > max(
        os.path.getmtime(os.path.join(flow.bin, p)) for p in programs)


def samples_of(flow, name):
    if name == "minilm_l3":
        folder = flow.data("models/minilm/samples")
        return [os.path.join(folder, f) for f in sorted(os.listdir(folder))[:SAMPLES]]
    if name.startswith("mnist_"):
        folder = flow.path("digits_train")
        if not os.path.exists(folder):
            digit_files(flow, "train")
        return [os.path.join(folder, f) for f in sorted(os.listdir(folder))[:SAMPLES]]
    if name.startswith("light_"):
        return [flow.data("expected", name + ".npz")]
    return photos(flow)[:SAMPLES]


def prepare(flow, name, with_peer):
    """Makes what the row needs and the cache lacks; returns the error text, or None."""
    if name in GENERATED and not os.path.exists(flow.path(name + ".onnx")):
        made = flows.Result([sys.executable, os.path.join(HERE, "topologies.py"), name, flow.path(name + ".onnx")])
        if not made.ok:
            return "not generated: topologies.py needs numpy and onnx"
    if not os.path.exists(flow.model(name)):
        return "no such model"
    files = samples_of(flow, name)
    if not newer(flow, flow.path(name + ".bmodel")):
        images = EFFICIENTNET if files[0].endswith(".jpg") else ["--channel_format", "none"]
        source = write_list(flow, name + ".txt", files)
        for step in (lambda: transform(flow, name, *images), lambda: calibrate(flow, name, source, "max"),
                     lambda: deploy(flow, name, name + ".bmodel", *int8(flow, name))):
            result = step()
            if not result.ok:
                return (result.err.strip().split("\n") or ["failed"])[-1]
    if with_peer and not os.path.exists(flow.path(name + "_qdq.onnx")):
        peer("quantize", "MinMax", flow.model(name), flow.path(name + "_qdq.onnx"), *files)
    return None


# --- runners: each gives the milliseconds of `count` runs -------------------------------------------------

class Ours:
    def __init__(self, flow, model, sample, threads, isa=None):
        self.flow, self.isa = flow, isa
        self.command = [os.path.join(flow.bin, "model_runner"), "--model", model, "--input", sample, "--output",
                        flow.path("out.npz"), "--threads", str(threads), "--json", flow.path("out.json")]

    def read(self, *more):
        env = dict(os.environ)
        env.pop("MICA_ISA", None)
        if self.isa:
            env["MICA_ISA"] = self.isa
        done = subprocess.run(self.command + list(more), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env)
        if done.returncode != 0:
            return None
        with open(self.flow.path("out.json")) as file:
            return json.load(file)

    def run(self, count):
        found = self.read("--bench", str(count))
        return found["runs_ms"] if found else []

    def limit(self):
        """Milliseconds that the machine needs at least, as far as its neighbours let it be measured."""
        found = self.read("--bench", "1", "--profile")
        return found["profile"]["total"]["limit_ms"] if found else math.inf

    def close(self):
        pass


class Peer:
    def __init__(self, model, sample, threads):
        self.process = None
        if os.path.exists(model):
            self.process = subprocess.Popen([sys.executable, flows.PEER, "serve", model, str(threads), sample],
                                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                            text=True)
            if not self.process.stdout.readline().startswith("ready"):
                self.close()

    def run(self, count):
        if self.process is None:
            return []
        try:
            self.process.stdin.write("%d\n" % count)
            self.process.stdin.flush()
            return [float(t) for t in self.process.stdout.readline().split()]
        except BrokenPipeError:
            return []

    def close(self):
        if self.process is not None:
            self.process.stdin.close()
            self.process.wait()
            self.process = None


# --- one row ----------------------------------------------------------------------------------------------

def take_turns(runners, rounds, batch, deadline):
    """Runs all in turn, `batch` seconds each; all times by name. At least one round, then until the deadline."""
    times = {name: [] for name in runners}
    for number in range(rounds):
        if number > 0 and time.monotonic() > deadline:
            break
        names = list(runners)
        for name in names[number % len(names):] + names[:number % len(names)]:
            known = times[name]
            count = 2 if not known else max(2, min(300, math.ceil(1e3 * batch / statistics.median(known))))
            times[name] += runners[name].run(count)
    return times


def measure(flow, name, threads, isas, options, deadline):
    sample = samples_of(flow, name)[0]
    runners = {"float": Ours(flow, flow.path(name + ".mlir"), sample, threads)}
    for isa in isas:
        runners["int8 " + isa] = Ours(flow, flow.path(name + ".bmodel"), sample, threads, isa)
    if options.peer:
        runners["peer float"] = Peer(flow.model(name), sample, threads)
        runners["peer int8"] = Peer(flow.path(name + "_qdq.onnx"), sample, threads)
    try:
        before = {isa: runners["int8 " + isa].limit() for isa in isas}
        times = take_turns(runners, options.rounds, options.batch, deadline)
        limits = {isa: min(before[isa], runners["int8 " + isa].limit()) for isa in isas}
    finally:
        for runner in runners.values():
            runner.close()
    return times, limits


def cell(times, missing):
    return "%.3f / %.3f" % (min(times), statistics.median(times)) if times else missing


def ratio(ours, other):
    return min(ours) / min(other) if ours and other else None


def judged(value, wanted):
    if value is None:
        return "-"
    if wanted is None:
        return "%.2f" % value
    return "%.2f (<= %.2f %s)" % (value, wanted, "met" if value <= wanted else "missed")


def rows_of(name, threads, isas, times, limits, missing):
    found = []
    column = 0 if threads == 1 else 1
    for isa in isas:
        ours = times["int8 " + isa]
        real, peer_float, peer_int8 = times["float"], times.get("peer float", []), times.get("peer int8", [])
        limit = limits[isa] if limits[isa] < math.inf else None
        wanted = WANTED.get(name, {}).get(isa, (None, None))[column]
        found.append((name, threads, isa, cell(real, "failed"), cell(ours, "failed"), cell(peer_float, missing),
                      cell(peer_int8, missing), judged(ratio(ours, peer_int8), wanted),
                      judged(ratio(ours, peer_float), WANTED_TO_FLOAT.get(name)),
                      judged(ratio(real, peer_float), WANTED_FLOAT if peer_float else None),
                      "%.3f" % limit if limit else "-", "%.0f %%" % (100.0 * limit / min(ours)) if limit and ours else "-"))
    return found


HEAD = ("model", "threads", "ISA", "Mica float", "Mica int8", "peer float", "peer int8", "int8 : peer int8",
        "int8 : peer float", "float : peer float", "limit int8", "share")


# --- the whole --------------------------------------------------------------------------------------------

def chosen_isas(flow, options):
    """Name and features of the processor; the instruction sets to measure."""
    lines = dict(l.split(": ", 1) for l in mica(flow, "model_tool", "--cpu").text.split("\n") if ": " in l)
    chosen = next(v.split(" ")[0] for k, v in lines.items() if k.startswith("kernels, integer"))
    return "%s; %s" % (lines["processor"], lines["features"]), options.isa or [chosen]


def compare(flow, options):
    cpu, isas = chosen_isas(flow, options)
    names = options.models or (QUICK if options.quick else MODELS)
    missing = "-" if options.peer else "no onnxruntime"
    start = time.monotonic()
    ready = {}
    for name in names:
        ready[name] = prepare(flow, name, options.peer)
        print("%s: %s" % (name, ready[name] or "ready"), file=sys.stderr, flush=True)
    load = "%.1f" % os.getloadavg()[0]
    jobs = [(name, threads) for name in names if ready[name] is None for threads in options.threads]
    rows = [(name, "-", "-", ready[name]) + ("-",) * 8 for name in names if ready[name] is not None]
    end = time.monotonic() + options.budget
    for i, (name, threads) in enumerate(jobs):
        deadline = time.monotonic() + (end - time.monotonic()) / (len(jobs) - i)
        times, limits = measure(flow, name, threads, isas, options, deadline)
        rows += rows_of(name, threads, isas, times, limits, missing)
        print(" | ".join(map(str, rows[-1])), file=sys.stderr, flush=True)
    version = importlib.metadata.version("onnxruntime") if options.peer else "missing"
    title = "### %s, %s\n\nPeer: onnxruntime %s. Load average %s on %d processors; %.0f s.%s Milliseconds: least / median.\n" % (
        datetime.date.today().isoformat(), cpu, version, load, os.cpu_count(), time.monotonic() - start,
        " Quick." if options.quick else "")
    lines = ["| %s |" % " | ".join(HEAD), "|%s" % ("---|" * len(HEAD))]
    lines += ["| %s |" % " | ".join(map(str, row)) for row in rows]
    return title + "\n" + "\n".join(lines) + "\n"


def add_to_results(text, path):
    with open(path) as file:
        old = file.read()
    if MARK not in old:
        sys.exit("%s has no line '%s'" % (path, MARK))
    with open(path, "w") as file:
        file.write(old.replace(MARK, MARK + "\n\n" + text.rstrip("\n"), 1))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build")
    parser.add_argument("--shared", default="../shared", help="folder with models and calibration data")
    parser.add_argument("--work", help="folder of kept files; default: compare in the build folder")
    parser.add_argument("--quick", action="store_true", help="four models, short: below a minute once files are made")
    parser.add_argument("--isa", nargs="+", help="instruction sets for Mica int8, each a row; default: the one chosen")
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--budget", type=float, help="seconds for measuring; default 240, quick 40")
    parser.add_argument("--results", default=RESULTS, help="file to add the table to")
    parser.add_argument("--no-write", action="store_true", help="print only")
    parser.add_argument("models", nargs="*", metavar="MODEL", help="default: " + " ".join(MODELS))
    options = parser.parse_args()
    options.budget = options.budget or (40.0 if options.quick else 240.0)
    options.rounds, options.batch = (3, 0.1) if options.quick else (8, 0.25)
    options.work = options.work or os.path.join(options.build, "compare")
    options.runs = 1
    options.peer = flows.has_peer()
    text = compare(flows.Flow(options), options)
    print(text)
    if not options.no_write:
        add_to_results(text, options.results)


if __name__ == "__main__":
    main()
