"""What a simulated account may be told at start: the command line and the frozen options made of it."""

import argparse
import secrets
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from sandbox.common.command_line import CommandLine
from sandbox.pipedrive.gateway.oauth_scopes import ALL_SCOPES
from sandbox.pipedrive.option_types import currency, decimal, file_path, hosts, labels, moment, scopes, secret, speed, whole, zone


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
    rate_headers: bool = True
    """Whether the documented `x-ratelimit-*` headers are sent."""
    daily_requests_header: bool = False
    """Whether `x-daily-requests-left` is sent: documented, but of a rule of 2019 that newer accounts need not have."""
    retry_after: str = "always"
    """Which 429s carry `retry-after`: "always", "window", "budget" or "never". Not established in reality."""
    refusal_body: str = "json"
    """Body of 429: "json" (the version's envelope), "text" or "empty". Not published."""
    idle_headers: int = 0
    """So many answers lack the undocumented headers after a minute without a request."""
    window_of: str = "token"
    """Whether each "token" has windows of its own or each "user"; Pipedrive words it both ways."""
    other_apps: int = 0
    """Tokens an hour that other applications of the company spend."""
    other_apps_jitter: float = 0.0
    """By which share a minute of other applications differs from their average at most."""
    spent: int = 0
    """Tokens that other applications had spent on the account's first day before it began."""
    oauth_client: str | None = None
    """Id of an application that users can grant access by OAuth; None serves no OAuth."""
    oauth_secret: str = ""
    """Its secret."""
    oauth_scopes: str = ",".join(ALL_SCOPES)
    """What it asks for, separated by commas."""
    oauth_consent: str = "auto"
    """"auto" grants at once as the first user, "page" asks on a page."""
    oauth_seconds: int = 3600
    """How long an access token lives, by the account's clock."""
    purge_days: int = 30
    """Days on the account's clock after which a deleted record is gone; 0 keeps it for ever."""
    faults_file: Path | None = None
    """Fault rules in force from the start, as JSON."""
    people_file: Path | None = None
    """Rules of what people do in the web application meanwhile, as JSON."""
    recording_file: Path | None = None
    """Everything that happens is recorded there from the start, to be played again."""
    fault_headers: bool = False
    """Whether a request can ask for a fault with `x-sandbox-fault`."""
    clock_start: float | None = None
    """What the wall clock of a new account shows, in seconds since 1970; None for the real time."""
    clock_speed: float = 1.0
    """How many seconds the account's wall clock goes on in a real one. Windows stay in real seconds."""
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
    unlinkable_products: str = "accept"
    """Whether a product whose `is_linkable` is false may be added to a deal: "accept" or "refuse" (400). Not established in reality."""
    merged_get: str = "deleted"
    """What reading a merged record by its id answers: the same as a "deleted" one, or the "survivor". Not established in reality."""
    participant_twice: str = "refuse"
    """What adding a person to a deal a second time does: "refuse" (400) or "same" (the entry that is there). Not established in reality."""
    main_participant: bool = True
    """Whether a deal's person is listed among its participants (assumed)."""
    conversion_seconds: float = 1.0
    """How long the conversion of a lead into a deal, or back, takes on the account's clock."""
    cap_counts: str = "leads"
    """What the cap on open deals counts: deals and "leads" together, as on new plans (official), or "deals" alone, as on older ones."""
    lead_keys: str = "refuse"
    """What an unknown key in the body of a lead does: "refuse" (400) or "ignore". Not established in reality."""
    search_lag_seconds: float = 0.0
    """How long a new or changed record stays unknown to search."""
    contact_sync: bool = False
    """Whether persons have `postal_address`, `notes`, `im`, `birthday` and `job_title`."""
    organization_extras: bool = True
    """Whether organizations have `website`, `linkedin`, `industry`, `annual_revenue` and `employee_count`."""
    activity_outcomes: tuple[str, ...] = ()
    """Labels of the outcomes activities may have; none leaves the field out (newer accounts have it)."""
    campaigns: bool = False
    """Whether persons have `marketing_status`."""
    deprecated_v1: bool = False
    """Whether the operations of version 1 that version 2 replaced are served; out of support since August 2026."""
    webhook_hosts: tuple[str, ...] = ()
    """Hosts other than this machine that webhooks may be delivered to; `*` allows all. A rehearsal must not post to the world."""
    webhook_duplicate_every: int = 0
    """Every so manieth event of a webhook is delivered twice; 0 never does."""
    activity_types_max: int = 100
    """Active activity types in the company; the cap is real, its number is not published."""
    custom_fields_max: int | None = None
    """Overrides the plan's cap."""
    open_deals_max: int | None = None
    """Overrides the plan's cap."""
    notes_per_deal_max: int = 0
    """Notes of one deal; 0 for no cap. Pipedrive has one and publishes no number, as for the next three."""
    deal_products_max: int = 0
    """Lines of one deal; 0 for no cap."""
    filters_max: int = 0
    """Saved filters in the company; 0 for no cap."""
    organization_relations_max: int = 0
    """Relations between organizations in the company; 0 for no cap."""
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
    line = CommandLine(prog="python -m sandbox.pipedrive", description="A local Pipedrive account for rehearsals and tests.")
    add = line.add_argument
    add("--host", default="127.0.0.1", help="address to listen on (default 127.0.0.1)")
    add("--port", type=whole(0, 65535), default=8090, help="port to listen on; 0 takes a free one (default 8090)")
    add("--address-file", type=file_path, help="file the base URL is written to once requests are accepted")
    add("--plan", choices=sorted(PLANS), default=default.plan, help="plan of the account (default ultimate)")
    add("--seats", type=whole(1), default=default.seats, help="paid seats (default 5)")
    add("--token", type=secret, help="API token of the first user (default: 40 hex characters, written to --token-file or printed)")
    add("--token-file", type=file_path, help="file with the API token; written when --token is given or made up, read otherwise")
    add("--db", type=file_path, dest="database", help="SQLite file that keeps the account over a restart")
    add("--seed", type=whole(-(10**18), 10**18), help="fill the account with a customer's existing records, always the same for one number")
    add("--users", type=file_path, dest="users_file", help='JSON list of {"name","email","active","admin","token"}')
    _add_limits(add, default)
    _add_behaviour(add, default)
    return line


def _add_limits(add: Callable[..., object], default: Options) -> None:
    add("--limits", choices=["on", "off"], default="on", help="off lifts daily budget and burst windows")
    add("--token-kind", choices=["auto", "api", "oauth"], default=default.token_kind, help="whose burst limit applies (default auto)")
    add("--top-up", type=whole(0), default=0, help="tokens on top of the daily budget")
    add("--reset-zone", type=zone, default=default.reset_zone, help="IANA zone whose midnight renews the budget (default UTC)")
    add("--charge-errors", choices=["on", "off"], default="on", help="whether failed calls cost tokens (default on)")
    add("--daily-headers", choices=["on", "off"], default="on", help="send the x-daily-ratelimit-token headers (default on)")
    add("--rate-headers", choices=["on", "off"], default="on", help="send the documented x-ratelimit headers (default on)")
    add("--daily-requests-header", choices=["on", "off"], default="off", help="send x-daily-requests-left, a rule of 2019 (default off)")
    add("--retry-after", choices=["always", "window", "budget", "never"], default="always", help="which 429s carry retry-after (default always)")
    add("--refusal-body", choices=["json", "text", "empty"], default="json", help="body of 429 (default json)")
    add("--idle-headers", type=whole(0), default=0, help="answers without x-daily-ratelimit headers after an idle minute (default 0)")
    add("--window-of", choices=["token", "user"], default="token", help="what has windows of its own (default token)")
    add("--other-apps", type=whole(0), default=0, help="tokens an hour that other applications spend (default 0)")
    add("--other-apps-jitter", type=decimal(0, 1), default=0.0, help="share by which their minutes differ (default 0)")
    add("--spent", type=whole(0), default=0, help="tokens other applications had spent before the account began (default 0)")
    add("--oauth-client", type=secret, help="id of an application that may be granted access by OAuth")
    add("--oauth-secret-file", type=file_path, help="file with its secret; made up and written when it is not there")
    add("--oauth-scopes", type=scopes, default=default.oauth_scopes, help="scopes it asks for, separated by commas (default: all)")
    add("--oauth-consent", choices=["auto", "page"], default="auto", help="grant at once, or ask on a page (default auto)")
    add("--oauth-seconds", type=whole(1), default=3600, help="life of an access token (default 3600)")
    add("--purge-days", type=whole(0, 100_000), default=30, help="days until a deleted record is gone (default 30; 0: never)")
    add("--faults", type=file_path, dest="faults_file", help="JSON list of fault rules in force from the start")
    add("--people", type=file_path, dest="people_file", help="JSON list of rules of what people do meanwhile")
    add("--record", type=file_path, dest="recording_file", help="file for a complete recording from the start, see POST replay")
    add("--fault-headers", choices=["on", "off"], default="off", help="a request can ask for a fault with x-sandbox-fault (default off)")
    add("--clock-start", type=moment, help="ISO time a new account's wall clock shows at start (default: the real time)")
    add("--clock-speed", type=speed, default=1.0, help="seconds the wall clock goes on in a real one (default 1)")
    add("--cloudflare-after", type=whole(0), default=default.cloudflare_after, help="429s in a minute that lead to an HTML 403 (0: never)")


def _add_behaviour(add: Callable[..., object], default: Options) -> None:
    add("--deleted-get", choices=["404", "200"], default=default.deleted_get, help="answer for a deleted record by id (default 404)")
    add("--long-names", choices=["refuse", "cut", "accept"], default=default.long_names, help="names over 255 characters (default refuse)")
    add("--recompute-value", choices=["on", "off"], default="on", help="deal value follows its lines (default on)")
    add("--discounts", choices=["one-time", "all", "ignore"], default=default.discounts, help="lines that discounts reduce (default one-time)")
    add("--unlinkable-products", choices=["accept", "refuse"], default="accept", help="lines of products not linkable (default accept)")
    add("--merged-get", choices=["deleted", "survivor"], default=default.merged_get, help="answer for a merged record by id (default deleted)")
    add("--participant-twice", choices=["refuse", "same"], default=default.participant_twice, help="a participant again (default refuse)")
    add("--main-participant", choices=["on", "off"], default="on", help="a deal's person is among its participants (default on)")
    add("--search-lag", type=decimal(0, 1e6), default=0.0, dest="search_lag_seconds", help="seconds until search knows a record (default 0)")
    add(
        "--conversion-seconds",
        type=decimal(0, 1e6),
        default=default.conversion_seconds,
        help="how long a conversion of a lead or deal takes (default 1)",
    )
    add("--cap-counts", choices=["leads", "deals"], default=default.cap_counts, help="whether leads count with open deals (default leads)")
    add("--lead-keys", choices=["refuse", "ignore"], default=default.lead_keys, help="unknown keys in bodies of leads (default refuse)")
    add("--contact-sync", choices=["on", "off"], default="off", help="persons have job_title, postal_address, ... (default off)")
    add("--organization-extras", choices=["on", "off"], default="on", help="organizations have website, industry, ... (default on)")
    add("--activity-outcomes", type=labels, default=(), help="outcomes activities may have, separated by commas (default: the account has none)")
    add("--campaigns", choices=["on", "off"], default="off", help="persons have marketing_status (default off)")
    add("--deprecated-v1", choices=["on", "off"], default="off", help="serve what version 2 replaced, such as POST /v1/deals (default off)")
    add("--webhook-hosts", type=hosts, default=(), help="comma list of hosts webhooks may go to besides this machine (*: all; default none)")
    add("--webhook-duplicate-every", type=whole(0), default=0, help="deliver every so manieth event of a webhook twice (0: never)")
    add("--activity-types-max", type=whole(0), default=default.activity_types_max, help="cap on activity types (default 100)")
    add("--custom-fields-max", type=whole(0), help="cap on custom fields instead of the plan's")
    add("--open-deals-max", type=whole(0), help="cap on open deals instead of the plan's")
    add("--notes-per-deal-max", type=whole(0), default=0, help="cap on notes of one deal (0: none)")
    add("--deal-products-max", type=whole(0), default=0, help="cap on lines of one deal (0: none)")
    add("--filters-max", type=whole(0), default=0, help="cap on saved filters (0: none)")
    add("--organization-relations-max", type=whole(0), default=0, help="cap on relations between organizations (0: none)")
    add("--file-bytes-max", type=whole(0), default=0, help="largest file accepted (0: any)")
    add("--currency", type=currency, default=default.currency, help="default currency (default EUR)")
    add("--timezone", type=zone, default=default.timezone, help="IANA zone of the company (default Europe/Madrid)")
    add("--control-key", type=secret, default=default.control_key, help="key of the control interface, sent as x-sandbox-key")
    add("--journal-max", type=whole(0), default=default.journal_max, help="requests the journal keeps in full (default 500000)")


_SWITCHES = tuple(option.name for option in fields(Options) if isinstance(option.default, bool))
_NOT_OPTIONS = ("host", "port", "address_file", "token_file", "oauth_secret_file", "is_token_made_up")


def parse(arguments: Sequence[str]) -> tuple[Options, argparse.Namespace]:
    """Return the options and the rest of the command line (host, port, files).

    Raises:
        SystemExit: For a wrong option, with one line on stderr.
    """
    line = parser()
    given = line.parse_args(arguments)
    given.is_token_made_up = given.token is None and given.token_file is None
    given.token = _token(given.token, given.token_file)
    if (given.oauth_client is None) != (given.oauth_secret_file is None):
        line.error("--oauth-client and --oauth-secret-file need each other")
    given.oauth_secret = "" if given.oauth_secret_file is None else _token(None, given.oauth_secret_file)
    values = {name: value for name, value in vars(given).items() if name not in _NOT_OPTIONS}
    for switch in _SWITCHES:
        values[switch] = values[switch] == "on"
    return Options(**values), given


def _token(token: str | None, token_file: Path | None) -> str:
    """Take the token of the command line or of its file, or make one up and keep it in the file.

    Raises:
        SystemExit: When the file cannot be read or written, or holds no token, with one line on stderr.
    """
    try:
        if token is None and token_file is not None and token_file.exists():
            return _token_of(token_file)
        token = token or secrets.token_hex(20)
        if token_file is not None:
            token_file.touch(mode=0o600)
            token_file.write_text(token + "\n", encoding="utf-8")
    except OSError as error:
        sys.exit(f"cannot use the token file {token_file}: {error.strerror or error}")
    return token


def _token_of(token_file: Path) -> str:
    try:
        return secret(token_file.read_text(encoding="utf-8").strip())
    except (argparse.ArgumentTypeError, UnicodeDecodeError) as error:
        sys.exit(f"the token file {token_file} holds no token: {'it is not text' if isinstance(error, UnicodeDecodeError) else f'it {error}'}")
