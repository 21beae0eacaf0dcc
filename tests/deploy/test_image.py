"""The image: its recipe is what it promises, and what the recipe makes starts every service on its own."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.dockerfile import COMMANDS, parse
from tests.deploy.image import DOCKERFILE, ROOT, Image, build, tracked_files
from tests.fakes.nats_server import free_port

SERVICES = ("ledger", "extractor", "transformer", "loader")
START_SECONDS = 90
PACKAGES = ("services", "transload", "sandbox")


@pytest.fixture(scope="module")
def image() -> Iterator[Image]:
    root = Path(tempfile.mkdtemp(prefix="transload-image-"))
    try:
        yield build(root)
    finally:
        shutil.rmtree(root, ignore_errors=True)


def test_every_command_of_the_recipe_is_plain_and_the_image_runs_as_nobody_special() -> None:
    before, first, last = parse(DOCKERFILE)
    assert [one.name for one in before.instructions] == ["ARG"]
    for stage in (first, last):
        assert stage.base == "${PYTHON_IMAGE}"
        for one in stage.instructions:
            assert one.name in {"ARG", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "HEALTHCHECK", "LABEL", "RUN", "STOPSIGNAL", "USER", "WORKDIR"}
            if one.name in COMMANDS:
                assert one.command()[0] in {"python", "/opt/build/bin/python", "/opt/transload/bin/transload-service"}
    assert not last.all("RUN"), "what is built is built in the first stage"
    assert [one.options for one in last.all("COPY")] == [{"from": "build"}]
    user, group = last.last("USER").text.split(":")
    assert int(user) >= 10_000
    assert int(group) >= 10_000
    assert last.instructions.index(last.last("USER")) < last.instructions.index(last.last("ENTRYPOINT"))
    assert last.last("HEALTHCHECK").text.removeprefix("CMD ") == json.dumps([*last.last("ENTRYPOINT").command(), "health"])
    labels = {key for one in last.all("LABEL") for key in one.pairs()}
    assert labels == {f"org.opencontainers.image.{name}" for name in ("title", "description", "licenses", "version", "revision")}
    assert last.environ()["TRANSLOAD_DATA_DIR"] == last.last("WORKDIR").text


def test_everything_from_outside_is_installed_by_hash_and_no_host_is_named() -> None:
    text = DOCKERFILE.read_text(encoding="utf-8")
    _, first, _ = parse(DOCKERFILE)
    installs = [one.command() for one in first.all("RUN") if "install" in one.command()]
    assert len(installs) == 3
    for command in installs:
        assert ("--require-hashes" in command) != ("--no-index" in command)
        assert "--no-deps" in command
    assert "://" not in text
    assert not re.search(r"\bFROM\s+\S*\.\S+/", text), "an image of a named registry"


def test_only_what_the_recipe_copies_goes_to_the_builder() -> None:
    _, first, _ = parse(DOCKERFILE)
    copied = {Path(source).parts[0] for one in first.all("COPY") for source in one.text.split()[:-1]}
    lines = DOCKERFILE.with_name("Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    assert "*" in lines
    assert {line.removeprefix("!") for line in lines if line.startswith("!")} == copied


def test_the_wheel_holds_every_file_of_the_packages(image: Image) -> None:
    (wheel,) = (image.root / "opt" / "wheels").glob("*.whl")
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if name.split("/")[0] in PACKAGES}
    assert packed == {str(path) for package in PACKAGES for path in tracked_files(package) if path.suffix != ".md"}


def test_the_image_holds_the_locked_versions_and_nothing_else(image: Image) -> None:
    locked = re.findall(r"^([a-z0-9-]+)==(\S+)", (ROOT / "locks" / "runtime.txt").read_text(encoding="utf-8"), re.MULTILINE)
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    (packages,) = (image.root / "opt" / "transload" / "lib").glob("python3.*/site-packages")
    names = [re.fullmatch(r"(.+)-([^-]+)\.dist-info", path.name) for path in packages.glob("*.dist-info")]
    found = {(re.sub(r"[-_.]+", "-", name[1]).lower(), name[2]) for name in names if name}
    assert found == {*locked, ("transload", version)}


@pytest.mark.slow
def test_every_service_starts_from_the_wheel_alone_and_says_that_it_serves(image: Image, tmp_path: Path) -> None:
    before = snapshot(image)
    ports = {name: free_port() for name in (*SERVICES, "nats")}
    probes = {name: free_port() for name in SERVICES}
    environ = image.environ() | {
        "TRANSLOAD_NATS_URL": f"nats://127.0.0.1:{ports['nats']}",
        "TRANSLOAD_DATA_DIR": str(tmp_path),
        **{f"TRANSLOAD_{name.upper()}_ADDRESS": f"127.0.0.1:{ports[name]}" for name in SERVICES},
    }
    nats = [
        image.path("/opt/transload/bin/nats-server"),
        "--addr",
        "127.0.0.1",
        "--port",
        str(ports["nats"]),
        "--jetstream",
        "--store_dir",
        str(tmp_path / "nats"),
    ]
    log = (tmp_path / "log").open("wb")
    listens = {
        name: environ | {"TRANSLOAD_GRPC_LISTEN": f"127.0.0.1:{ports[name]}", "TRANSLOAD_HEALTH_LISTEN": f"127.0.0.1:{probes[name]}"}
        for name in SERVICES
    }
    assert call(image, "migrate", environ=environ) == 0
    assert call(image, "health", environ=listens["ledger"]) == 1
    processes = {"nats": subprocess.Popen(nats, env=environ, cwd=image.folder(), stdout=log, stderr=log)}
    try:
        for name in SERVICES:
            processes[name] = subprocess.Popen(image.command(name), env=listens[name], cwd=image.folder(), stdout=log, stderr=log)
        until = time.monotonic() + START_SECONDS
        for name in SERVICES:
            while call(image, "health", environ=listens[name]) != 0:
                assert processes[name].poll() is None, (tmp_path / "log").read_text(encoding="utf-8")[-3000:]
                assert time.monotonic() < until, (tmp_path / "log").read_text(encoding="utf-8")[-3000:]
            assert call(image, "health", "--service", "liveness", environ=listens[name]) == 0
        for name in reversed(SERVICES):
            processes[name].send_signal(signal.SIGTERM)
        assert {name: processes[name].wait(timeout=60) for name in SERVICES} == dict.fromkeys(SERVICES, 0)
    finally:
        for process in processes.values():
            process.kill()
            process.wait()
        log.close()
    assert snapshot(image) == before, "something was written where the root is read-only"


def test_a_wrong_argument_is_answered_with_what_there_is(image: Image) -> None:
    done = subprocess.run(image.command("lodaer"), env=image.environ(), cwd=image.folder(), capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "lodaer" in done.stderr
    assert all(name in done.stderr for name in (*SERVICES, "migrate", "health"))


def call(image: Image, *arguments: str, environ: dict[str, str]) -> int:
    return subprocess.run(image.command(*arguments), env=environ, cwd=image.folder(), capture_output=True, check=False, timeout=60).returncode


def snapshot(image: Image) -> dict[str, tuple[int, int]]:
    """Every file of the image with its size and time."""
    found = {}
    for folder, _, names in os.walk(image.root):
        for name in names:
            status = os.lstat(Path(folder) / name)
            found[str(Path(folder) / name)] = (status.st_size, status.st_mtime_ns)
    return found
