"""Layouts: what is wrong with one is said at its place, and a tenant's differences are laid over the default."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from services.common.errors import ConfigurationError, InvalidRequestError
from services.extractor.connectors.bundle.layout import build_layout, merged, parse_layout
from services.extractor.connectors.bundle.options import read_options
from tests.fixtures.bundle.toy import ToyShop, bundle, records, toy


def layout(**over: Any) -> Any:
    return build_layout([("default", ToyShop.default), ("option", over)])


@pytest.mark.requirement("G-08")
async def test_a_tenants_heads_stand_in_a_layout_of_its_own_or_in_the_option(tmp_path: Path) -> None:
    bundle(tmp_path, customers="No.,Firma,Tariff\n1,Ann,Gold\n")
    (tmp_path / "layout.yaml").write_text(
        "entities: {customer: {columns: {customer_id: {heads: [No.]}, name: {heads: Firma}, tariff: {heads: Tariff}}}}"
    )
    async with toy(tmp_path) as source:
        assert (await records(source, "customer"))[0].data == {"customer_id": "1", "name": "Ann", "tariff": "Gold"}
    option = {"entities": {"customer": {"columns": {"tariff": None, "grade": {"heads": ["Tariff"]}}}}}
    async with toy(tmp_path, layout=option) as source:
        assert (await records(source, "customer"))[0].data == {"customer_id": "1", "name": "Ann", "grade": "Gold"}


async def test_a_tenant_may_add_and_take_away_tables(tmp_path: Path) -> None:
    bundle(tmp_path, crews="Crew\nA\n")
    (tmp_path / "layout.yaml").write_text("entities: {job_note: null, crew: {source_name: crews, id: [crew], columns: {crew: {heads: Crew}}}}")
    async with toy(tmp_path) as source:
        assert [one.name for one in await source.list_entities()] == ["bundle_finding", "customer", "job", "attachment", "crew"]
        assert [one.source_id for one in await records(source, "crew")] == ["A"]


async def test_a_layout_in_the_bundle_that_is_wrong_is_mended_there(tmp_path: Path) -> None:
    bundle(tmp_path)
    (tmp_path / "layout.yaml").write_text("entities: {customer: {colour: red}}")
    async with toy(tmp_path) as source:
        with pytest.raises(ConfigurationError, match=r"layout\.yaml.*colour"):
            await source.check()


@pytest.mark.parametrize(
    ("over", "words"),
    [
        ({"entities": {"customer": {"id": ["nothing"]}}}, "columns has no nothing"),
        ({"entities": {"customer": {"columns": {"name": {"heads": "x", "type": "colour"}}}}}, r"columns\.name\.type"),
        ({"entities": {"job": {"columns": {"customer_id": {"refers_to": "nobody"}}}}}, "no entity nobody"),
        ({"entities": {"job": {"columns": {"customer_id": {"refers_to": "customer.shoe"}}}}}, "no column shoe"),
        ({"formats": {"date_order": "myd"}}, r"formats\.date_order"),
        ({"entities": {"job": {"is_files": True}}}, "belong together"),
        ({"entities": {"bundle_finding": {"source_name": "x"}}}, "no name for an entity"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_what_is_wrong_is_said_at_its_place(over: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidRequestError, match=words):
        layout(**over)


def test_hostile_yaml_is_refused() -> None:
    bomb = "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n"
    for text in (bomb, "!!python/object/apply:os.system ['true']", "- a list", "{", "a: " + "[" * 3_000):
        with pytest.raises(InvalidRequestError):
            parse_layout(text, place="layout.yaml")
    assert parse_layout("", place="layout.yaml") == {}


def test_merging() -> None:
    base = {"a": {"b": 1, "c": [1, 2]}, "d": {"e": 1}, "f": None}
    assert merged(base, {"a": {"c": [3]}, "d": None, "f": {"g": 1}}) == {"a": {"b": 1, "c": [3]}, "f": {"g": 1}}
    assert base == {"a": {"b": 1, "c": [1, 2]}, "d": {"e": 1}, "f": None}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"plan": "pro"}, "plan"),
        ({"time_zone": "Mars/Olympus"}, "Mars/Olympus"),
        ({"two_digit_years": 69}, "two_digit_years"),
        ({"wide_rows": "maybe"}, "wide_rows"),
        ({"formats": {"decimal": "x"}}, "decimal"),
        ({"layout": ["no"]}, "layout"),
    ],
)
def test_options_that_make_no_sense_are_named(options: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidRequestError, match=words):
        read_options(options)
    with pytest.raises(InvalidRequestError, match=words):
        ToyShop.limits(options)
