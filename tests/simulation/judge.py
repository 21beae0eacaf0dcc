"""Judges a simulation from outside: by what the source holds, what Pipedrive's store holds and its journal, not by what the ledger says of itself.

It knows what people did in Pipedrive and in the source, takes it back on paper, and then accepts nothing but what the migration should have made.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import orjson

from services.ledger.domain import BatchState, RunState
from tests.e2e.checker import Checker, Target, diff_of
from tests.simulation.asked import asked_of_source, asked_of_target
from tests.simulation.deletions import person_of
from tests.simulation.links import carriers, collections_of, dependants
from tests.simulation.operator import MIGRATION
from tests.simulation.paper import LINES, TABLES, apart, as_export, link_anew, origins_of, out_of_order, subject_of
from tests.simulation.people import LINKS, PLURALS, by_place
from tests.simulation.proofs import proven
from tests.simulation.world import SIGNING_KEY
from transload.v1.records_pb2 import MappedBatch

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

    from tests.simulation.matching import Known
    from tests.simulation.operator import Operator
    from tests.simulation.people import Deed, Place
    from tests.simulation.world import World


SINGLES: Final = ("activities", "notes", "files", "organization_relations")
"""Objects without an origin of their own, of which equal ones mean that one was made twice."""
_OWN: Final = frozenset({"id", "add_time", "order_nr", "remote_id", "url", "file_name"})


class Judge:
    """Compares before and after."""

    def __init__(self, world: World, known: Known | None = None) -> None:
        self._world = world
        self._known = known
        self._before = world.before
        self.facts: dict[str, Any] = {}
        self._rollbacks_from: list[int] = []
        """Where in Pipedrive's journal a rollback began, and began again."""
        self._ledger: sqlite3.Connection | None = None
        self._deeds_before = 0
        self.reload_time = -1.0
        """When a part, or the sample, had been taken back and began to be loaded again."""
        self.broken: list[str] = []
        """Rules that were seen broken on the way."""
        self.conflicts = ""
        """Who wins in deltas a field that changed on both sides: `source`, `target`; empty: a person is asked."""
        self._has_statement = False

    def watch(self) -> None:
        """Look on at every acknowledgement: the ledger has to know by then."""
        self._world.nats.on_acknowledged = self._acknowledged

    def _acknowledged(self, subject: str, payload: bytes) -> None:
        if not subject.startswith("mapped."):
            return
        batch_id = MappedBatch.FromString(payload).batch_id
        # What outlived its run is done with: a rollback takes back what the run left.
        statement = "SELECT b.state FROM batches b JOIN runs r ON r.run_id = b.run_id WHERE b.batch_id = ? AND r.state = ?"
        row = next(iter(self._rows(statement, batch_id, RunState.RUNNING)), None)
        if row is not None and row[0] != BatchState.FINAL:
            self.broken.append(f"streams: {batch_id} was acknowledged although the ledger holds it {row[0]}")

    def _rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        if self._ledger is None:
            self._ledger = sqlite3.connect(self._world.folder / "ledger.db", isolation_level=None)
        return self._ledger.execute(statement, values).fetchall()

    def organization_of_another(self, changed: Container[int]) -> int:
        """Answer an organization that came from a client that is not among these; 0: there is none."""
        truth = self._world.truth()["collections"]["clients"]
        target = Target.parse(as_export(self._world.state()))
        for client in truth:
            found = target.one("organizations", f"source/client/{client['id']}")
            if client["id"] not in changed and found is not None:
                return int(found["id"])
        return 0

    def entities_in_target(self) -> list[str]:
        """Answer the target entities of which something of ours stands in Pipedrive and can be taken back on its own."""
        statement = "SELECT DISTINCT target_entity FROM records WHERE state = 'loaded' AND target_id != '' AND NOT is_preexisting"
        possible = {*PLURALS, "line_item", "organization_relation"}
        return sorted(entity for (entity,) in self._rows(statement) if entity in possible)

    def loaded(self, *, with_gone: bool = False) -> list[tuple[str, str, str]]:
        """Answer key, target entity and id of what is loaded, was made by us and nobody is asked about.

        Args:
            with_gone: also what the source has no more.
        """
        statement = (
            "SELECT key, target_entity, target_id FROM records WHERE state = 'loaded' AND NOT is_preexisting AND image != '' AND target_id != ''"
            " AND reason = '' AND (gone = '' OR ?) ORDER BY key"
        )
        return [(key, entity, target_id) for key, entity, target_id in self._rows(statement, with_gone) if target_id.isdigit()]

    def holders_of_persons(self) -> dict[int, list[str]]:
        """Answer by the id of each person which loaded records refer to it that the source still has."""
        statement = "SELECT key, image FROM records WHERE state = 'loaded' AND target_id != '' AND image LIKE '%person_id%' AND gone = ''"
        holders: dict[int, list[str]] = {}
        for key, image in self._rows(statement):
            holders.setdefault(person_of(image), []).append(key)
        return holders

    # What was moved

    async def after_load(self, operator: Operator) -> list[str]:
        """Say what is wrong with what has been moved; the source has to be as it was when it was read last."""
        world = self._world
        truth = world.truth()
        gone = {(change["collection"], change["id"]) for changes in world.source_changes for change in changes if change["kind"] == "deleted"}
        state, problems = world.people.without(world.state(), self._is_ours_to_be)
        link_anew(world.people.deeds, state)
        if self._known is not None:
            problems += self._known.problems(state, self._changed())
            self._known.on_paper(state)
        checker = Checker(truth, as_export(state), "source", deleted_later=gone, merged=world.people.merged)
        alone = {record["account-id"] for record in truth["collections"]["contacts"] if ("contacts", record["id"]) in gone}
        # A client whose last contact was deleted meanwhile may have become a person of its own, or not: both follow from the source.
        ambiguous = {f"clients/{client}: is 1 persons instead of 0" for client in alone}
        excused = self._excused(truth)
        problems += [
            f"target: {problem}"
            for problem in checker.check()
            if problem not in ambiguous and subject_of(problem) not in excused and not (self._known is not None and self._known.is_excused(problem))
        ]
        problems += self._repeated(state)
        problems += await self._sums(operator)
        return problems + await self._reconciled(operator)

    async def half_way(self, operator: Operator) -> list[str]:
        """Say what is wrong while the source has changed since it was read: nothing twice, and the sums agree."""
        state, problems = self._world.people.without(self._world.state(), self._is_ours_to_be)
        by_origin = Target.parse(as_export(state)).by_origin
        for plural, index in by_origin.items():
            problems += [f"target: {len(found)} {plural} come from {origin}" for origin, found in index.items() if len(found) > 1]
        return problems + self._repeated(state) + await self._sums(operator)

    def _is_ours_to_be(self, place: Place, deed: Deed) -> bool:
        """Say whether a record somebody removed counts as if it were there.

        One that was in doubt then is made again, and so is one of a part that was taken back and loaded again since: these are not put back twice.
        """
        # One the source changed since is made again where the source wins.
        stays_away = deed.is_settled and deed.time > self.reload_time and self.conflicts != "source"
        if place[0] not in PLURALS.values() or stays_away:
            return True
        if place[0] in SINGLES:
            return deed.time > self.reload_time or not self._has_equal(place, deed.removed[place])
        origins = origins_of(deed.removed[place])
        live = Target.parse(as_export(self._world.state())).by_origin.get(place[0], {})
        # One that swallowed it may carry its origin since.
        swallowers = {swallower for merge in self._world.people.deeds if merge.kind == "merge" for swallower in merge.changed}
        return not any((place[0], record["id"]) not in swallowers for origin in origins for record in live.get(origin, ()))

    def _has_equal(self, place: Place, record: dict[str, Any]) -> bool:
        """Say whether the account holds the like of a record, wherever it hangs: it was made again."""
        apart = {*_OWN, *LINKS, "update_time"}
        content = {name: value for name, value in record.items() if name not in apart}
        table = self._world.state()[place[0]]
        return any(other["id"] != place[1] and all(other.get(name) == value for name, value in content.items()) for other in table)

    def _excused(self, truth: dict[str, Any]) -> set[tuple[str, int]]:
        """Answer source records that may differ: people removed what they hang on, or edited what the source changed, and the ledger says so."""
        touched = self._world.people.touched
        if not touched:
            return set()
        held = self._rows("SELECT source_entity, source_id FROM records WHERE state IN ('rejected', 'waiting') AND reason != ''")
        # By the trail, which also knows the id it had before a part was taken back and loaded again.
        ours = self._rows(
            "SELECT source_entity, source_id, target_entity, target_id FROM records WHERE target_id != ''"
            " UNION SELECT r.source_entity, r.source_id, r.target_entity, e.target_id FROM events e"
            " JOIN records r ON r.migration_id = e.migration_id AND r.key = e.key WHERE e.target_id != ''"
        )
        hit = {(entity, source) for entity, source, kind, number in ours if (TABLES.get(kind, ""), int(number) if number.isdigit() else 0) in touched}
        # What was removed and has been made again since has another id.
        for deed in self._world.people.deeds:
            for origin in (origin for record in deed.removed.values() for origin in origins_of(record)):
                _, entity, source = origin.split("/", 2)
                hit.add((entity, source))
        names = collections_of(truth)
        removed = {(names[entity], int(source)) for entity, source in hit if entity in names and source.lstrip("-").isdigit()}
        # A document names its client only; its deal refers to one of the client's contacts all the same.
        clients = {("clients", contact["account-id"]) for contact in truth["collections"]["contacts"] if ("contacts", contact["id"]) in removed}
        reached = dependants(truth, removed | clients)
        if any(deed.kind == "delete field" for deed in self._world.people.deeds):
            reached = {(name, record["id"]) for name, records in truth["collections"].items() for record in records}
        waiting = {(names[entity], int(source)) for entity, source in held if entity in names and source.lstrip("-").isdigit()}
        if self.conflicts == "target":
            waiting |= removed & dependants(truth, self._changed())
        if self.conflicts == "source":
            # What a person deleted and the source changed is made again; what hung on it and did not change keeps the old link.
            waiting |= reached
        # What waits is a part of a record, or hangs on it: its own problems and those of what carries it are excused.
        return reached & carriers(truth, waiting)

    def _changed(self) -> set[tuple[str, int]]:
        """Answer what changed in the source."""
        return {(change["collection"], change["id"]) for changes in self._world.source_changes for change in changes}

    def settle_conflicts(self) -> None:
        """Forget edits of people that a delta overwrote because the source wins, or because a record was matched with what was edited."""
        changed = self._rewritten() | (self._carried_on() if self.conflicts == "source" else set())
        if not changed:
            return
        now, deeds = by_place(self._world.state()), self._world.people.deeds
        standing: set[Place] = set()
        for position in reversed(range(len(deeds))):
            deed = deeds[position]
            # Whoever edits a record again stands on what stood there then.
            if deed.kind != "edit" or deed.place not in changed or deed.place in standing:
                continue
            if deed.stands_in(now.get(deed.place, {})):
                standing.add(deed.place)
            else:
                del deeds[position]

    def _rewritten(self) -> set[Place]:
        """Answer records that one of ours was taken for, where what is matched becomes as the source has it."""
        if self._known is None:
            return set()
        kinds = self._known.matching.rewriting
        rows = self._rows("SELECT target_entity, target_id FROM records WHERE state = 'matched' AND is_preexisting AND target_id != ''")
        return {(TABLES[kind], int(target_id)) for kind, target_id in rows if kind in kinds}

    def after_clash(self, deed: Deed) -> list[str]:
        """Say whether an edit beside a change of the source was decided by the policy."""
        deeds = self._world.people.deeds
        standing = by_place(self._world.state()).get(deed.place)
        if standing is None or any(other is not deed and other.time >= deed.time and deed.place in other.touched for other in deeds):
            return []
        stays = deed.stands_in(standing)
        if stays == (self.conflicts != "source"):
            return []
        return [f"conflict: {deed} {'stands' if stays else 'is gone'}, policy {self.conflicts or 'ask'}"]

    def _carried_on(self) -> set[Place]:
        """Answer records of ours that follow from what changed in the source, however far: a deal's title names its client."""
        truth = self._world.truth()
        reached, names = dependants(truth, self._changed()), collections_of(truth)
        rows = self._rows("SELECT source_entity, source_id, target_entity, target_id FROM records WHERE target_id != ''")
        return {
            (TABLES.get(kind, ""), int(target_id))
            for entity, source, kind, target_id in rows
            if target_id.isdigit() and source.lstrip("-").isdigit() and (names.get(entity, ""), int(source)) in reached
        }

    def organization_of_changed(self) -> int:
        """Answer an organization nobody touched whose client the source changed last; 0: there is none."""
        target, touched = Target.parse(as_export(self._world.state())), self._world.people.touched
        changed = [change["id"] for change in self._world.source_changes[-1] if (change["kind"], change["collection"]) == ("updated", "clients")]
        found = [target.one("organizations", f"source/client/{number}") for number in changed]
        touched |= by_place(self._before).keys()  # what was there before has rules of its own
        return next((int(one["id"]) for one in found if one is not None and ("organizations", one["id"]) not in touched), 0)

    async def _reconciled(self, operator: Operator) -> list[str]:
        """Say what reconciliation found besides what people did, and what they did that it did not find."""
        deeds = list(self._world.people.deeds)  # what is done while it reads it need not find
        found = await operator.reconcile()
        self._has_statement = True
        touched = {(plural, str(number)) for plural, number in self._world.people.touched}
        places = {(TABLES.get(mismatch.key.partition(":")[0], ""), mismatch.target_id): mismatch for mismatch in found}
        problems = [f"reconciliation: {mismatch}".replace("\n", " ") for place, mismatch in places.items() if place not in touched]
        now = by_place(self._world.state())
        return problems + [
            f"reconciliation: it did not find: {deed}" for deed in self._to_be_found(deeds, now) if (deed.place[0], str(deed.place[1])) not in places
        ]

    def _to_be_found(self, deeds: Iterable[Deed], now: dict[Place, dict[str, Any]]) -> Iterable[Deed]:
        """Yield deeds to records of ours whose effect still stands; a field that was left to a person is not compared."""
        places = by_place(self._before).keys() | (self._carried_on() if self.conflicts == "target" else set())
        for deed in deeds:
            if deed.place in places or deed.kind not in {"edit", "delete"}:
                continue
            kind = next(name for name, plural in PLURALS.items() if plural == deed.place[0])
            statement = "SELECT 1 FROM records WHERE target_entity = ? AND target_id = ? AND state IN ('loaded', 'waiting') AND image != ''"
            is_gone = deed.kind == "delete" and deed.place not in now
            is_edited = deed.kind == "edit" and deed.stands_in(now.get(deed.place, {}))
            if (is_gone or is_edited) and self._rows(statement, kind, str(deed.place[1])):
                yield deed

    def _repeated(self, new: dict[str, Any]) -> list[str]:
        """Find objects without an origin of their own that were made twice. Lines may be equal; the checker counts them deal by deal."""
        problems = []
        for kind in SINGLES:
            known = {record["id"] for record in self._before[kind]}
            made = Counter(
                orjson.dumps({name: value for name, value in record.items() if name not in _OWN}, option=orjson.OPT_SORT_KEYS)
                for record in new[kind]
                if record["id"] not in known
            )
            problems += [f"target: {count} equal {kind}: {content.decode()[:300]}" for content, count in made.items() if count > 1]
        return problems

    async def _sums(self, operator: Operator) -> list[str]:
        """X-04: every source record is in exactly one final state, and the sums are those of the source."""
        summary = await operator.insist(lambda: operator.client.get_summary(MIGRATION))
        problems = []
        for entity in summary.entities:
            parts = (entity.loaded_count, entity.matched_count, entity.skipped_count, entity.rejected_count, entity.waiting_count)
            if sum(parts) != entity.extracted_count:
                problems.append(f"sums: {entity.source_entity}: {parts} is not {entity.extracted_count}")
        self.facts["tokens"] = summary.token_count
        return problems

    # What was taken back

    def before_rollback(self) -> None:
        """Note where the rollback begins in Pipedrive's journal, and what people had done by then."""
        self._rollbacks_from = [len(self._world.pipedrive.journal.entries)]
        self._deeds_before = len(self._world.people.deeds)
        self._has_statement = False

    def at_rollback_again(self) -> None:
        """Note where the rollback begins again: what it had to leave then goes after what is gone."""
        if self._rollbacks_from:
            self._rollbacks_from.append(len(self._world.pipedrive.journal.entries))

    def after_rollback(self, operator: Operator) -> list[str]:
        """Say what a rollback left behind or lost, apart from what people did, and whether it deleted what others hang on before them."""
        people, places = self._world.people, by_place(self._before).keys()
        state, problems = people.without(self._world.state(), lambda place, _: place in places)
        # Lines that a person's merge put on a deal of the customer's own stay there: they are part of that deal now.
        moved = {number for deed in people.deeds if deed.kind == "merge" for plural, number in deed.changed if plural == LINES}
        state[LINES] = [line for line in state[LINES] if line["id"] not in moved or (LINES, line["id"]) in places]
        self._take_out_moved_in_doubt(state)
        self._value_as_before(state)
        problems += self._edits_lost(places, {(TABLES.get(entity, ""), target_id) for entity, target_id in operator.given_up})
        problems += self._take_out_kept(state)
        before = self._before
        if self._known is not None:
            # What people did to a record that was linked before or after it was filled cannot be told apart on paper.
            before, state = (apart(one, self._known.touched) for one in (before, state))
        problems += [f"rollback: {line}" for line in diff_of(as_export(before), as_export(state))]
        entries = list(self._world.pipedrive.journal.entries)
        for begin, end in pairwise([*self._rollbacks_from, len(entries)]):
            problems += out_of_order(entries[begin:end])
        return problems

    def _take_out_moved_in_doubt(self, state: dict[str, Any]) -> None:
        """Overlook what a person's merge moved while nobody knew yet whether it was there: its link is what it is told by (docs/exactly-once.md)."""
        people = self._world.people
        moved = {place for deed in people.deeds if deed.kind == "merge" for place in deed.changed if place[0] in {"activities", "notes", "files"}}
        for plural, number in moved:
            if not people.is_known((plural, number)) and all(record["id"] != number for record in self._before[plural]):
                state[plural] = [record for record in state[plural] if record["id"] != number]

    def _value_as_before(self, state: dict[str, Any]) -> None:
        """Overlook the value of a customer's own deal that a person merged one of ours with lines into.

        From then on Pipedrive works it out of the lines, and what it was is nowhere to be read.
        """
        swallowers = {record for deed in self._world.people.deeds if deed.kind == "merge" for plural, record in deed.changed if plural == "deals"}
        values = {deal["id"]: deal.get("value") for deal in self._before["deals"] if deal["id"] in swallowers}
        for deal in state["deals"]:
            if deal["id"] in values:
                deal["value"] = values[deal["id"]]

    def _edits_lost(self, places: Container[tuple[str, Any]], given_up: Container[tuple[str, str]]) -> list[str]:
        """Say which records a person edited before the rollback are gone, although nobody but the rollback can have deleted them."""
        deeds = self._world.people.deeds
        there = {(plural, record["id"]) for plural, table in self._world.state().items() if isinstance(table, list) for record in table}
        by_people = {place for deed in deeds for place in deed.removed}
        return [
            f"rollback: {deed}: what a person edited is gone"
            for deed in deeds[: self._deeds_before]
            if deed.kind == "edit" and deed.is_settled and deed.changed.get(deed.place)
            and deed.place not in places and deed.place not in there and deed.place not in by_people
            and (deed.place[0], str(deed.place[1])) not in given_up
        ]  # fmt: skip

    def _take_out_kept(self, state: dict[str, Any]) -> list[str]:
        """Take out of a state what the rollback says it kept; answers what it kept without a person's hand in it."""
        rows = self._rows("SELECT key, target_entity, target_id, reason FROM kept_records WHERE reason IN ('edited', 'needed', 'theirs')")
        touched = {(plural, str(number)) for plural, number in self._world.people.touched}
        problems = [
            f"rollback: {key} was kept although nobody edited it"
            for key, entity, target_id, reason in rows
            if reason == "edited" and entity in TABLES and (TABLES[entity], target_id) not in touched
        ]
        if rows and not any(reason != "needed" for *_, reason in rows):
            problems.append("rollback: records were kept for nothing that people did")
        kept = {(TABLES.get(entity, f"{entity}s"), target_id) for _, entity, target_id, reason in rows if reason != "theirs"}
        options = {target_id for _, entity, target_id, _ in rows if entity == "field_option"}
        fields = {target_id for _, entity, target_id, _ in rows if entity == "custom_field"}
        for plural, table in state.items():
            if isinstance(table, list):
                table[:] = [record for record in table if (plural, str(record.get("id"))) not in kept and record.get("field_code") not in fields]
        for definition in state.get("fields", []):
            if definition.get("options"):
                definition["options"] = [option for option in definition["options"] if str(option["id"]) not in options]
        return problems

    # What was asked

    async def at_the_end(self, operator: Operator) -> list[str]:
        """Say what is wrong with the audit trail and with what was asked of Pipedrive and of the source."""
        problems = await proven(self._world, operator, SIGNING_KEY, has_statement=self._has_statement)
        self.facts["requests"] = self._world.pipedrive.journal.total
        counted = self._rows("SELECT COALESCE(SUM(used_count), 0) FROM source_budgets")[0][0]
        return problems + asked_of_target(self._world) + asked_of_source(self._world, counted) + self.broken[:5]
