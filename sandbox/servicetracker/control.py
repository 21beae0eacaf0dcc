"""What tests may do to the org below `/_sandbox/`, with the header `x-sandbox-key`."""

from typing import TYPE_CHECKING, Any

import orjson

from sandbox.common.asgi import Request, Response, json_response
from sandbox.common.faults import FaultRuleError
from sandbox.servicetracker.application import ServiceTracker
from sandbox.servicetracker.mutations import mutate
from sandbox.servicetracker.store import stamp

if TYPE_CHECKING:
    from collections.abc import Callable

_PREFIX = "/_sandbox/"


class Control:
    """Routes calls between the interface and its control."""

    def __init__(self, simulator: ServiceTracker, key: str) -> None:
        self._simulator = simulator
        self._key = key
        self._mutation_count = 0
        self._routes: dict[tuple[str, str], Callable[[Request], Any]] = {
            ("GET", "health"): lambda _: {"status": "ok"},
            ("POST", "mutate"): self._mutate,
            ("POST", "change"): self._change,
            ("GET", "truth"): self._truth,
            ("GET", "journal"): lambda _: simulator.journal.as_json(),
            ("DELETE", "journal"): lambda _: simulator.journal.clear(),
            ("POST", "clock"): self._clock,
            ("GET", "faults"): lambda _: simulator.faults.describe(),
            ("POST", "faults"): self._add_faults,
            ("DELETE", "faults"): lambda _: simulator.faults.clear(),
            ("POST", "options"): self._options,
        }

    async def __call__(self, request: Request) -> Response:
        """Serve one call."""
        if not request.path.startswith(_PREFIX):
            return await self._simulator(request)
        route = self._routes.get((request.method, request.path.removeprefix(_PREFIX)))
        if route is None:
            return json_response(404, {"error": "no such control"})
        if self._key and request.header(b"x-sandbox-key") != self._key:
            return json_response(401, {"error": "the header x-sandbox-key is missing or wrong"})
        try:
            return json_response(200, route(request) or {})
        except (ValueError, TypeError, KeyError, FaultRuleError) as error:
            return json_response(400, {"error": str(error)})

    def _mutate(self, request: Request) -> Any:
        seed = _body(request).get("seed", self._mutation_count + 1)
        self._mutation_count += 1
        return {"seed": seed, "changes": mutate(self._simulator.account, int(seed), self._simulator.clock.now())}

    def _change(self, request: Request) -> Any:
        """Set values of one row, as somebody does in the application."""
        wanted = _body(request)
        return {"row": self._simulator.store.update(wanted["object"], wanted["id"], wanted["values"], self._simulator.clock.now())}

    def _truth(self, _: Request) -> Any:
        """Answer everything the org holds, the deleted rows included, and what is deliberately wrong."""
        account = self._simulator.account
        names = [name for name in account.store.objects if account.store.rows(name)]
        return {
            "seed": account.plan.seed,
            "namespace": account.plan.namespace,
            "defects": [defect.as_json() for defect in account.defects],
            "rows": {name: account.store.rows(name) for name in names},
            "sizes": {one: body if isinstance(body, int) else len(body) for one, body in account.store.bodies.items()},
        }

    def _clock(self, request: Request) -> Any:
        self._simulator.clock.advance(float(_body(request).get("advance_seconds", 0)))
        return {"now": stamp(self._simulator.clock.now())}

    def _add_faults(self, request: Request) -> Any:
        self._simulator.faults.add(orjson.loads(request.body))
        return self._simulator.faults.describe()

    def _options(self, request: Request) -> Any:
        """Change the org while it runs: denied objects, calls used and allowed, sessions, the secret, bulk."""
        simulator, wanted = self._simulator, _body(request)
        simulator.options.denied = set(wanted.get("denied", simulator.options.denied))
        simulator.options.daily_max = int(wanted.get("daily_max", simulator.options.daily_max))
        simulator.used = int(wanted.get("used", simulator.used))
        simulator.is_concurrent_full = bool(wanted.get("concurrent_full", simulator.is_concurrent_full))
        simulator.jobs.is_enabled = bool(wanted.get("bulk", simulator.jobs.is_enabled))
        simulator.sessions.client_secret = str(wanted.get("client_secret", simulator.sessions.client_secret))
        if wanted.get("expire"):
            simulator.sessions.expire()
        return {"used": simulator.used, "daily_max": simulator.options.daily_max, "bulk_jobs": simulator.jobs.made_count}


def _body(request: Request) -> dict[str, Any]:
    found = orjson.loads(request.body) if request.body else {}
    if not isinstance(found, dict):
        raise ValueError("the body must be a JSON object")  # noqa: TRY004 - answered as any other mistake of the caller
    return found
