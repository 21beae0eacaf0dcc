"""What we stand on is pinned, and each file of it is known by its hash."""

from __future__ import annotations

import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
LOCKS = ("runtime", "build", "all")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
WANTED = {
    "runtime": PROJECT["project"]["dependencies"],
    "build": PROJECT["build-system"]["requires"],
    "all": [
        *PROJECT["project"]["dependencies"],
        *(name for group in PROJECT["project"]["optional-dependencies"].values() for name in group),
        *PROJECT["build-system"]["requires"],
    ],
}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pinned() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").split()
    return {normal(name): version for name, version in (line.split("==") for line in lines)}


def locked(name: str) -> dict[str, tuple[str, list[str]]]:
    """Package -> version, hashes. Raises AssertionError for a line of another form."""
    found: dict[str, tuple[str, list[str]]] = {}
    text = (ROOT / "locks" / f"{name}.txt").read_text(encoding="utf-8").replace("\\\n", " ")
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        entry = re.fullmatch(r"([a-z0-9-]+)==(\S+)((?:\s+--hash=sha256:[0-9a-f]{64})+)\s*", line)
        assert entry, line[:100]
        found[entry[1]] = (entry[2], re.findall(r"sha256:([0-9a-f]{64})", entry[3]))
    return found


def test_constraints_pin_each_package_once_and_in_order() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    names = [normal(line.partition("==")[0]) for line in lines]
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+==[A-Za-z0-9.!+]+", line) for line in lines)
    assert names == sorted(set(names))


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_has_the_versions_of_the_constraints_and_hashes_of_all_of_them(name: str) -> None:
    pins = pinned()
    for package, (version, hashes) in locked(name).items():
        assert pins.get(package) == version, f"{package}: run `make lock` after a change of constraints.txt"
        assert hashes
    assert {normal(Requirement(one).name) for one in WANTED[name]} <= set(locked(name)), "run `make lock` after a change of pyproject.toml"


def test_nothing_is_pinned_that_nothing_wants() -> None:
    assert set(pinned()) == set(locked("all")), "remove the pin, or run `make lock`"


@pytest.mark.parametrize("name", ["runtime", "all"])
def test_a_lock_is_closed(name: str) -> None:
    """What a locked package needs on this platform is locked too, so that `pip install --no-deps` installs all of it."""
    packages = locked(name)
    for package in packages:
        try:
            needs = metadata.requires(package) or []
        except metadata.PackageNotFoundError:
            continue  # of another group than is installed here
        for text in needs:
            need = Requirement(text)
            if need.marker is None or need.marker.evaluate({"extra": ""}):
                assert normal(need.name) in packages, f"{package} needs {need.name}"


def test_what_is_installed_apart_is_locked_too() -> None:
    assert "checkov" in locked("lint")
    assert "moto" in locked("s3")


def test_no_file_names_an_index() -> None:
    for name in (*LOCKS, "lint", "s3"):
        assert "://" not in (ROOT / "locks" / f"{name}.txt").read_text(encoding="utf-8")
    for path in (ROOT / "constraints.txt", ROOT / "pyproject.toml", ROOT / "Makefile"):
        assert "index-url" not in path.read_text(encoding="utf-8")
