"""Writes docs/licences.md: every package of the locks with its licence, and refuses what nobody has allowed.

    python -m tools.licences            write the page
    python -m tools.licences --check    only compare; exit code 1 when it is not up to date or a licence is unknown or not allowed

The licence is what the installed package says of itself: its SPDX expression where it has one, else its old free text, else its classifier.
"""

from __future__ import annotations

import argparse
import re
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Final

from license_expression import ExpressionError, LicenseExpression, get_spdx_licensing

ROOT: Final = Path(__file__).resolve().parents[1]
PAGE: Final = ROOT / "docs" / "licences.md"

ALLOWED: Final = frozenset({"Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "MIT-0", "PSF-2.0", "MPL-2.0"})
"""Licences that ask for a notice at most; MPL-2.0 asks for changes of its own files, of which we make none."""

_SPOKEN: Final = {
    "apache": "Apache-2.0",
    "apache 2.0": "Apache-2.0",
    "apache license": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache software license": "Apache-2.0",
    "3-clause bsd license": "BSD-3-Clause",
    "bsd 2-clause license": "BSD-2-Clause",
    "isc license": "ISC",
    "isc license (iscl)": "ISC",
    "mit license": "MIT",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
    "psfl": "PSF-2.0",
    "python software foundation license": "PSF-2.0",
}
"""What packages wrote before there were expressions."""

_READ: Final = {"httpx-aiohttp": "BSD-3-Clause", "jinja2": "BSD-3-Clause"}
"""Where the package says too little, from the text of its licence file, read by a person."""


@dataclass(frozen=True, slots=True)
class Package:
    """One locked package.

    Attributes:
        name: as in the lock.
        version: the locked one.
        licence: SPDX expression; empty: unknown.
        is_runtime: whether it is in the image.
    """

    name: str
    version: str
    licence: str
    is_runtime: bool


def locked(name: str) -> dict[str, str]:
    """Answers package -> version of a lock."""
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", (ROOT / "locks" / f"{name}.txt").read_text(encoding="utf-8"), re.MULTILINE))


def packages() -> list[Package]:
    """Answers all locked packages. Raises PackageNotFoundError for one that is not installed."""
    runtime = locked("runtime")
    return [Package(name, version, licence_of(name), name in runtime) for name, version in sorted(locked("all").items())]


def licence_of(name: str) -> str:
    """Answers the SPDX expression of an installed package, empty when it says nothing we understand."""
    if name in _READ:
        return _READ[name]
    about = metadata.metadata(name)
    classifiers = [text.rpartition(" :: ")[2] for text in about.get_all("Classifier") or [] if text.startswith("License ::")]
    for text in (*(about.get_all("License-Expression") or []), *(about.get_all("License") or []), *classifiers):
        if text and (known := _parsed(_SPOKEN.get(text.strip().lower(), text.strip()))) is not None:
            return str(known)
    return ""


def is_allowed(licence: str) -> bool:
    """Answers whether an expression can be met with allowed licences alone."""
    known = _parsed(licence)
    return known is not None and _is_met(known)


def page(found: list[Package]) -> str:
    """Answers the page."""
    rows = "\n".join(f"| {one.name} | {one.version} | {one.licence} | {'image' if one.is_runtime else 'development'} |" for one in found)
    return f"""# Licences

What Transload stands on, from the packages themselves; `make licences` writes this page. Allowed are {", ".join(sorted(ALLOWED))}:
a package with any other licence, or none that can be read, fails a test.
"Image" is what an installation runs, "development" what is only tested and built with. Transload itself is under [Apache-2.0](../LICENSE).

| Package | Version | Licence | In |
|---|---|---|---|
{rows}
"""


def main() -> int:
    """Writes or compares; answers the exit code."""
    parser = argparse.ArgumentParser(description="List the licences of what Transload stands on.")
    parser.add_argument("--check", action="store_true", help="only compare with docs/licences.md")
    only_check = parser.parse_args().check
    found = packages()
    refused = [one for one in found if not is_allowed(one.licence)]
    for one in refused:
        sys.stderr.write(f"{one.name} {one.version}: {one.licence or 'unknown licence'} is not allowed\n")
    text = page(found)
    if only_check and PAGE.read_text(encoding="utf-8") != text:
        sys.stderr.write("docs/licences.md is not up to date: run `make licences`\n")
        return 1
    if not only_check:
        PAGE.write_text(text, encoding="utf-8")
    return 1 if refused else 0


def _parsed(text: str) -> LicenseExpression | None:
    try:
        expression: LicenseExpression = get_spdx_licensing().parse(text, validate=True)
    except ExpressionError:
        return None
    return expression


def _is_met(expression: LicenseExpression) -> bool:
    if not expression.args:
        return str(expression) in ALLOWED
    parts = [_is_met(one) for one in expression.args]
    return any(parts) if expression.operator.strip() == "OR" else all(parts)


if __name__ == "__main__":
    sys.exit(main())
