"""Judges the audit trail: as a file that a stranger verifies, against what stands in Pipedrive, and after a person's data were erased from it."""

from __future__ import annotations

from contextlib import closing
from sqlite3 import connect
from typing import TYPE_CHECKING, Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.simulation.operator import MIGRATION
from tests.simulation.people import PLURALS
from transload.audit.verifier import verify_export, verify_proof, verify_statement

if TYPE_CHECKING:
    from tests.simulation.operator import Operator
    from tests.simulation.world import World

TOLD_OF: Final = PLURALS | {"line_item": "deal_products"}
"""Target entities of which everything that stands in Pipedrive has to be on the trail, and where the account holds them."""
ERASED: Final = "payload.erased"


async def proven(world: World, operator: Operator, key: bytes, *, has_statement: bool) -> list[str]:
    """Say what is wrong with the trail; a record is erased from it first, and it has to prove as much as before."""
    problems = _untold(world)
    if has_statement:
        # Before the erasure, which may take away what the statement tells.
        said = verify_statement(await operator.insist(lambda: operator.client.reconciliation_statement(MIGRATION)), _public(key))
        problems += [] if said.is_whole and said.is_pinned else [f"audit: the statement: {said.message}"]
    keys = sorted({row[0] for row in _rows(world, "SELECT source_key FROM events WHERE source_key != ''")})
    count = 0
    if keys:
        subject = world.draw.choice(keys)
        answer = await operator.insist(lambda: operator.client.erase_payloads(MIGRATION, key=subject, reason="asked for by who it is about"))
        count = answer.payload_count
        problems += _left_of(world, subject)
        proof = verify_proof(await operator.insist(lambda: operator.client.prove_record(MIGRATION, subject)), _public(key))
        problems += [] if proof.is_whole and proof.is_pinned else [f"audit: the proof of {subject}: {proof.message}"]
    whole = await operator.insist(lambda: operator.client.verify_audit(MIGRATION))
    problems += [] if whole.is_whole else [f"audit: {whole}".replace("\n", " ")]
    lines = await operator.insist(lambda: _export(operator))
    file = verify_export(lines[1:], MIGRATION, _public(key))
    problems += [] if file.is_whole and file.is_pinned else [f"audit: the file: {file.message}"]
    if file.is_whole and file.erased_count < count:
        problems.append(f"audit: {count} payloads were erased, the file tells of {file.erased_count}")
    return problems


def _untold(world: World) -> list[str]:
    """Say what stands in Pipedrive without a person's or the customer's hand in it, and is on no event; and which runs are on none.

    What a person moved in the seconds of doubt is not found again (docs/exactly-once.md).
    """
    told = {(entity, target_id) for entity, target_id in _rows(world, "SELECT DISTINCT substr(key, 1, instr(key, ':') - 1), target_id FROM events")}
    theirs = world.people.touched
    state = world.state()
    problems = [
        f"audit: no event tells of {plural}/{record['id']}"
        for entity, plural in TOLD_OF.items()
        for known in [{record["id"] for record in world.before[plural]}]
        for record in state[plural]
        if record["id"] not in known and (plural, record["id"]) not in theirs and (entity, str(record["id"])) not in told
    ]
    runs = dict(_rows(world, "SELECT state, COUNT(*) FROM runs GROUP BY state"))
    told_runs = dict(_rows(world, "SELECT kind, COUNT(*) FROM events WHERE kind LIKE 'run.%' GROUP BY kind"))
    wanted = {f"run.{state}": count for state, count in runs.items() if state != "running"} | {"run.started": sum(runs.values())}
    return problems[:5] + [
        f"audit: {told_runs.get(kind, 0)} events {kind} for {count} runs" for kind, count in wanted.items() if told_runs.get(kind, 0) != count
    ]


def _left_of(world: World, source_key: str) -> list[str]:
    """Say what the ledger still tells of a record that was erased."""
    statement = (
        "SELECT COUNT(*) FROM event_payloads p JOIN events e ON e.migration_id = p.migration_id AND e.sequence = p.sequence"
        " WHERE e.source_key = ? AND e.kind != ?"
    )
    left = _rows(world, statement, source_key, ERASED)[0][0]
    return [f"audit: {left} payloads of {source_key} outlived their erasure"] if left else []


async def _export(operator: Operator) -> list[bytes]:
    return [line async for line in operator.client.export_audit_lines(MIGRATION)]


def _rows(world: World, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    with closing(connect(world.folder / "ledger.db")) as connection:
        return connection.execute(statement, values).fetchall()


def _public(key: bytes) -> str:
    """Answer the public key (hex) of a private one, as people keep it apart from the ledger."""
    return Ed25519PrivateKey.from_private_bytes(key).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex()
