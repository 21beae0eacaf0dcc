"""Whatever is done to a file that was taken away is found, with nothing but the file and the ledger's public key."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.audit.trails import MIGRATION, SIGNER, TIME, Trail, trail_of
from transload.audit import files
from transload.audit.heads import KeyFileError, Signer, head_from_data, key_id
from transload.audit.verifier import verify_export, verify_file, verify_proof

pytestmark = pytest.mark.requirement("L-14")

KEY = SIGNER.public_key
LINES = trail_of(12, signed_at=(5,)).lines
EVENT_LINES = [place for place, line in enumerate(LINES) if b'"sequence"' in line]


def verdict_of(lines: list[bytes], key: str = KEY) -> tuple[bool, str]:
    verdict = verify_export(lines[1:], MIGRATION, key)
    return verdict.is_whole, verdict.message


def test_an_export_is_whole_with_erased_and_empty_payloads(tmp_path: Path) -> None:
    path = tmp_path / "trail.jsonl"
    path.write_bytes(b"".join(LINES))
    verdict = verify_file(path, KEY)
    assert (verdict.is_whole, verdict.event_count, verdict.is_pinned, verdict.migration_id) == (True, 12, True, MIGRATION)
    assert verdict.erased_count == 3
    assert not verify_file(path).is_pinned


@pytest.mark.parametrize("place", EVENT_LINES)
def test_each_removed_event_is_found(place: int) -> None:
    assert not verdict_of([*LINES[:place], *LINES[place + 1 :]])[0]


@pytest.mark.parametrize("place", EVENT_LINES[:-1])
def test_each_swap_of_neighbours_is_found(place: int) -> None:
    after = next(other for other in EVENT_LINES if other > place)
    lines = list(LINES)
    lines[place], lines[after] = lines[after], lines[place]
    assert not verdict_of(lines)[0]


@pytest.mark.parametrize("place", EVENT_LINES)
def test_each_repeated_or_foreign_event_is_found(place: int) -> None:
    assert not verdict_of([*LINES[:place], LINES[place], *LINES[place:]])[0]
    other = Trail()
    other.add(name="Mallory")
    assert not verdict_of([*LINES[:place], other.lines[1], *LINES[place:]])[0]


@pytest.mark.parametrize("length", range(1, len(LINES)))
def test_each_cut_end_is_found_unless_the_head_before_it_covers_all_that_is_left(length: int) -> None:
    is_whole, _ = verdict_of(LINES[:length])
    assert is_whole == (length == 7)  # the first line, five events, and the head over them


def test_a_cut_right_after_an_earlier_head_shows_in_what_the_head_covers(tmp_path: Path) -> None:
    path = tmp_path / "trail.jsonl"
    path.write_bytes(b"".join(LINES[:7]))
    verdict = verify_file(path, KEY)
    assert verdict.head is not None
    assert (verdict.event_count, verdict.head.tree_size) == (5, 5)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(place=st.sampled_from(EVENT_LINES), data=st.data())
def test_any_changed_byte_of_an_event_is_found(place: int, data: st.DataObject) -> None:
    line = LINES[place].rstrip(b"\n")
    at = data.draw(st.integers(0, len(line) - 1))
    to = data.draw(st.integers(0, 255).filter(lambda byte: byte not in {line[at], 10}))
    lines = [*LINES[:place], line[:at] + bytes([to]) + line[at + 1 :] + b"\n", *LINES[place + 1 :]]
    assert not verdict_of(lines)[0]


@given(data=st.data())
def test_any_changed_byte_of_a_signed_head_is_found(data: st.DataObject) -> None:
    line = LINES[-1].rstrip(b"\n")
    at = data.draw(st.integers(0, len(line) - 1))
    to = data.draw(st.integers(0, 255).filter(lambda byte: byte not in {line[at], 10}))
    changed = line[:at] + bytes([to]) + line[at + 1 :]
    # A hex digit in capitals says the same, so what remains is still what was signed.
    assert not verdict_of([*LINES[:-1], changed + b"\n"])[0] or changed.lower() == line.lower()


def test_a_trail_made_anew_by_someone_with_another_key_is_found() -> None:
    forged = Trail(signer=Signer.generate())
    forged.add(name="Mallory")
    forged.sign()
    assert verdict_of(forged.lines, "")[0]
    is_whole, message = verdict_of(forged.lines)
    assert not is_whole
    assert "another key" in message


def test_a_chain_computed_anew_does_not_fit_the_signed_heads() -> None:
    forged, real = trail_of(3), trail_of(3)
    assert not verdict_of([*forged.lines[:-1], real.lines[-1]])[0]


def test_keys_that_stand_twice_are_refused() -> None:
    line = LINES[1].replace(b'"actor":', b'"actor":"nobody","actor":', 1)
    is_whole, message = verdict_of([LINES[0], line, *LINES[2:]])
    assert not is_whole
    assert "event 1" in message


@pytest.mark.parametrize(
    "content", [b"", b"x", b"{}", b"[1]\n", b'{"audit_export":3}\n', b'{"audit_export":{"type":"other","migration_id":"a"}}\n', b"{\n"]
)
def test_other_files_are_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    verdict = verify_file(path)
    assert not verdict.is_whole
    assert verdict.message


@given(count=st.integers(1, 20))
def test_a_proof_holds_for_the_record_and_needs_nothing_else(count: int) -> None:
    trail = trail_of(count)
    for source_key in {str(event["source_key"]) for event, _ in trail.events}:
        verdict = verify_proof(trail.proof(source_key), KEY)
        assert verdict.is_whole, verdict.message
        assert verdict.event_count == sum(event["source_key"] == source_key for event, _ in trail.events)


PROOF = orjson.loads(trail_of(12).proof("client/1"))


@pytest.mark.parametrize("name", files.EVENT_FIELDS)
def test_each_changed_field_of_a_proven_event_is_found(name: str) -> None:
    proof = orjson.loads(orjson.dumps(PROOF))
    event = proof["events"][0]["event"]
    event[name] = event[name] + 1 if name == "sequence" else ("1" if event[name][:1] != "1" else "2") + event[name][1:]
    assert not verify_proof(orjson.dumps(proof), KEY).is_whole


@pytest.mark.parametrize(
    "change",
    [
        lambda proof: proof.update(source_key="client/2"),
        lambda proof: proof.update(migration_id="other"),
        lambda proof: proof.update(type="other"),
        lambda proof: proof.update(events=[]),
        lambda proof: proof["audit_head"].update(tree_size=13),
        lambda proof: proof["audit_head"].update(public_key="00" * 32),
        lambda proof: proof["audit_head"].pop("signature"),
        lambda proof: proof["events"][0].update(payload="{}"),
        lambda proof: proof["events"][0].update(path=[]),
        lambda proof: proof["events"][0]["path"].reverse(),
        lambda proof: proof["events"][0]["event"].update(note="more"),
    ],
)
def test_each_changed_part_of_a_proof_is_found(change: object) -> None:
    proof = orjson.loads(orjson.dumps(PROOF))
    assert verify_proof(orjson.dumps(proof), KEY).is_whole
    change(proof)  # type: ignore[operator]
    verdict = verify_proof(orjson.dumps(proof), KEY)
    assert not verdict.is_whole
    assert verdict.message


def test_keys_are_read_and_refused() -> None:
    assert Signer.from_pem(SIGNER.pem()).public_key == KEY
    assert len(key_id(KEY)) == 16
    with pytest.raises(KeyFileError, match="PEM"):
        Signer.from_pem(b"no key")
    with pytest.raises(ValueError, match="exactly the fields"):
        head_from_data({})
    assert SIGNER.sign("a", 1, "b", "c", TIME).is_signed()
