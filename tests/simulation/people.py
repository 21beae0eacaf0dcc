"""People who work in Pipedrive's application, and what exactly each of their deeds changed: found by comparing the account before and after.

The judge takes their deeds back on paper, the latest first. What is left must be what it would be without them.
"""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from copy import deepcopy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sandbox.pipedrive.gateway.app import PipedriveApp
    from tests.simulation.trace import Trace

    State = dict[str, Any]

OK: Final = 400
"""Statuses below it are good ones."""
PLURALS: Final = {
    "organization": "organizations",
    "person": "persons",
    "deal": "deals",
    "product": "products",
    "activity": "activities",
    "note": "notes",
    "file": "files",
}
CUSTOM: Final = "custom_fields"

Place = tuple[str, Any]
"""Plural of a kind and id of a record."""


@dataclass(slots=True)
class Deed:
    """What a person did.

    Attributes:
        kind: `edit`, `add`, `delete`, `merge` or `delete field`.
        place: what it was done to.
        values: what was written, for edits.
        is_settled: whether the ledger knew the record's id by then; the consequences of touching one in the seconds of doubt are documented.
        into: the record that swallowed it, for merges.
        removed, added: records that went and came with it.
        changed: field → (before, after), by record.
    """

    kind: str
    place: Place
    time: float
    values: State
    is_settled: bool
    into: Place | None = None
    removed: dict[Place, State] = field(default_factory=dict)
    added: dict[Place, State] = field(default_factory=dict)
    changed: dict[Place, dict[str, tuple[Any, Any]]] = field(default_factory=dict)

    @property
    def touched(self) -> set[Place]:
        """Every record it concerns."""
        return {self.place, *self.removed, *self.added, *self.changed}

    def stands_in(self, record: State) -> bool:
        """Say whether a record holds what an edit wrote."""
        return all(record.get(name) == value for name, value in self.values.items())

    def __str__(self) -> str:
        return f"{self.kind} {self.place[0]}/{self.place[1]} at {self.time:.1f}"


@dataclass(slots=True)
class People:
    """Does things as a person and remembers them."""

    app: PipedriveApp
    trace: Trace
    state: Callable[[], State]
    folder: Path
    deeds: list[Deed] = field(default_factory=list)

    def edit(self, kind: str, record_id: int, values: State) -> bool:
        """Change fields of a record; answers whether it was taken."""
        return self._do("edit", {"edit": {"kind": kind, "id": record_id, "values": values}}, (PLURALS[kind], record_id), values)

    def delete(self, kind: str, record_id: int) -> bool:
        """Delete a record."""
        return self._do("delete", {"delete": {"kind": kind, "id": record_id}}, (PLURALS[kind], record_id))

    def merge(self, kind: str, record_id: int, into: int) -> bool:
        """Merge a record into another one."""
        place = (PLURALS[kind], into)
        return self._do("merge", {"merge": {"kind": kind, "id": record_id, "into": into}}, (PLURALS[kind], record_id), into=place)

    def add(self, kind: str, path: str, body: State) -> bool:
        """Make a record."""
        return self._do("add", {"call": {"method": "POST", "path": path, "body": body}}, (PLURALS[kind], 0))

    def delete_field(self, entity: str, code: str) -> bool:
        """Delete a custom field with all its values."""
        return self._do("delete field", {"delete_field": {"entity": entity, "field": code}}, ("fields", code))

    def _do(self, kind: str, what: State, place: Place, values: State | None = None, *, into: Place | None = None) -> bool:
        before = by_place(self.state())
        entry = self.app.engine.people.do(what)
        is_done = bool(entry["status"] < OK)
        self.trace.note(f"a person: {what} -> {entry['status']} {entry.get('error') or ''}", "people")
        if is_done:
            deed = Deed(kind, place, asyncio.get_running_loop().time(), values or {}, self.is_known(place), into)
            _compare(deed, before, by_place(self.state()))
            if into is not None:
                deed.changed.setdefault(into, {})
            self.deeds.append(deed)
        return is_done

    def is_known(self, place: Place) -> bool:
        """Say whether the ledger knows a record by its id."""
        kind = next((name for name, plural in PLURALS.items() if plural == place[0]), "custom_field")
        with closing(sqlite3.connect(self.folder / "ledger.db")) as connection:
            row = connection.execute("SELECT 1 FROM records WHERE target_entity = ? AND target_id = ?", (kind, str(place[1]))).fetchone()
        return row is not None

    def standing(self, key: str) -> tuple[str, str]:
        """Answer under which id the ledger knows a record, and in which state it is; both empty: it knows none."""
        with closing(sqlite3.connect(self.folder / "ledger.db")) as connection:
            row = connection.execute("SELECT target_id, state FROM records WHERE key = ?", (key,)).fetchone()
        return (row[0], row[1]) if row else ("", "")

    @property
    def merged(self) -> dict[Place, int]:
        """What was merged, and the id of what swallowed it."""
        return {deed.place: deed.into[1] for deed in self.deeds if deed.into is not None}

    @property
    def touched(self) -> set[Place]:
        """Every record somebody had to do with."""
        return {place for deed in self.deeds for place in deed.touched}

    def without(self, state: State, is_put_back: Callable[[Place, Deed], bool]) -> tuple[State, list[str]]:
        """Take all deeds back on paper; answers the state and what of them is not there any more.

        Args:
            state: as it is now.
            is_put_back: says of a removed record whether it would be there if nobody had removed it.
        """
        records, problems = by_place(state), []
        theirs = {place for deed in self.deeds for place in deed.added}
        for deed in reversed(self.deeds):
            for place, record in deed.added.items():
                problems += _difference(deed, record, records.pop(place, None), records)
            for place, changes in deed.changed.items():
                if (now := records.get(place)) is not None:
                    problems += _changed_back(deed, place, changes, now)
            for place, record in deed.removed.items():
                if place not in records and (place in theirs or is_put_back(place, deed)):
                    records[place] = deepcopy(record)
        plain = {name: value for name, value in state.items() if not isinstance(value, list)}
        tables: State = {name: [] for name, value in state.items() if isinstance(value, list)}
        for (name, _), record in records.items():
            tables[name].append(record)
        return plain | tables, problems


def by_place(state: State) -> dict[Place, State]:
    """Answer every record by kind and id, custom fields apart, so that they can be compared one by one."""
    return {
        (name, _key(record)): {field_name: dict(value) if field_name == CUSTOM else value for field_name, value in record.items()}
        for name, table in state.items()
        if isinstance(table, list)
        for record in table
    }


def _key(record: State) -> Any:
    return f"{record['entity']}.{record['id']}" if "entity" in record else record["id"]


def _flat(record: State) -> State:
    custom = {f"{CUSTOM}.{code}": value for code, value in record.get(CUSTOM, {}).items()}
    return {name: value for name, value in record.items() if name != CUSTOM} | custom


def _compare(deed: Deed, before: dict[Place, State], after: dict[Place, State]) -> None:
    deed.removed = {place: record for place, record in before.items() if place not in after}
    deed.added = {place: record for place, record in after.items() if place not in before}
    if deed.kind == "add":
        deed.place = next((place for place in deed.added if place[0] == deed.place[0]), deed.place)
    for place, record in after.items():
        if place not in before or record == before[place]:
            continue
        old, new = _flat(before[place]), _flat(record)
        deed.changed[place] = {name: (old.get(name), new.get(name)) for name in old.keys() | new.keys() if old.get(name) != new.get(name)}


def _changed_back(deed: Deed, place: Place, changes: dict[str, tuple[Any, Any]], now: State) -> list[str]:
    problems = []
    flat = _flat(now)
    for name, (old, new) in sorted(changes.items()):
        if flat.get(name) == new:
            _put(now, name, old)
        elif place == deed.place and name in deed.values:
            problems.append(f"people: {deed}: {name} was overwritten: {flat.get(name)!r} instead of {new!r}")
    return problems


def _put(record: State, name: str, value: Any) -> None:
    holder, key = (record.setdefault(CUSTOM, {}), name.partition(".")[2]) if name.startswith(f"{CUSTOM}.") else (record, name)
    if value is None:
        holder.pop(key, None)
    else:
        holder[key] = value


LINKS: Final = {"org_id": "organizations", "person_id": "persons", "deal_id": "deals", "product_id": "products"}


def _difference(deed: Deed, made: State, now: State | None, records: dict[Place, State]) -> list[str]:
    """Say what became of a record a person made: nothing may, but that what it hangs on goes."""
    if now is None:
        is_part = any(name in made and (plural, made[name]) not in records for name, plural in LINKS.items())
        return [] if is_part else [f"people: {deed}: what was made is gone"]
    changed = sorted(name for name in made.keys() | now.keys() if made.get(name) != now.get(name) and name != CUSTOM)
    return [f"people: {deed}: {name} of what was made is now {now.get(name)!r} instead of {made.get(name)!r}" for name in changed]
