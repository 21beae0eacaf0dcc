"""Any interleaving of loaders that die, repeat themselves and come too late has one effect, and a record's state never moves backwards."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from services.ledger.claims import Action, Claim, References, decide_load, decide_undo
from services.ledger.domain import Outcome, OutcomeResult, Record, RecordState, WantedRecord
from services.ledger.outcomes import Sender, settle

KEY = "person:client/1"
WANTED = WantedRecord(KEY, "person", "client", "1", payload_digest="d1")
NO_REFERENCES = References(ids={}, pending=frozenset(), missing={})
TTL = timedelta(seconds=60)


@dataclass
class Loader:
    """One process of a loader: what it was told, and what it knows of its own call."""

    replica: int
    incarnation: int = 0
    action: Action | None = None
    token: str = ""
    expire_time: datetime | None = None
    result: Outcome | None = None
    told: list[Outcome] = field(default_factory=list)

    @property
    def holder(self) -> str:
        return f"loader-{self.replica}/{self.incarnation}"


class Loading(RuleBasedStateMachine):
    """Two loaders, one record, one Pipedrive that creates what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.record = Record("acme", KEY, "person", "client", "1", 6)
        self.created: list[str] = []
        self.requests = 0
        self.loaders = [Loader(number) for number in range(2)]
        self.events = 0
        self.was_loaded = False

    @initialize()
    def begin(self) -> None:
        self.events = 0

    @rule(number=st.integers(0, 1))
    def claims(self, number: int) -> None:
        loader = self.loaders[number]
        self.requests += 1
        self._begin(loader, f"request-{self.requests}")

    @precondition(lambda self: any(loader.token and loader.result is None for loader in self.loaders))
    @rule(number=st.integers(0, 1))
    def repeats_its_claim_because_the_answer_got_lost(self, number: int) -> None:
        loader = self.loaders[number]
        if loader.token and loader.result is None:
            self._begin(loader, loader.token)

    def _begin(self, loader: Loader, token: str) -> None:
        claim = Claim(loader.holder, token, "b1", self.now, self.now + TTL)
        decision = decide_load(self.record, WANTED, claim, NO_REFERENCES, "")
        self.record = decision.record
        loader.action = decision.action
        is_claim = decision.action in {Action.CREATE, Action.IN_DOUBT, Action.UPDATE}
        loader.token, loader.expire_time = (token, claim.expire_time) if is_claim else ("", None)
        loader.result = None

    @precondition(lambda self: any(loader.token and loader.result is None for loader in self.loaders))
    @rule(number=st.integers(0, 1), is_answered=st.booleans())
    def acts(self, number: int, is_answered: bool) -> None:
        """Calls Pipedrive while its claim is live; the answer may be lost."""
        loader = self.loaders[number]
        if loader.result is not None or loader.expire_time is None or self.now >= loader.expire_time:
            return
        if loader.action is Action.IN_DOUBT and self.created:
            loader.result = Outcome(KEY, OutcomeResult.CREATED, target_id=self.created[0], payload_digest="d1")
            return
        if loader.action in {Action.CREATE, Action.IN_DOUBT}:
            self.created.append(f"id-{len(self.created) + 1}")
            known = Outcome(KEY, OutcomeResult.CREATED, target_id=self.created[-1], payload_digest="d1")
            loader.result = known if is_answered else Outcome(KEY, OutcomeResult.UNKNOWN)

    @precondition(lambda self: any(loader.token and loader.result is None for loader in self.loaders))
    @rule(number=st.integers(0, 1))
    def gives_up_without_a_call(self, number: int) -> None:
        loader = self.loaders[number]
        if loader.token and loader.result is None:
            loader.result = Outcome(KEY, OutcomeResult.NOT_TRIED)

    @precondition(lambda self: any(loader.result for loader in self.loaders))
    @rule(number=st.integers(0, 1))
    def settles(self, number: int) -> None:
        loader = self.loaders[number]
        if loader.result is not None:
            loader.told.append(loader.result)
            self._settle(loader, loader.result)
            loader.result, loader.token, loader.action, loader.expire_time = None, "", None, None

    @precondition(lambda self: any(loader.told for loader in self.loaders))
    @rule(number=st.integers(0, 1))
    def says_it_again(self, number: int) -> None:
        loader = self.loaders[number]
        if loader.told and not loader.token:
            before = self.record
            self._settle(loader, loader.told[-1])
            assert self.record == before

    def _settle(self, loader: Loader, outcome: Outcome) -> None:
        settlement = settle(self.record, outcome, Sender(loader.holder, "run", is_undo=False, now=self.now))
        if settlement is not None:
            self.record = settlement.record
            self.events += settlement.event.kind == "record.created"

    @rule(number=st.integers(0, 1))
    def dies_and_comes_back(self, number: int) -> None:
        self.loaders[number] = Loader(number, self.loaders[number].incarnation + 1)

    @rule(seconds=st.sampled_from([1, 30, 61]))
    def time_passes(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @invariant()
    def there_is_one_effect(self) -> None:
        assert len(self.created) <= 1
        assert self.events <= 1

    @invariant()
    def what_is_loaded_stays_loaded(self) -> None:
        self.was_loaded = self.was_loaded or self.record.state is RecordState.LOADED
        if self.was_loaded:
            assert self.record.state is RecordState.LOADED
            assert self.record.target_id == "id-1"

    @invariant()
    def what_may_be_there_is_never_forgotten(self) -> None:
        if self.created and self.record.state is not RecordState.LOADED:
            assert self.record.intent_time is not None

    def teardown(self) -> None:
        """However it went, one undisturbed loader finishes it, and another one undoes it."""
        self.now += timedelta(seconds=61)
        loader = Loader(9)
        self._begin(loader, "last")
        if loader.action is not Action.DONE:
            target = self.created[0] if self.created else "id-1"
            self.created = [target]
            self._settle(loader, Outcome(KEY, OutcomeResult.CREATED, target_id=target, payload_digest="d1"))
        assert self.record.state is RecordState.LOADED
        undo = decide_undo(self.record, Claim("loader-1/0", "u", "u1", self.now, self.now + TTL))
        assert undo.action is Action.DELETE
        done = settle(undo.record, Outcome(KEY, OutcomeResult.DELETED), Sender("loader-1/0", "back", is_undo=True, now=self.now))
        assert done is not None
        assert done.record.state is RecordState.UNDONE


TestLoading = Loading.TestCase
TestLoading.settings = settings(max_examples=500, stateful_step_count=25, deadline=None)
