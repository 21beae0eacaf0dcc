"""HTML that cleaning would give back as it is may go without: the same bytes come out, for every character there is."""

from __future__ import annotations

import sys

import nh3
from hypothesis import given
from hypothesis import strategies as st

from services.transformer.notes import Fragment, facts, heading, is_clean, pack, paragraph, table
from services.transformer.transforms.markup import html_sanitise, is_bare

_TEXTS = st.text(st.characters(codec="utf-8") | st.sampled_from("<>&\r\n\x00\xa0\ufeff\"'/;"), max_size=30) | st.sampled_from(
    ["<script>alert(1)</script>", "<b>", "</td>", "<b onclick=x>", "&amp;", "&#60;", "&lt;p&gt;", "<!--", "]]>", "<p>open", "x <br> y"]
)
_PAIRS = st.lists(st.tuples(_TEXTS, _TEXTS), max_size=4)
_FRAGMENTS = st.one_of(
    _TEXTS.map(heading),
    st.builds(facts, _PAIRS, _TEXTS),
    st.builds(table, st.lists(_TEXTS, min_size=2, max_size=2), st.lists(st.tuples(_TEXTS, _TEXTS), max_size=4), _TEXTS),
    st.builds(paragraph, _TEXTS, _TEXTS),
)


def test_every_character_without_markup_is_left_by_cleaning() -> None:
    characters = [one for code in range(sys.maxunicode + 1) if not 0xD800 <= code <= 0xDFFF and is_bare(one := chr(code))]
    everything = "a".join(characters)
    assert nh3.clean(everything) == everything
    for one in characters[:0x3000]:
        assert nh3.clean(f"{one}b") == f"{one}b"


@given(st.lists(_FRAGMENTS, max_size=4), st.integers(40, 4000))
def test_notes_are_what_cleaning_gives(fragments: list[Fragment | None], bytes_max: int) -> None:
    for note in pack([one for one in fragments if one is not None], bytes_max):
        assert nh3.clean(note) == note


@given(_TEXTS)
def test_text_without_markup_is_what_cleaning_gives(written: str) -> None:
    if written.strip() and is_bare(written):
        assert html_sanitise(written) == nh3.clean(written)


def test_markup_that_is_not_of_fragments_is_cleaned() -> None:
    for foreign in ("<b onclick=x>a</b>", "<script>a</script>", "<img src=x>", "a & b", "a > b", "<i>a</i>", "&quot;", "<td", "\ud800", "a\xa0b"):
        assert not is_clean(foreign)
    assert is_clean("<h3>A &amp; B</h3><ul><li><b>C:</b> 3 &lt; 5</li></ul>")
