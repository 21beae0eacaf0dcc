from __future__ import annotations

from pathlib import Path

import pytest

from services.common import errors
from services.common.settings import EnvReader, GrpcSettings
from tests.fakes.certificates import Authority, environ_of
from transload.security import ChannelSecurity, SecurityError, TlsFiles

TOKEN = "f" * 40


def settings(environ: dict[str, str]) -> GrpcSettings:
    return GrpcSettings.from_env(EnvReader(environ))


@pytest.mark.parametrize("listen", ["0.0.0.0:50051", "[::]:50051", "10.1.2.3:0", "ledger:50051"])
def test_a_service_does_not_open_itself_to_other_machines_by_mistake(listen: str, tmp_path: Path) -> None:
    files = environ_of(Authority(tmp_path).issue("localhost"))
    given = {"TRANSLOAD_GRPC_LISTEN": listen}
    with pytest.raises(errors.ConfigurationError, match="TRANSLOAD_ACCESS_FILE and TRANSLOAD_TLS_CERT_FILE are not set"):
        settings(given)
    with pytest.raises(errors.ConfigurationError, match="TRANSLOAD_ACCESS_FILE is not set"):
        settings(given | files)
    with pytest.raises(errors.ConfigurationError, match="TRANSLOAD_TLS_CERT_FILE is not set"):
        settings(given | {"TRANSLOAD_ACCESS_FILE": "/access.yaml"})
    assert settings(given | files | {"TRANSLOAD_ACCESS_FILE": "/access.yaml"}).security.wants_client_certificates
    assert settings(given | {"TRANSLOAD_ALLOW_OPEN": "1"}).listen == listen


@pytest.mark.parametrize("listen", ["127.0.0.1:0", "localhost:1", "[::1]:1", "127.8.0.1:1"])
def test_on_this_machine_nothing_has_to_be_set(listen: str) -> None:
    assert settings({"TRANSLOAD_GRPC_LISTEN": listen}).security.access_file is None


@pytest.mark.parametrize(
    ("environ", "problem"),
    [
        ({"TRANSLOAD_TLS_CERT_FILE": "/c"}, "TRANSLOAD_TLS_KEY_FILE, TRANSLOAD_TLS_CA_FILE is not set"),
        ({"TRANSLOAD_TLS_CLIENT_CERTS": "optional"}, "must be required or none"),
        ({"TRANSLOAD_SERVICE_TOKEN_FILE": "/nowhere"}, "TRANSLOAD_SERVICE_TOKEN_FILE names a file that cannot be read"),
        ({"TRANSLOAD_SERVICE_TOKEN": "two words"}, "TRANSLOAD_SERVICE_TOKEN holds no token"),
    ],
)
def test_half_a_setting_is_refused(environ: dict[str, str], problem: str) -> None:
    with pytest.raises(errors.ConfigurationError, match=problem):
        settings(environ)


def test_a_token_is_not_sent_readable_to_another_machine() -> None:
    given = {"TRANSLOAD_TOKEN": TOKEN}
    ChannelSecurity.from_env(given).check("127.0.0.1:50051")
    with pytest.raises(SecurityError, match="without TLS") as caught:
        ChannelSecurity.from_env(given).check("ledger.example.com:50051")
    assert TOKEN not in str(caught.value)
    ChannelSecurity.from_env(given | {"TRANSLOAD_ALLOW_OPEN": "1"}).check("ledger.example.com:50051")


def test_certificate_and_key_belong_together(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    one, other = authority.issue("one"), authority.issue("other")
    with pytest.raises(SecurityError, match="does not belong to the certificate"):
        TlsFiles(one.ca, one.certificate, other.key).read()
    with pytest.raises(SecurityError, match="holds no certificate"):
        TlsFiles(one.ca, one.key, one.key).read()
    with pytest.raises(SecurityError, match="belong together"):
        TlsFiles(one.ca, one.certificate).read()
    with pytest.raises(SecurityError, match="cannot be read"):
        TlsFiles(tmp_path / "nowhere").read()
