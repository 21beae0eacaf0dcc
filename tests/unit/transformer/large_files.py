"""A file over the limit as the extractor describes it when it was fetched."""

from __future__ import annotations

from typing import Any

WHOLE = "aa" * 32
TEXT = "Parts:\nfilm.mp4.001\nfilm.mp4.002"


def fetched() -> dict[str, Any]:
    """Return the `file` of an envelope."""
    ranges = ((1, 0, 20_000_000), (2, 20_000_000, 9_000_000))
    return {
        "name": "film.mp4",
        "byte_count": 29_000_000,
        "content_type": "video/mp4",
        "digest": WHOLE,
        "problem": "FILE_TOO_LARGE",
        "parts": [
            {
                "number": number,
                "key": f"part-{number}",
                "name": f"film.mp4.00{number}",
                "first_byte": first_byte,
                "byte_count": byte_count,
                "digest": f"{number:064x}",
            }
            for number, first_byte, byte_count in ranges
        ],
        "joining": {"name": "film.mp4.parts.txt", "digest": "bb" * 32, "byte_count": 40, "content_type": "text/plain; charset=utf-8", "text": TEXT},
    }


def expect_parts(payloads: dict[str, dict[str, Any]], source_key: str, home: dict[str, Any], *, has_note: bool = True) -> None:
    """Check what became of a file that was fetched, under the policy `split`: everything on one record, and nothing else."""
    file, note = f"file:{source_key}", f"note:{source_key}/parts"
    payloads = {key: {name: value for name, value in payload.items() if name != "custom"} for key, payload in payloads.items()}
    keys = {f"{file}/part-1", f"{file}/part-2", f"{file}/parts"} | ({note} if has_note else set())
    assert {key for key in payloads if key.partition(":")[2].startswith(source_key)} == keys
    for number, first_byte, byte_count in ((1, 0, 20_000_000), (2, 20_000_000, 9_000_000)):
        assert payloads[f"{file}/part-{number}"] == {
            "name": f"film.mp4.00{number}",
            "staging_name": f"files/{WHOLE}",
            "first_byte": first_byte,
            "byte_count": byte_count,
            "digest": f"{number:064x}",
            "content_type": "application/octet-stream",
            **home,
        }
    text = payloads[f"{file}/parts"]
    assert text == {
        "name": "film.mp4.parts.txt",
        "staging_name": f"files/{'bb' * 32}",
        "byte_count": 40,
        "content_type": text["content_type"],
        **home,
    }
    if has_note:
        content = payloads[note].pop("content")
        assert payloads[note] == home
        assert "film.mp4.002" in content
