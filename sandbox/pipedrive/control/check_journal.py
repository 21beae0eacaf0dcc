"""Proves from a journal alone that no limit was overrun: `python -m sandbox.pipedrive.control.check_journal FILE`.

FILE holds the answer of `GET /_sandbox/journal?limit=...`. The figures of the plans stand here once more, and windows and days are
counted afresh, so that a mistake of the simulator does not hide itself.
"""

import sys
from collections import Counter, defaultdict
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import orjson

TOKENS_PER_SEAT = {"lite": 30_000, "growth": 60_000, "premium": 150_000, "ultimate": 210_000}
BURSTS = {"lite": (20, 80), "growth": (40, 160), "premium": (100, 400), "ultimate": (120, 480)}
"""Requests in any 2 seconds, with an API token and with an OAuth token."""
SEARCHES = 10
SECONDS = 2.0

Entry = dict[str, Any]


def violations(journal: dict[str, Any]) -> list[str]:
    """Return what the journal shows to be wrong, a line each; nothing when every limit was kept."""
    account, entries = journal["account"], journal["entries"]
    found = [] if journal["is_whole"] and len(entries) == journal["kept"] else ["the journal is not whole, so it proves nothing"]
    found += _disorder(entries)
    if account["limits"]:
        found += _windows(entries, account) + _days(entries, account, journal["days"])
    return found


def _disorder(entries: list[Entry]) -> list[str]:
    """A request that was refused, or that took no place, cannot have cost anything."""
    return [
        f"{entry['method']} {entry['path']} at {entry['at']} cost {entry['tokens']} tokens with status {entry['status']}"
        for entry in entries
        if entry["tokens"] and (not entry["window"] or entry["status"] in {401, 429} or not entry["day"])
    ]


def _windows(entries: list[Entry], account: dict[str, Any]) -> list[str]:
    times: dict[tuple[str, int], list[float]] = defaultdict(list)
    for entry in entries:
        if entry["window"]:
            times[entry["window"], BURSTS[account["plan"]][entry["window"].split(":")[2] == "oauth"]].append(entry["time"])
            if entry["is_search"]:
                times[f"{entry['window']} (searches)", SEARCHES].append(entry["time"])
    found = []
    for (name, limit), moments in times.items():
        fullest = _fullest(sorted(moments))
        if fullest > limit:
            found.append(f"window {name}: {fullest} requests within 2 seconds, {limit} allowed")
    return found


def _fullest(moments: list[float]) -> int:
    """Return the most requests in any 2 seconds."""
    first = fullest = 0
    for last, moment in enumerate(moments):
        while moment - moments[first] > SECONDS:
            first += 1
        fullest = max(fullest, last - first + 1)
    return fullest


def _days(entries: list[Entry], account: dict[str, Any], days: dict[str, Any]) -> list[str]:
    plain = TOKENS_PER_SEAT[account["plan"]] * account["seats"] + account["top_up"]
    zone = ZoneInfo(account["reset_zone"])
    spent: Counter[str] = Counter()
    found = []
    for entry in entries:
        spent[entry["day"]] += entry["tokens"]
        if entry["day"] and datetime.fromisoformat(entry["at"]).astimezone(zone).date().isoformat() != entry["day"]:
            found.append(f"{entry['method']} {entry['path']} at {entry['at']} was charged to {entry['day']}")
    for day, tokens in spent.items():
        if day:
            allowed = plain + days[day]["extra"]
            if tokens + days[day]["others"] > allowed:
                found.append(f"{day}: {tokens} tokens and {days[day]['others']} of other applications, {allowed} allowed")
    return found


def main() -> None:
    """Print what is wrong; exit with 1 then."""
    if len(sys.argv) != 2:
        sys.exit("usage: python -m sandbox.pipedrive.control.check_journal FILE")
    try:
        found = violations(orjson.loads(Path(sys.argv[1]).read_bytes()))
    except (OSError, ValueError, LookupError, TypeError) as error:
        sys.exit(f"cannot read a journal from {sys.argv[1]}: {error}")
    sys.stdout.write("".join(f"{line}\n" for line in found) or "no limit was overrun\n")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
