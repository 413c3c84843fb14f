"""Text tests: RUN lines checked with FileCheck. Run by test/run.sh, or alone with
    python3 /usr/lib/llvm-14/build/utils/lit/lit.py -sv test/lit --param build=build
"""
import os

import lit.formats

root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
build = os.path.abspath(lit_config.params.get("build", os.path.join(root, "build")))

config.name = "mica"
config.test_format = lit.formats.ShTest(execute_external=False)
config.suffixes = [".mlir", ".test"]
config.excludes = ["inputs", "lit.cfg.py"]
config.test_source_root = os.path.join(root, "test", "lit")
config.test_exec_root = os.path.join(build, "test", "lit")

# Our programs first; then FileCheck and not (llvm-14-tools), then mlir-opt (mlir-19-tools).
path = [os.path.join(build, "bin"), "/usr/lib/llvm-14/bin", "/usr/lib/llvm-19/bin"]
config.environment["PATH"] = os.pathsep.join(path + [config.environment.get("PATH", "")])
for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS", "MICA_NUM_THREADS"):
    if name in os.environ:
        config.environment[name] = os.environ[name]
config.environment.setdefault("MICA_NUM_THREADS", "2")

# %root: the repository. REQUIRES: mlir-opt for tests that ask upstream MLIR.
config.substitutions.append(("%root", root))
if os.path.exists("/usr/lib/llvm-19/bin/mlir-opt"):
    config.available_features.add("mlir-opt")
