"""What a simulated account may be told at start: the command line and the frozen options made of it."""

import argparse
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Plan:
    """A plan's limits, all of them documented by Pipedrive."""

    multiplier: int
    """Daily budget per seat, in units of 30,000 tokens."""
    burst_api: int
    """Requests in any 2 seconds with an API token."""
    burst_oauth: int
    """Requests in any 2 seconds with an OAuth access token."""
    custom_fields_max: int
    """Custom fields in the company."""
    open_deals_per_seat: int
    """Open deals in the company, for each seat."""
    visibilities: tuple[int, ...]
    """Values `visible_to` may take."""


PLANS = {
    "lite": Plan(1, 20, 80, 30, 2_500, (1, 3)),
    "growth": Plan(2, 40, 160, 100, 5_000, (1, 3)),
    "premium": Plan(5, 100, 400, 300, 15_000, (1, 3, 5, 7)),
    "ultimate": Plan(7, 120, 480, 500, 20_000, (1, 3, 5, 7)),
}
DAILY_UNIT = 30_000
OPEN_DEALS_CEILING = 300_000


@dataclass(frozen=True, slots=True)
class Options:
    """Everything that decides how the simulated account behaves. Defaults are those of the command line."""

    plan: str = "ultimate"
    """Name in `PLANS`."""
    seats: int = 5
    """Paid seats; the daily budget and the open-deals cap grow with them."""
    token: str = "sandbox"
    """API token of the first user, an admin. The same string works as a bearer token."""
    seed: int | None = None
    """Seeds ids that are random in reality and the customer's existing records; None leaves the account without records."""
    users_file: Path | None = None
    """JSON list of `{"name", "email", "active", "admin", "token"}`; the first is the token's user."""
    database: Path | None = None
    """SQLite file that keeps the account over a restart; None keeps it in memory."""
    limits: bool = True
    """False lifts the daily budget and the burst windows; the headers then announce very large ones."""
    token_kind: str = "auto"
    """Whose burst limit applies: "api", "oauth", or "auto" (a bearer credential counts as OAuth)."""
    top_up: int = 0
    """Tokens bought on top of the daily budget."""
    reset_zone: str = "UTC"
    """IANA zone whose midnight renews the daily budget. Pipedrive does not name it."""
    charge_errors: bool = True
    """Whether 4xx and 5xx answers cost tokens. Pipedrive does not say; 401 and 429 never do here."""
    daily_headers: bool = True
    """Whether the undocumented `x-daily-ratelimit-token-*` headers are sent."""
    cloudflare_after: int = 100
    """So many 429s within a minute block the token for a minute with an HTML 403; 0 never does."""
    deleted_get: str = "404"
    """What getting or deleting a deleted record by its id answers, "404" or "200". Not established in reality."""
    long_names: str = "refuse"
    """What a name or title of more than 255 characters does: "refuse" (400), "cut" or "accept". Not established in reality."""
    recompute_value: bool = True
    """Whether a change of a deal's lines sets the deal's value to their sum (assumed)."""
    discounts: str = "one-time"
    """What a deal's discounts take their part off: the sum of its "one-time" lines, of "all" lines, or "ignore" them.
    That they change the value of deals with one-time lines is documented, the sum they refer to is not."""
    merged_get: str = "deleted"
    """What reading a merged record by its id answers: the same as a "deleted" one, or the "survivor". Not established in reality."""
    participant_twice: str = "refuse"
    """What adding a person to a deal a second time does: "refuse" (400) or "same" (the entry that is there). Not established in reality."""
    main_participant: bool = True
    """Whether a deal's person is listed among its participants (assumed)."""
    search_lag_seconds: float = 0.0
    """How long a new or changed record stays unknown to search."""
    contact_sync: bool = False
    """Whether persons have `postal_address`, `notes`, `im`, `birthday` and `job_title`."""
    organization_extras: bool = True
    """Whether organizations have `website`, `linkedin`, `industry`, `annual_revenue` and `employee_count`."""
    campaigns: bool = False
    """Whether persons have `marketing_status`."""
    activity_types_max: int = 100
    """Active activity types in the company; the cap is real, its number is not published."""
    custom_fields_max: int | None = None
    """Overrides the plan's cap."""
    open_deals_max: int | None = None
    """Overrides the plan's cap."""
    file_bytes_max: int = 0
    """Largest file accepted; 0 accepts any. Pipedrive publishes no number."""
    currency: str = "EUR"
    """Default currency of company and users."""
    timezone: str = "Europe/Madrid"
    """IANA zone of the company; decides `local_*_date`."""
    control_key: str = "sandbox-control"
    """Key of the control interface, sent as `x-sandbox-key`."""
    journal_max: int = 500_000
    """Requests the journal keeps in full; counts and maxima are kept for all."""

    @property
    def limits_of_plan(self) -> Plan:
        """The plan's published limits."""
        return PLANS[self.plan]

    @property
    def daily_budget(self) -> int:
        """Tokens the company may spend in a day."""
        return DAILY_UNIT * self.limits_of_plan.multiplier * self.seats + self.top_up


def parser() -> argparse.ArgumentParser:
    """Return the command line of the simulator."""
    default = Options()
    line = argparse.ArgumentParser(prog="python -m sandbox.pipedrive", description="A local Pipedrive account for rehearsals and tests.")
    add = line.add_argument
    add("--host", default="127.0.0.1", help="address to listen on (default 127.0.0.1)")
    add("--port", type=int, default=8090, help="port to listen on; 0 takes a free one (default 8090)")
    add("--address-file", type=Path, help="file the base URL is written to once requests are accepted")
    add("--plan", choices=sorted(PLANS), default=default.plan, help="plan of the account (default ultimate)")
    add("--seats", type=_positive, default=default.seats, help="paid seats (default 5)")
    add("--token", help="API token of the first user (default: 40 hex characters, written to --token-file or printed)")
    add("--token-file", type=Path, help="file with the API token; written when --token is given or made up, read otherwise")
    add("--db", type=Path, dest="database", help="SQLite file that keeps the account over a restart")
    add("--seed", type=int, help="fill the account with a customer's existing records, always the same for one number")
    add("--users", type=Path, dest="users_file", help='JSON list of {"name","email","active","admin","token"}')
    add("--limits", choices=["on", "off"], default="on", help="off lifts daily budget and burst windows")
    add("--token-kind", choices=["auto", "api", "oauth"], default=default.token_kind, help="whose burst limit applies (default auto)")
    add("--top-up", type=int, default=0, help="tokens on top of the daily budget")
    add("--reset-zone", default=default.reset_zone, help="IANA zone whose midnight renews the budget (default UTC)")
    add("--charge-errors", choices=["on", "off"], default="on", help="whether failed calls cost tokens (default on)")
    add("--daily-headers", choices=["on", "off"], default="on", help="send the x-daily-ratelimit-token headers (default on)")
    add("--cloudflare-after", type=int, default=default.cloudflare_after, help="429s in a minute that lead to an HTML 403 (0: never)")
    add("--deleted-get", choices=["404", "200"], default=default.deleted_get, help="answer for a deleted record by id (default 404)")
    add("--long-names", choices=["refuse", "cut", "accept"], default=default.long_names, help="names over 255 characters (default refuse)")
    add("--recompute-value", choices=["on", "off"], default="on", help="deal value follows its lines (default on)")
    add("--discounts", choices=["one-time", "all", "ignore"], default=default.discounts, help="lines that discounts reduce (default one-time)")
    add("--merged-get", choices=["deleted", "survivor"], default=default.merged_get, help="answer for a merged record by id (default deleted)")
    add("--participant-twice", choices=["refuse", "same"], default=default.participant_twice, help="a participant again (default refuse)")
    add("--main-participant", choices=["on", "off"], default="on", help="a deal's person is among its participants (default on)")
    add("--search-lag", type=float, default=0.0, dest="search_lag_seconds", help="seconds until search knows a record (default 0)")
    add("--contact-sync", choices=["on", "off"], default="off", help="persons have job_title, postal_address, ... (default off)")
    add("--organization-extras", choices=["on", "off"], default="on", help="organizations have website, industry, ... (default on)")
    add("--campaigns", choices=["on", "off"], default="off", help="persons have marketing_status (default off)")
    add("--activity-types-max", type=int, default=default.activity_types_max, help="cap on activity types (default 100)")
    add("--custom-fields-max", type=int, help="cap on custom fields instead of the plan's")
    add("--open-deals-max", type=int, help="cap on open deals instead of the plan's")
    add("--file-bytes-max", type=int, default=0, help="largest file accepted (0: any)")
    add("--currency", default=default.currency, help="default currency (default EUR)")
    add("--timezone", default=default.timezone, help="IANA zone of the company (default Europe/Madrid)")
    add("--control-key", default=default.control_key, help="key of the control interface, sent as x-sandbox-key")
    add("--journal-max", type=int, default=default.journal_max, help="requests the journal keeps in full (default 500000)")
    return line


_SWITCHES = ("limits", "charge_errors", "daily_headers", "recompute_value", "main_participant", "contact_sync", "organization_extras", "campaigns")
_NOT_OPTIONS = ("host", "port", "address_file", "token_file")


def parse(arguments: Sequence[str]) -> tuple[Options, argparse.Namespace]:
    """Return the options and the rest of the command line (host, port, files).

    Raises:
        SystemExit: For a wrong option, with one line on stderr.
    """
    line = parser()
    given = line.parse_args(arguments)
    given.token = _token(given.token, given.token_file)
    values = {name: value for name, value in vars(given).items() if name not in _NOT_OPTIONS}
    for switch in _SWITCHES:
        values[switch] = values[switch] == "on"
    return Options(**values), given


def _token(token: str | None, token_file: Path | None) -> str:
    if token is None and token_file is not None and token_file.exists():
        return token_file.read_text(encoding="utf-8").strip()
    token = token or secrets.token_hex(20)
    if token_file is not None:
        token_file.touch(mode=0o600)
        token_file.write_text(token + "\n", encoding="utf-8")
    return token


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number
