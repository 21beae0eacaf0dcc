from __future__ import annotations

from pathlib import Path

import pytest

from services.common import secrecy
from services.common.errors import ConfigurationError
from services.common.settings import EnvReader, GrpcSettings, NatsSettings, StagingSettings, TelemetrySettings
from services.ledger.settings import database_url


def test_typed_values_are_read() -> None:
    reader = EnvReader({"TRANSLOAD_A": " 5 ", "TRANSLOAD_B": "2.5", "TRANSLOAD_C": "Yes", "TRANSLOAD_D": "text"})
    assert (reader.int("A"), reader.float("B"), reader.bool("C"), reader.str("D")) == (5, 2.5, True, "text")


def test_defaults_stand_in_for_what_is_missing_or_empty() -> None:
    reader = EnvReader({"TRANSLOAD_A": ""})
    assert (reader.int("A", 7), reader.float("B", 0.5), reader.bool("C", default=False), reader.secret("D", "")) == (7, 0.5, False, "")


@pytest.mark.parametrize(
    ("name", "value", "read"),
    [
        ("A", "", lambda reader: reader.str("A")),
        ("A", "five", lambda reader: reader.int("A")),
        ("A", "11", lambda reader: reader.int("A", minimum=1, maximum=10)),
        ("A", "nan", lambda reader: reader.float("A")),
        ("A", "maybe", lambda reader: reader.bool("A")),
        ("A", "", lambda reader: reader.secret("A")),
        ("A_FILE", "/nowhere/secret", lambda reader: reader.secret("A")),
    ],
    ids=["missing", "not a number", "out of bounds", "not finite", "not a truth", "no secret", "no secret file"],
)
def test_a_wrong_value_names_its_variable(name: str, value: str, read: object) -> None:
    reader = EnvReader({f"TRANSLOAD_{name}": value})
    with pytest.raises(ConfigurationError, match=f"TRANSLOAD_{name}") as caught:
        read(reader)  # type: ignore[operator]
    assert caught.value.reason == "CONFIGURATION"


def test_a_secret_may_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("s3cret\n")
    assert EnvReader({"TRANSLOAD_TOKEN_FILE": str(tmp_path / "token")}).secret("TOKEN") == "s3cret"


def test_a_misspelt_name_is_refused_with_the_right_one() -> None:
    with pytest.raises(ConfigurationError, match=r"TRANSLOAD_NATS_ULR is not a setting; did you mean TRANSLOAD_NATS_URL\?"):
        EnvReader({"TRANSLOAD_NATS_ULR": "x"}).refuse_unknown("loader")


def test_names_of_other_programs_are_passed_over_but_not_ones_own() -> None:
    reader = EnvReader({"TRANSLOAD_LEDGER_FOO": "1", "TRANSLOAD_CONNECTION_CRM_KEY": "k", "TRANSLOAD_STAGING_URL": "x", "PATH": "/"})
    reader.refuse_unknown("loader")
    with pytest.raises(ConfigurationError, match="TRANSLOAD_LEDGER_FOO"):
        reader.refuse_unknown("ledger")


def test_shared_groups_have_safe_defaults() -> None:
    reader = EnvReader({"TRANSLOAD_DATA_DIR": "/data"})
    assert NatsSettings.from_env(reader) == NatsSettings()
    assert GrpcSettings.from_env(reader) == GrpcSettings()
    assert TelemetrySettings.from_env(reader) == TelemetrySettings()
    assert StagingSettings.from_env(reader).url == "file:///data/staging"


def test_an_unknown_log_level_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="TRANSLOAD_LOG_LEVEL"):
        TelemetrySettings.from_env(EnvReader({"TRANSLOAD_LOG_LEVEL": "loud"}))


SEED = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY"


def test_the_key_for_nats_comes_from_the_variable_or_a_file(tmp_path: Path) -> None:
    (tmp_path / "seed").write_text(SEED + "\n")
    (tmp_path / "url").write_text("nats://nats-0:4222,nats://nats-1:4222\n")
    given = {"TRANSLOAD_NATS_NKEY_SEED_FILE": str(tmp_path / "seed"), "TRANSLOAD_NATS_URL_FILE": str(tmp_path / "url")}
    reader = EnvReader(given | {"TRANSLOAD_NATS_TLS_CA_FILE": str(tmp_path / "ca.crt")})
    settings = NatsSettings.from_env(reader)
    assert settings.url == "nats://nats-0:4222,nats://nats-1:4222"
    assert settings.ca_file == tmp_path / "ca.crt"
    assert settings.key is not None
    assert settings.key == NatsSettings.from_env(EnvReader({"TRANSLOAD_NATS_NKEY_SEED": SEED})).key
    reader.refuse_unknown("loader")
    EnvReader(given).refuse_unknown("extractor")


def test_what_is_no_key_is_refused_without_being_repeated() -> None:
    with pytest.raises(ConfigurationError, match="TRANSLOAD_NATS_NKEY_SEED is no key: its check sum is wrong") as caught:
        NatsSettings.from_env(EnvReader({"TRANSLOAD_NATS_NKEY_SEED": SEED[:-2] + "ZY"}))
    assert SEED[:-2] not in str(caught.value)


def test_credentials_in_addresses_are_masked_wherever_they_turn_up() -> None:
    NatsSettings.from_env(EnvReader({"TRANSLOAD_NATS_URL": "nats://anna:pass%2Fword-1@one:4222,tls://to-ken-in-place@two:4222"}))
    database_url(EnvReader({"TRANSLOAD_LEDGER_DATABASE_URL": "postgresql://postgres:p4ss-of-ledger@db/ledger"}))
    told = "anna pass/word-1 pass%2Fword-1 to-ken-in-place postgres p4ss-of-ledger"
    assert secrecy.masked(told) == "anna [secret] [secret] [secret] postgres [secret]"
