from __future__ import annotations

import base64
from typing import TYPE_CHECKING
from urllib.parse import quote

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common import grpc_client, secrecy
from services.common.connections import ConnectionParts, Connections
from services.common.errors import UnauthorizedError, UnavailableError
from services.common.rpc_errors import status_of
from services.common.settings import EnvReader
from services.loader.pipedrive.errors import refusal
from transload import watched
from transload.security import ChannelSecurity

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECRET = "p/w+of=the source&7f3a91"


@pytest.fixture(autouse=True)
def forgetful(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patched:
        patched.setattr(secrecy, "_known", {})
        patched.setattr(secrecy, "_forms", ())
        yield


@given(st.text(alphabet="ab+/=& %é", max_size=9), st.text(alphabet="ab+/=& %é", max_size=9))
def test_a_secret_is_masked_however_it_is_written(before: str, after: str) -> None:
    secrecy.remember(SECRET)
    text = before + SECRET + after
    core = secrecy.forms_of(SECRET)
    for written in (text, quote(text, safe=""), base64.b64encode(text.encode()).decode(), base64.urlsafe_b64encode(text.encode()).decode()):
        assert any(form in written for form in core)
        hidden = secrecy.masked(written)
        assert secrecy.MASK in hidden
        assert not any(form in hidden for form in core)
        assert secrecy.masked_bytes(written.encode()) == hidden.encode()


def test_words_and_short_values_stay() -> None:
    secrecy.remember("", "short")
    assert secrecy.masked("a short word") == "a short word"


def test_the_oldest_are_forgotten() -> None:
    for number in range(300):
        secrecy.remember(f"secret-number-{number}")
    assert secrecy.masked("secret-number-299") == secrecy.MASK
    assert secrecy.masked("secret-number-1 ") == "secret-number-1 "


def test_what_is_read_as_a_secret_is_remembered() -> None:
    environ = {
        "TRANSLOAD_CONNECTION_ORG_URL": "https://org.example.com",
        "TRANSLOAD_CONNECTION_ORG_CLIENT_ID": "transload-client",
        "TRANSLOAD_CONNECTION_ORG_CLIENT_SECRET": SECRET,
        "TRANSLOAD_SERVICE_TOKEN": "token-of-a-service",
    }
    Connections(environ).get("org", ConnectionParts(required=("client_id", "client_secret")))
    EnvReader(environ).secret("SERVICE_TOKEN")
    text = secrecy.masked(f"transload-client at https://org.example.com with {SECRET} and token-of-a-service")
    assert text == f"transload-client at https://org.example.com with {secrecy.MASK} and {secrecy.MASK}"


async def test_a_token_that_changed_in_its_file_is_remembered_with_its_first_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watched, "LOOK_SECONDS", 0.0)
    file = tmp_path / "token"
    file.write_text("token-of-yesterday")
    security = ChannelSecurity.from_env({"TRANSLOAD_SERVICE_TOKEN_FILE": str(file)}, token_name="TRANSLOAD_SERVICE_TOKEN")
    async with grpc_client.channel("127.0.0.1:1", security=security) as channel:
        file.write_text("another-token-of-today")
        with pytest.raises(UnavailableError):
            await grpc_client.ping(channel, timeout_seconds=5)
    assert secrecy.masked("said another-token-of-today") == f"said {secrecy.MASK}"


def test_an_error_leaves_without_the_secret_that_the_other_side_repeated() -> None:
    secrecy.remember(SECRET)
    code, message, trailing = status_of(UnauthorizedError(f"refused: {SECRET}", metadata={"said": quote(SECRET)}))
    assert code is grpc.StatusCode.FAILED_PRECONDITION
    assert message == f"refused: {secrecy.MASK}"
    details = dict(trailing)["grpc-status-details-bin"]
    assert isinstance(details, bytes)
    assert SECRET.encode() not in details


def test_words_of_pipedrive_are_cut_only_after_masking() -> None:
    secrecy.remember(SECRET)
    body = b'{"error": "' + b"x" * 490 + SECRET.encode() + b'"}'
    assert "p/w+of" not in refusal(400, secrecy.masked_bytes(body), "deals.create").message
