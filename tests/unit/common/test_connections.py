from __future__ import annotations

from pathlib import Path

import pytest

from services.common.connections import ConnectionParts, Connections
from services.common.errors import ConfigurationError, InvalidRequestError


def test_a_connection_is_read_from_the_environment() -> None:
    connections = Connections({"TRANSLOAD_CONNECTION_OUR_CRM_URL": "https://crm.example/", "TRANSLOAD_CONNECTION_OUR_CRM_KEY": "k"})
    connection = connections.get("our-crm")
    assert (connection.url, connection.key) == ("https://crm.example", "k")


def test_a_key_may_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("k\n")
    environ = {"TRANSLOAD_CONNECTION_CRM_URL": "u", "TRANSLOAD_CONNECTION_CRM_KEY_FILE": str(tmp_path / "key")}
    assert Connections.from_env(environ).get("crm").key == "k"


def test_a_corrected_key_works_at_the_next_use(tmp_path: Path) -> None:
    folder = tmp_path / "crm"
    folder.mkdir()
    (folder / "url").write_text("u")
    (folder / "key").write_text("wrong")
    connections = Connections({"TRANSLOAD_CONNECTIONS_DIR": str(tmp_path)})
    assert connections.get("crm").key == "wrong"
    (folder / "key").write_text("right\n")
    assert connections.get("crm").key == "right"


def test_a_missing_key_names_the_variable_and_the_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"has no key: set TRANSLOAD_CONNECTION_CRM_KEY .*crm/key") as caught:
        Connections({"TRANSLOAD_CONNECTION_CRM_URL": "u", "TRANSLOAD_CONNECTIONS_DIR": str(tmp_path)}).get("crm")
    assert caught.value.metadata["setting"] == "TRANSLOAD_CONNECTION_CRM_KEY"


def test_an_empty_key_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(" \n")
    environ = {"TRANSLOAD_CONNECTION_CRM_URL": "u", "TRANSLOAD_CONNECTION_CRM_KEY_FILE": str(tmp_path / "key")}
    with pytest.raises(ConfigurationError, match="is empty"):
        Connections(environ).get("crm")


@pytest.mark.parametrize("name", ["", "../etc", "CRM", "a/b", "-a"])
def test_what_is_not_a_name_never_becomes_a_path(name: str) -> None:
    with pytest.raises(InvalidRequestError):
        Connections({"TRANSLOAD_CONNECTIONS_DIR": "/"}).get(name)


def test_a_key_is_never_printed() -> None:
    connection = Connections({"TRANSLOAD_CONNECTION_CRM_URL": "u", "TRANSLOAD_CONNECTION_CRM_KEY": "s3cret"}).get("crm")
    assert "s3cret" not in repr(connection)


def test_a_connection_has_the_parts_its_system_wants(tmp_path: Path) -> None:
    folder = tmp_path / "org"
    folder.mkdir()
    (folder / "url").write_text("https://org.example/")
    (folder / "client_id").write_text("id")
    wanted = ConnectionParts(required=("client_id", "client_secret"), optional=("refresh_token",))
    connections = Connections({"TRANSLOAD_CONNECTIONS_DIR": str(tmp_path)})
    with pytest.raises(ConfigurationError, match="TRANSLOAD_CONNECTION_ORG_CLIENT_SECRET"):
        connections.get("org", wanted)
    (folder / "client_secret").write_text("s3cret")
    connection = connections.get("org", wanted)
    assert (connection.key, connection.parts) == ("", {"client_id": "id", "client_secret": "s3cret"})
    assert "s3cret" not in repr(connection)
    (folder / "refresh_token").write_text("t")
    assert connections.get("org", wanted).parts["refresh_token"] == "t"


def test_a_folder_of_files_needs_no_key() -> None:
    connections = Connections({"TRANSLOAD_CONNECTION_EXPORT_URL": "file:///srv/export"})
    assert connections.get("export", ConnectionParts(required=())).url == "file:///srv/export"
