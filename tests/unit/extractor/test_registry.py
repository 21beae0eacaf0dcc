"""Sources of other packages stand beside our own, or the extractor says which package is wrong."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest

from services.common.errors import ConfigurationError, NotFoundError
from services.common.sources import GROUP
from services.extractor.connectors.results.connector import Results
from services.extractor.registry import with_installed
from services.transformer.mapping.reading import connector_mapping_text


def entry(name: str, value: str) -> dict[str, EntryPoint]:
    return {name: EntryPoint(name, value, GROUP)}


def test_a_connector_of_another_package_is_found_by_its_entry_point() -> None:
    found = with_installed({}, entry("results", "services.extractor.connectors.results.connector:Results"))
    assert found == {"results": Results}


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("results", "services.extractor.connectors.results.connector:Results", "the name of one that is there already"),
        ("brook", "no_such_package.connector:Brook", "cannot be loaded: No module named"),
        ("brook", "services.extractor.connectors.results.connector:Brook", "cannot be loaded"),
        ("brook", "services.extractor.connectors.results.connector:Results", "declared as brook"),
    ],
)
def test_one_that_cannot_be_used_is_named(name: str, value: str, problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem) as caught:
        with_installed({"results": Results}, entry(name, value))
    assert value in caught.value.message


def test_a_source_without_mapping_is_refused_by_name() -> None:
    with pytest.raises(NotFoundError, match="brook"):
        connector_mapping_text("brook")
