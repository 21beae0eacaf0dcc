"""One spelling for every JSON value, so that equal content has equal bytes and equal digests."""

from __future__ import annotations

import hashlib
import json
import math
from typing import Any

import orjson

# Above this a float no longer holds every whole number, so writing it as one would invent digits.
_WHOLE_FLOAT_MAX = 2.0**53
# What is written as it is: nearly everything in a record, so it is spared a call each.
_PLAIN = frozenset({str, int, bool, type(None)})


def canonical_json(value: Any) -> bytes:
    """Writes `value` as JSON with sorted keys, UTF-8, no spaces; floats that are whole become integers (12.0 -> 12).

    Raises:
        ValueError: a number is NaN or infinite, which JSON cannot say.
        TypeError: something in it is not a JSON value, or a key is not a string.
    """
    plain = _normalise(value)
    try:
        return orjson.dumps(plain, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        # orjson refuses integers beyond 64 bits and half surrogate pairs, both of which sources do send.
        # A half pair is not UTF-8; written as its JSON escape it survives, and "backslashreplace" writes just that.
        _check_keys(plain)
        return json.dumps(plain, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "backslashreplace")


def digest(data: bytes) -> str:
    """Answers the SHA-256 of `data` in hex."""
    return hashlib.sha256(data).hexdigest()


def digest_of(value: Any) -> str:
    """Answers the SHA-256 (hex) of the canonical JSON of `value`."""
    return digest(canonical_json(value))


def _normalise(value: Any) -> Any:
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, dict):
        return {key: item if type(item) in _PLAIN else _normalise(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [item if type(item) in _PLAIN else _normalise(item) for item in value]
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{value} cannot be written as JSON")
        return int(value) if value.is_integer() and abs(value) <= _WHOLE_FLOAT_MAX else value
    raise TypeError(f"{type(value).__name__} is not a JSON value")


def _check_keys(value: Any) -> None:
    """Refuses keys that are not strings, which `json` would write as if they were; `orjson` refuses them by itself."""
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise TypeError(f"a JSON key must be a string, not {type(key).__name__}")
            _check_keys(item)
    elif isinstance(value, list):
        for item in value:
            _check_keys(item)
