"""The guide names what the mapping language has."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.transformer.catalogue import CATALOGUE
from services.transformer.mapping.document import Mapping
from services.transformer.mapping.rules import FieldRule

GUIDE = (Path(__file__).parents[3] / "docs" / "mapping.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", sorted(CATALOGUE))
def test_every_transform_is_in_the_guide(name: str) -> None:
    assert f"`{name}`" in GUIDE


@pytest.mark.requirement("X-02", "L-02")
def test_every_key_of_rules_and_of_the_file_is_in_the_guide() -> None:
    keys = {info.alias or name for name, info in FieldRule.model_fields.items()}
    sections = {info.alias or name for name, info in Mapping.model_fields.items()} - {"version", "source", "title"}
    assert {key for key in keys | sections if f"`{key}`" not in GUIDE} == set()
