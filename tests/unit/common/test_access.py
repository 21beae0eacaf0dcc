from __future__ import annotations

import hashlib
import importlib
import re
from pathlib import Path

import pytest

from services.common.access.callers import Caller, Callers
from services.common.access.guard import Guard
from services.common.access.roles import OPEN, RULES, SERVICES, Role, page_rows
from services.common.errors import AccessDeniedError, ConfigurationError, UnauthenticatedError
from transload import watched
from transload.watched import LOOK_SECONDS

ROOT = Path(__file__).resolve().parents[3]
TOKEN = "0123456789abcdef0123456789abcdef"
DIGEST = hashlib.sha256(TOKEN.encode()).hexdigest()


def rpcs() -> dict[str, bool]:
    """Full paths of the RPCs of every contract there is, and whether the caller streams."""
    stems = [path.stem for path in sorted((ROOT / "proto/transload/v1").glob("*.proto"))]
    contracts = [importlib.import_module(f"transload.v1.{stem}_pb2").DESCRIPTOR for stem in stems]
    return {
        f"/{service.full_name}/{method.name}": method.client_streaming
        for contract in contracts
        for service in contract.services_by_name.values()
        for method in service.methods
    }


def test_every_rpc_of_every_contract_has_its_rule_and_no_rule_is_left_over() -> None:
    ours = {path for path in RULES if path.startswith("/transload.")}
    assert ours == set(rpcs())
    assert len(ours) > 70


def test_no_rpc_streams_requests_because_the_guard_looks_at_one_request() -> None:
    assert not any(rpcs().values())


def test_every_rule_lets_somebody_in() -> None:
    assert all(rule.role is not None or rule.services for rule in RULES.values())
    assert not OPEN & set(RULES)


def test_the_page_shows_the_table_of_the_code() -> None:
    page = (ROOT / "docs/access.md").read_text(encoding="utf-8")
    assert "\n\n" + "\n".join(page_rows()) + "\n\n" in page, "run `python -m tools.access_table`"


@pytest.mark.parametrize("path", sorted(RULES))
def test_a_role_below_the_needed_one_is_refused_and_the_needed_one_let_in(path: str, tmp_path: Path) -> None:
    rule, guard = RULES[path], guard_of(tmp_path, "")
    for number, role in enumerate((Role.VIEWER, Role.OPERATOR, Role.APPROVER, Role.ADMIN)):
        reaches = rule.role is not None and number >= list(Role).index(rule.role)
        assert allowed(guard, Caller("ana", role), path) is reaches
    for service in SERVICES:
        assert allowed(guard, Caller(service, Role.SERVICE, frozenset({service})), path) is (service in rule.services)


def allowed(guard: Guard, caller: Caller, path: str) -> bool:
    try:
        guard.check(caller, path)
    except AccessDeniedError:
        return False
    return True


def test_what_has_no_rule_nobody_may_call(tmp_path: Path) -> None:
    assert not allowed(guard_of(tmp_path, ""), Caller("ana", Role.ADMIN), "/transload.v1.MigrationService/Unheard")


def guard_of(folder: Path, entries: str) -> Guard:
    path = folder / "access.yaml"
    path.write_text(f"callers:\n{entries}" if entries else "callers: []\n")
    return Guard(path)


ANA = f"  - {{actor: ana@example.com, role: operator, token_sha256: {DIGEST.upper()}}}\n"
LOADER = "  - {actor: loader, role: service, services: [loader], certificate: [loader.internal, loader-2.internal]}\n"


def test_a_token_says_who_calls_and_a_wrong_one_is_not_made_good_by_a_certificate(tmp_path: Path) -> None:
    guard = guard_of(tmp_path, ANA + LOADER)
    certificate = {"x509_common_name": [b"loader.internal"]}
    assert guard.identify([("authorization", f"Bearer {TOKEN}")], {}) == Caller("ana@example.com", Role.OPERATOR)
    assert guard.identify([("authorization", f"bearer {TOKEN}")], certificate).actor == "ana@example.com"
    for header in (f"Bearer {TOKEN}x", f"Basic {TOKEN}", TOKEN, "Bearer ", "Bearer"):
        with pytest.raises(UnauthenticatedError):
            guard.identify([("authorization", header)], certificate)
    with pytest.raises(UnauthenticatedError):
        guard.identify([("authorization", f"Bearer {TOKEN}"), ("authorization", "Bearer other")], {})


def test_a_certificate_says_who_calls_by_any_of_its_names(tmp_path: Path) -> None:
    guard = guard_of(tmp_path, ANA + LOADER + "  - {actor: bob, role: viewer, certificate: bob}\n")
    assert guard.identify([], {"x509_subject_alternative_name": [b"10.0.0.1", b"loader-2.internal"]}).services == {"loader"}
    assert guard.identify([], {"x509_common_name": [b"bob"]}).actor == "bob"
    for names in ({}, {"x509_common_name": [b"eve"]}, {"x509_common_name": [b"bob"], "x509_subject_alternative_name": [b"loader.internal"]}):
        with pytest.raises(UnauthenticatedError):
            guard.identify([], names)


def test_a_short_token_is_refused_even_if_its_digest_is_listed(tmp_path: Path) -> None:
    digest = hashlib.sha256(b"hunter2").hexdigest()
    guard = guard_of(tmp_path, f"  - {{actor: ana, role: admin, token_sha256: {digest}}}\n")
    with pytest.raises(UnauthenticatedError):
        guard.identify([("authorization", "Bearer hunter2")], {})


SECRET = "plain-token-in-the-wrong-place-123"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "must hold `callers:`"),
        ("callers: {}", "must hold `callers:`"),
        ("callers: []\nmore: 1", "must hold `callers:`"),
        (f"callers: [\n{SECRET}", r"is no YAML \(line 2\)"),
        ("callers: [5]", "caller 1: .* may stand there"),
        (f"callers: [{{actor: a, role: viewer, token: {SECRET}}}]", "may stand there"),
        ("callers: [{role: viewer}]", "`actor` must be text"),
        ("callers: [{actor: '', role: viewer}]", "`actor` must be text"),
        ('callers: [{actor: "a\\nb", role: viewer}]', "`actor` must be text"),
        ("callers: [{actor: a, role: root, certificate: a}]", "`role` must be one of viewer"),
        ("callers: [{actor: a, role: [viewer], certificate: a}]", "`role` must be one of viewer"),
        (f"callers: [{{actor: a, role: viewer, token_sha256: {SECRET}}}]", "not the token itself"),
        ("callers: [{actor: a, role: viewer}]", "one of `token_sha256` and `certificate`"),
        ("callers: [{actor: a, role: viewer, certificate: [1]}]", "text or a list of texts"),
        ("callers: [{actor: a, role: viewer, certificate: a}, {actor: b, role: admin, certificate: a}]", "stands in the file before"),
        ("callers: [{actor: a, role: viewer, certificate: a, services: [loader]}]", "belongs to role `service`"),
        ("callers: [{actor: a, role: service, certificate: a}]", "must name which it is"),
        ("callers: [{actor: a, role: service, certificate: a, services: [world]}]", "must name which it is"),
    ],
)
def test_a_broken_list_is_refused_without_telling_what_is_in_it(text: str, problem: str, tmp_path: Path) -> None:
    path = tmp_path / "access.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=problem) as caught:
        Callers.read(path)
    assert SECRET not in caught.value.message
    assert re.search("TRANSLOAD_ACCESS_FILE", caught.value.message)


def test_a_missing_list_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        Guard(tmp_path / "nowhere.yaml")


def test_a_changed_list_is_read_again_and_a_broken_one_leaves_the_last_good_in_force(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    moment = [0.0]
    monkeypatch.setattr(watched, "monotonic", lambda: moment[0])
    path = tmp_path / "access.yaml"
    path.write_text("callers:\n" + ANA)
    guard = Guard(path)
    header = [("authorization", f"Bearer {TOKEN}")]
    path.write_text("callers: [")
    moment[0] += LOOK_SECONDS
    assert guard.identify(header, {}).role is Role.OPERATOR
    before = guard.generation
    path.write_text("callers:\n" + ANA.replace("operator", "viewer"))
    assert guard.identify(header, {}).role is Role.OPERATOR, "it is looked at once a second"
    moment[0] += LOOK_SECONDS
    assert guard.identify(header, {}).role is Role.VIEWER
    assert guard.generation == before + 1
    path.unlink()
    moment[0] += LOOK_SECONDS
    assert guard.identify(header, {}).role is Role.VIEWER
    path.write_text("callers: []\n")
    moment[0] += LOOK_SECONDS
    with pytest.raises(UnauthenticatedError):
        guard.identify(header, {})
