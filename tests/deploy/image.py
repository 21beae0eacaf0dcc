"""Does what the Dockerfile says without a container engine: the same commands and copies, below a folder that stands for the root."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.deploy.dockerfile import Instruction, Stage, parse

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = ROOT / "deploy" / "docker" / "Dockerfile"
# The folders of the image a step may name; what else it names is the base image's.
OURS = re.compile(r"^(?:/opt|/src|/var/lib/transload)(?=/|$)")
BUILD_SECONDS = 600


@dataclass(frozen=True)
class Image:
    """A built image.

    Attributes:
        root: the folder that stands for `/`.
        stage: what the last stage says of how it runs.
    """

    root: Path
    stage: Stage

    def path(self, inside: str) -> str:
        """Answers where a path of the image is here."""
        return f"{self.root}{inside}" if OURS.match(inside) else inside

    def environ(self) -> dict[str, str]:
        """The environment a container starts with, and nothing of ours."""
        return {name: ":".join(self.path(part) for part in value.split(":")) for name, value in self.stage.environ().items()}

    def command(self, *arguments: str) -> list[str]:
        """The command a container with these arguments runs."""
        return [self.path(part) for part in self.stage.last("ENTRYPOINT").command()] + list(arguments)

    def folder(self) -> Path:
        """Where a container starts."""
        return Path(self.path(self.stage.last("WORKDIR").text))


def build(root: Path) -> Image:
    """Carries out every instruction of the Dockerfile in order. Raises AssertionError with a step's output when it fails."""
    _before, *stages = parse(DOCKERFILE)
    image = Image(root, stages[-1])
    for stage in stages:
        folder = root
        environ = {key: value for key, value in os.environ.items() if key.startswith(("PIP_", "HTTP", "http", "SSL_", "REQUESTS_"))}
        environ["PATH"] = f"{Path(sys.executable).parent}:/usr/bin:/bin"
        for step in stage.instructions:
            if step.name == "WORKDIR":
                folder = Path(image.path(step.text))
                folder.mkdir(parents=True, exist_ok=True)
            elif step.name == "ENV":
                environ |= {} if stage is stages[-1] else step.pairs()
            elif step.name == "COPY":
                copy(step, image, folder)
            elif step.name == "RUN":
                run([image.path(part) for part in step.command()], folder, environ)
    return image


def copy(step: Instruction, image: Image, folder: Path) -> None:
    """COPY from the repository's tracked files or from an earlier stage, which has the same root here."""
    *sources, target = step.text.split()
    if "from" in step.options:
        assert [image.path(source) for source in sources] == [image.path(target)], step
        return
    for source in sources:
        place = folder / target
        if target.endswith("/"):
            place = place / Path(source).name
        for tracked in tracked_files(source):
            destination = place / tracked.relative_to(source) if (ROOT / source).is_dir() else place
            destination.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / tracked, destination)


def tracked_files(path: str) -> list[Path]:
    """What the repository holds at `path`: nothing that lies about in a work tree gets into the image."""
    listed = subprocess.run(["git", "ls-files", "--", path], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
    found = [Path(line) for line in listed if line and (ROOT / line).is_file()]
    assert found, f"{path} is not in the repository"
    return found


def run(command: list[str], folder: Path, environ: dict[str, str]) -> None:
    """Runs one step; `python` is the base image's, here the one the tests run on, without its virtual environment."""
    if command[0] == "python":
        command = [str(Path(sys.base_prefix) / "bin" / "python3"), *command[1:]]
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False, timeout=BUILD_SECONDS)
    assert done.returncode == 0, f"{command}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
