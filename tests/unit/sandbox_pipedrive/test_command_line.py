"""The command line: files for token and users, one clear line for what is wrong."""

import argparse
import contextlib
import json
import os
import re
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sandbox.pipedrive.account.account import Account
from sandbox.pipedrive.gateway.app import PipedriveApp
from sandbox.pipedrive.gateway.engine import RulesFileError
from sandbox.pipedrive.options import Options, parse, parser
from sandbox.pipedrive.seed.fill import UsersFileError
from sandbox.pipedrive.store.state_file import StoreError
from tests.unit.sandbox_pipedrive.fake_time import FakeTime


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


@pytest.mark.parametrize(
    "content",
    [
        "nonsense", "{}", "[]", '[{"name": "A"}]', '[{"name": "A", "email": 5}]', '[{"name": "A", "email": "a@b", "tokn": "x"}]',
        '[{"name": "A", "email": "a@b", "active": false}]', '[{"name": "A", "email": "a@b", "admin": "yes"}]',
        '[{"name": "A", "email": "a@b", "token": "x"}, {"name": "B", "email": "b@b", "token": "x"}]', '[{"name": "A", "email": "a@b", "token": 7}]',
    ],
)  # fmt: skip
def test_wrong_users_file_is_named(tmp_path: Path, content: str) -> None:
    file = tmp_path / "users.json"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(UsersFileError, match="users file"):
        PipedriveApp(Account(Options(users_file=file)))


def _nothing(file: Path) -> None:
    file.write_bytes(b"this is no database at all" * 100)


def _foreign(file: Path) -> None:
    with contextlib.closing(sqlite3.connect(file)) as database:
        database.execute("CREATE TABLE record (kind TEXT)")


def _kept(file: Path, **options: Any) -> None:
    account = Account(Options(database=file, **options))
    try:
        PipedriveApp(account)
    finally:
        account.store.close()


def _cut(file: Path) -> None:
    _kept(file)
    os.truncate(file, 5000)


def _change(file: Path, *statements: str) -> None:
    _kept(file)
    with contextlib.closing(sqlite3.connect(file)) as database, database:
        for statement in statements:
            database.execute(statement)


def _in_use(file: Path) -> None:
    _OPEN.append(Account(Options(database=file)))


_OPEN: list[Account] = []
STATE_FILES: tuple[tuple[str, Callable[[Path], object], str], ...] = (
    ("no database", _nothing, "move it away"),
    ("cut short", _cut, "damaged"),
    ("another program's", _foreign, "another program"),
    ("a folder", lambda file: file.mkdir(), "folder"),
    ("of a newer format", lambda file: _change(file, "PRAGMA user_version = 99"), "newer format"),
    ("of an older format", lambda file: _change(file, "PRAGMA user_version = 0"), "older format"),
    ("a record that is not JSON", lambda file: _change(file, "UPDATE record SET body = '{'"), "damaged"),
    ("a record without id", lambda file: _change(file, "UPDATE record SET body = '{}'"), "damaged"),
    ("a kind nobody knows", lambda file: _change(file, "UPDATE record SET kind = 'x' || kind"), "damaged"),
    ("a record in another's place", lambda file: _change(file, "UPDATE record SET id = 7777 WHERE id = 1"), "damaged"),
    ("no users", lambda file: _change(file, "DELETE FROM record WHERE kind = 'user'"), "damaged"),
    ("records of no account", lambda file: _change(file, "DELETE FROM meta"), "damaged"),
    ("in use", _in_use, "another running simulator"),
)


@pytest.mark.parametrize(("spoil", "words"), [case[1:] for case in STATE_FILES], ids=[case[0] for case in STATE_FILES])
def test_state_file_that_cannot_be_used_is_named_in_one_line(tmp_path: Path, spoil: Callable[[Path], object], words: str) -> None:
    file = tmp_path / "account.db"
    spoil(file)
    with pytest.raises(StoreError, match=words) as refused:
        Account(Options(database=file))
    assert str(file) in str(refused.value)
    assert "\n" not in str(refused.value)
    while _OPEN:
        _OPEN.pop().store.close()


def test_state_file_in_a_missing_or_forbidden_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is no folder"):
        Account(Options(database=tmp_path / "missing" / "account.db"))
    with pytest.raises(StoreError, match=r"cannot be written|there is no folder"):
        Account(Options(database=Path("/proc/account.db")))


def test_kept_account_goes_on_and_refuses_what_contradicts_it(tmp_path: Path) -> None:
    file = tmp_path / "account.db"
    _kept(file, seed=3)
    _kept(file, plan="lite", seats=1)
    with pytest.raises(StoreError, match="made with --seed 3"):
        _kept(file, seed=4)
    users = tmp_path / "users.json"
    users.write_text('[{"name": "A", "email": "a@example.com"}]', encoding="utf-8")
    with pytest.raises(StoreError, match="other users"):
        _kept(file, users_file=users)


def test_kept_account_takes_its_clock_up(tmp_path: Path) -> None:
    file, time = tmp_path / "account.db", FakeTime()
    account = Account(Options(database=file), time.clock(start=1_700_000_000.0))
    PipedriveApp(account)
    account.clock.advance(86_400)
    account.keep_clock()
    account.store.close()
    time.sleep(60)
    again = Account(Options(database=file), time.clock())
    PipedriveApp(again)
    assert again.clock.epoch() == 1_700_000_000 + 86_400 + 60
    again.store.close()


def test_kept_account_makes_no_text_id_twice(tmp_path: Path) -> None:
    ids = []
    for _ in range(3):
        account = Account(Options(database=tmp_path / "account.db"))
        PipedriveApp(account)
        ids += [account.new_uuid(), account.new_uuid()]
        account.store.close()
    assert len(set(ids)) == 6


@pytest.mark.parametrize("name", ["faults_file", "people_file"])
@pytest.mark.parametrize("content", [None, "nonsense", "5", '[{"kind": "nonsense"}]', '{"when": 5}'])
def test_rules_that_cannot_be_used_are_named_in_one_line(tmp_path: Path, name: str, content: str | None) -> None:
    file = tmp_path / "rules.json"
    if content is not None:
        file.write_text(content, encoding="utf-8")
    options: dict[str, Any] = {name: file}
    with pytest.raises(RulesFileError, match=re.escape(str(file))) as refused:
        PipedriveApp(Account(Options(**options)))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("content", [b"", b"two words", b"\xff\xfe", "señal".encode()])
def test_token_file_without_a_token_is_named_in_one_line(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "token"
    file.write_bytes(content)
    with pytest.raises(SystemExit, match=f"the token file {file} holds no token"):
        parse(["--token-file", str(file)])


def test_token_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="cannot use the token file"):
        parse(["--token-file", str(tmp_path / "missing" / "token")])


def _options() -> list[argparse.Action]:
    return [action for action in parser()._actions if action.option_strings != ["-h", "--help"]]


def test_every_option_stands_in_the_table_and_nothing_else() -> None:
    page = (Path(__file__).parents[3] / "docs" / "sandbox.md").read_text(encoding="utf-8")
    table = page.partition("### Options")[2].partition("### ")[0]
    named = {name for line in table.splitlines() if line.startswith("| `--") for name in re.findall(r"`(--[a-z0-9-]+)`", line.split("|")[1])}
    assert named == {action.option_strings[0] for action in _options()}


def test_every_option_says_what_it_does() -> None:
    assert [action.option_strings[0] for action in _options() if not action.help] == []
