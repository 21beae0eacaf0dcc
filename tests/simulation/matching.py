"""What stands in Pipedrive before the migration and in the source as well, what came twice in the source, and what matching has to make of both.

One customer is there under another spelling with the same website, a second perhaps: only the name agrees, so a person has to be asked. A contact is
there by its e-mail, a product by its code. Two clients of the source are one.
"""

from __future__ import annotations

import re
from collections import Counter
from copy import deepcopy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Self

import orjson
import yaml

from sandbox.common.asgi import Request
from tests.e2e.checker import ADMISSIBLE_DEFECTS, ORIGIN_FIELD

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator
    from random import Random

    from tests.simulation.people import Place
    from tests.simulation.world import World
    from transload.v1 import migration_service_pb2 as pb

    State = dict[str, Any]

SHARE: Final = 0.15
"""Part of the seeds that match."""
LINK_ONLY: Final = "match"
FILL: Final = "match_and_fill"
UPDATE: Final = "update"
CREATE: Final = "create"
MERGE: Final = "merge_into_first"
CLIENTS_MIN: Final = 2
TWINS: Final = 2
ANSWERS_MAX: Final = 2
"""How often a person answers that it is the one they know; then it is none: somebody deleted that one."""
ENTITIES: Final = {
    "organizations": ("organization", "clients", "client"),
    "persons": ("person", "contacts", "contact"),
    "products": ("product", "products", "product"),
}
"""Plural in Pipedrive → target entity, collection and source entity."""
_VALUES: Final = re.compile(r"^[a-z]+/\d+: (name|city|owner|e-mail|price|organization) ", re.IGNORECASE)
_STANDS_IN: Final = {"name": "name", "city": "address", "owner": "owner_id", "e-mail": "emails", "price": "prices", "organization": "org_id"}
"""What a complaint of the checker is about → the field it stands in."""


@dataclass(frozen=True, slots=True)
class Matching:
    """How a seed matches.

    Attributes:
        organization, person, product: policy of each.
        within_source: what becomes of a client that came twice.
        decision: what a person says to the customer that may be there: `match`, `create`.
        has_twins: whether two clients are one; then none is doubtful where there are but two.
    """

    organization: str = LINK_ONLY
    person: str = LINK_ONLY
    product: str = LINK_ONLY
    within_source: str = "keep_all"
    decision: str = CREATE
    has_twins: bool = False

    @classmethod
    def drawn(cls, draw: Random) -> Self:
        """Draw one."""
        organization, person, product = (draw.choice((LINK_ONLY, FILL, UPDATE)) for _ in ENTITIES)
        within_source, decision = draw.choice(("keep_all", MERGE)), draw.choice((LINK_ONLY, CREATE))
        return cls(organization, person, product, within_source, decision, has_twins=draw.random() < 0.5)

    @property
    def rewriting(self) -> frozenset[str]:
        """Target entities whose matched records become as the source has them."""
        return frozenset(entity for entity, _, _ in ENTITIES.values() if getattr(self, entity) == UPDATE)

    @property
    def overrides(self) -> str:
        """Answer the section of the mapping."""
        rules = {entity: {"policy": getattr(self, entity)} for entity, _, _ in ENTITIES.values()}
        rules["organization"]["within_source"] = self.within_source
        return str(yaml.dump({"matching": rules}))


@dataclass(frozen=True, slots=True)
class Pair:
    """A record of the source that stands in Pipedrive already, or may."""

    plural: str
    target_id: int
    source_id: int
    policy: str
    is_taken: bool
    """Whether it is the same one, by itself or because a person says so."""
    is_doubtful: bool
    before: State

    @property
    def subject(self) -> tuple[str, int]:
        """The source record as the checker names it."""
        return ENTITIES[self.plural][1], self.source_id

    @property
    def key(self) -> str:
        """The mapped record."""
        entity, _, source = ENTITIES[self.plural]
        return f"{entity}:{source}/{self.source_id}"

    @property
    def origin(self) -> str:
        """Where a record that is made of it says it came from."""
        return f"source/{ENTITIES[self.plural][2]}/{self.source_id}"

    @property
    def place(self) -> Place:
        """Where it stands in Pipedrive."""
        return self.plural, self.target_id


@dataclass(slots=True)
class Known:
    """What was there, and what has to come of it."""

    world: World
    matching: Matching
    pairs: list[Pair] = field(default_factory=list)
    twins: tuple[int, ...] = ()
    """The two clients that are one; empty: there are none, or they are kept apart."""
    asked: Counter[str] = field(default_factory=Counter)
    """How often a person was asked about each record."""

    def arrange(self) -> None:
        """Let colleagues have made records years ago, and the source hold one client twice."""
        world, matching = self.world, self.matching
        truth = world.truth()
        clients = [client["id"] for client in _sound(truth, "clients")]
        if clients:
            self._customer(
                clients[0],
                "Talleres Acordados S.L.",
                {"name": "TALLERES ACORDADOS", "website": "acordados.example"},
                "https://www.acordados.example/es",
            )
        rest = clients[1:]
        if matching.has_twins and len(rest) >= TWINS:
            for client, name in zip(rest[-TWINS:], ("Hermanos Gemelos SLU", "HERMANOS GEMELOS, S.L.U."), strict=True):
                self._change("clients", client, {"legal-name": name, "website": "https://gemelos.example"})
            self.twins = tuple(rest[-TWINS:]) if matching.within_source == MERGE else ()
        elif rest:
            self._customer(rest[0], "Quesos Dudosos S.A.", {"name": "Quesos Dudosos"}, "", is_doubtful=True)
        self._contact(truth, set(clients))
        self._product(truth)
        world.before = world.state()

    def _customer(self, client: int, name: str, body: State, website: str, *, is_doubtful: bool = False) -> None:
        self._change("clients", client, {"legal-name": name, "website": website})
        self._pair("organizations", client, self.matching.organization, body, is_doubtful=is_doubtful)

    def _contact(self, truth: State, clients: set[int]) -> None:
        times = Counter(contact["email"] for contact in truth["collections"]["contacts"])
        for contact in _sound(truth, "contacts"):
            if contact["account-id"] in clients and re.fullmatch(r"[^;,/\s]+@[^;,/\s]+", contact["email"] or "") and times[contact["email"]] == 1:
                body = {"name": contact["name"].upper(), "emails": [{"value": contact["email"].upper()}]}
                self._pair("persons", contact["id"], self.matching.person, body)
                return

    def _product(self, truth: State) -> None:
        item = next((item for item in _sound(truth, "products") if item["full-reference"] and not item.get("inactive")), None)
        if item is not None:
            self._change("products", item["id"], {"name": "Caldera Acordada"})
            self._pair(
                "products", item["id"], self.matching.product, {"name": "Caldera acordada", "code": item["full-reference"].lower(), "unit": "old"}
            )

    def _pair(self, plural: str, source_id: int, policy: str, body: State, *, is_doubtful: bool = False) -> None:
        self.world.pipedrive.engine.people.do({"call": {"method": "POST", "path": f"/api/v2/{plural}", "body": body}})
        made = max(self.world.state()[plural], key=lambda record: int(record["id"]))
        is_taken = not is_doubtful or self.matching.decision == LINK_ONLY
        self.pairs.append(Pair(plural, made["id"], source_id, policy, is_taken, is_doubtful, made))

    def _change(self, collection: str, source_id: int, values: State) -> None:
        body = orjson.dumps({"collection": collection, "id": source_id, "values": values})
        self.world.source.control.answer(Request("POST", "/_sandbox/change", body=body))

    # What a person says

    def answer(self, item: pb.ReviewItem) -> tuple[str, str]:
        """Answer how a person resolves a question: resolution and candidate."""
        self.asked[item.key] += 1
        pair = next((pair for pair in self.pairs if pair.key == item.key), None)
        if pair is None or not pair.is_taken or self.asked[item.key] > ANSWERS_MAX:
            return CREATE, ""
        return LINK_ONLY, str(pair.target_id)

    # What the judge asks

    @property
    def touched(self) -> set[Place]:
        """Records that were there and that people had to do with: what has to come of them is theirs to say."""
        return {pair.place for pair in self.pairs} & self.world.people.touched

    def on_paper(self, state: State) -> None:
        """Let records that are only linked say whose they are, and a client that came twice stand there twice, so that all else can be compared."""
        codes = {one["entity"]: one["field_code"] for one in state["fields"] if one["field_name"] == ORIGIN_FIELD}
        for pair in self.pairs:
            code, record = codes.get(ENTITIES[pair.plural][0]), _standing(state, pair)
            if pair.is_taken and code and record is not None and not _having(state[pair.plural], pair.origin):
                record.setdefault("custom_fields", {})[code] = pair.origin
        if self.twins and "organization" in codes:
            origins = [f"source/client/{client}" for client in self.twins]
            found = [_having(state["organizations"], origin) for origin in origins]
            for origin, own, others in zip(origins, found, reversed(found), strict=True):
                if not own:
                    copies = deepcopy(others)
                    for copy in copies:
                        copy["custom_fields"][codes["organization"]] = origin
                    state["organizations"].extend(copies)

    def is_excused(self, problem: str) -> bool:
        """Say whether a complaint is about a value that has to be another than the source's."""
        about = _VALUES.match(problem)
        if about is None:
            return False
        name, subject = about[1], problem.partition(":")[0].split("/")
        if subject[0] == "clients" and int(subject[1]) in self.twins:
            return name in {"name", "city", "owner"}
        pair = next((pair for pair in self.pairs if pair.subject == (subject[0], int(subject[1]))), None)
        if pair is None or not pair.is_taken or pair.policy == UPDATE:
            return False
        # What people merged into it filled it before we could.
        return pair.policy == LINK_ONLY or pair.place in self.touched or _is_filled(pair.before.get(_STANDS_IN[name]))

    def problems(self, state: State, changed: Container[tuple[str, int]]) -> list[str]:
        """Say what is wrong with what was there before. What the source changed meanwhile may be known or not."""
        return [f"matching: {problem}" for pair in self.pairs if pair.place not in self.touched for problem in self._of(pair, state, changed)]

    def _of(self, pair: Pair, state: State, changed: Container[tuple[str, int]]) -> Iterator[str]:
        where = f"{pair.plural}/{pair.target_id}"
        now = _standing(state, pair)
        if now is None:
            yield f"{where} is gone"
            return
        others = [record["id"] for record in _having(state[pair.plural], pair.origin) if record["id"] != pair.target_id]
        if pair.is_taken and others and pair.subject not in changed:
            yield f"{pair.key} is {where}, and was made as {others}"
        if not pair.is_taken and pair.origin in _texts(now):
            yield f"{pair.key} was taken for {where}, which nobody said"
        if pair.is_doubtful and not self.asked[pair.key] and pair.subject not in changed:
            yield f"nobody was asked whether {pair.key} is {where}"
        yield from self._overwritten(pair, where, now)

    def _overwritten(self, pair: Pair, where: str, now: State) -> Iterator[str]:
        if pair.is_taken and pair.policy == UPDATE:
            return
        for name, value in _flat(pair.before).items():
            if _is_filled(value) and _flat(now).get(name) != value:
                yield f"{where}: {name} was {value!r} and is {_flat(now).get(name)!r}, with {pair.policy}"
        if not pair.is_taken or pair.policy == LINK_ONLY:
            filled = {name: value for name, value in _flat(now).items() if name not in _flat(pair.before) and _is_filled(value)}
            if filled:
                yield f"{where}: was filled with {filled}, although it is {'only linked' if pair.is_taken else 'another one'}"


def _sound(truth: State, collection: str) -> Iterable[State]:
    """Yield the records of the source that are to move and have no defect that may keep them from it."""
    broken = {one["id"] for one in truth["defects"] if one["collection"] == collection and one["kind"] in ADMISSIBLE_DEFECTS | {"hostile_name"}}
    return (record for record in truth["collections"][collection] if not record["deleted"] and record["id"] not in broken)


def _standing(state: State, pair: Pair) -> State | None:
    return next((record for record in state[pair.plural] if record["id"] == pair.target_id), None)


def _texts(record: State) -> set[str]:
    return {value for value in record.get("custom_fields", {}).values() if isinstance(value, str)}


def _having(records: Iterable[State], origin: str) -> list[State]:
    return [record for record in records if origin in _texts(record)]


def _flat(record: State) -> State:
    custom = {f"custom_fields.{code}": value for code, value in record.get("custom_fields", {}).items()}
    return {name: value for name, value in record.items() if name != "custom_fields"} | custom


def _is_filled(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_is_filled(one) for one in value.values())
    return value not in (None, "", [])
