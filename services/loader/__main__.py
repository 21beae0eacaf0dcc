"""Runs the loader: `python -m services.loader`."""

from __future__ import annotations

from services.common import runtime
from services.loader.bootstrap import build
from services.loader.settings import LoaderSettings

if __name__ == "__main__":
    runtime.main("loader", LoaderSettings.from_env, build)
