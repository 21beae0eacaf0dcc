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

from services.common.errors import MappingError
from services.transformer.context import Context
from services.transformer.empty import is_empty
from services.transformer.links import Links
from services.transformer.mapping.sections import EntityQuality
from services.transformer.paths import compile_path, parse_path
from services.transformer.sums import decimal, wrong_sum, wrong_total
from services.transformer.texts import plain_text
from services.transformer.transforms.dates import moment
from services.transformer.transforms.problem import ValueProblem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from services.transformer.mapping.document import Mapping as MappingModel
    from services.transformer.paths import Getter
    from services.transformer.snapshot.envelope import Envelope
    from services.transformer.snapshot.lookup import Lookup
    from services.transformer.sums import Reader

SAMPLES_MAX: Final = 10
"""Records a finding names."""
NAME_CHARACTERS_MAX: Final = 255
BACK_DATED: Final = timedelta(hours=24)
"""How much older than a record with a smaller id a record must be before it counts as entered late."""
_UNORDERED_SHARE: Final = 0.2
"""Above this share of back-dated records the ids of an entity do not follow time at all, and nothing can be said."""

_NO_RULES: Final = EntityQuality()
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


_ADVICE: Final[Mapping[str, str]] = {
    "duplicate": "merge them in the source, or let both move",
    "email missing": "owners are matched by e-mail; other records simply have none in Pipedrive",
    "invalid e-mail": "correct it in the source; otherwise the value is left out and flagged",
    "invalid phone": "moved as written",
    "name missing": "give it a name in the source; records without one are rejected",
    "name too long": "Pipedrive takes 255 characters; the whole name is kept in a note",
    "broken date": "correct it in the source; otherwise the value is left out and flagged",
    "mixed date formats": "look at these records: day and month may be the wrong way round",
    "not a number": "correct it in the source; otherwise the value is left out and flagged",
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
    is_named: bool = False
    """Whether the mapping says that dates stand here."""


class QualityCheck:
    """Takes the records of a snapshot one by one and answers what is wrong with them. Use it as a context."""

    def __init__(self, mapping: MappingModel, lookup: Lookup) -> None:
        self._rules = mapping.quality
        self._links = Links(mapping.links, mapping.collections, mapping.value_maps)
        self._lookup = lookup
        self._getters: dict[str, Getter] = {}
        self._region = mapping.policies.phone_region
        self._findings: dict[tuple[str, str, str, str], _Finding] = {}
        self._told: list[dict[str, Any]] = []
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
        if envelope.entity in self._rules.findings:
            self._take_finding(envelope)
            return
        rules = self._rules.entities.get(envelope.entity, _NO_RULES)
        context = Context(envelope=envelope, lookup=self._lookup)

        def read(path: str) -> Any:
            return self._getter(path)(context)

        self._note_number(envelope, rules.created or self._rules.created, read)
        if envelope.is_deleted:
            return
        self._check_late(envelope, rules, read)
        self._check_unique(envelope, rules, read)
        self._check_contact_data(envelope, rules, read)
        self._check_name(envelope, rules, read)
        self._check_relations(envelope, rules)
        self._check_currency(envelope)
        self._check_sums(envelope, rules, read)
        self._check_agreement(envelope, rules, read)
        self._check_dates(envelope, rules, read)

    def findings(self) -> list[dict[str, Any]]:
        """Answer all findings, the gravest kind of each entity first by count."""
        self._find_duplicates()
        self._judge_dates()
        self._find_gaps()
        rows = [
            {"entity": entity, "check": check, "field": name, "records": found.count, "samples": found.samples, "advice": _ADVICE.get(advice, advice)}
            for (entity, check, name, advice), found in self._findings.items()
            if found.count
        ]
        rows += self._told
        return sorted(rows, key=lambda row: (row["entity"], -row["records"], row["check"], row["field"]))

    def _take_finding(self, envelope: Envelope) -> None:
        """Tell what the connector found while it read; its words say what to do."""
        data = envelope.data
        if envelope.is_deleted or not data.get("message"):
            return
        row = {"entity": data.get("entity") or envelope.entity, "check": str(data.get("code", "")).replace("_", " "), "field": data.get("column", "")}
        more = {"records": data.get("count", 0), "samples": list(data.get("samples", [])), "advice": data["message"]}
        self._told.append({**row, **more, "severity": data.get("severity", "")})

    def _found(self, envelope: Envelope, check: str, advice: str, name: str = "") -> None:
        self._findings.setdefault((envelope.entity, check, name, advice), _Finding()).add(envelope.source_key)

    def _getter(self, path: str) -> Getter:
        """Compile a path once. A link that this mapping does not have gives nothing: a person may have taken it away."""
        getter = self._getters.get(path)
        if getter is None:
            try:
                getter = compile_path(parse_path(path, self._links), self._links)
            except MappingError:
                getter = _nothing
            self._getters[path] = getter
        return getter

    def _note_number(self, envelope: Envelope, created: str | None, read: Reader) -> None:
        if created is None or not envelope.id.isdecimal() or "file" in envelope.data:
            return
        if created not in envelope.data and is_empty(read(created)):
            return
        try:
            entered = moment(read(created) or "").timestamp()
        except (ValueProblem, OverflowError):
            entered = None
        self._disk.execute("INSERT OR REPLACE INTO number VALUES (?, ?, ?)", (envelope.entity, int(envelope.id), entered))

    def _check_late(self, envelope: Envelope, rules: EntityQuality, read: Reader) -> None:
        """G-06: what was entered long after it happened."""
        created = rules.created or self._rules.created
        if rules.happened is None or created is None:
            return
        try:
            entered, happened = (moment(read(path) or "") for path in (created, rules.happened))
        except (ValueProblem, OverflowError):
            return
        if entered - happened > BACK_DATED:
            self._found(envelope, "entered late (back-dated)", "back-dated", rules.happened)

    def _check_unique(self, envelope: Envelope, rules: EntityQuality, read: Reader) -> None:
        for name in rules.unique:
            value = read(name)
            if isinstance(value, str) and value.strip():
                self._disk.execute("INSERT INTO value VALUES (?, ?, ?, ?)", (envelope.entity, name, " ".join(value.casefold().split()), envelope.id))

    def _check_contact_data(self, envelope: Envelope, rules: EntityQuality, read: Reader) -> None:
        emails = rules.emails
        found = [value for name in emails if isinstance(value := read(name), str) and value.strip()]
        if emails and not found:
            self._found(envelope, "missing e-mail", "email missing", emails[0])
        # A user name is an e-mail only where it looks like one.
        if emails and (value := read(emails[0])) and isinstance(value, str) and not all(map(_is_email, _parts(value))):
            self._found(envelope, "invalid e-mail", "invalid e-mail", emails[0])
        for name in rules.phones:
            value = read(name)
            if isinstance(value, str) and not all(_is_phone(part, self._region) for part in _parts(value)):
                self._found(envelope, "invalid phone", "invalid phone", name)

    def _check_name(self, envelope: Envelope, rules: EntityQuality, read: Reader) -> None:
        if not rules.names:
            return
        values = [str(read(name) or "").strip() for name in rules.names]
        name = next((value for value in values if value), "")
        if not name:
            self._found(envelope, "name missing", "name missing", rules.names[0])
        elif len(name) > NAME_CHARACTERS_MAX:
            self._found(envelope, "name too long", "name too long", rules.names[0])

    def _check_relations(self, envelope: Envelope, rules: EntityQuality) -> None:
        for link, relation in rules.relations.items():
            if link not in self._links:
                continue
            name = self._links.rules[link].id or link
            places = self._links.places(link, envelope, self._lookup)
            if not places and not relation.may_be_empty:
                self._found(envelope, relation.words, "orphan", name)
            for place in places:
                other = self._lookup.get(place.entity, place.source_id)
                if other is None or other.is_deleted:
                    words = relation.words if other is None else f"{relation.words} (it was deleted)"
                    self._found(envelope, words, "orphan", name)
                    break

    def _check_currency(self, envelope: Envelope) -> None:
        rule = self._rules.currency
        if rule is None or rule.same_as not in self._links or not (currency := envelope.data.get(rule.field)):
            return
        place = self._links.locate(rule.same_as, envelope, self._lookup)
        parent = self._lookup.get(place.entity, place.source_id) if place else None
        if parent is not None and (other := parent.data.get(rule.field)) and other != currency:
            self._found(envelope, "currency differs from the document before", "currency", rule.field)

    def _check_sums(self, envelope: Envelope, rules: EntityQuality, read: Reader) -> None:
        if rules.sums is not None and (wrong := wrong_sum(read, rules.sums)):
            self._found(envelope, "sums do not recompute", "sums", wrong)
        for total in rules.totals:
            if wrong_total(read, total):
                self._found(envelope, f"not the sum of {' + '.join(total.of)}", "sums", total.total)
        for name in rules.numbers:
            if not is_empty(value := read(name)) and decimal(value) is None:
                self._found(envelope, "not a number", "not a number", name)

    def _check_agreement(self, envelope: Envelope, rules: EntityQuality, read: Reader) -> None:
        for rule in rules.agree:
            values = {written for path in rule.fields if (written := _comparable(read(path)))}
            if len(values) > 1:
                self._findings.setdefault((envelope.entity, rule.words, ", ".join(rule.fields), rule.advice), _Finding()).add(envelope.source_key)

    def _check_dates(self, envelope: Envelope, rules: EntityQuality, read: Reader) -> None:
        for path, text in texts_of(envelope.data):
            if path not in rules.dates:
                self._check_date(envelope, path, text)
        for path in rules.dates:
            if isinstance(text := read(path), str) and text.strip():
                self._dates.setdefault((envelope.entity, path), _DateField(is_named=True))
                self._check_date(envelope, path, text.strip())

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
            if not (seen.is_named or path.endswith("date")) and dated <= seen.formats[_OTHER_FORMAT]:
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
                created = self._rules.entities.get(entity, _NO_RULES).created or self._rules.created or ""
                self._findings[entity, "entered late (back-dated)", created, "back-dated"] = late

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


def _nothing(_context: Context) -> None:
    return None


def _comparable(value: object) -> str:
    """Answer a value so that the same written otherwise is the same: 12 and 12.0, letters' case and blanks."""
    if (number := decimal(value)) is not None:
        return str(number.quantize(Decimal("0.01")))
    return "" if is_empty(value) else " ".join((plain_text(value) or "").casefold().split())


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
