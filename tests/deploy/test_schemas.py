"""What is built is what Kubernetes and the operators take."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml
from kubernetes_validate import utils

from tests.deploy.manifests import KUBERNETES, OVERLAYS, build

VERSIONS = ("1.34", "1.35", "1.36", "1.37")
READ_ONCE = cache(utils.schema_contents)
OPERATORS = ("keda.sh", "postgresql.cnpg.io", "barmancloud.cnpg.io", "cert-manager.io", "monitoring.coreos.com")


def is_of_operator(manifest: dict[str, Any]) -> bool:
    return str(manifest["apiVersion"]).partition("/")[0] in OPERATORS


@pytest.fixture(autouse=True)
def schemas_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The validator reads 2 MB for each manifest otherwise."""
    monkeypatch.setattr(utils, "schema_contents", READ_ONCE)


@pytest.mark.parametrize("version", VERSIONS)
def test_every_manifest_of_every_overlay_fits_the_schema_of_kubernetes(version: str) -> None:
    manifests = {json.dumps(one, sort_keys=True): one for overlay in OVERLAYS for one in build(overlay).documents if not is_of_operator(one)}
    assert len(manifests) > 50
    for manifest in manifests.values():
        kubernetes_validate.validate(manifest, version, strict=True)


def test_a_wrong_field_is_found() -> None:
    manifest = next(one for one in build("production").documents if one["kind"] == "Deployment")
    spec = {**manifest["spec"], "replica": 3}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate({**manifest, "spec": spec}, VERSIONS[0], strict=True)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_manifest_for_an_operator_fits_what_we_know_of_its_schema(overlay: str) -> None:
    manifests = [one for one in build(overlay).documents if is_of_operator(one)]
    assert manifests
    for manifest in manifests:
        name = f"{manifest['apiVersion'].replace('/', '_')}_{manifest['kind']}.yaml"
        schema = yaml.safe_load((KUBERNETES / "schemas" / name).read_text(encoding="utf-8"))
        jsonschema.Draft202012Validator.check_schema(schema)
        jsonschema.Draft202012Validator(schema).validate(manifest)


def test_every_component_is_part_of_an_overlay() -> None:
    found = {path.parent.resolve() for path in (KUBERNETES / "components").rglob("kustomization.yaml")}
    used = set()
    for overlay in OVERLAYS:
        folder = KUBERNETES / "overlays" / overlay
        kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text(encoding="utf-8"))
        used |= {(folder / one).resolve() for one in kustomization["components"]}
    assert found == used
