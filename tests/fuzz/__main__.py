"""`python -m tests.fuzz --seed 7 --count 200` attacks a whole installation; `--postgres` with its ledger on PostgreSQL."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from tests.fakes.postgres import create_database, postgres_server
from tests.fuzz.world import attacked_installation, prove_well


async def _run(seed: int, count: int, messages: int, server: str) -> int:
    url = await create_database(server, "fuzz") if server else ""
    with tempfile.TemporaryDirectory() as folder:
        async with attacked_installation(Path(folder), seed=seed, database_url=url) as (campaign, methods):
            await campaign.attack_methods(methods, count)
            await campaign.attack_streams(messages)
            await prove_well(campaign)
    answers = ", ".join(f"{name} {times}" for name, times in campaign.answers.most_common())
    lines = [f"seed {seed}: {count} requests to each of {len(methods)} methods, {messages} messages on each stream; answered {answers}"]
    lines += [f"\n{problem}\n  {where}" for problem, where in campaign.problems.items()]
    sys.stdout.write("\n".join([*lines, f"{len(campaign.problems)} problems", ""]))
    return 1 if campaign.problems else 0


def main() -> None:
    """Run what the command line says."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Send malformed requests and messages to a whole installation.")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=100, help="requests to every method")
    parser.add_argument("--messages", type=int, default=200, help="messages on every stream")
    parser.add_argument("--postgres", action="store_true", help="with the ledger on PostgreSQL instead of SQLite")
    given = parser.parse_args()
    with ExitStack() as exits:
        server = exits.enter_context(postgres_server()) if given.postgres else ""
        sys.exit(asyncio.run(_run(given.seed, given.count, given.messages, server)))


if __name__ == "__main__":
    main()
