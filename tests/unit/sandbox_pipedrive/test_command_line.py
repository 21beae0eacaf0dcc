"""The command line: files for token and users, one clear line for what is wrong."""

import json
from pathlib import Path

import pytest

from sandbox.pipedrive.account import Account
from sandbox.pipedrive.app import PipedriveApp
from sandbox.pipedrive.options import Options, parse, parser
from sandbox.pipedrive.seed import UsersFileError
from sandbox.pipedrive.store import StoreError


def test_defaults_are_those_of_the_options() -> None:
    options, given = parse(["--token", "sandbox"])
    assert options == Options()
    assert (given.host, given.port) == ("127.0.0.1", 8090)


def test_token_is_made_up_and_kept_in_its_file(tmp_path: Path) -> None:
    file = tmp_path / "token"
    first, _ = parse(["--token-file", str(file)])
    second, _ = parse(["--token-file", str(file)])
    assert len(first.token) == 40
    assert first.token == second.token == file.read_text(encoding="utf-8").strip()


@pytest.mark.parametrize("arguments", [["--plan", "huge"], ["--seats", "0"], ["--limits", "maybe"]])
def test_wrong_option_ends_with_one_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(arguments)
    assert "error: argument" in capsys.readouterr().err


def test_users_come_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "users.json"
    file.write_text(json.dumps([{"name": "A", "email": "a@example.com"}, {"name": "B", "email": "b@example.com", "active": False}]), encoding="utf-8")
    account = Account(Options(users_file=file))
    PipedriveApp(account)
    assert [(user["email"], user["active_flag"], user["is_admin"]) for user in account.store["user"]] == [
        ("a@example.com", True, True),
        ("b@example.com", False, False),
    ]


@pytest.mark.parametrize("content", ["nonsense", "{}", "[]", '[{"name": "A"}]'])
def test_wrong_users_file_is_named(tmp_path: Path, content: str) -> None:
    file = tmp_path / "users.json"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(UsersFileError, match="users file"):
        PipedriveApp(Account(Options(users_file=file)))


def test_damaged_state_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "account.db"
    file.write_bytes(b"this is no database at all" * 100)
    with pytest.raises(StoreError, match="move it away"):
        Account(Options(database=file))


def test_every_option_is_documented() -> None:
    page = (Path(__file__).parents[3] / "docs" / "sandbox.md").read_text(encoding="utf-8")
    options = [name for action in parser()._actions for name in action.option_strings if name.startswith("--") and name != "--help"]
    assert [name for name in options if f"`{name}`" not in page] == []
