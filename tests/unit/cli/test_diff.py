"""The page for the person who signs: complete, self-contained, and safe with hostile values."""

from __future__ import annotations

import json
import re

import pytest

from transload.cli.diff import SampleDiff, as_data, render_html
from transload.v1 import migration_service_pb2 as pb

HOSTILE = '<script>alert("x")</script> & "quoted" العربية 漢字 {{ 7 * 7 }}'


def _sample(verdict: pb.DiffVerdict.ValueType) -> SampleDiff:
    value = json.dumps(HOSTILE).encode()
    field = pb.DiffField(
        target_field="name",
        label="Name",
        source_path="legal-name",
        source_value_json=value,
        mapped_value_json=value,
        target_value_json=value,
        verdict=verdict,
        rule="text",
    )
    record = pb.DiffRecord(
        key="organization:client/1", target_entity="organization", source_key="client/1", target_id="7", state="loaded", fields=[field]
    )
    return SampleDiff(
        migration=pb.Migration(migration_id="acme", display_name=HOSTILE, state=pb.MIGRATION_STATE_SAMPLED),
        mapping_digest="m" * 64,
        diff_digest="d" * 64,
        coverage=("every status of quotes",),
        field_count=1,
        different_count=int(verdict != pb.DIFF_VERDICT_SAME),
        records=(record,),
    )


@pytest.mark.requirement("L-08", "X-08")
def test_page_escapes_hostile_values_and_loads_nothing_from_elsewhere() -> None:
    page = render_html(_sample(pb.DIFF_VERDICT_SAME))
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page
    assert "{{ 7 * 7 }}" in page
    assert "العربية 漢字" in page
    assert not re.search(r"""(src|href)\s*=\s*["']?(https?:)?//""", page)


@pytest.mark.requirement("L-09")
def test_page_names_the_digest_to_approve() -> None:
    page = render_html(_sample(pb.DIFF_VERDICT_SAME))
    assert f"transload approve --migration acme --diff {'d' * 64}" in page


def test_page_marks_what_differs() -> None:
    page = render_html(_sample(pb.DIFF_VERDICT_DIFFERENT))
    assert 'class="different"' in page
    assert "1 of 1 fields differ" in page


def test_json_has_every_field() -> None:
    data = as_data(_sample(pb.DIFF_VERDICT_SAME))
    assert data["records"][0]["fields"][0]["source_value_json"] == HOSTILE
