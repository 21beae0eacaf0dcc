"""Checks of values on the simulator's command line. Each message ends a sentence that names the option."""

import argparse
from collections.abc import Callable
from pathlib import Path
from zoneinfo import ZoneInfo

from sandbox.pipedrive.account.clock import SPEED_MAX, read_time
from sandbox.pipedrive.account.currencies import DIGITS
from sandbox.pipedrive.gateway.oauth_scopes import ALL_SCOPES

_WHOLE_MAX = 10**12


def whole(least: int, most: int = _WHOLE_MAX) -> Callable[[str], int]:
    """A whole number from `least` to `most`."""

    def read(text: str) -> int:
        try:
            number = int(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"'{text}' is not a whole number") from error
        if number < least:
            raise argparse.ArgumentTypeError(f"must be at least {least}")
        if number > most:
            raise argparse.ArgumentTypeError(f"must be at most {most}")
        return number

    return read


def decimal(least: float, most: float) -> Callable[[str], float]:
    """A number from `least` to `most`."""

    def read(text: str) -> float:
        try:
            number = float(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"'{text}' is not a number") from error
        if not least <= number <= most:
            raise argparse.ArgumentTypeError(f"must be between {least:g} and {most:g}")
        return number

    return read


speed = decimal(0.001, SPEED_MAX)


def hosts(text: str) -> tuple[str, ...]:
    """A comma list of host names."""
    return tuple(dict.fromkeys(part.strip().lower() for part in text.split(",") if part.strip()))


def labels(text: str) -> tuple[str, ...]:
    """A comma list of labels."""
    return tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))


def zone(text: str) -> str:
    """An IANA time zone."""
    try:
        ZoneInfo(text)
    except (ValueError, OSError, KeyError) as error:  # an unknown zone is a KeyError, a folder of zones an OSError
        raise argparse.ArgumentTypeError(f"'{text}' is not a time zone, such as Europe/Madrid") from error
    return text


def currency(text: str) -> str:
    """A currency Pipedrive knows."""
    if text not in DIGITS:
        raise argparse.ArgumentTypeError(f"'{text}' is not a currency code, such as EUR")
    return text


def moment(text: str) -> float:
    """A time as ISO 8601."""
    try:
        return read_time(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"'{text}' is not a time between 1971 and 2999, such as 2026-01-31T23:59:00Z") from error


def secret(text: str) -> str:
    """A token or key that fits into a header."""
    if not text or not text.isascii() or not text.isprintable() or " " in text:
        raise argparse.ArgumentTypeError("must be printable ASCII without spaces, and not empty")
    return text


def scopes(text: str) -> str:
    """OAuth scopes, separated by commas."""
    known = {scope for full in ALL_SCOPES for scope in (full, full.replace(":full", ":read"))}
    unknown = [scope for scope in text.split(",") if scope not in known]
    if unknown:
        raise argparse.ArgumentTypeError(f"'{unknown[0]}' is not a scope, such as deals:full")
    return text


def file_path(text: str) -> Path:
    """A path that is no folder."""
    path = Path(text)
    if not text or path.is_dir():
        raise argparse.ArgumentTypeError(f"'{text}' is a folder, not a file" if text else "must name a file")
    return path
