"""Settings come from the environment, each with its bounds."""

from __future__ import annotations

import pytest

from services.common.errors import ConfigurationError
from services.loader.settings import LoaderSettings

LEDGER = {"TRANSLOAD_LEDGER_ADDRESS": "127.0.0.1:1"}


def test_everything_but_the_ledger_has_a_default() -> None:
    settings = LoaderSettings.from_env(LEDGER)
    assert (settings.consumer_concurrency, settings.in_flight_max, settings.grace_seconds) == (4, 16, 5.0)
    assert (settings.quota.daily_tokens, settings.quota.window_limit, settings.quota.restart_wait_seconds) == (30_000, 20, 6.0)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TRANSLOAD_LOADER_IN_FLIGHT_MAX", "0"),
        ("TRANSLOAD_LOADER_GRACE", "1"),
        ("TRANSLOAD_QUOTA_RESET_ZONE", "Mars/Olympus"),
        ("TRANSLOAD_QUOTA_ROLLBACK_SHARE", "2"),
    ],
)
def test_a_wrong_setting_is_named(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        LoaderSettings.from_env({**LEDGER, name: value})
    assert name in caught.value.message


def test_a_missing_ledger_is_named() -> None:
    with pytest.raises(ConfigurationError) as caught:
        LoaderSettings.from_env({})
    assert "TRANSLOAD_LEDGER_ADDRESS" in caught.value.message


def test_settings_take_their_values() -> None:
    settings = LoaderSettings.from_env({**LEDGER, "TRANSLOAD_QUOTA_RESET_ZONE": "Europe/Tallinn", "TRANSLOAD_LOADER_IN_FLIGHT_MAX": "3"})
    assert (settings.quota.reset_zone, settings.in_flight_max) == ("Europe/Tallinn", 3)
