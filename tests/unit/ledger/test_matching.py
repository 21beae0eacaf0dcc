"""Keys and scores of matching: what reads the same, what does not, and that nothing anybody types can upset them."""

# ruff: noqa: RUF001 - names of other scripts are meant

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.ledger.domain import Match, Named
from services.ledger.matching.choice import Place, Verdict, choose
from services.ledger.matching.folding import code_of, domain_of, email_of, fold, fold_name, phone_of
from services.ledger.matching.identity import Identity, Key, Rules, identify
from services.ledger.matching.score import Judgement, Reason, compare

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=200)
NAMES = st.sampled_from(
    ["Acme", "ACME SL", "Ácme, S.L.", "Acme GmbH & Co. KG", "Beta", "Bäta", "Société Générale", "Ооо Ромашка", "株式会社 山田", "", "S.L."]
)
ORGANIZATION = Rules(
    "organization",
    policy="match",
    within_source="merge_into_first",
    keys=(
        Key("domain", ("website",), 0.92),
        Key("phone", ("phones",), 0.8),
        Key("name_and_postcode", (), 0.93),
        Key("name", (), 0.72),
    ),
    differ=("custom_fields.qb",),
    free_mail_hosts=frozenset({"gmail.com"}),
)
PERSON = Rules(
    "person",
    policy="match",
    keys=(
        Key("email", ("emails",), 0.96),
        Key("phone", ("phones",), 0.8),
        Key("name_and_organization", (), 0.92),
        Key("name", (), 0.6),
    ),
    phone_region="ES",
)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Acme, S.L.", "ACME"),
        ("Acme S. L. U.", "acme slu"),
        ("Müller & Söhne GmbH & Co. KG", "Muller und Sohne"),
        ("Société Générale SA", "SOCIETE GENERALE"),
        ("L'Oréal S.A.", "LOreal"),
        ("Ødegård AS", "Odegard"),
        ("Straße 7 UG (haftungsbeschränkt)", "Strasse 7"),
        ("ООО «Ромашка»", "Ромашка"),
        ("株式会社山田", "山田 株式会社"),
        ("Żółć sp. z o.o.", "Zolc"),
    ],
)
def test_names_that_are_the_same_read_the_same(one: str, other: str) -> None:
    assert fold_name(one) == fold_name(other) != ""


@pytest.mark.parametrize(("one", "other"), [("S.L.", "Ltd"), ("AS Roma", "Roma Foods"), ("कमल", "कमला"), ("が", "か"), ("3M", "M3")])
def test_names_that_are_not_the_same_do_not(one: str, other: str) -> None:
    assert fold_name(one) != fold_name(other)


@pytest.mark.parametrize(
    ("written", "domain"),
    [
        ("https://www.Acme.example/de?x=1#y", "acme.example"),
        ("acme.example", "acme.example"),
        ("HTTP://user:pass@ACME.example:8080", "acme.example"),
        ("info@acme.example", "acme.example"),
        ("mailto:info@acme.example", "acme.example"),
        ("Müller.example", "xn--mller-kva.example"),
        ("someone@gmail.com", ""),
        ("gmail.com", ""),
        ("10.0.0.1", ""),
        ("localhost", ""),
        ("no website", ""),
        ("www.", ""),
        ("..", ""),
    ],
)
def test_domains(written: str, domain: str) -> None:
    assert domain_of(written, {"gmail.com"}) == domain


@pytest.mark.parametrize(
    ("written", "region", "number"),
    [
        ("600 000 001", "ES", "+34600000001"),
        ("+34 600-000-001", "", "+34600000001"),
        ("0034 600 000 001", "ES", "+34600000001"),
        ("600 000 001", "", "600000001"),
        ("\uff0b34600000001", "", "+34600000001"),
        ("12", "", ""),
        ("call me", "ES", ""),
    ],
)
def test_phones(written: str, region: str, number: str) -> None:
    assert phone_of(written, region) == number


@given(ANY_TEXT, ANY_TEXT)
@example("\ud800", "\0")
@example("a" * 300_000, "@" * 300_000)
def test_folding_takes_anything_and_once_is_enough(one: str, other: str) -> None:
    for text in (one, other, one + "@" + other, f"https://{one}/{other}"):
        folded, name, domain = fold(text), fold_name(text), domain_of(text)
        assert fold(folded) == folded
        assert name == name.strip()
        assert domain in {"", domain_of(domain)}
        assert email_of(text) == email_of(email_of(text)) or not email_of(text)
        assert code_of(code_of(text)) == code_of(text)
        assert isinstance(phone_of(text, "ES"), str)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["value", "postal_code", "qb", "x"]), inner, max_size=3),
    max_leaves=6,
)
IMAGES = st.dictionaries(st.sampled_from(["name", "website", "phones", "emails", "address", "org_id", "custom_fields"]), VALUES, max_size=7)


@given(IMAGES, IMAGES)
def test_any_two_records_can_be_compared_either_way(one: dict[str, Any], other: dict[str, Any]) -> None:
    for rules in (ORGANIZATION, PERSON):
        first, second = identify(rules, one), identify(rules, other)
        there, back = compare(rules, first, second), compare(rules, second, first)
        assert there == back
        assert 0 <= there.score <= 1
        assert bool(there.reasons) or there.score == 0
        assert all(str(reason) for reason in there.reasons)
        again = Identity.from_plain(json.loads(json.dumps(first.plain())))
        assert (again, again.digests()) == (first, first.digests())


@given(st.dictionaries(st.sampled_from(["name", "website"]), NAMES, min_size=1, max_size=2), st.sampled_from(["", "28001"]))
def test_a_record_is_itself(image: dict[str, Any], postcode: str) -> None:
    whole = {**image, "address": {"postal_code": postcode}}
    identity = identify(ORGANIZATION, whole)
    judgement = compare(ORGANIZATION, identity, identity)
    assert judgement.score >= ORGANIZATION.uncertain if identity.values else judgement.score == 0
    assert not judgement.is_barred


@given(NAMES, NAMES)
def test_one_more_key_that_agrees_never_makes_it_less_sure(one: str, other: str) -> None:
    plain = [identify(ORGANIZATION, {"name": name}) for name in (one, other)]
    same = [identify(ORGANIZATION, {"name": name, "phones": [{"value": "+34600000001"}]}) for name in (one, other)]
    both = [identify(ORGANIZATION, {"name": name, "phones": [{"value": "+34600000001"}], "website": "acme.example"}) for name in (one, other)]
    scores = [compare(ORGANIZATION, *pair).score for pair in (plain, same, both)]
    assert scores == sorted(scores)


def organization(**image: Any) -> Identity:
    return identify(ORGANIZATION, image)


@pytest.mark.parametrize(
    ("one", "other", "least", "most"),
    [
        # A domain and a name that is alike are certain, a domain under another name is for a person.
        ({"name": "Acme SL", "website": "acme.example"}, {"name": "ACME", "website": "https://www.acme.example"}, 0.9, 1),
        ({"name": "Acme", "website": "acme.example"}, {"name": "Zeta Holding", "website": "acme.example"}, 0.7, 0.9),
        # A name alone is for a person, with the post code it is certain, and nearly the same name in the same place, too.
        ({"name": "Acme"}, {"name": "Acme GmbH"}, 0.7, 0.9),
        ({"name": "Acme", "address": {"postal_code": "28 001"}}, {"name": "Acme", "address": {"postal_code": "28001"}}, 0.9, 1),
        (
            {"name": "Talleres Martinez", "address": {"postal_code": "28001"}},
            {"name": "Taleres Martinez", "address": {"postal_code": "28001"}},
            0.85,
            1,
        ),
        ({"name": "Nave 1", "address": {"postal_code": "28001"}}, {"name": "Nave 2", "address": {"postal_code": "28001"}}, 0, 0),
        # A mailbox anybody can have says nothing.
        ({"name": "Acme", "website": "gmail.com"}, {"name": "Zeta", "website": "gmail.com"}, 0, 0),
        ({"name": "Acme"}, {"name": "Zeta"}, 0, 0),
    ],
)
def test_how_sure_it_is(one: dict[str, Any], other: dict[str, Any], least: float, most: float) -> None:
    assert least <= compare(ORGANIZATION, organization(**one), organization(**other)).score <= most


def test_legal_forms_of_the_mapping_are_left_out_of_names_as_the_known_ones_are() -> None:
    plain = {"policy": "match", "within_source": "keep_all", "certain": 0.9, "uncertain": 0.7, "keys": [{"key": "name", "fields": [], "score": 0.7}]}
    known, own = Rules.of("organization", plain), Rules.of("organization", {**plain, "legal_forms": ["Handelsbolag", "H.B."]})
    assert known is not None
    assert own is not None
    names = ("Acme Handelsbolag", "Acme H.B.", "Acme HB", "Acme GmbH")
    assert [identify(known, {"name": name}).name for name in names] == ["acme handelsbolag", "acme hb", "acme hb", "acme"]
    assert [identify(own, {"name": name}).name for name in names] == ["acme"] * 4


def test_other_ids_of_another_system_are_never_one_without_a_person() -> None:
    one = organization(name="Acme", website="acme.example", custom_fields={"qb": "80-1"})
    other = organization(name="Acme", website="acme.example", custom_fields={"qb": "80-2"})
    judgement = compare(ORGANIZATION, one, other)
    assert judgement.is_barred
    assert choose(ORGANIZATION, [Place("target/1", "1", "", "Acme", judgement)]).verdict is Verdict.UNCERTAIN
    same = compare(ORGANIZATION, one, organization(name="Acme", website="acme.example"))
    assert choose(ORGANIZATION, [Place("target/1", "1", "", "Acme", same)]).verdict is Verdict.CERTAIN


@given(
    st.lists(st.tuples(st.floats(0, 1), st.booleans(), st.booleans(), st.booleans()), max_size=6),
    st.sampled_from(["keep_all", "merge_into_first", "review"]),
)
def test_a_choice_is_one_clear_candidate_or_a_question(found: list[tuple[float, bool, bool, bool]], within_source: str) -> None:
    rules = Rules("organization", policy="match", within_source=within_source)
    places = [
        Place(
            f"target/{number}",
            str(number),
            "organization:x/1" if is_ours else "",
            "",
            Judgement(score, (Reason("name", "same"),), is_enough, is_barred),
        )
        for number, (score, is_ours, is_enough, is_barred) in enumerate(found)
    ]
    choice = choose(rules, places)
    assert choose(rules, reversed(places)) == choice
    assert (choice.place is not None) == (choice.verdict is Verdict.CERTAIN)
    if choice.place is not None:
        assert not choice.place.judgement.is_barred
        assert choice.place.judgement.is_enough or choice.place.judgement.score >= rules.certain
        assert not (choice.place.key and within_source != "merge_into_first")
    if choice.verdict is Verdict.UNCERTAIN:
        assert choice.places


def test_what_was_decided_is_kept_as_it_was() -> None:
    named = Named("target/1", "1", "Acme “&” Co", 0.98, ("same domain (acme.example)",))
    match = Match("uncertain", "match", candidates=(named,), chosen="target/1", planned={"name": None}, is_new=True)
    assert Match.of(match.to_json()) == match
    assert Match.of("") is None
    assert named.words == "1 “Acme “&” Co” (0.98: same domain (acme.example))"
