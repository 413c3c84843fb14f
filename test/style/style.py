"""What the style checks share: the hand-written files of the tree and the verdict line."""
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FOLDERS = ("utils", "runtime", "ir", "dialects", "passes", "frontends", "backends", "tools",
           "test", "bench", "examples", "python")
LIBRARIES = ("utils", "runtime", "ir", "dialects", "passes", "frontends", "backends")


def sources(folders=FOLDERS, suffixes=(".c", ".h", ".cpp", ".def", ".py")):
    """Paths relative to the root, sorted; `git ls-files` is not asked, so new files count too."""
    found = []
    for folder in folders:
        for where, dirs, files in os.walk(os.path.join(ROOT, folder)):
            dirs[:] = sorted(d for d in dirs if not d.startswith((".", "build", "__pycache__")))
            found += [os.path.relpath(os.path.join(where, f), ROOT) for f in sorted(files)
                      if f.endswith(suffixes)]
    return found


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


def without_comments(text):
    """Blanks out comments and the insides of string and character literals; keeps line breaks."""
    pattern = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)

    def blank(match):
        token = match.group(0)
        if token[0] == "/":
            return re.sub(r"[^\n]", " ", token)
        return token[0] + " " * (len(token) - 2) + token[0]

    return pattern.sub(blank, text)


def run(command, **options):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          stdin=subprocess.DEVNULL, text=True, cwd=ROOT, **options)


def verdict(problems, summary):
    """Prints each problem and the last line; ends the program."""
    for problem in problems:
        print(problem)
    print("%s (%d problems)" % (summary, len(problems)))
    sys.exit(1 if problems else 0)
