"""Text tests: RUN lines checked with FileCheck. Run by test/run.sh, or alone with
    python3 /usr/lib/llvm-14/build/utils/lit/lit.py -sv test/lit --param build=build
(or the build folder in MICA_BUILD). Programs of the build are written by name, mica-opt or
%mica-opt; FileCheck, not and mlir-opt come from LLVM. Features: `mlir-opt` when upstream's tool is
installed, `shared` when the folder with models and data stands beside the repository (%shared)."""

import glob
import os
import re
import shutil

import lit.formats

root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
build = lit_config.params.get("build", os.environ.get("MICA_BUILD", os.path.join(root, "build")))
build = os.path.abspath(build)

config.name = "mica"
config.test_format = lit.formats.ShTest(execute_external=False)
config.suffixes = [".mlir", ".test"]
config.excludes = ["inputs", "Inputs", "lit.cfg.py"]
config.test_source_root = os.path.join(root, "test", "lit")
config.test_exec_root = os.path.join(build, "test", "lit")

for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS", "MICA_NUM_THREADS"):
    if name in os.environ:
        config.environment[name] = os.environ[name]
config.environment.setdefault("MICA_NUM_THREADS", "2")

programs = os.path.join(build, "bin")
llvm_folders = sorted(glob.glob("/usr/lib/llvm-*/bin"))
path = os.environ.get("PATH", "").split(os.pathsep) + llvm_folders


def find_tool(*names):
    found = [shutil.which(name, path=os.pathsep.join(path)) for name in names]
    return next((tool for tool in found if tool), None)


def substitute(name, value):
    # The name must end here: %model_run is not the start of %model_runner.
    config.substitutions.append(("%" + re.escape(name) + r"(?![\w-])", value))


for program in sorted(os.listdir(programs)) if os.path.isdir(programs) else []:
    substitute(program, os.path.join(programs, program))

# Our programs first; then FileCheck and not, then mlir-opt.
folders = [programs]
for name in ("FileCheck", "not"):
    tool = find_tool(name)
    if tool is None:
        lit_config.fatal("cannot find " + name + " of LLVM")
    folders.append(os.path.dirname(tool))

mlir_opt = find_tool("mlir-opt-19", "mlir-opt")
if mlir_opt:
    config.available_features.add("mlir-opt")
    substitute("mlir-opt", mlir_opt)
folders += [folder for folder in llvm_folders if os.path.exists(os.path.join(folder, "mlir-opt"))]
config.environment["PATH"] = os.pathsep.join(list(dict.fromkeys(folders + path)))

# %root: the repository; %build: the build folder.
substitute("root", root)
substitute("build", build)
shared = os.path.join(os.path.dirname(root), "shared")
if os.path.isdir(shared):
    config.available_features.add("shared")
    substitute("shared", shared)
