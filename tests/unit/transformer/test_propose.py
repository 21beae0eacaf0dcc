"""The proposal fills in what the account shows, says how sure it is, and keeps the file readable."""

from __future__ import annotations

import pytest

from services.common.errors import MappingError
from services.transformer.guessing import Observed, guess_status, guess_type, slug
from services.transformer.mapping.reading import load_mapping
from services.transformer.propose import propose
from tests.unit.transformer import examples
from tests.unit.transformer.support import TARGET, Snapshot


@pytest.mark.requirement("L-03", "D-02")
def test_states_become_stages_in_their_order_with_a_guess_to_review(mapping_yaml: str) -> None:
    mapping = load_mapping(mapping_yaml)
    assert mapping.schema_.pipelines["work_orders"].stages == {"en_pausa": "En pausa ⏸", "facturada": "Facturada"}
    quotes = mapping.value_maps["quote_states"]
    assert quotes["Pendiente"] == {"stage": "quotes.pendiente", "status": "open"}
    closed = quotes["Cerrada"]
    assert isinstance(closed, dict)
    assert (closed["status"], str(closed["remark"])[:12]) == ("open", "needs_review")
    assert mapping.value_maps["invoice_states"]["Cerrada"] == {"stage": "invoices.cerrada"}


@pytest.mark.requirement("L-03")
def test_documents_without_a_state_get_a_stage_only_where_there_are_any(base_text: str) -> None:
    records = examples.account()
    records["sales_order"][0].update(examples.state(0) | {"document-state-id": None, "document-state-path": None})
    pipelines = load_mapping(propose(base_text, Snapshot(records), TARGET, "")).schema_.pipelines
    assert "none" in pipelines["orders"].stages
    assert "none" not in pipelines["quotes"].stages


@pytest.mark.requirement("L-04", "SO-10")
def test_users_are_matched_by_email_and_lost_ones_are_listed(base_text: str) -> None:
    records = examples.account()
    records["sales_order"][0].update(examples.link("agent", "employees", 99))
    people = load_mapping(propose(base_text, Snapshot(records), TARGET, "")).owners.people
    assert people["3"].remark is None
    assert "no active Pipedrive user" in (people["11"].remark or "")
    assert (people["99"].is_listed, people["99"].is_active) == (False, False)
    assert "1 records" in (people["99"].remark or "")


@pytest.mark.requirement("X-03", "L-02")
def test_unknown_fields_become_custom_fields_with_type_score_and_reason(mapping_yaml: str) -> None:
    mapping = load_mapping(mapping_yaml)
    fields = {one.name: one for one in mapping.schema_.fields["organization"].values()}
    assert fields["sector"].type == "varchar"
    assert fields["Última visita"].type == "date"
    properties = mapping.entities["client"].properties
    assert properties["property_ultima_visita"].keys == ["custom-fields", "Última visita"]
    assert properties["property_ultima_visita"].score == 0.95
    assert properties["property_ultima_visita"].reason == "2 values, all dates"


@pytest.mark.requirement("L-02")
def test_comments_and_wishes_stay_in_the_text(base_text: str) -> None:
    text = propose(base_text, Snapshot(examples.account()), TARGET, "policies: {default_currency: USD}")
    assert text.startswith(base_text.rstrip())
    assert "\naccount:\n" in text
    assert load_mapping(text).policies.default_currency == "USD"
    with pytest.raises(MappingError):
        propose(base_text, Snapshot({}), TARGET, "policies: {default_currency: [}")


@pytest.mark.requirement("L-02")
def test_the_same_account_gives_the_same_proposal(base_text: str, mapping_yaml: str) -> None:
    assert propose(base_text, Snapshot(examples.account()), TARGET, "") == mapping_yaml


@pytest.mark.requirement("L-03")
@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("Pendiente de facturar", "open"),
        ("Aceptado", "won"),
        ("FACTURADA", "won"),
        ("Rechazado", "lost"),
        ("Cancelled", "lost"),
        ("In progress", "open"),
        ("Cerrada", "won"),
        ("見積中", "open"),
    ],
)
def test_names_of_states_are_guessed_in_spanish_and_english(name: str, status: str) -> None:
    assert guess_status(name, closed_means_won=True)[0] == status


@pytest.mark.requirement("X-03")
@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([True, False], "enum"),
        ([1, 2.5], "double"),
        (["2024-01-01", "2024-01-02T00:00:00+0000"], "date"),
        (["2024-01-01", "15/03/2024"], "date"),
        (["Norte", "Sur"] * 5, "enum"),
        ([f"text {number}" for number in range(30)], "varchar"),
        (["x" * 300], "text"),
        ([1, "a"], "varchar"),
        (["a\nb"] * 9, "varchar"),
        ([], "varchar"),
    ],
)
def test_types_are_guessed_from_values(values: list[object], kind: str) -> None:
    seen = Observed()
    for value in values:
        seen.see(value)
    guess = guess_type(seen)
    assert guess.type == kind
    assert 0 <= guess.score <= 1
    assert guess.reason


def test_names_in_any_script_get_an_id() -> None:
    assert slug("Límite de crédito (€)", "x") == "limite_de_credito"
    assert slug("状態", "state_5") == "state_5"
