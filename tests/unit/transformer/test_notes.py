"""Notes hold everything, however long, and nothing that runs."""

from __future__ import annotations

import html
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.transformer.notes import facts, heading, pack, paragraph, table


@pytest.mark.requirement("X-08")
def test_a_table_is_spread_over_notes_with_its_head_repeated() -> None:
    rows = [[f"row {number}", "x" * 50] for number in range(100)]
    made = table(["Name", "Text"], rows, "Lines")
    assert made is not None
    notes = pack([heading("Order"), made], 2_000)
    assert len(notes) > 3
    assert all(len(note.encode()) <= 2_000 for note in notes)
    assert all(note.count("<thead>") == note.count("</table>") == 1 for note in notes)
    assert [number for note in notes for number in re.findall(r"row (\d+)", note)] == [str(number) for number in range(100)]


@pytest.mark.requirement("X-08")
@given(st.lists(st.text(alphabet=st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=300), min_size=1, max_size=20))
def test_no_character_is_lost_and_no_tag_is_let_in(texts: list[str]) -> None:
    notes = pack([paragraph(text) for text in texts], 700)
    plain = "".join(html.unescape(re.sub(r"<[^>]*>", "", note)) for note in notes)
    assert plain == "".join(html.unescape(html.escape(text, quote=False)) for text in texts if text.strip())
    assert set(re.findall(r"</?(\w+)", "".join(notes))) <= {"p", "br"}


def test_empty_parts_leave_no_trace() -> None:
    assert facts([]) is None
    assert table(["a"], []) is None
    assert pack([], 100) == []
