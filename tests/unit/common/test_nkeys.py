"""Keys for NATS: the form is the one NATS itself reads, and a seed never gets out."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from transload.nkeys import KeyFormatError, NKey, is_public

# The example of NATS' own page on keys.
SEED, PUBLIC = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY", "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4"
ACCOUNT = "SAANRM6JVDEYZTR6DXCWUSDDJHGOHAFITXEQBSEZSY5JENTDVRZ6WNKTTY"


def test_a_seed_of_nats_own_documentation_has_the_public_key_that_stands_beside_it() -> None:
    assert NKey.from_seed(f" {SEED}\n").public == PUBLIC
    assert is_public(PUBLIC)
    assert not is_public(SEED)


def test_what_is_made_can_be_read_and_signs_so_that_the_public_key_agrees() -> None:
    key = NKey.generate()
    assert NKey.from_seed(key.seed) == key
    assert NKey.generate() != key
    public = base64.b32decode(key.public + "=" * (-len(key.public) % 8))[1:33]
    Ed25519PublicKey.from_public_bytes(public).verify(base64.b64decode(key.sign("nonce")), b"nonce")


@pytest.mark.parametrize("text", ["", "SU", PUBLIC, ACCOUNT, SEED[:-1], SEED[:20] + "A" + SEED[21:], SEED.lower(), "not a seed!", "ñ" * 58])
def test_anything_else_is_refused_in_words_that_do_not_repeat_it(text: str) -> None:
    with pytest.raises(KeyFormatError) as caught:
        NKey.from_seed(text)
    assert not text or text not in str(caught.value)
    assert caught.value.__cause__ is None


def test_the_seed_is_in_no_text_about_the_key() -> None:
    assert SEED not in repr(NKey.from_seed(SEED))
    assert repr(NKey.from_seed(SEED)) == f"NKey(public='{PUBLIC}')"


@given(st.text(max_size=70))
def test_no_text_breaks_the_reader(text: str) -> None:
    try:
        key = NKey.from_seed(text)
    except KeyFormatError:
        return
    assert key.seed == text.strip()
