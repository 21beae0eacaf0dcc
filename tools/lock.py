"""Writes the lock files: every version of constraints.txt with the SHA-256 of each of its files, in the form pip reads with --require-hashes.

    python tools/lock.py            write locks/*.txt (asks the package index)

`runtime.txt` is what the image installs, `build.txt` what builds the wheel, `all.txt` everything a developer or CI installs, `lint.txt` the linter of
the manifests, `s3.txt` the object store of tests. No file names an index.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tempfile
import tomllib
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
LOCKS: Final = ROOT / "locks"
HEADER: Final = "# Written by `make lock`: constraints.txt with the SHA-256 of every file. Do not edit.\n"
PYTHON_VERSION: Final = "3.11"
LINTER: Final = "checkov==3.3.30"
"""Of the manifests. It is installed apart, because its hundred packages want other versions than ours."""
OBJECT_STORE: Final = ("moto[s3]==5.2.5", "flask", "flask-cors")
"""For tests; installed apart for the same reason. What its server needs for S3 alone."""


def main() -> int:
    """Writes all lock files and answers the exit code."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    extras = project["project"]["optional-dependencies"]
    LOCKS.mkdir(exist_ok=True)
    runtime = project["project"]["dependencies"]
    write("runtime.txt", runtime)
    write("build.txt", project["build-system"]["requires"])
    write("all.txt", [*runtime, *(name for group in extras.values() for name in group), *project["build-system"]["requires"]])
    write("lint.txt", [LINTER], constraints=())
    write("s3.txt", list(OBJECT_STORE), constraints=())
    return 0


def write(name: str, requirements: list[str], constraints: tuple[str, ...] = ("--constraint", "constraints.txt")) -> None:
    """Resolves the requirements within the constraints and writes one lock file."""
    uv = Path(sysconfig.get_path("scripts")) / "uv"
    options = [*constraints, "--generate-hashes", "--no-emit-index-url", "--no-emit-find-links", "--no-header", "--no-annotate"]
    options += ["--python-version", PYTHON_VERSION, "--no-config", "--quiet"]
    with tempfile.TemporaryDirectory() as folder:
        source, result = Path(folder) / "requirements.in", Path(folder) / "requirements.txt"
        source.write_text("\n".join(requirements) + "\n", encoding="utf-8")
        environ = {key: value for key, value in os.environ.items() if not key.startswith("UV_")}
        command = [str(uv), "pip", "compile", str(source), "--output-file", str(result), *options]
        subprocess.run(command, cwd=ROOT, env=environ, check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - our own arguments
        (LOCKS / name).write_text(HEADER + result.read_text(encoding="utf-8"), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
