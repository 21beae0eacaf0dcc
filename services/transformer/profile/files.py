"""Files: how many, how large, and which cannot move."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from services.transformer.snapshot.envelope import Envelope


LISTED_MAX: Final = 200
"""Most rows in a list of single records."""
_SIZE_CLASSES: Final = ((100_000, "to 100 kB"), (1_000_000, "to 1 MB"), (10_000_000, "to 10 MB"), (26_214_400, "to 25 MB"))


class Files:
    """Files by entity: how many, how large, and which cannot move."""

    def __init__(self) -> None:
        self._rows: dict[str, Counter[str]] = {}
        self._largest: Counter[str] = Counter()
        self._unavailable = 0
        self.oversize: list[dict[str, Any]] = []

    def take(self, envelope: Envelope) -> None:
        """Look at one record; those without a file do not count."""
        file = envelope.data.get("file")
        if not isinstance(file, dict) or "problem" not in file:
            return
        row = self._rows.setdefault(envelope.entity, Counter())
        row["files"] += 1
        size = int(file.get("byte_count") or 0)
        problem = file.get("problem")
        if problem == "FILE_TOO_LARGE":
            row["too_large"] += 1
            if len(self.oversize) < LISTED_MAX:
                owner = f"{envelope.data.get('owner_entity')}/{envelope.data.get('owner_id')}"
                parts = {"parts": len(file["parts"])} if file.get("parts") else {}
                self.oversize.append({"file": envelope.source_key, "belongs_to": owner, "bytes": size, **parts})
        elif problem:
            row["unavailable"] += 1
        else:
            row["bytes"] += size
            row[next((words for limit, words in _SIZE_CLASSES if size <= limit), "larger")] += 1
        self._largest[envelope.entity] = max(self._largest[envelope.entity], size)

    @property
    def count(self) -> int:
        """Files in all."""
        return sum(row["files"] for row in self._rows.values())

    def of(self, entity: str) -> int:
        """Files of one entity."""
        return self._rows[entity]["files"] if entity in self._rows else 0

    def summary(self) -> dict[str, int]:
        """Answer the sums."""
        return {"files": self.count, "file_bytes": sum(row["bytes"] for row in self._rows.values())}

    def rows(self) -> dict[str, dict[str, int]]:
        """Answer the distribution by entity."""
        columns = ("files", "bytes", "too_large", "unavailable", *(words for _, words in _SIZE_CLASSES), "larger")
        return {entity: {"largest": self._largest[entity], **{name: row[name] for name in columns}} for entity, row in self._rows.items()}
