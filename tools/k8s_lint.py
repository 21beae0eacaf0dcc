"""Looks over the manifests of every overlay and the image's recipe with checkov; `make k8s-lint` installs it beside everything else.

    python -m tools.k8s_lint CHECKOV      CHECKOV: path of the program

It brings a hundred packages of its own, so it is no development dependency; what matters here most is checked by tests/deploy without it.
"""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
BUILT: Final = ROOT / "build" / "k8s"
DOCKERFILE: Final = ROOT / "deploy" / "docker" / "Dockerfile"

SKIPPED: Final = {
    "CKV_K8S_11": "no limit of the processor: who is held back answers late to everybody at once, and requests share it fairly enough",
    "CKV_K8S_15": "images are named by version and not by a tag that moves, so one that is there need not be pulled again",
    "CKV_K8S_43": "the digest is known once an installation has built its image; its overlay names it",
    "CKV_K8S_35": "the keys of the object store alone, whose client knows variables only; a test sees to it that nothing else is given so",
    "CKV_DOCKER_7": "the base image is an argument, which checkov does not follow; its default has a version",
}
"""Check -> why it does not hold here."""


def main() -> int:
    """Builds, looks over, and answers checkov's exit code."""
    checkov = sys.argv[1]
    kubectl = Path(sysconfig.get_path("scripts")) / "kubectl"
    BUILT.mkdir(parents=True, exist_ok=True)
    for old in BUILT.glob("*.yaml"):
        old.unlink()
    for overlay in sorted((ROOT / "deploy" / "k8s" / "overlays").iterdir()):
        with (BUILT / f"{overlay.name}.yaml").open("wb") as file:
            subprocess.run([str(kubectl), "kustomize", str(overlay)], stdout=file, check=True)  # noqa: S603 - our own arguments
    options = ["--compact", "--quiet", "--skip-download", "--skip-check", ",".join(SKIPPED)]
    codes = [
        subprocess.run([checkov, *place, *options], cwd=ROOT, check=False).returncode  # noqa: S603 - our own arguments
        for place in (["--directory", str(BUILT), "--framework", "kubernetes"], ["--file", str(DOCKERFILE), "--framework", "dockerfile"])
    ]
    for check, reason in SKIPPED.items():
        sys.stdout.write(f"not asked: {check}: {reason}\n")
    return max(codes)


if __name__ == "__main__":
    sys.exit(main())
