"""Messages become plain data without losing anything."""

from __future__ import annotations

from google.protobuf.timestamp_pb2 import Timestamp

from transload.cli import output
from transload.v1 import migration_service_pb2 as pb


def test_enums_become_words_times_rfc3339_and_json_fields_their_content() -> None:
    migration = pb.Migration(
        migration_id="acme",
        state=pb.MIGRATION_STATE_ROLLED_BACK,
        create_time=Timestamp(seconds=1_772_443_695),
        latest_run=pb.Run(kind=pb.RUN_KIND_LOAD, token_count=5),
    )
    data = output.as_data(migration)
    assert data["state"] == "rolled_back"
    assert data["create_time"] == "2026-03-02T09:28:15Z"
    assert data["approve_time"] is None
    assert data["latest_run"]["kind"] == "load"
    assert data["pause_kind"] == ""
    event = output.as_data(pb.Event(sequence=1, payload_json=b'{"calls": [1]}'))
    assert event["payload_json"] == {"calls": [1]}
    assert output.as_data(pb.Event())["payload_json"] is None


def test_cells_show_markup_as_it_is_and_group_digits() -> None:
    table = output.table("", ("a", "b"), [("[red]x[/red]", 12345)], right_from=1)
    with output.stdout.capture() as captured:
        output.stdout.print(table)
    assert "[red]x[/red]" in captured.get()
    assert "12,345" in captured.get()
