from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from services.common.bus_users import USERS
from transload import nats_keys
from transload.cli.main import app
from transload.nats_keys import KEYS_FILE, SERVICES, KeyFolderError, write
from transload.nkeys import NKey

if TYPE_CHECKING:
    from pathlib import Path


def test_the_services_are_those_that_nats_knows() -> None:
    assert [user.name for user in USERS] == list(SERVICES)


def test_keys_are_made_once_and_seeds_are_for_their_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    first = write(folder)
    assert write(folder) == first
    assert folder.stat().st_mode & 0o777 == 0o700
    assert len({key for one in first for key in (one.public, one.before)}) == 2 * len(SERVICES)
    for one in first:
        path = folder / f"{one.service}.seed"
        assert NKey.from_seed(path.read_text()).public == one.public
        assert path.stat().st_mode & 0o777 == 0o600
        assert f'{one.service.upper()}_KEY: "{one.public}"' in (folder / KEYS_FILE).read_text().splitlines()
    assert {path.name for path in folder.iterdir()} == {KEYS_FILE, *(f"{service}.seed" for service in SERVICES)}


def test_a_changed_key_is_let_in_beside_until_it_is_withdrawn(tmp_path: Path) -> None:
    old = {one.service: one for one in write(tmp_path)}
    changed = {one.service: one for one in write(tmp_path, change="loader")}
    assert changed["loader"].before == old["loader"].public
    assert changed["loader"].public not in {old["loader"].public, old["loader"].before}
    assert changed["ledger"] == old["ledger"]
    assert {one.service: one for one in write(tmp_path)} == changed
    withdrawn = {one.service: one for one in write(tmp_path, withdraw="loader")}
    assert withdrawn["loader"].public == changed["loader"].public
    assert withdrawn["loader"].before not in {old["loader"].public, old["loader"].before}


def test_a_change_that_was_cut_short_is_finished_by_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = write(tmp_path)[SERVICES.index("loader")]
    replace = nats_keys._replace

    def dies(path: Path, text: str, *, mode: int) -> None:
        if path.name == KEYS_FILE:
            raise KeyboardInterrupt
        replace(path, text, mode=mode)

    monkeypatch.setattr(nats_keys, "_replace", dies)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path, change="loader")
    monkeypatch.undo()
    now = write(tmp_path)[SERVICES.index("loader")]
    assert now.before == old.public
    assert now.public == NKey.from_seed((tmp_path / "loader.seed").read_text()).public


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [("ledger.seed", "nonsense", "ledger.seed is no key"), (KEYS_FILE, "LEDGER_KEY: nonsense\n", "line 1"), (KEYS_FILE, 'X_KEY: "UABC"\n', "line 1")],
)
def test_a_folder_with_something_else_is_left_alone(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(KeyFolderError, match=message) as caught:
        write(tmp_path)
    assert "nonsense" not in str(caught.value)
    assert (tmp_path / name).read_text() == content


def test_the_command_shows_public_keys_alone(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["nats-keys", str(tmp_path / "keys"), "--json"])
    assert done.exit_code == 0, done.output
    assert [one["service"] for one in json.loads(done.stdout)] == list(SERVICES)
    done = CliRunner().invoke(app, ["nats-keys", str(tmp_path / "keys"), "--change", "ledger"])
    assert done.exit_code == 0
    seeds = [(tmp_path / "keys" / f"{service}.seed").read_text().strip() for service in SERVICES]
    assert not [seed for seed in seeds if seed in done.output]
    (tmp_path / "file").write_text("")
    done = CliRunner().invoke(app, ["nats-keys", str(tmp_path / "file")])
    assert (done.exit_code, "cannot be used" in done.output) == (1, True)
    assert CliRunner().invoke(app, ["nats-keys", str(tmp_path), "--change", "extractor"]).exit_code == 2
