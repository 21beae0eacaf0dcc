"""What a test, or a person in the middle of a load, may do to the account's clock, budget and tokens."""

from typing import Any

from sandbox.pipedrive.account.account import Account
from sandbox.pipedrive.account.clock import SPEED_MAX, read_time
from sandbox.pipedrive.gateway.oauth import revoke_grant
from sandbox.pipedrive.limits.budget import Budget


class ControlError(Exception):
    """What is asked for makes no sense; the message says why."""


def move_clock(account: Account, body: Any) -> None:
    """Let time pass, set the clock or change its speed.

    Raises:
        ControlError: When it is not told what to do.
    """
    clock = account.clock
    match body:
        case {"advance_seconds": seconds}:
            clock.advance(decimal(seconds, "advance_seconds"))
        case {"to": "midnight"}:
            clock.advance(clock.seconds_to_midnight(account.options.reset_zone) + 1)
        case {"jump_seconds": seconds}:
            clock.jump(decimal(seconds, "jump_seconds"))
        case {"set": moment}:
            clock.set(_moment(moment))
        case {"speed": speed}:
            clock.set_speed(_speed(speed))
        case _:
            raise ControlError('give one of "advance_seconds", "to": "midnight", "jump_seconds", "set", "speed"')
    account.keep_clock()


def change_budget(budget: Budget, body: Any) -> None:
    """Spend tokens, give them back, or buy some for today.

    Raises:
        ControlError: When it is not told which.
    """
    changes = {
        "used": lambda number: budget.add("used", number - budget.used),
        "spend": lambda number: budget.add("others", number),
        "remaining": lambda number: budget.add("used", budget.total - budget.others - number - budget.used),
        "top_up": lambda number: budget.add("extra", number),
    }
    if not isinstance(body, dict) or not body.keys() <= changes.keys():
        raise ControlError(f"known are: {', '.join(changes)}")
    wanted = {name: int(decimal(value, name)) for name, value in body.items()}
    for name in ("used", "spend"):
        if wanted.get(name, 0) < 0:
            raise ControlError(f"{name} must not be negative")
    for name, number in wanted.items():
        changes[name](number)


def revoke_token(account: Account, token: str) -> bool:
    """Let a token in no more; return whether it was let in before."""
    tokens = dict(account.store.meta["tokens"])
    was_known = tokens.pop(token, None) is not None
    account.store.set_meta("tokens", tokens)
    return revoke_grant(account, token) or was_known


def decimal(value: Any, name: str) -> float:
    """Take a number from JSON.

    Raises:
        ControlError: When it is none.
    """
    if type(value) not in (int, float):
        raise ControlError(f"{name} must be a number")
    return float(value)


def _moment(value: Any) -> float:
    try:
        return read_time(str(value))
    except ValueError as error:
        raise ControlError(f"'{value}' is not a time between 1971 and 2999, such as 2026-01-31T23:59:00Z") from error


def _speed(value: Any) -> float:
    number = decimal(value, "speed")
    if not 0 < number <= SPEED_MAX:
        raise ControlError(f"speed must be above 0 and at most {SPEED_MAX:,.0f}")
    return number
