"""What tests may do to the org below `/_sandbox/`, with the header `x-sandbox-key`."""

from typing import Any

from sandbox.common.asgi import Request, Response
from sandbox.common.control import ControlInterface, clock_routes, fault_routes, journal_routes, json_object, mutate_routes
from sandbox.servicetracker.application import ServiceTracker
from sandbox.servicetracker.mutations import mutate
from sandbox.servicetracker.store import stamp


class Control:
    """Routes calls between the interface and its control."""

    def __init__(self, simulator: ServiceTracker, key: str) -> None:
        self._simulator = simulator
        self.control = ControlInterface(
            key,
            {
                **mutate_routes(lambda seed: mutate(simulator.account, seed, simulator.clock.now())),
                **journal_routes(simulator.journal),
                **clock_routes(simulator.clock, stamp),
                **fault_routes(simulator.faults),
                ("POST", "change"): self._change,
                ("GET", "truth"): self._truth,
                ("POST", "options"): self._options,
            },
        )

    async def __call__(self, request: Request) -> Response:
        """Serve one call."""
        return self.control.answer(request) if self.control.is_meant(request) else await self._simulator(request)

    def _change(self, request: Request) -> Any:
        """Set values of one row, as somebody does in the application."""
        wanted = json_object(request)
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

    def _options(self, request: Request) -> Any:
        """Change the org while it runs: denied objects, calls used and allowed, sessions, the secret, bulk."""
        simulator, wanted = self._simulator, json_object(request)
        simulator.options.denied = set(wanted.get("denied", simulator.options.denied))
        simulator.options.daily_max = int(wanted.get("daily_max", simulator.options.daily_max))
        simulator.used = int(wanted.get("used", simulator.used))
        simulator.is_concurrent_full = bool(wanted.get("concurrent_full", simulator.is_concurrent_full))
        simulator.jobs.is_enabled = bool(wanted.get("bulk", simulator.jobs.is_enabled))
        simulator.sessions.client_secret = str(wanted.get("client_secret", simulator.sessions.client_secret))
        if wanted.get("expire"):
            simulator.sessions.expire()
        return {"used": simulator.used, "daily_max": simulator.options.daily_max, "bulk_jobs": simulator.jobs.made_count}
