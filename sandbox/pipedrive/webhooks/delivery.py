"""Delivery of webhooks: what is told to whom, tried again when, and given up for how long.

Documented: any 2xx within 10 seconds is a success; a failed delivery is tried again after 3, 30 and 150 seconds; ten failed first tries ban
a webhook for 30 minutes, in which its events are lost; three days without a success end it; redirects are not followed. The seconds of
tries and bans are those of the account's clock, the 10 seconds are real.

First tries keep the order of events for each webhook; a further try comes when it is due, after events that came later. Queues are in
memory: a stopped process forgets what it had not delivered. Assumed: the ban empties the queue too; a success does not reset the ban
counter; the three days count from the first failure after the last success.
"""

import asyncio
import heapq
import ipaddress
import traceback
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import orjson

from sandbox.pipedrive.account.account import Account
from sandbox.pipedrive.store.store import Record
from sandbox.pipedrive.v2.resource import can_see
from sandbox.pipedrive.webhooks.events import Event, Payloads, action_of, object_of
from sandbox.pipedrive.webhooks.sender import HttpSender

RETRY_SECONDS = (3, 30, 150)
FIRST_FAILURES_MAX = 10
BAN_SECONDS = 30 * 60
GIVE_UP_SECONDS = 3 * 86_400
QUEUE_MAX = 100_000
"""Events that wait for one webhook; further ones are lost."""
_LOOK_SECONDS = 0.2
"""How often a waiting retry looks at the clock, which tests move."""

Send = Callable[[Record, bytes], Awaitable[int | None]]
"""Posts a body to a webhook's address; returns the status, None for no answer in time."""


@dataclass(order=True, slots=True)
class _Retry:
    due: float
    """Seconds since 1970 in the account."""
    number: int
    event: Event = field(compare=False)
    attempt: int = field(compare=False)


@dataclass(slots=True)
class _Mailbox:
    """What waits for one webhook, and how it did."""

    webhook: Record
    is_allowed: bool
    """Whether deliveries to its host may leave."""
    queue: deque[Event] = field(default_factory=deque)
    retries: list[_Retry] = field(default_factory=list)
    first_failures: int = 0
    banned_until: float = 0.0
    failing_since: float | None = None
    accepted: int = 0
    """Events of this webhook so far, for the option that doubles some."""
    delivered: int = 0
    failed_tries: int = 0
    given_up: int = 0
    """Events whose last try failed."""
    lost: int = 0
    """Events dropped by a ban, by a full queue, or by a defect of the simulator, which stands on stderr then."""
    withheld: int = 0
    """Events not sent because the host is not allowed."""
    task: "asyncio.Task[None] | None" = None


class Webhooks:
    """Tells the account's webhooks what happens. Without webhooks it costs next to nothing.

    Args:
        account: The account whose store is observed.
        send: How a payload is posted; tests give their own.
    """

    def __init__(self, account: Account, send: Send | None = None) -> None:
        self._account = account
        self._payloads = Payloads(account)
        self._send = send
        self._table = account.store.tables["webhook"]
        self._seen = 0
        self._boxes: dict[int, _Mailbox] = {}
        self._merges: dict[tuple[str, int], int] = {}
        self._wake: asyncio.Event | None = None
        self.refresh()

    # What is told

    def observe(self, kind: str, before: Record | None, after: Record) -> None:
        """Queue what one change of the store tells."""
        table = self._account.store.tables["webhook"]
        if kind == "webhook" or table is not self._table:
            self.refresh()
        if not table.records:
            return
        told = object_of(kind, after)
        if told is None or not self._boxes:
            return
        merged = self._merged(kind, before, after)
        action = action_of(before, after) or ("change" if merged else None)
        boxes = [box for box in self._boxes.values() if _wants(box.webhook, told, action)] if action is not None else []
        if not boxes:
            return
        assert action is not None  # noqa: S101 - there are no boxes otherwise
        actor = self._account.actor
        event = Event(self._number(), action, told, kind, before, after, actor.user_id, actor.source, self._account.clock.epoch(), merged)
        for box in boxes:
            self._queue(box, event)

    def _merged(self, kind: str, before: Record | None, after: Record) -> dict[str, str]:
        """Return what tells a merge: the record that ended comes first, the one that stays after it."""
        survivor = after.get("merged_into")
        if survivor is not None and (before is None or before.get("merged_into") != survivor):
            self._merges[kind, survivor] = after["id"]
            return {"merged_to_id": str(survivor)}
        origin = self._merges.pop((kind, after["id"]), None) if self._merges else None
        return {} if origin is None else {"merged_from_id": str(origin)}

    def _number(self) -> int:
        number = int(self._account.store.meta.get("webhook_events", 0)) + 1
        self._account.store.set_meta("webhook_events", number)
        return number

    def _queue(self, box: _Mailbox, event: Event) -> None:
        if not can_see(self._account.store["user"].records[box.webhook["user_id"]], event.after):
            return
        if not box.is_allowed:
            box.withheld += 1
            return
        box.accepted += 1
        every = self._account.options.webhook_duplicate_every
        for _ in range(2 if every and box.accepted % every == 0 else 1):
            if event.epoch < box.banned_until or len(box.queue) >= QUEUE_MAX:
                box.lost += 1
            else:
                box.queue.append(event)
        self._look()

    def _look(self) -> None:
        """Let the background work see that something waits."""
        if self._wake is not None:
            self._wake.set()

    def refresh(self) -> None:
        """Follow the registered webhooks; what waits for one that is gone is dropped."""
        table = self._account.store.tables["webhook"]
        if table is not self._table:  # the account was reset
            self._account.last_deliveries.clear()
            self._table = table
        live = {webhook["id"]: webhook for webhook in self._table if not webhook["is_deleted"]}
        for webhook_id in [webhook_id for webhook_id, box in self._boxes.items() if live.get(webhook_id) is not box.webhook]:
            del self._boxes[webhook_id]
        hosts = self._account.options.webhook_hosts
        for webhook_id, webhook in live.items():
            if webhook_id not in self._boxes:
                self._boxes[webhook_id] = _Mailbox(webhook, is_allowed(webhook["subscription_url"], hosts))

    # How it is delivered

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Deliver in the background while the context lasts."""
        async with HttpSender() as sender:
            self._send = self._send or sender.send
            self._wake = asyncio.Event()
            keeper = asyncio.create_task(self._keep_delivering(self._wake))
            try:
                yield
            finally:
                tasks = [keeper, *(box.task for box in self._boxes.values() if box.task is not None)]
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                self._wake = None

    async def flush(self) -> None:
        """Deliver all that is due now and return when nothing is left that is."""
        while tasks := [task for box in list(self._boxes.values()) if (task := self._start(box)) is not None]:
            await asyncio.gather(*tasks)

    async def _keep_delivering(self, wake: asyncio.Event) -> None:
        while True:
            wake.clear()
            for box in list(self._boxes.values()):
                self._start(box)
            is_waiting = any(box.retries for box in self._boxes.values())
            try:
                await asyncio.wait_for(wake.wait(), _LOOK_SECONDS if is_waiting else None)
            except TimeoutError:
                continue

    def _start(self, box: _Mailbox) -> "asyncio.Task[None] | None":
        """Let a webhook's deliveries run, unless they do already; None when nothing is due."""
        if box.task is not None and not box.task.done():
            return box.task
        if self._send is None or not self._is_due(box):
            return None
        box.task = asyncio.create_task(self._drain(box, self._send))
        return box.task

    def _is_due(self, box: _Mailbox) -> bool:
        return bool(box.queue) or (bool(box.retries) and box.retries[0].due <= self._account.clock.epoch())

    async def _drain(self, box: _Mailbox, send: Send) -> None:
        while self._boxes.get(box.webhook["id"]) is box and self._is_due(box):
            if box.retries and box.retries[0].due <= self._account.clock.epoch():
                retry = heapq.heappop(box.retries)
                event, attempt = retry.event, retry.attempt
            else:
                event, attempt = box.queue.popleft(), 1
            try:
                body = orjson.dumps(self._payloads.payload(event, box.webhook, attempt), option=orjson.OPT_NON_STR_KEYS)
            except Exception:  # noqa: BLE001 - a defect of the simulator costs one event, not the deliveries after it
                traceback.print_exc()
                box.lost += 1
                continue
            self._settle(box, event, attempt, await send(box.webhook, body))

    def _settle(self, box: _Mailbox, event: Event, attempt: int, status: int | None) -> None:
        """Note how a try went: success, another try, a ban, or the end of the webhook."""
        now = self._account.clock.epoch()
        self._account.last_deliveries[box.webhook["id"]] = (self._account.now(), status)
        if status is not None and 200 <= status < 300:
            box.delivered += 1
            box.failing_since = None
            return
        box.failed_tries += 1
        box.failing_since = now if box.failing_since is None else box.failing_since
        if attempt <= len(RETRY_SECONDS):
            heapq.heappush(box.retries, _Retry(now + RETRY_SECONDS[attempt - 1], event.number, event, attempt + 1))
            self._look()
        else:
            box.given_up += 1
        if now - box.failing_since >= GIVE_UP_SECONDS:
            self._end(box)
        elif attempt == 1:
            box.first_failures += 1
            if box.first_failures >= FIRST_FAILURES_MAX:
                box.lost += len(box.queue) + len(box.retries)
                box.queue.clear()
                box.retries.clear()
                box.first_failures, box.banned_until = 0, now + BAN_SECONDS

    def _end(self, box: _Mailbox) -> None:
        """Remove a webhook that failed for days."""
        now = self._account.now()
        ended = {"is_deleted": True, "remove_time": now, "remove_reason": "No successful deliveries in 3 consecutive days", "update_time": now}
        self._account.store.put("webhook", {**box.webhook, **ended})
        self._account.store.commit()

    # What is known of it

    def state(self) -> list[dict[str, Any]]:
        """Return queues, tries and bans, webhook by webhook."""
        now = self._account.clock.epoch()
        return [
            {
                "id": webhook_id,
                "subscription_url": box.webhook["subscription_url"],
                "queued": len(box.queue),
                "retries": [{"attempt": retry.attempt, "due_in_seconds": max(0.0, round(retry.due - now, 3))} for retry in sorted(box.retries)],
                "first_failures": box.first_failures,
                "banned_for_seconds": max(0.0, round(box.banned_until - now, 3)),
                "delivered": box.delivered,
                "failed_tries": box.failed_tries,
                "given_up": box.given_up,
                "lost": box.lost,
                "withheld": box.withheld,
                "last_delivery": self._account.last_deliveries.get(webhook_id),
            }
            for webhook_id, box in self._boxes.items()
        ]


def _wants(webhook: Record, told: str, action: str | None) -> bool:
    return webhook["event_object"] in {told, "*"} and webhook["event_action"] in {action, "*"}


def is_allowed(url: str, hosts: tuple[str, ...]) -> bool:
    """Whether deliveries to an address may leave: to this machine always, elsewhere only to hosts that were named, or to all with `*`."""
    host = (urlsplit(url).hostname or "").lower()
    if host == "localhost" or "*" in hosts or host in hosts:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
