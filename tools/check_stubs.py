"""Fails when `transload/v1` is not what `proto/` generates, so that contracts and stubs cannot drift apart."""

from __future__ import annotations

import os
import sys
import tempfile
from importlib import resources
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    """Generate into a temporary folder and compare file by file. Returns the exit status."""
    # The plugins stand beside the interpreter, which need not be on the path.
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    committed = ROOT / "transload" / "v1"
    protos = sorted(str(path) for path in (ROOT / "proto" / "transload" / "v1").glob("*.proto"))
    with tempfile.TemporaryDirectory() as folder:
        include = str(resources.files("grpc_tools") / "_proto")
        outputs = [
            f"--python_out={folder}",
            f"--grpc_python_out={folder}",
            f"--mypy_out=quiet:{folder}",
            f"--mypy_grpc_out=quiet,only_async:{folder}",
        ]
        if protoc.main(["protoc", f"-I{ROOT / 'proto'}", f"-I{include}", *outputs, *protos]) != 0:
            return 1
        generated = {path.name: path.read_bytes() for path in (Path(folder) / "transload" / "v1").iterdir()}
    present = {path.name: path.read_bytes() for path in committed.iterdir() if "_pb2" in path.name and path.suffix in {".py", ".pyi"}}
    drifted = sorted(name for name in generated.keys() | present.keys() if generated.get(name) != present.get(name))
    if drifted:
        sys.stderr.write(f"stubs differ from proto/; run `make proto` and commit: {', '.join(drifted)}\n")
    return 1 if drifted else 0


if __name__ == "__main__":
    sys.exit(main())
