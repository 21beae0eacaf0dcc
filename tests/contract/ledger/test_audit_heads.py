"""Signed heads: made once for each length, kept for good, and what gives a rewritten trail away."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from alembic import command

from services.ledger.audit import hash_of, inclusion_paths, sign_head, verify_trail
from services.ledger.domain import EventDraft
from services.ledger.sql.engine import normalise_url, open_database
from services.ledger.sql.ledger import SqlLedger
from services.ledger.sql.schema import alembic_config
from tests.contract.ledger.test_repository import draft, raw
from tests.contract.ledger.world import M, World
from transload.audit.heads import Signer
from transload.audit.merkle import leaf_hash, root_of, root_of_path

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from tests.fakes.clock import FakeClock
    from transload.audit.heads import AuditHead

pytestmark = pytest.mark.requirement("L-14")
SIGNER = Signer.generate()
TRIGGERS = (
    ("events_keep", "events"),
    ("events_stay", "events"),
    ("event_payloads_keep", "event_payloads"),
    ("audit_heads_keep", "audit_heads"),
    ("audit_heads_stay", "audit_heads"),
)


async def sign(world: World) -> AuditHead:
    async with world.ledger.transaction() as tx:
        return await sign_head(tx, SIGNER, M, world.clock.now())


async def test_the_same_length_is_signed_once_and_each_later_one_again(world: World) -> None:
    await world.begin()
    for count in (1, 3):
        async with world.ledger.transaction() as tx:
            await tx.append_events(M, [draft(number=number) for number in range(count)])
        head = await sign(world)
        assert head.is_signed()
        assert await sign(world) == head
    async with world.ledger.read() as reader:
        heads = await reader.list_audit_heads(M)
        assert [one.tree_size for one in heads] == [1, 4]
        assert [one.tree_size for one in await reader.list_audit_heads(M, from_size=2)] == [4]
        hashes = await reader.list_event_hashes(M)
        assert heads[-1].root_hash == root_of(bytes.fromhex(one) for one in hashes).hex()
        assert (await verify_trail(reader, M)).is_whole


async def test_each_event_is_proven_by_its_path(world: World) -> None:
    await world.begin()
    async with world.ledger.transaction() as tx:
        await tx.append_events(M, [draft(number=number) for number in range(11)])
    head = await sign(world)
    async with world.ledger.read() as reader:
        paths = await inclusion_paths(reader, M, 11, [1, 8, 11])
        events = {event.sequence: event for event in await reader.list_events(M)}
    for sequence, path in zip([1, 8, 11], paths, strict=True):
        leaf = leaf_hash(bytes.fromhex(hash_of(events[sequence])))
        assert root_of_path(leaf, sequence - 1, 11, path) == bytes.fromhex(head.root_hash)


@pytest.mark.parametrize("statement", ["UPDATE audit_heads SET tree_size = 9", "DELETE FROM audit_heads"])
async def test_the_database_itself_refuses_to_change_signed_heads(world: World, database_url: str, statement: str) -> None:
    await world.begin()
    async with world.ledger.transaction() as tx:
        await tx.append_event(M, draft(a=1))
    await sign(world)
    with pytest.raises(Exception, match="append-only"):
        await raw(database_url, statement)


@pytest.mark.parametrize(
    ("statements", "message"),
    [
        (["DELETE FROM events WHERE sequence > 2", "UPDATE heads SET event_sequence = 2"], "signed|ends at event 2"),
        (["UPDATE audit_heads SET root_hash = 'ab'"], "not the ones that were signed"),
        (["UPDATE audit_heads SET signature = '00'"], "not the ones that were signed"),
    ],
    ids=["cut together with the head", "another root", "no signature"],
)
async def test_what_a_keeper_of_the_database_may_do_is_found(world: World, database_url: str, statements: list[str], message: str) -> None:
    await world.begin()
    async with world.ledger.transaction() as tx:
        await tx.append_events(M, [draft(number=number) for number in range(4)])
    await sign(world)
    for name, table in TRIGGERS:
        await raw(database_url, f"DROP TRIGGER {name}" + (f" ON {table}" if database_url.startswith("postgres") else ""))
    for statement in statements:
        await raw(database_url, statement)
    async with world.ledger.read() as reader:
        verdict = await verify_trail(reader, M)
    assert not verdict.is_whole
    assert re.search(message, verdict.message)


async def test_a_trail_from_before_signing_gets_its_tree(database_url: str, clock: FakeClock) -> None:
    def version(name: str) -> Any:
        def change(connection: Connection) -> None:
            (command.downgrade if name == "0001" else command.upgrade)(alembic_config(connection), name)

        return change

    async with SqlLedger.open(database_url, clock=clock) as ledger:
        world = World(ledger, clock)
        await world.begin()
        async with ledger.transaction() as tx:
            await tx.append_events(M, [EventDraft("a", "b", result=str(number)) for number in range(7)])
    database = open_database(normalise_url(database_url))
    try:
        async with database.write() as run:
            await run(version("0001"))
    finally:
        await database.close()
    async with SqlLedger.open(database_url, clock=clock) as ledger:
        async with ledger.transaction() as tx:
            await tx.append_event(M, EventDraft("a", "b"))
        async with ledger.read() as reader:
            assert (await verify_trail(reader, M)).event_count == 8
            head = await reader.chain_head(M)
            assert head.root_hash == root_of(bytes.fromhex(one) for one in await reader.list_event_hashes(M)).hex()
