"""Secrets this process knows, so that what others say of them goes no further.

A system that refuses a login may repeat the secret in its words, and those words reach people: they stand in the ledger, in logs and in reports.
Whoever reads a secret remembers it here; whoever passes foreign words on masks them. It is a second lock: nothing of ours writes secrets anywhere.
"""

from __future__ import annotations

import base64
import json
import threading
from typing import Final
from urllib.parse import quote, quote_plus, unquote, urlsplit

MASK: Final = "[secret]"
CHARACTERS_MIN: Final = 8
"""Shorter values are no secrets worth the name, and masking them would blank ordinary words."""
_VALUES_MAX: Final = 256
_TOKEN_SCHEMES: Final = ("nats", "tls")

_known: dict[str, tuple[str, ...]] = {}
_forms: tuple[str, ...] = ()
_lock: Final = threading.Lock()


def remember(*values: str) -> None:
    """Notes secrets; the oldest are forgotten when there are very many. Cheap for those known already."""
    global _forms  # noqa: PLW0603 - what a process knows is one thing
    new = [value for value in values if len(value) >= CHARACTERS_MIN and value not in _known]
    if not new:
        return
    with _lock:
        _known.update({value: forms_of(value) for value in new})
        while len(_known) > _VALUES_MAX:
            del _known[next(iter(_known))]
        _forms = tuple(form for forms in _known.values() for form in forms)


def remember_credentials(addresses: str) -> None:
    """Notes what addresses, separated by commas, hold of a user: the password, and for NATS a token, which stands where the name does.

    Whoever fails to connect may name one address alone, or put it together anew.
    """
    for address in addresses.split(","):
        try:
            parts = urlsplit(address.strip())
        except ValueError:
            continue  # no address; whoever uses it says so
        found = parts.password or (parts.username if parts.scheme in _TOKEN_SCHEMES else "") or ""
        remember(found, unquote(found))


def masked(text: str) -> str:
    """Answers the text without any secret known, as it stands, in an address, in JSON, or in base64."""
    for form in _forms:
        if form in text:
            text = text.replace(form, MASK)
    return text


def masked_bytes(content: bytes) -> bytes:
    """Answers the same of text in UTF-8; anything else is left as it is."""
    for form in _forms:
        if (raw := form.encode()) in content:
            content = content.replace(raw, MASK.encode())
    return content


def forms_of(value: str) -> tuple[str, ...]:
    """Answers how a secret may be written: as it is, in an address, in JSON, and inside a base64 text, where it may begin at three positions."""
    raw = value.encode()
    found = [value, quote(value, safe=""), quote(value), quote_plus(value)]
    found += [json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]]
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for shift in range(3):
            # The first and last characters depend on what stands beside; what lies between does not.
            text = encode(b"\0" * shift + raw).decode()
            start = -(-shift * 8 // 6)
            found.append(text[start : (shift + len(raw)) * 8 // 6])
    return tuple(dict.fromkeys(found))
