"""Documents whose lines were edited although their stamp says nothing of it: a delta that reads all of them and keeps what is not what it was.

That an edit of a line may leave the document's stamp alone is inferred by the reference, so this is asked for by the option `full_compare`: it costs
the calls of reading the documents whole.
"""

import hashlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any

import orjson

from services.extractor.connector import FrozenPages
from services.extractor.connectors.stel_order.reading import RawPage


async def only_changed(pages: AsyncIterator[RawPage], entity: str, frozen: FrozenPages) -> AsyncIterator[RawPage]:
    """Yield pages with the records that are new, or differ from what was read last, in whatever extraction."""
    # Eight bytes and an id for each document; an account has thousands of them, not millions.
    known: dict[str, bytes] = {}
    async for page in frozen.read(entity, of_all_extractions=True):
        known.update((str(one["id"]), _mark(one["data"])) for one in page.envelopes)
    async for raw in pages:
        yield replace(raw, records=[one for one in raw.records if known.get(str(one["id"])) != _mark(one)])


def _mark(record: Mapping[str, Any]) -> bytes:
    return hashlib.blake2b(orjson.dumps(record, option=orjson.OPT_SORT_KEYS), digest_size=8).digest()
