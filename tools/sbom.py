"""Writes a bill of materials (CycloneDX 1.6, JSON) of what the image holds: every locked package with version, licence and what it needs.

    python -m tools.sbom [FILE]     default: build/sbom.cdx.json

It is made from the locks and the installed packages' own metadata, and is the same for the same locks: no time, and a serial number from its content.
The hashes of the files stand in locks/runtime.txt: a package has one file for each platform, a bill one component for all of them.
"""

from __future__ import annotations

import json
import sys
import tomllib
import uuid
from importlib import metadata
from pathlib import Path
from typing import Final

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from packageurl import PackageURL
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools.licences import ROOT, licence_of, locked

DEFAULT: Final = ROOT / "build" / "sbom.cdx.json"


def bill() -> str:
    """Answers the bill as JSON. Raises PackageNotFoundError for a package that is not installed."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    versions = locked("runtime")
    components = {name: _component(name, version) for name, version in versions.items()}
    root = Component(
        name=project["name"],
        version=project["version"],
        type=ComponentType.APPLICATION,
        bom_ref=f"{project['name']}@{project['version']}",
        description=project["description"],
        licenses=[LicenseFactory().make_from_string(project["license"])],
    )
    serial = uuid.uuid5(
        uuid.NAMESPACE_OID, "\n".join([f"{root.name}=={root.version}", *(f"{name}=={version}" for name, version in versions.items())])
    )
    bom = Bom(components=components.values(), metadata=BomMetaData(component=root), serial_number=serial)
    bom.register_dependency(root, [components[_name(text)] for text in project["dependencies"]])
    for name, component in components.items():
        bom.register_dependency(component, [components[need] for need in _needs(name) if need in components])
    output = make_outputter(bom, OutputFormat.JSON, SchemaVersion.V1_6).output_as_string(indent=2)
    return _without_time(output)


def main() -> int:
    """Writes the file and says where; answers the exit code."""
    place = Path(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(bill(), encoding="utf-8")
    sys.stdout.write(f"{place}\n")
    return 0


def _component(name: str, version: str) -> Component:
    about = metadata.metadata(name)
    return Component(
        name=name,
        version=version,
        type=ComponentType.LIBRARY,
        bom_ref=f"{name}@{version}",
        description=next(iter(about.get_all("Summary") or []), None),
        purl=PackageURL("pypi", name=name, version=version),
        licenses=[LicenseFactory().make_from_string(licence_of(name))],
    )


def _name(requirement: str) -> str:
    return canonicalize_name(Requirement(requirement).name)


def _needs(name: str) -> list[str]:
    """Answers the packages a package needs on this platform, each once."""
    wanted = [Requirement(text) for text in metadata.requires(name) or []]
    return sorted({canonicalize_name(one.name) for one in wanted if one.marker is None or one.marker.evaluate({"extra": ""})})


def _without_time(output: str) -> str:
    """Takes the time of making out, so that the same locks make the same bill."""
    document = json.loads(output)
    del document["metadata"]["timestamp"]
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.exit(main())
