"""format.py: clang-format has nothing to say."""

import shutil
import subprocess
import sys

import tree


def main():
    if not shutil.which("clang-format"):
        print("skipped: clang-format is not installed (./dev deps)")
        sys.exit(tree.SKIP)
    names = tree.c_files()
    run = subprocess.run(["clang-format", "--dry-run", "--style=file", *names], cwd=tree.root(),
                         capture_output=True, text=True)
    findings = [line for line in run.stderr.splitlines() if "code should be clang-formatted" in line]
    if run.returncode and not findings:
        findings = [run.stderr]
    tree.finish(sorted({f.split(": ")[0] + ": clang-format -i it" for f in findings}), len(names))


main()
