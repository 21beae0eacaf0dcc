"""Verifies what people took away: every change, removal, insertion, swap or cut in an export, and every change in a proof, is found.

Needs nothing but the file. Whose word the signed head is, is only known when the reader says which public key is the ledger's (`pinned_key`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from transload.audit.chain import HASHED_FIELDS
from transload.audit.files import EVENT_FIELDS, EXPORT_KEY, EXPORT_TYPE, HEAD_KEY, PROOF_TYPE, split_event
from transload.audit.heads import AuditHead, head_from_data
from transload.audit.merkle import leaf_hash, root_of_path
from transload.audit.statement import STATEMENT_TYPE, statement_lines
from transload.audit.walk import BrokenError, ChainWalk, check_event

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_EXPORT_START = b'{"' + EXPORT_KEY.encode() + b'"'
_HEAD_START = b'{"' + HEAD_KEY.encode() + b'"'
STATEMENT_MARK = STATEMENT_TYPE.encode()
_FIRST_LINE_MAX = 4096
"""Bytes looked at to tell what a file is."""


@dataclass(slots=True)
class Verdict:
    """What a verification found."""

    is_whole: bool
    message: str
    kind: str
    """`export`, `proof` or `statement`."""
    migration_id: str = ""
    event_count: int = 0
    erased_count: int = 0
    """Events whose payload was erased; their place and digest are proven all the same."""
    head: AuditHead | None = None
    """The last signed head."""
    is_pinned: bool = False
    """Whether the head's key is the one the reader named."""


class ExportVerifier:
    """Reads an export line by line."""

    def __init__(self, migration_id: str, pinned_key: str = "") -> None:
        self._migration_id = migration_id
        self._pinned_key = pinned_key
        self._walk = ChainWalk()
        self.head: AuditHead | None = None

    @property
    def count(self) -> int:
        """Events that followed so far."""
        return self._walk.count

    @property
    def erased_count(self) -> int:
        """Those whose payload was erased."""
        return self._walk.erased_count

    def take_event(self, line: bytes) -> None:
        """Check one event.

        Raises:
            BrokenError: it does not follow from the one before, or was changed.
        """
        try:
            event, payload = split_event(line)
            claimed, salt = event.pop("hash"), event.pop("payload_salt")
            if type(claimed) is not str or type(salt) is not str:
                raise TypeError("a hash or a salt is no text")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise BrokenError(f"event {self.count + 1}: the line is {_words(error)}") from error
        event["migration_id"] = self._migration_id
        self._walk.take(event, claimed, salt, payload)

    def take_head(self, line: bytes) -> None:
        """Check one signed head.

        Raises:
            BrokenError: it is not signed, not by the pinned key, or does not fit the events before it.
        """
        try:
            head = head_from_data(orjson.loads(line)[HEAD_KEY])
        except (ValueError, KeyError, TypeError) as error:
            raise BrokenError(f"after event {self.count}: the signed head is {_words(error)}") from error
        check_head(head, self._pinned_key, self._migration_id)
        if self.head is not None and head.public_key != self.head.public_key and not self._pinned_key:
            raise BrokenError("the heads are signed with different keys; name the ledger's with --key")
        self._walk.check_head(head)
        self.head = head

    def finish(self) -> None:
        """Check the end.

        Raises:
            BrokenError: the last event is not covered by a signed head, so a cut end could not be told.
        """
        if self.head is None or self.head.tree_size != self.count:
            covered = self.head.tree_size if self.head else 0
            raise BrokenError(f"no signed head at the end: events {covered + 1} to {self.count} are not covered, and more may be missing")


def check_head(head: AuditHead, pinned_key: str, migration_id: str) -> None:
    """Check signature, key and migration of a head.

    Raises:
        BrokenError: one of them is not right.
    """
    if not head.is_signed():
        raise BrokenError(f"the signature of the head over {head.tree_size} events is not valid")
    if pinned_key and head.public_key != pinned_key:
        raise BrokenError(f"the head over {head.tree_size} events is signed with another key than the one given")
    if migration_id and head.migration_id != migration_id:
        raise BrokenError(f"a signed head is of migration {head.migration_id}, not of {migration_id}")


def verify_export(lines: Iterable[bytes], migration_id: str, pinned_key: str = "") -> Verdict:
    """Verify the lines of an export of one migration."""
    verifier = ExportVerifier(migration_id, pinned_key)
    message = "every event follows from the one before, and the signed heads fit"
    is_whole = True
    try:
        for line in lines:
            if line.startswith(_HEAD_START):
                verifier.take_head(line)
            else:
                verifier.take_event(line)
        verifier.finish()
    except BrokenError as error:
        is_whole, message = False, str(error)
    return Verdict(is_whole, message, "export", migration_id, verifier.count, verifier.erased_count, verifier.head, is_whole and bool(pinned_key))


def verify_proof(content: bytes, pinned_key: str = "") -> Verdict:
    """Verify the proof of one record."""
    verdict = Verdict(is_whole=False, message="", kind="proof")
    try:
        proof = orjson.loads(content)
        if not isinstance(proof, dict) or proof.get("type") != PROOF_TYPE:
            raise BrokenError(f"not a proof: its type is not {PROOF_TYPE}")
        head = verdict.head = head_from_data(proof[HEAD_KEY])
        verdict.migration_id = str(proof["migration_id"])
        check_head(head, pinned_key, verdict.migration_id)
        for entry in proof["events"]:
            verdict.erased_count += _check_entry(entry, head, proof["source_key"])
            verdict.event_count += 1
        if not verdict.event_count:
            raise BrokenError("the proof holds no event")
    except BrokenError as error:
        verdict.message = str(error)
        return verdict
    except (ValueError, KeyError, TypeError) as error:
        verdict.message = f"the proof is {_words(error)}"
        return verdict
    verdict.is_whole, verdict.is_pinned = True, bool(pinned_key)
    verdict.message = f"each event stands in the tree of {head.tree_size} events that was signed"
    return verdict


def _check_entry(entry: Any, head: AuditHead, source_key: str) -> bool:
    """Check one event of a proof; answer whether its payload was erased."""
    event, payload, path = dict(entry["event"]), entry["payload"].encode(), [bytes.fromhex(node) for node in entry["path"]]
    sequence = event["sequence"]
    if set(event) != set(EVENT_FIELDS):
        raise BrokenError(f"event {sequence} does not have the fields of an event")
    if event["source_key"] != source_key:
        raise BrokenError(f"event {sequence} is of {event['source_key']}, not of {source_key}")
    hashed = {name: event[name] for name in HASHED_FIELDS if name != "migration_id"} | {"migration_id": head.migration_id}
    is_erased = check_event(hashed, event["hash"], event["payload_salt"], payload)
    root = root_of_path(leaf_hash(bytes.fromhex(event["hash"])), sequence - 1, head.tree_size, path)
    if root is None or root.hex() != head.root_hash:
        raise BrokenError(f"event {sequence} does not stand in the tree that was signed")
    return is_erased


def verify_statement(content: bytes, pinned_key: str = "") -> Verdict:
    """Verify the statement of a reconciliation: its proof, and that its words are those that follow from the proven event."""
    verdict = Verdict(is_whole=False, message="", kind="statement")
    try:
        document = orjson.loads(content)
        if document["type"] != STATEMENT_TYPE:
            raise BrokenError(f"not a statement: its type is not {STATEMENT_TYPE}")
        verdict = verify_proof(orjson.dumps(document["proof"]), pinned_key)
        verdict.kind = "statement"
        if verdict.is_whole:
            _check_statement(document)
            verdict.message = "its words are those of one event, which stands in the signed trail"
    except BrokenError as error:
        verdict.is_whole, verdict.is_pinned, verdict.message = False, False, str(error)
    except (ValueError, KeyError, TypeError) as error:
        verdict.is_whole, verdict.is_pinned, verdict.message = False, False, f"the statement is {_words(error)}"
    return verdict


def _check_statement(document: Any) -> None:
    entries = document["proof"]["events"]
    if len(entries) != 1:
        raise BrokenError(f"the statement holds the proof of {len(entries)} events, not of one")
    if not entries[0]["payload"]:
        raise BrokenError("the event's payload was erased: what was found is not known any more")
    if document["statement"] != statement_lines(entries[0]["event"], entries[0]["payload"].encode()):
        raise BrokenError("the words of the statement are not those that follow from the event")


def verify_file(path: Path, pinned_key: str = "") -> Verdict:
    """Verify an export, a proof or a statement, whichever the file is.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        start = file.readline(_FIRST_LINE_MAX)
        if start.startswith(_EXPORT_START):
            return _verify_export(start, file, pinned_key)
        if start.rstrip() == b"{":
            file.seek(0)
            content = file.read()
            return verify_statement(content, pinned_key) if STATEMENT_MARK in content[:_FIRST_LINE_MAX] else verify_proof(content, pinned_key)
    return Verdict(is_whole=False, message="neither an export (with its first line) nor a proof of an audit trail", kind="unknown")


def _verify_export(start: bytes, lines: Iterable[bytes], pinned_key: str) -> Verdict:
    try:
        about = orjson.loads(start)[EXPORT_KEY]
        if about["type"] != EXPORT_TYPE or type(about["migration_id"]) is not str:
            raise ValueError("of another type")
    except (ValueError, KeyError, TypeError) as error:
        return Verdict(is_whole=False, message=f"the first line is {_words(error)}", kind="export")
    return verify_export(lines, about["migration_id"], pinned_key)


def _words(error: Exception) -> str:
    """Say what is wrong with a piece of JSON."""
    if isinstance(error, KeyError):
        return f"without {error}"
    return f"not what it should be: {error}"
