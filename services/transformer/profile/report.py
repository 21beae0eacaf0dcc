"""The audit report (L-01), put together in one pass over the snapshot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from services.transformer.load_estimate import LoadEstimate, headroom
from services.transformer.profile.counts import Counts, source_budget
from services.transformer.profile.files import Files
from services.transformer.profile.hierarchy import hierarchy
from services.transformer.profile.owners import Owners
from services.transformer.profile.shapes import Shapes
from services.transformer.profile.states import States
from services.transformer.quality import QualityCheck

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from services.transformer.mapping.document import Mapping as MappingModel
    from services.transformer.snapshot.lookup import Snapshot


PROGRESS_RECORDS: Final = 500


def profile_source(
    index: Snapshot,
    mapping: MappingModel,
    target: Mapping[str, Any] | None = None,
    *,
    options: Mapping[str, Any] | None = None,
    progress: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """Profile a snapshot.

    Args:
        index: the snapshot.
        mapping: decides what is left out and what the load will take.
        target: the account as answered by `InspectTarget`; without it owners and head-room are not compared.
        options: options of the connector (plan, limits), for the call budget.
        progress: told the number of records profiled so far, now and then.
    """
    names = [*mapping.entities, *sorted(set(index.entities()) - set(mapping.entities))]
    present = set(index.entities())
    counts, shapes, files = Counts(mapping), Shapes(), Files()
    states, load = States(mapping, index), LoadEstimate(mapping, index)
    owners = Owners(mapping, index)
    done = 0
    with QualityCheck(mapping, index) as quality:
        for entity in (name for name in names if name in present):
            for envelope in index.iterate(entity):
                for part in (counts, shapes, files, states, load, owners, quality):
                    part.take(envelope)
                done += 1
                if progress is not None and done % PROGRESS_RECORDS == 0:
                    progress(done)
        findings = quality.findings()
    report: dict[str, Any] = {
        "summary": {**counts.summary(), **files.summary(), "quality_findings": len(findings)},
        "entities": counts.rows(),
        "source_budget": source_budget(mapping.call_plan, counts, files, options or {}),
        "status_distribution": states.rows(),
        "hierarchy": hierarchy(mapping, index),
        "files": files.rows(),
        "oversize_files": files.oversize,
        "data_quality": findings,
        "owners": owners.rows(target),
        "load": load.summary(target),
        "load_by_target": load.rows(),
        "target": headroom(mapping, target, load) if target else {},
        "remarks": [*remarks(target), *load.remarks, *_late_data(findings)],
        "schema": shapes.rows(),
    }
    if progress is not None:
        progress(done)
    return report


def remarks(target: Mapping[str, Any] | None) -> list[str]:
    """Answer what a person should know of the target account."""
    if not target:
        return ["the target was not looked at: owners and head-room are not compared"]
    found = []
    user = target.get("token_user") or {}
    if user.get("is_admin") is False:
        found.append("the token's user is no admin of Pipedrive: visibility groups may hide records from it, and fields cannot be created (G-02)")
    if not (target.get("caps") or {}).get("custom_fields"):
        found.append("the plan of the Pipedrive account could not be told from its limits: compare the head-room yourself")
    found.append("automations of Pipedrive are not in its API: switch off those that react to new records before the load (G-04)")
    return found


def _late_data(findings: Sequence[Mapping[str, Any]]) -> list[str]:
    late = [row for row in findings if row["check"].startswith(("missing ids", "entered late"))]
    if not late:
        return []
    entities = ", ".join(sorted({row["entity"] for row in late}))
    return [f"ids are missing or records were entered late in {entities}: devices may not have sent all yet; run a delta after 24 to 48 hours (G-06)"]
