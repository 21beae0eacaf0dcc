"""Settings are read once, with safe defaults, and mistakes are named."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.common.errors import ConfigurationError
from services.transformer.settings import TransformerSettings


def test_only_the_ledgers_address_is_needed(tmp_path: Path) -> None:
    settings = TransformerSettings.from_env({"TRANSLOAD_LEDGER_ADDRESS": "127.0.0.1:1", "TRANSLOAD_DATA_DIR": str(tmp_path)})
    assert settings.index_folder == tmp_path / "index"
    assert (settings.concurrency, settings.index_migrations_max) == (2, 16)


@pytest.mark.parametrize(
    ("name", "value"),
    [("TRANSLOAD_LEDGER_ADDRESS", ""), ("TRANSLOAD_TRANSFORMER_CONCURRENCY", "0"), ("TRANSLOAD_TRANSFORMER_CONCURENCY", "2")],
)
def test_mistakes_name_the_variable(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=name):
        TransformerSettings.from_env({"TRANSLOAD_LEDGER_ADDRESS": "127.0.0.1:1", name: value})
