"""The org's rows by object and id, the deleted ones included, and files' bytes."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from sandbox.servicetracker.ids import make_id
from sandbox.servicetracker.schema import SObject, objects

Row = dict[str, Any]


def stamp(moment: datetime) -> str:
    """Write a moment as the interface does: `2026-03-01T09:30:00.000+0000`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000+0000")


class Store:
    """All rows of an org."""

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace
        self.objects: dict[str, SObject] = dict(objects(namespace))
        self._rows: dict[str, dict[str, Row]] = defaultdict(dict)
        self._last: dict[str, int] = defaultdict(int)
        self.hard_deleted: list[tuple[str, str, datetime]] = []
        """Object, id and time of rows that left no trace."""
        self.bodies: dict[str, bytes | int] = {}
        """Bytes of attachments, versions and notes by row id; a number stands for that many zero bytes."""

    def create(self, name: str, values: Row, moment: datetime, user_id: str = "") -> Row:
        """Add a row with the fields every row has; `values` may name any field by its whole name."""
        sobject = self.objects[name]
        if unknown := values.keys() - sobject.fields.keys():
            raise KeyError(f"{name} has no {', '.join(sorted(unknown))}")
        self._last[name] += 1
        times = {one: stamp(moment) for one in ("CreatedDate", "LastModifiedDate", "SystemModstamp")}
        base: Row = dict.fromkeys(sobject.fields)
        base |= {"Id": make_id(sobject.prefix, self._last[name]), "IsDeleted": False, "CreatedById": user_id, "LastModifiedById": user_id, **times}
        row = base | values
        self._rows[name][row["Id"]] = row
        return row

    def update(self, name: str, row_id: str, values: Row, moment: datetime) -> Row:
        """Change a row: its stamps move."""
        row = self._rows[name][row_id] | values | {"LastModifiedDate": stamp(moment), "SystemModstamp": stamp(moment)}
        self._rows[name][row_id] = row
        return row

    def delete(self, name: str, row_id: str, moment: datetime, *, is_hard: bool = False) -> None:
        """Put a row into the bin, or remove it for good."""
        if is_hard:
            del self._rows[name][row_id]
            self.hard_deleted.append((name, row_id, moment))
        else:
            self.update(name, row_id, {"IsDeleted": True}, moment)

    def rows(self, name: str) -> list[Row]:
        """Return all rows of an object by id, the deleted ones included."""
        found = self._rows.get(name, {})
        return [found[row_id] for row_id in sorted(found)]

    def get(self, name: str, row_id: str) -> Row | None:
        """Return one row, deleted or not."""
        return self._rows.get(name, {}).get(row_id)

    def live(self, name: str) -> Iterator[Row]:
        """Yield the rows that are neither deleted nor archived."""
        return (row for row in self.rows(name) if not row["IsDeleted"] and not row.get("IsArchived"))

    def document_id(self, number: int) -> str:
        """Return the id of the document behind a file's version."""
        return make_id("069", number)

    def name(self, short: str) -> str:
        """Return the whole name of a package's object or field, `Site__c` for instance."""
        return f"{self.namespace}__{short}"
