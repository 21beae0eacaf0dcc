"""Data quality of a snapshot (L-01): what a person should know, or mend in the source, before anything moves.

Every record passes once; what must be compared across records goes to a temporary database on disk, so memory does not grow with the account.
Findings name records by key, never by their values.
"""

from __future__ import annotations

import re
import sqlite3
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, Self

import phonenumbers

from services.transformer.paths import Links
from services.transformer.transforms import ValueProblem, moment

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from services.transformer.index import Envelope, Lookup
    from services.transformer.mapping import Mapping as MappingModel

SAMPLES_MAX: Final = 10
"""Records a finding names."""
SUM_TOLERANCE: Final = Decimal("0.01")
NAME_CHARACTERS_MAX: Final = 255
BACK_DATED: Final = timedelta(hours=24)
"""How much older than a record with a smaller id a record must be before it counts as entered late."""
_UNORDERED_SHARE: Final = 0.2
"""Above this share of back-dated records the ids of an entity do not follow time at all, and nothing can be said."""

_EMAIL: Final = re.compile(r"[^@\s,;<>]+@[^@\s,;<>]+\.[^@\s,;<>.]{2,}")
_SEPARATORS: Final = re.compile(r"\s*[;,/\n]\s*")
_DATE_FORMATS: Final[tuple[tuple[str, re.Pattern[str]], ...]] = (
    ("2026-03-02T10:15:00+0000", re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?([+-]\d\d:?\d\d|Z)?")),
    ("2026-03-02", re.compile(r"\d{4}-\d\d-\d\d")),
    ("2026-03-02 10:15", re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)?")),
    ("02/03/2026", re.compile(r"\d{1,2}/\d{1,2}/\d{2,4}( \d\d:\d\d(:\d\d)?)?")),
    ("02-03-2026", re.compile(r"\d{1,2}-\d{1,2}-\d{2,4}")),
    ("02.03.2026", re.compile(r"\d{1,2}\.\d{1,2}\.\d{2,4}")),
    ("2026/03/02", re.compile(r"\d{4}/\d\d?/\d\d?")),
)
_OTHER_FORMAT: Final = "other"


@dataclass(frozen=True, slots=True)
class QualityRules:
    """What to look for in one kind of source.

    Attributes:
        unique: fields by entity whose values should not come twice.
        emails: fields with e-mails, by entity; the first should not be empty.
        phones: fields with telephone numbers, by entity.
        names: fields of which one must hold a name, by entity.
        relations: links by entity that must lead to a record; the words say what is missing.
        sums: entities whose lines, taxes and total must agree.
        parent_currency: link to the document before, whose currency should be the same.
        created: field with the time a record was entered.
    """

    unique: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    emails: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    phones: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    relations: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    sums: frozenset[str] = frozenset()
    parent_currency: str = ""
    created: str = "creation-date"


_STEL_DOCUMENTS: Final = ("sales_estimate", "sales_order", "work_order", "ordinary_invoice")
_STEL_OTHER_DOCUMENTS: Final = ("work_estimate", "sales_delivery_note", "work_delivery_note", "refund_invoice")
_STEL_DOCUMENT_RELATIONS: Final = {
    "account": "document without client",
    "state": "document with an unknown state",
    "parent_document": "document whose predecessor is missing",
}

RULES: Final[Mapping[str, QualityRules]] = {
    "stel_order": QualityRules(
        unique={
            "client": ("legal-name", "tax-identification-number", "email"),
            "contact": ("email",),
            "product": ("full-reference", "name", "barcode"),
            "service": ("full-reference",),
            "asset": ("serial-number",),
            "employee": ("email",),
            **dict.fromkeys((*_STEL_DOCUMENTS, *_STEL_OTHER_DOCUMENTS), ("full-reference",)),
        },
        emails={"client": ("email",), "potential_client": ("email",), "contact": ("email",), "employee": ("email", "user-name")},
        phones={"client": ("phone", "phone2"), "potential_client": ("phone", "phone2"), "contact": ("phone", "mobile")},
        names={"client": ("legal-name", "name"), "contact": ("name",), "product": ("name",), "service": ("name",), "asset": ("name",)},
        relations={
            "contact": {"account": "contact without client"},
            "asset": {"account": "asset without client"},
            "ordinary_invoice_receipt": {"invoice": "payment without invoice"},
            **dict.fromkeys((*_STEL_DOCUMENTS, *_STEL_OTHER_DOCUMENTS), _STEL_DOCUMENT_RELATIONS),
            **{entity: {"file_owner": "file of a record that is not there"} for entity in ("entity_attachment", "item_image", "asset_image")},
        },
        sums=frozenset((*_STEL_DOCUMENTS, *_STEL_OTHER_DOCUMENTS)),
        parent_currency="parent_document",
    )
}
"""By connector; a source without an entry gets only the checks that need no rules (dates, ids)."""

_OPTIONAL_LINKS: Final = frozenset({"parent_document"})
"""Relations that may be empty, but must lead somewhere when they are not."""

_ADVICE: Final[Mapping[str, str]] = {
    "duplicate": "merge them in the source, or let both move",
    "email missing": "owners are matched by e-mail; other records simply have none in Pipedrive",
    "invalid e-mail": "correct it in the source; otherwise the value is left out and flagged",
    "invalid phone": "moved as written",
    "name missing": "give it a name in the source; records without one are rejected",
    "name too long": "Pipedrive takes 255 characters; the whole name is kept in a note",
    "broken date": "correct it in the source; otherwise the value is left out and flagged",
    "mixed date formats": "look at these records: day and month may be the wrong way round",
    "sums": "the official total is kept; look at the document",
    "currency": "the amounts of the two documents cannot be compared",
    "orphan": "link it in the source and run a delta, or decide in the review queue",
    "back-dated": "offline devices send late: ask for a sync of all devices and run a delta 24 to 48 hours later",
    "gaps": "records were deleted, or devices have not sent theirs yet: ask for a sync and run a delta",
}


@dataclass(slots=True)
class _Finding:
    count: int = 0
    samples: list[str] = field(default_factory=list)

    def add(self, source_key: str) -> None:
        self.count += 1
        if len(self.samples) < SAMPLES_MAX:
            self.samples.append(source_key)


@dataclass(slots=True)
class _DateField:
    formats: Counter[str] = field(default_factory=Counter)
    samples: dict[str, _Finding] = field(default_factory=dict)
    broken: _Finding = field(default_factory=_Finding)


class QualityCheck:
    """Takes the records of a snapshot one by one and answers what is wrong with them. Use it as a context."""

    def __init__(self, mapping: MappingModel, lookup: Lookup) -> None:
        self._rules = RULES.get(mapping.source, QualityRules())
        self._links = Links(mapping.links, mapping.collections)
        self._lookup = lookup
        self._region = mapping.policies.phone_region
        self._findings: dict[tuple[str, str, str, str], _Finding] = {}
        self._dates: dict[tuple[str, str], _DateField] = {}
        # An empty name is a private database in a temporary file that goes with the connection.
        self._disk = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._disk.executescript(
            "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;"
            "CREATE TABLE value (entity TEXT, field TEXT, value TEXT, source_id TEXT);"
            "CREATE TABLE number (entity TEXT, number INTEGER, created REAL, PRIMARY KEY (entity, number)) WITHOUT ROWID;"
            "BEGIN;"
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._disk.close()

    def take(self, envelope: Envelope) -> None:
        """Look at one record. Deleted ones count only where ids are missing."""
        self._note_number(envelope)
        if envelope.is_deleted:
            return
        self._check_unique(envelope)
        self._check_contact_data(envelope)
        self._check_name(envelope)
        self._check_relations(envelope)
        self._check_currency(envelope)
        if envelope.entity in self._rules.sums:
            self._check_sums(envelope)
        for path, text in texts_of(envelope.data):
            self._check_date(envelope, path, text)

    def findings(self) -> list[dict[str, Any]]:
        """Answer all findings, the gravest kind of each entity first by count."""
        self._find_duplicates()
        self._judge_dates()
        self._find_gaps()
        rows = [
            {"entity": entity, "check": check, "field": name, "records": found.count, "samples": found.samples, "advice": _ADVICE[advice]}
            for (entity, check, name, advice), found in self._findings.items()
            if found.count
        ]
        return sorted(rows, key=lambda row: (row["entity"], -row["records"], row["check"], row["field"]))

    def _found(self, envelope: Envelope, check: str, advice: str, name: str = "") -> None:
        self._findings.setdefault((envelope.entity, check, name, advice), _Finding()).add(envelope.source_key)

    def _note_number(self, envelope: Envelope) -> None:
        if self._rules.created not in envelope.data or not envelope.id.isdecimal() or "file" in envelope.data:
            return
        try:
            created = moment(envelope.data.get(self._rules.created) or "").timestamp()
        except (ValueProblem, OverflowError):
            created = None
        self._disk.execute("INSERT OR REPLACE INTO number VALUES (?, ?, ?)", (envelope.entity, int(envelope.id), created))

    def _check_unique(self, envelope: Envelope) -> None:
        for name in self._rules.unique.get(envelope.entity, ()):
            value = envelope.data.get(name)
            if isinstance(value, str) and value.strip():
                self._disk.execute("INSERT INTO value VALUES (?, ?, ?, ?)", (envelope.entity, name, " ".join(value.casefold().split()), envelope.id))

    def _check_contact_data(self, envelope: Envelope) -> None:
        emails = self._rules.emails.get(envelope.entity, ())
        found = [value for name in emails if isinstance(value := envelope.data.get(name), str) and value.strip()]
        if emails and not found:
            self._found(envelope, "missing e-mail", "email missing", emails[0])
        # A user name is an e-mail only where it looks like one.
        if emails and (value := envelope.data.get(emails[0])) and isinstance(value, str) and not all(map(_is_email, _parts(value))):
            self._found(envelope, "invalid e-mail", "invalid e-mail", emails[0])
        for name in self._rules.phones.get(envelope.entity, ()):
            value = envelope.data.get(name)
            if isinstance(value, str) and not all(_is_phone(part, self._region) for part in _parts(value)):
                self._found(envelope, "invalid phone", "invalid phone", name)

    def _check_name(self, envelope: Envelope) -> None:
        fields = self._rules.names.get(envelope.entity, ())
        values = [str(envelope.data.get(name) or "").strip() for name in fields]
        if not fields:
            return
        name = next((value for value in values if value), "")
        if not name:
            self._found(envelope, "name missing", "name missing", fields[0])
        elif len(name) > NAME_CHARACTERS_MAX:
            self._found(envelope, "name too long", "name too long", fields[0])

    def _check_relations(self, envelope: Envelope) -> None:
        for link, words in self._rules.relations.get(envelope.entity, {}).items():
            if link not in self._links:
                continue
            rule = self._links.rules[link]
            place = self._links.locate(link, envelope.data)
            if place is None:
                if link not in _OPTIONAL_LINKS:
                    self._found(envelope, words, "orphan", rule.id or link)
                continue
            other = self._lookup.get(place.entity, place.source_id)
            if other is None:
                self._found(envelope, words, "orphan", rule.id or link)
            elif other.is_deleted:
                self._found(envelope, f"{words} (it was deleted)", "orphan", rule.id or link)

    def _check_currency(self, envelope: Envelope) -> None:
        link = self._rules.parent_currency
        currency = envelope.data.get("currency-code")
        if not link or link not in self._links or not currency:
            return
        place = self._links.locate(link, envelope.data)
        parent = self._lookup.get(place.entity, place.source_id) if place else None
        if parent is not None and (other := parent.data.get("currency-code")) and other != currency:
            self._found(envelope, "currency differs from the document before", "currency", "currency-code")

    def _check_sums(self, envelope: Envelope) -> None:
        wrong = wrong_sum(envelope.data)
        if wrong:
            self._found(envelope, "sums do not recompute", "sums", wrong)

    def _check_date(self, envelope: Envelope, path: str, text: str) -> None:
        written = date_format(text)
        is_dated = path.endswith("date") or (envelope.entity, path) in self._dates
        if written is None and not is_dated:
            return
        seen = self._dates.setdefault((envelope.entity, path), _DateField())
        name = written or _OTHER_FORMAT
        seen.formats[name] += 1
        seen.samples.setdefault(name, _Finding()).add(envelope.source_key)
        if not _is_date(text):
            seen.broken.add(envelope.source_key)

    def _find_duplicates(self) -> None:
        rows = self._disk.execute(
            "SELECT v.entity, v.field, v.source_id FROM value v JOIN (SELECT entity, field, value FROM value GROUP BY 1, 2, 3 HAVING COUNT(*) > 1) d "
            "ON d.entity = v.entity AND d.field = v.field AND d.value = v.value ORDER BY v.entity, v.field, v.value, v.source_id"
        )
        for entity, name, source_id in rows:
            self._findings.setdefault((entity, "duplicate", name, "duplicate"), _Finding()).add(f"{entity}/{source_id}")

    def _judge_dates(self) -> None:
        for (entity, path), seen in self._dates.items():
            dated = sum(count for name, count in seen.formats.items() if name != _OTHER_FORMAT)
            if not path.endswith("date") and dated <= seen.formats[_OTHER_FORMAT]:
                continue  # a text field in which dates happen to stand
            if seen.broken.count:
                self._findings[entity, "broken date", path, "broken date"] = seen.broken
            most_common = seen.formats.most_common(1)[0][0]
            for name, found in seen.samples.items():
                if name not in {most_common, _OTHER_FORMAT}:
                    self._findings[entity, f"date written as {name}, mostly as {most_common}", path, "mixed date formats"] = found

    def _find_gaps(self) -> None:
        """G-06: ids that are missing, and records entered long before their neighbours."""
        for (entity,) in self._disk.execute("SELECT DISTINCT entity FROM number").fetchall():
            count, low, high = self._disk.execute("SELECT COUNT(*), MIN(number), MAX(number) FROM number WHERE entity = ?", (entity,)).fetchone()
            if missing := high - low + 1 - count:
                finding = _Finding(missing, [f"{entity}/{number}" for number in self._missing_ids(entity)])
                self._findings[entity, "missing ids", "id", "gaps"] = finding
            late = self._back_dated(entity)
            if late.count and late.count <= count * _UNORDERED_SHARE:
                self._findings[entity, "entered late (back-dated)", self._rules.created, "back-dated"] = late

    def _missing_ids(self, entity: str) -> Iterator[int]:
        rows = self._disk.execute(
            "SELECT n.number + 1 FROM number n WHERE n.entity = ? AND n.number < (SELECT MAX(number) FROM number WHERE entity = n.entity) "
            "AND NOT EXISTS (SELECT 1 FROM number m WHERE m.entity = n.entity AND m.number = n.number + 1) ORDER BY 1 LIMIT ?",
            (entity, SAMPLES_MAX),
        )
        for (number,) in rows:
            yield int(number)

    def _back_dated(self, entity: str) -> _Finding:
        late = _Finding()
        latest = float("-inf")
        for number, created in self._disk.execute(
            "SELECT number, created FROM number WHERE entity = ? AND created IS NOT NULL ORDER BY number", (entity,)
        ):
            if created < latest - BACK_DATED.total_seconds():
                late.add(f"{entity}/{number}")
            latest = max(latest, created)
        return late


def texts_of(data: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Go through the texts of a record as (path, text); objects are entered, lists are not."""
    for name, value in data.items():
        path = f"{prefix}{name}"
        if isinstance(value, str):
            if value.strip():
                yield path, value.strip()
        elif isinstance(value, dict):
            yield from texts_of(value, f"{path}.")


def date_format(text: str) -> str | None:
    """Name the form a date is written in by an example; None for what does not look like a date."""
    return next((name for name, pattern in _DATE_FORMATS if pattern.fullmatch(text)), None)


def wrong_sum(data: Mapping[str, Any]) -> str:
    """Recompute a document's sums; answers the field that does not agree, empty when all do or cannot be told."""
    subtotal, tax, total = (_decimal(data.get(name)) for name in ("subtotal-amount", "tax-total-amount", "total-amount"))
    lines, taxes = data.get("lines"), data.get("tax-breakdown")
    if subtotal is not None and isinstance(lines, list) and lines:
        items = [_decimal(line.get("total-amount")) for line in lines if isinstance(line, dict) and _counts(line)]
        if items and None not in items:
            discount = _decimal(data.get("discount-percentage")) or Decimal(0)
            computed = sum((item for item in items if item is not None), Decimal(0)) * (100 - discount) / 100
            if abs(computed - subtotal) > SUM_TOLERANCE:
                return "subtotal-amount"
    if tax is not None and isinstance(taxes, list) and taxes:
        amounts = [_decimal(row.get("total-amount")) for row in taxes if isinstance(row, dict)]
        # Some accounts write the taxed amount there, others the tax itself.
        bases = [_decimal(row.get("subtotal-amount")) for row in taxes if isinstance(row, dict)]
        if None not in amounts:
            amount = sum((one for one in amounts if one is not None), Decimal(0))
            base = sum((one for one in bases if one is not None), Decimal(0))
            if min(abs(amount - tax), abs(amount - base - tax)) > SUM_TOLERANCE:
                return "tax-total-amount"
    if subtotal is not None and tax is not None and total is not None:
        withheld = (
            subtotal * (_decimal(data.get("income-tax-percentage")) or Decimal(0)) / 100 if data.get("income-tax-enabled") is True else Decimal(0)
        )
        if min(abs(subtotal + tax - total), abs(subtotal + tax - withheld - total)) > SUM_TOLERANCE:
            return "total-amount"
    return ""


def _counts(line: Mapping[str, Any]) -> bool:
    return line.get("line-type", "ITEM") == "ITEM" and line.get("deleted") is not True


def _decimal(value: object) -> Decimal | None:
    return Decimal(str(value)) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _parts(value: str) -> list[str]:
    return [part for part in _SEPARATORS.split(value.strip()) if part]


def _is_email(text: str) -> bool:
    return _EMAIL.fullmatch(text) is not None


def _is_phone(text: str, region: str | None) -> bool:
    try:
        return phonenumbers.is_possible_number(phonenumbers.parse(text, region))
    except phonenumbers.NumberParseException:
        return False


def _is_date(text: str) -> bool:
    try:
        return datetime(1900, 1, 1, tzinfo=UTC) <= moment(text).astimezone(UTC) <= datetime(2200, 1, 1, tzinfo=UTC)
    except (ValueProblem, OverflowError, ValueError):
        return False
