"""Reads a Dockerfile into stages and instructions, as far as ours goes: no heredocs, no shell form where a command is meant to run."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path

COMMANDS = {"RUN", "CMD", "ENTRYPOINT"}


@dataclass(frozen=True)
class Instruction:
    """One instruction with its options (`--from=build`) taken off."""

    name: str
    text: str
    options: dict[str, str] = field(default_factory=dict)

    def command(self) -> list[str]:
        """The arguments of the exec form. Raises ValueError for the shell form."""
        return [str(part) for part in json.loads(self.text)]

    def pairs(self) -> dict[str, str]:
        """`a=b c="d e"` of ENV, LABEL and ARG."""
        return dict(part.partition("=")[::2] for part in shlex.split(self.text))


@dataclass(frozen=True)
class Stage:
    """What stands under one FROM."""

    base: str
    name: str
    instructions: tuple[Instruction, ...]

    def all(self, name: str) -> list[Instruction]:
        return [one for one in self.instructions if one.name == name]

    def last(self, name: str) -> Instruction:
        return self.all(name)[-1]

    def environ(self) -> dict[str, str]:
        return {key: value for one in self.all("ENV") for key, value in one.pairs().items()}


def parse(path: Path) -> list[Stage]:
    """Reads all stages; what stands before the first FROM is in a stage without base."""
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip() and not line.lstrip().startswith("#")]
    stages: list[tuple[str, str, list[Instruction]]] = [("", "", [])]
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        name, _, rest = line.strip().partition(" ")
        options: dict[str, str] = {}
        rest = rest.strip()
        while option := re.match(r"--([a-z-]+)=(\S+)\s+", rest):
            options[option[1]] = option[2]
            rest = rest[option.end() :]
        if name == "FROM":
            base, _, alias = rest.partition(" AS ")
            stages.append((base, alias, []))
            continue
        stages[-1][2].append(Instruction(name, rest, options))
    return [Stage(base, name, tuple(instructions)) for base, name, instructions in stages]
