"""What the spans a collector was sent say of the ways of records and of the calls to Pipedrive."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from services.common.keys import RecordKey

if TYPE_CHECKING:
    from tests.fakes.collector import Collector, SpanView

LEDGER, EXTRACTOR, TRANSFORMER, LOADER = "transload-ledger", "transload-extractor", "transload-transformer", "transload-loader"
SETTLE = "transload.v1.LedgerService/SettleBatch"


@dataclass(frozen=True)
class Graphs:
    """Reads a collector; everything must have been exported."""

    collector: Collector

    @cached_property
    def record_calls(self) -> dict[str, SpanView]:
        """The calls to Pipedrive that were made for one source record each, one by key."""
        spans = [span for span in self.collector.spans.values() if span.service == LOADER and span.attributes.get("transload.record.key")]
        calls = {span.attributes["transload.record.key"]: span for span in spans}
        return {key: span for key, span in calls.items() if RecordKey.parse(key).source_entity != "schema"}

    @cached_property
    def settled_in(self) -> dict[str, str]:
        """The handling of a batch -> the ledger's settling of it that was committed, by span id."""
        committed = {span.parent_id for span in self.collector.find(LEDGER, "ledger.transaction")}
        return {
            cause.span_id: settled.span_id
            for settled in self.collector.find(LEDGER, SETTLE)
            if settled.span_id in committed
            for cause in self.collector.causes(settled).values()
            if cause.name == "process MAPPED"
        }

    def gaps(self, key: str) -> list[str]:
        """Say what is missing between the page of a record and the ledger's commit; nothing when its way is one connected graph."""
        causes = self.collector.causes(self.record_calls[key]).values()
        pages = [span for span in causes if (span.service, span.name) == (EXTRACTOR, "extractor.page")]
        mappings = [span for span in causes if (span.service, span.name) == (TRANSFORMER, "transform")]
        handling = [span for span in causes if (span.service, span.name) == (LOADER, "process MAPPED")]
        found = []
        if [page.attributes["transload.entity"] for page in pages] != [RecordKey.parse(key).source_entity]:
            found.append(f"{key}: its page")
        if len(mappings) != 1:
            found.append(f"{key}: its mapping")
        if len(handling) != 1 or handling[0].span_id not in self.settled_in:
            found.append(f"{key}: a commit that settled the batch of its call")
        return found

    @cached_property
    def calls(self) -> list[SpanView]:
        """All calls to Pipedrive but looks at the account and what was read back for people, which are made for no record."""
        calls = [span for span in self.collector.spans.values() if span.service == LOADER and "transload.tokens" in span.attributes]
        return [call for call in calls if not self._is_inspection(call)]

    def calls_without_record(self) -> list[SpanView]:
        """The calls that cannot be found from a record's id."""
        return [call for call in self.calls if not self._is_found(call)]

    def _is_found(self, call: SpanView) -> bool:
        named = ("transload.record.key", "transload.record.keys")
        return any(span.attributes.get(name) for span in self.collector.causes(call).values() for name in named)

    def _is_inspection(self, call: SpanView) -> bool:
        """Whether a call was made for the account as a whole, at the ledger's wish and in no batch."""
        return any(span.name.startswith("transload.v1.LoaderService/") for span in self.collector.causes(call).values())
