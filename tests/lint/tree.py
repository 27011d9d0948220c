"""tree.py: what the lint tests share: the project's files, and C text without its comments.

Every lint is a script that takes the source folder, prints each finding as FILE:LINE: what, and exits
1 when there is one. A lint that cannot run here says why and exits 77, which meson shows as skipped.
"""

import os
import re
import subprocess
import sys

SKIP = 77
C_FOLDERS = ("common", "config", "carpd", "syncd", "rules", "ctl", "tests")


def root():
    return os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else ".")


def files(suffixes=None):
    """The project's files, relative to its root: what git knows, or, in a tarball, all that lies there
    but build folders."""
    top = root()
    try:
        names = subprocess.run(
            ["git", "-c", "safe.directory=*", "-C", top, "ls-files", "-co", "--exclude-standard"],
            capture_output=True, text=True, check=True).stdout.splitlines()
    except (OSError, subprocess.CalledProcessError):
        names = []
        for folder, subfolders, leaves in os.walk(top):
            subfolders[:] = [s for s in subfolders if not s.startswith(("build", "."))]
            names += [os.path.relpath(os.path.join(folder, leaf), top) for leaf in leaves]
    names = [n for n in names if os.path.isfile(os.path.join(top, n))]
    return sorted(n for n in names if suffixes is None or n.endswith(suffixes))


def c_files(suffixes=(".c", ".h")):
    return [n for n in files(suffixes) if n.split("/")[0] in C_FOLDERS]


def read(name):
    with open(os.path.join(root(), name), encoding="utf-8", errors="replace") as handle:
        return handle.read()


BLANKED = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def code(name):
    """The text with comments, strings and characters blanked; lines keep their numbers."""
    return BLANKED.sub(lambda m: re.sub(r"[^\n]", " ", m.group(0)), read(name))


def finish(findings, seen):
    """Prints the findings and exits. `seen` is how many things were looked at: a lint that looked at
    nothing is broken, and says so."""
    for finding in findings:
        print(finding)
    if not seen:
        print("nothing was looked at: this lint is broken")
        sys.exit(1)
    print(f"{seen} looked at, {len(findings)} found")
    sys.exit(1 if findings else 0)
