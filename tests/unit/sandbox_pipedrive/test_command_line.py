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


WRONG = (
    ["--plan", "huge"], ["--seats", "0"], ["--seats", "-1"], ["--seats", "many"], ["--limits", "maybe"], ["--port", "70000"], ["--port", "-1"],
    ["--currency", "EURO"], ["--timezone", "Mars/Base"], ["--timezone", ""], ["--reset-zone", "Europe"], ["--top-up", "-5"], ["--seed", "one"],
    ["--search-lag", "-1"], ["--search-lag", "nan"], ["--clock-speed", "0"], ["--clock-start", "yesterday"], ["--clock-start", "1066-10-14"],
    ["--other-apps-jitter", "2"], ["--journal-max", "-1"], ["--token", "with space"], ["--control-key", ""], ["--db", "."], ["--users", "/"],
    ["--address-file", "/"], ["--retry-after", "sometimes"], ["--open-deals-max", "x"], ["--no-such-option"], ["extra"],
)  # fmt: skip


@pytest.mark.parametrize("arguments", WRONG, ids=" ".join)
def test_wrong_option_ends_with_one_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(arguments)
    assert ended.value.code == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert arguments[0] in lines[0]
    assert lines[0].endswith("try --help")


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
