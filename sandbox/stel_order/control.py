"""What tests may do to the simulator below `/_sandbox/`, with the header `x-sandbox-key`."""

from typing import TYPE_CHECKING

import orjson

from sandbox.common.asgi import JSON_TYPE, Receive, Request, Response, Scope, Send, json_response
from sandbox.common.faults import FaultRuleError
from sandbox.stel_order.application import StelOrder, decode_object, encode, read_request, send_response
from sandbox.stel_order.mutations import mutate
from sandbox.stel_order.schema import MODIFIED
from sandbox.stel_order.store import stamp

if TYPE_CHECKING:
    from collections.abc import Callable

_PREFIX = "/_sandbox/"


class Control:
    """Routes requests between the interface and its control."""

    def __init__(self, simulator: StelOrder, key: str) -> None:
        self._simulator = simulator
        self._key = key
        self._mutation_count = 0
        self._routes: dict[tuple[str, str], Callable[[Request], Response]] = {
            ("GET", "health"): lambda _: json_response(200, {"status": "ok"}),
            ("POST", "mutate"): self._mutate,
            ("POST", "change"): self._change,
            ("GET", "truth"): self._truth,
            ("GET", "journal"): lambda _: json_response(200, simulator.journal.as_json()),
            ("DELETE", "journal"): self._clear_journal,
            ("GET", "clock"): self._clock,
            ("POST", "clock"): self._clock,
            ("GET", "faults"): self._faults,
            ("POST", "faults"): self._add_faults,
            ("DELETE", "faults"): self._clear_faults,
            ("POST", "key"): self._change_key,
            ("GET", "quota"): self._quota,
            ("POST", "quota"): self._set_quota,
            ("POST", "deny"): self._deny,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return
        request = await read_request(scope, receive)
        if not request.path.startswith(_PREFIX):
            await self._simulator(request, scope, send)
            return
        await send_response(send, self._answer(request))

    def _answer(self, request: Request) -> Response:
        route = self._routes.get((request.method, request.path.removeprefix(_PREFIX)))
        if route is None:
            return json_response(404, {"error": "no such control"})
        if self._key and request.header(b"x-sandbox-key") != self._key:
            return json_response(401, {"error": "the header x-sandbox-key is missing or wrong"})
        try:
            return route(request)
        except (ValueError, TypeError, FaultRuleError) as error:
            return json_response(400, {"error": str(error)})

    def _mutate(self, request: Request) -> Response:
        seed = decode_object(request.body).get("seed", self._mutation_count + 1)
        self._mutation_count += 1
        changes = mutate(self._simulator.account, int(seed), self._simulator.clock.now())
        return json_response(200, {"seed": seed, "changes": changes})

    def _change(self, request: Request) -> Response:
        """Set values of one record, as somebody does in the application: its modification stamp moves."""
        wanted = decode_object(request.body)
        store, collection, record_id = self._simulator.account.store, str(wanted.get("collection")), wanted.get("id")
        found = next((record for record in store.records(collection) if record["id"] == record_id), None)
        if found is None or not isinstance(wanted.get("values"), dict):
            raise ValueError("collection and id of a record, and values to set")
        changed = found | wanted["values"] | {MODIFIED: stamp(self._simulator.clock.now())}
        store.put(collection, changed)
        return json_response(200, {"record": changed})

    def _truth(self, request: Request) -> Response:
        """Answer everything the account holds: by collection counts, and all records with deleted ones unless `records=0`."""
        query = request.query()
        account = self._simulator.account
        names = [query["collection"]] if "collection" in query else account.store.collections()
        head = {
            "seed": account.plan.seed,
            "defects": [defect.as_json() for defect in account.defects],
            "counts": {name: account.store.listed_count(name) for name in account.store.collections()},
        }
        if query.get("records") == "0":
            return json_response(200, head)
        base = b"http://" + (request.headers.get(b"host") or b"localhost") + b"/files"
        parts = [orjson.dumps(name) + b":" + encode(account.store.rows(name), base) for name in names]
        return Response(200, orjson.dumps(head)[:-1] + b',"collections":{' + b",".join(parts) + b"}}", JSON_TYPE)

    def _clear_journal(self, _: Request) -> Response:
        self._simulator.journal.clear()
        return json_response(200, {})

    def _clock(self, request: Request) -> Response:
        seconds = decode_object(request.body).get("advance_seconds", 0)
        self._simulator.clock.advance(float(seconds))
        return json_response(200, {"now": stamp(self._simulator.clock.now())})

    def _faults(self, _: Request) -> Response:
        return json_response(200, self._simulator.faults.describe())

    def _add_faults(self, request: Request) -> Response:
        self._simulator.faults.add(orjson.loads(request.body))
        return self._faults(request)

    def _clear_faults(self, request: Request) -> Response:
        self._simulator.faults.clear()
        return self._faults(request)

    def _change_key(self, request: Request) -> Response:
        self._simulator.options.key = str(decode_object(request.body)["key"])
        return json_response(200, {})

    def _quota(self, _: Request) -> Response:
        quota = self._simulator.quota
        return json_response(
            200,
            {"used_today": quota.used_today, "used_this_minute": quota.used_this_minute, "per_day": quota.per_day, "per_minute": quota.per_minute},
        )

    def _set_quota(self, request: Request) -> Response:
        wanted = decode_object(request.body)
        quota = self._simulator.quota
        quota.per_day = int(wanted.get("per_day", quota.per_day))
        quota.per_minute = int(wanted.get("per_minute", quota.per_minute))
        quota.set_used(today=wanted.get("used_today"), this_minute=wanted.get("used_this_minute"))
        return self._quota(request)

    def _deny(self, request: Request) -> Response:
        self._simulator.options.denied = set(decode_object(request.body).get("collections", []))
        return json_response(200, {})
