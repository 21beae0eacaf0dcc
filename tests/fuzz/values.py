"""Values nobody should send, by type, and documents that are almost right."""

from __future__ import annotations

import copy
import random
from typing import Any, Final

import orjson
import yaml

HUGE_CHARACTERS: Final = 300_000
NESTED: Final = 20_000

TEXTS: Final[tuple[bytes, ...]] = (
    b"",
    b" ",
    b"\0",
    b"acme\0corp",
    b"\xff\xfe",
    b"\xed\xa0\x80",  # half of a surrogate pair
    b"\xc0\x80",  # NUL, longer than it has to be
    "\u202egnp.exe\u202c".encode(),
    "e\u0301\u200d\U0001f468\u200d\U0001f469".encode(),
    "\ufeff".encode(),
    b"x" * 300,
    b"x" * HUGE_CHARACTERS,
    b"../../../../outside",
    b"/absolute/place",
    b"a/../b",
    b"a//b",
    b"a.b.>",
    b"*",
    b"'; drop table x; --",
    b"%s%n{0}${x}",
    b"line\r\nline",
    b"NaN",
    b"-1",
    b"99999999999999999999999999",
    b"1e400",
    b"0001-01-01",
    b"9999-99-99",
    b"[" * NESTED,
    b'{"a":' * NESTED,
    b'{"a":' * NESTED + b"1" + b"}" * NESTED,
    b"a: &a [x]\nb: *a\nc: *z\n",
    b"- " * 2_000 + b"x",
    b"".join(b"%c: &%c [%s]\n" % (name, name, b",".join([b"*%c" % (name - 1) if name > 97 else b"1"] * 9)) for name in range(97, 107)),
    b"!!python/object/apply:os.getcwd []",
    b"null",
    b"[]",
    b"{}",
    b"1",
    b'"text"',
    b'{"a": NaN}',
    b'{"a": 1e999}',
    b'{"\\ud800": "\\udc00"}',
    b'{"a": "\\u0000"}',
    b'{"$ref": {"$ref": 1}}',
    b":",
    b"a:b",
    b"a:/",
    b"a:b/c",
    b"/",
    b"deal:client/",
)
INTEGERS: Final = (0, 1, -1, 2, 99, 1_000_000, 2**31 - 1, -(2**31), 2**32, 2**53 + 1, 2**63 - 1, -(2**63), 2**64 - 1)
REALS: Final = (0.0, -0.0, -1.0, 1e-320, 1e18, 1e308, float("inf"), float("-inf"), float("nan"))
SECONDS: Final = (0, -1, -62_135_596_800, -62_135_596_801, 253_402_300_799, 253_402_300_800, 2**63 - 1, -(2**63), 315_576_000_001)
NANOS: Final = (0, 1, -1, 999_999_999, 1_000_000_000, 2**31 - 1, -(2**31))

_WRONG: Final[tuple[Any, ...]] = (
    None,
    True,
    0,
    -1,
    2**63,
    1.5,
    "",
    "\0",
    "x" * 5000,
    "\u202e",
    [],
    [None],
    [[]],
    {},
    {"": None},
    {"a": {"a": []}},
    "../..",
)


def twisted(document: Any, rng: random.Random) -> Any:
    """Return a copy of a document in which one to three places hold something of another type, are gone, or stand twice."""
    made = copy.deepcopy(document)
    for _ in range(rng.choice((1, 1, 2, 3))):
        made = _twist(made, rng)
    return made


def twisted_json(text: bytes, rng: random.Random) -> bytes:
    """Return JSON with something wrong in it."""
    return orjson.dumps(twisted(orjson.loads(text), rng), default=str, option=orjson.OPT_NON_STR_KEYS)


def twisted_yaml(text: bytes, rng: random.Random) -> bytes:
    """Return YAML with something wrong in it."""
    made: str = yaml.safe_dump(twisted(yaml.safe_load(text), rng))
    return made.encode("utf-8", "replace")


def _twist(document: Any, rng: random.Random) -> Any:
    """Walk down at random, rather deep than not, and change what is found."""
    children = list(document.items()) if isinstance(document, dict) else list(enumerate(document)) if isinstance(document, list) else []
    if children and rng.random() < 0.85:
        key, child = rng.choice(children)
        document[key] = _twist(child, rng)
        return document
    if isinstance(document, dict) and document and rng.random() < 0.5:
        del document[rng.choice(list(document))]
        return document
    if isinstance(document, list) and document and rng.random() < 0.3:
        return document * 2
    return copy.deepcopy(rng.choice(_WRONG))
