"""The check of a table of files: whether each file is there, and which files no row names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from services.extractor.connectors.bundle import findings as say
from services.extractor.connectors.bundle.attachments import FileFinder, is_link
from services.extractor.connectors.bundle.container import safe_path
from services.extractor.connectors.bundle.index import PathSet
from services.extractor.connectors.bundle.profile import TableFacts
from services.extractor.connectors.bundle.reading import TableReader
from services.extractor.connectors.bundle.scan import Counted

if TYPE_CHECKING:
    from pathlib import Path

    from services.extractor.connectors.bundle.bundle import Bundle
    from services.extractor.connectors.bundle.profile import Finding


def check_files(bundle: Bundle, entity: str, facts: TableFacts | None, folder: Path) -> tuple[TableFacts, list[Finding]]:
    """Look for the file of every row, and for files without a row; answers the table's facts with what was learned."""
    rule = bundle.layout.entities[entity].file
    if rule is None or (facts is not None and facts.stop):
        return facts or TableFacts(entity=entity), []
    finder = FileFinder(entity, bundle.container, rule, bundle.shares)
    missing, outside, unlisted, linked = Counted(), Counted(), Counted(), Counted()
    path = folder / f"check-{entity}.db"
    path.unlink(missing_ok=True)
    with PathSet(path) as listed:
        if facts is not None:
            for source_id, told, member in TableReader(bundle, facts).files():
                if member is not None:
                    listed.add([member.path])
                elif is_link(told):
                    linked.add(f"{entity}/{source_id}")
                elif told and safe_path(told) is None:
                    outside.add(f"{entity}/{source_id}")
                else:
                    missing.add(f"{entity}/{source_id}")
        loose_count = 0
        for loose, _ in finder.loose():
            loose_count += 1
            if facts is not None and loose not in listed:
                unlisted.add(loose)
    path.unlink(missing_ok=True)
    if facts is None:
        return TableFacts(entity=entity, row_count=loose_count), []
    update = {"has_unlisted_files": unlisted.count > 0, "row_count": facts.row_count + unlisted.count}
    return facts.model_copy(update=update), list(say.of_files(entity, missing, outside, unlisted, linked))
