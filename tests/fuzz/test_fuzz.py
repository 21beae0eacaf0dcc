"""Malformed requests to every method and malformed messages on every stream of a real installation; `make fuzz` does the same for longer."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from google.protobuf import message_factory

from services.common.streams import CONSUMERS
from tests.fuzz.installed import MESSAGES, described_services
from tests.fuzz.judge import documented_reasons
from tests.fuzz.requests import Known, Maker
from tests.fuzz.world import attacked_installation, prove_well

SEED = 1
REQUESTS = 6
MESSAGES_EACH = 24


@pytest.mark.slow
async def test_malformed_requests_and_messages_meet_a_documented_error_and_nothing_else(tmp_path: Path) -> None:
    async with attacked_installation(tmp_path, seed=SEED) as (campaign, methods):
        described = {f"/{name}/{one.name}" for name, service in described_services().items() for one in service.methods}
        assert {method.path for method in methods} == described, "methods of the contracts that no process serves would go untested"
        assert {consumer.stream.name for consumer in CONSUMERS} == set(MESSAGES), "streams whose messages nobody makes would go untested"
        await campaign.attack_methods(methods, REQUESTS)
        await campaign.attack_streams(MESSAGES_EACH)
        await prove_well(campaign)
    assert not campaign.problems, "\n\n".join(f"{problem}\n  {where}" for problem, where in campaign.problems.items())
    # A sixth or so is answered OK, varying with what each kill and order left behind; a maker that has gone wrong gets next to nothing past.
    assert campaign.answers["OK"] * 12 > campaign.answers.total(), "hardly anything got past the door: the requests are too wrong to find anything"


def test_the_same_seed_makes_the_same_requests() -> None:
    services = described_services()
    descriptors = [one.input_type for service in services.values() for one in service.methods]

    def made() -> list[bytes]:
        maker = Maker(Known(texts={"migration_id": [b"m1"]}), random.Random(SEED))
        return [maker.make(descriptor) for descriptor in descriptors for _ in range(3)]

    assert made() == made()


def test_sensible_requests_hold_what_is_known() -> None:
    descriptor = MESSAGES["RAW"]
    real = message_factory.GetMessageClass(descriptor)(migration_id="m1", run_id="m1-load-1").SerializeToString()
    maker = Maker(Known(messages={descriptor.full_name: [real]}), random.Random(SEED))
    assert sum(maker.sensible(descriptor).SerializeToString() == real for _ in range(20)) > 10


def test_documented_reasons_are_read_from_the_page_that_people_read() -> None:
    assert {"INVALID_REQUEST", "MIGRATION_NOT_FOUND", "WRONG_STATE"} <= documented_reasons()
    assert "INTERNAL" not in documented_reasons()
