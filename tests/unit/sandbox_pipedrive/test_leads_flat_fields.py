"""Custom fields flat at the root of a record, as version 1 has them."""

from typing import Any

import pytest

from sandbox.pipedrive.gateway.errors import ApiError
from sandbox.pipedrive.v1.flat_fields import from_v1, is_flat_key, to_v1
from tests.unit.sandbox_pipedrive.driver import Driver

_ADDRESS_PARTS = (
    "country", "admin_area_level_1", "admin_area_level_2", "locality", "sublocality", "route", "street_number", "subpremise", "postal_code",
)  # fmt: skip
CASES: list[tuple[str, dict[str, Any], Any, dict[str, Any]]] = [
    ("varchar", {"": "text"}, "text", {"": "text"}),
    ("varchar", {"": 12}, "12", {"": "12"}),
    ("double", {"": "12.50"}, 12.5, {"": 12.5}),
    ("double", {"": -3}, -3, {"": -3}),
    ("date", {"": "2026-01-02"}, "2026-01-02", {"": "2026-01-02"}),
    ("monetary", {"": "2300", "_currency": "USD"}, {"value": 2300, "currency": "USD"}, {"": 2300, "_currency": "USD"}),
    ("monetary", {"": 5}, {"value": 5, "currency": "EUR"}, {"": 5, "_currency": "EUR"}),
    (
        "daterange",
        {"": "2026-01-02", "_until": "2026-02-03"},
        {"value": "2026-01-02", "until": "2026-02-03"},
        {"": "2026-01-02", "_until": "2026-02-03"},
    ),
    ("org", {"": "2"}, 2, {"": 2}),
    ("people", {"": 1}, 1, {"": 1}),
    ("user", {"": 3}, 3, {"": 3}),
    ("phone", {"": "+34 600"}, "+34 600", {"": "+34 600"}),
    (
        "address",
        {"": "Main Street 1, Bilbao", "_locality": "Bilbao"},
        {**dict.fromkeys(_ADDRESS_PARTS), "value": "Main Street 1, Bilbao", "locality": "Bilbao", "formatted_address": "Main Street 1, Bilbao"},
        {
            "": "Main Street 1, Bilbao",
            **{f"_{part}": None for part in _ADDRESS_PARTS},
            "_locality": "Bilbao",
            "_formatted_address": "Main Street 1, Bilbao",
        },
    ),
]


def _prefixed(code: str, values: dict[str, Any]) -> dict[str, Any]:
    return {code + part: value for part, value in values.items()}


@pytest.mark.parametrize(("kind", "sent", "stored", "shown"), CASES)
def test_value_goes_in_and_out(api: Driver, kind: str, sent: dict[str, Any], stored: Any, shown: dict[str, Any]) -> None:
    account = api.account
    code = account.fields.create_custom("deal", "Field", kind, None)["field_code"]
    values = from_v1(account, "deal", {"title": "x", **_prefixed(code, sent)})
    assert values == {code: stored}
    assert to_v1(account.fields.custom["deal"], values) == _prefixed(code, shown)
    assert from_v1(account, "deal", _prefixed(code, shown)) == values


@pytest.mark.parametrize("kind", ["time", "timerange"])
def test_zone_of_a_time_has_a_number(api: Driver, kind: str) -> None:
    account = api.account
    code = account.fields.create_custom("deal", "Field", kind, None)["field_code"]
    sent = _prefixed(code, {"": "09:00"} | ({"_until": "10:00"} if kind == "timerange" else {}))
    values = from_v1(account, "deal", sent)
    assert values[code]["timezone_name"] == "Europe/Madrid"
    shown = to_v1(account.fields.custom["deal"], values)
    assert shown[code] == "09:00:00"
    assert f"{code}_timezone_name" not in shown
    other = from_v1(account, "deal", {f"{code}_timezone_id": 1}, values)
    assert (other[code]["timezone_id"], other[code]["value"]) == (1, "09:00:00")
    assert other[code]["timezone_name"] != "Europe/Madrid"
    with pytest.raises(ApiError, match="zone"):
        from_v1(account, "deal", sent | {f"{code}_timezone_id": 999_999})


def test_options_are_texts(api: Driver) -> None:
    account = api.account
    single = account.fields.create_custom("deal", "Single", "enum", ["a", "b"])
    many = account.fields.create_custom("deal", "Many", "set", ["c", "d"])
    one, two = (option["id"] for option in single["options"])
    three, four = (option["id"] for option in many["options"])
    for sent in (f"{three},{four}", f"{three}, {four}", [three, str(four)]):
        values = from_v1(account, "deal", {single["field_code"]: str(two), many["field_code"]: sent})
        assert values == {single["field_code"]: two, many["field_code"]: [three, four]}
        shown = to_v1(account.fields.custom["deal"], values)
        assert shown == {single["field_code"]: str(two), many["field_code"]: f"{three},{four}"}
    with pytest.raises(ApiError, match="Unknown option"):
        from_v1(account, "deal", {single["field_code"]: three})
    with pytest.raises(ApiError, match="Unknown option"):
        from_v1(account, "deal", {many["field_code"]: f"{one}"})


def test_null_and_empty_text_clear_all_parts(api: Driver) -> None:
    account = api.account
    code = account.fields.create_custom("deal", "Price", "monetary", None)["field_code"]
    for empty in (None, ""):
        assert from_v1(account, "deal", {code: empty, f"{code}_currency": "USD"}) == {code: None}


def test_a_part_alone_changes_that_part(api: Driver) -> None:
    account = api.account
    code = account.fields.create_custom("deal", "Price", "monetary", None)["field_code"]
    before = {code: {"value": 5, "currency": "USD"}}
    assert from_v1(account, "deal", {code: 7}, before) == {code: {"value": 7, "currency": "USD"}}
    assert from_v1(account, "deal", {f"{code}_currency": "GBP"}, before) == {code: {"value": 5, "currency": "GBP"}}
    with pytest.raises(ApiError, match="monetary"):
        from_v1(account, "deal", {f"{code}_currency": "GBP"})


def test_address_of_one_line_loses_its_parts(api: Driver) -> None:
    account = api.account
    code = account.fields.create_custom("deal", "Place", "address", None)["field_code"]
    before = from_v1(account, "deal", {code: "Main Street 1", f"{code}_locality": "Bilbao"})
    assert from_v1(account, "deal", {code: "Side Street 2"}, before)[code]["locality"] is None
    changed = from_v1(account, "deal", {f"{code}_locality": "Getxo"}, before)[code]
    assert (changed["value"], changed["locality"]) == ("Main Street 1", "Getxo")


def test_only_keys_of_live_fields_count(api: Driver) -> None:
    account = api.account
    code = account.fields.create_custom("deal", "Price", "monetary", None)["field_code"]
    for key in ("title", "f" * 40, f"{code}_until", f"{code}_value", f"{code}x", f"{code}_"):
        assert from_v1(account, "deal", {key: 1}) == {}
        assert not is_flat_key(account, "deal", key)
    assert is_flat_key(account, "deal", code)
    assert is_flat_key(account, "deal", f"{code}_currency")
    account.fields.change(account.fields.custom["deal"][code], {"is_deleted": True})
    assert from_v1(account, "deal", {code: 1}) == {}
    assert to_v1(account.fields.custom["deal"], {code: {"value": 1, "currency": "EUR"}}) == {}


def test_empty_fields_are_shown_on_request(api: Driver) -> None:
    account = api.account
    code = account.fields.create_custom("deal", "Price", "monetary", None)["field_code"]
    fields = {code: account.fields.custom["deal"][code]}
    assert to_v1(fields, {code: None}) == {}
    assert to_v1(fields, {}, with_empty=True) == {code: None, f"{code}_currency": None}


@pytest.mark.parametrize("value", ["nonsense", "1e5", "nan", "1_0", True, {"value": 1}])
def test_wrong_number_is_refused(api: Driver, value: Any) -> None:
    code = api.account.fields.create_custom("deal", "Number", "double", None)["field_code"]
    with pytest.raises(ApiError) as refused:
        from_v1(api.account, "deal", {code: value})
    assert refused.value.status == 400
    assert "custom_fields:" not in refused.value.text
