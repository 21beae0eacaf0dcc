"""What a delta did, and what a record's trail says of decisions, as tables."""

from __future__ import annotations

import json

import pytest
from rich.console import Console
from typer.testing import CliRunner

from transload.cli import output, review, views
from transload.cli.session import EXIT_USAGE
from transload.v1 import migration_service_pb2 as pb


def shown(run: pb.Run) -> str:
    console = Console(width=200)
    with console.capture() as capture:
        console.print(views.results_table(run))
    return capture.get()


@pytest.mark.requirement("L-11")
def test_a_delta_ends_with_its_sums_by_target_entity() -> None:
    counts = {
        ("deal", "created"): 3,
        ("deal", "conflict_ask"): 2,
        ("person", "gone_delete"): 1,
        ("person", "deleted"): 1,
        ("person", "updated"): 1200,
    }
    run = pb.Run(results=[pb.RunResult(target_entity=entity, result=result, count=count) for (entity, result), count in counts.items()])
    text = shown(run)
    assert [word in text for word in ("created", "updated", "unchanged", "deleted", "conflicts: ask", "gone: delete", "1,200")] == [True] * 7
    assert "conflicts: source" not in text
    assert output.as_data(run)["results"][0] == {"target_entity": "deal", "result": "created", "count": 3}


@pytest.mark.requirement("L-11", "L-14")
def test_decisions_and_merges_stand_in_a_records_events(monkeypatch: pytest.MonkeyPatch) -> None:
    events = [
        pb.Event(kind="conflict.decided", result="source", payload_json=json.dumps({"fields": ["title", "value"], "by": "person"}).encode()),
        pb.Event(kind="record.merged", result="links", payload_json=json.dumps({"from_target_id": "11", "to_target_id": "22"}).encode()),
        pb.Event(kind="source.gone", result="ask", payload_json=json.dumps({"policy": "ask"}).encode()),
        pb.Event(kind="record.erased"),
    ]
    console = Console(width=200)
    monkeypatch.setattr(output, "stdout", console)
    with console.capture() as capture:
        views.print_record(pb.GetRecordResponse(source_key="client/1", source_state="loaded", events=events))
    text = capture.get()
    assert [words in text for words in ("title, value (by person)", "11 merged into 22", "policy ask")] == [True] * 3


@pytest.mark.requirement("L-14", "L-16")
def test_with_whom_a_record_was_compared_stands_in_its_events(monkeypatch: pytest.MonkeyPatch) -> None:
    candidates = [
        {"candidate": "target/17", "target_id": "17", "title": "Acme", "score": 0.978, "reasons": ["same domain (acme.example)", "same name"]},
        {"candidate": "organization:client/2", "title": "Acme SL", "score": 0.72, "reasons": ["same name"]},
    ]
    payload = {"decision": "certain", "policy": "match_and_fill", "candidates": candidates}
    console = Console(width=250)
    monkeypatch.setattr(output, "stdout", console)
    with console.capture() as capture:
        event = pb.Event(kind="match.decided", result="matched", payload_json=json.dumps(payload).encode())
        views.print_record(pb.GetRecordResponse(source_key="client/1", source_state="matched", events=[event]))
    text = capture.get()
    assert "17 “Acme” 0.98: same domain (acme.example), same name" in text
    assert "organization:client/2 “Acme SL” 0.72: same name" in text
    assert "policy match_and_fill" in text


def test_a_candidate_goes_with_ids_and_match() -> None:
    runner = CliRunner()
    for arguments in (["--reason", "MATCH_UNCERTAIN", "--with", "match"], ["some-id", "--with", "create"]):
        result = runner.invoke(review.app, ["resolve", *arguments, "--candidate", "17"])
        assert result.exit_code == EXIT_USAGE
