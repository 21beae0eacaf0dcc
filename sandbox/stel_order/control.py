"""What tests may do to the simulator below `/_sandbox/`, with the header `x-sandbox-key`."""

import orjson

from sandbox.common.asgi import JSON_TYPE, Receive, Request, Response, Scope, Send, json_response
from sandbox.common.control import ControlInterface, clock_routes, fault_routes, journal_routes, json_object, mutate_routes
from sandbox.stel_order.application import StelOrder, encode, read_request, send_response
from sandbox.stel_order.mutations import mutate
from sandbox.stel_order.schema import MODIFIED
from sandbox.stel_order.store import stamp


class Control:
    """Routes requests between the interface and its control."""

    def __init__(self, simulator: StelOrder, key: str) -> None:
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
                ("POST", "key"): self._change_key,
                ("GET", "quota"): self._quota,
                ("POST", "quota"): self._set_quota,
                ("POST", "deny"): self._deny,
            },
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return
        request = await read_request(scope, receive)
        if not self.control.is_meant(request):
            await self._simulator(request, scope, send)
            return
        await send_response(send, self.control.answer(request))

    def _change(self, request: Request) -> Response:
        """Set values of one record, as somebody does in the application: its modification stamp moves."""
        wanted = json_object(request)
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

    def _change_key(self, request: Request) -> Response:
        self._simulator.options.key = str(json_object(request)["key"])
        return json_response(200, {})

    def _quota(self, _: Request) -> Response:
        quota = self._simulator.quota
        return json_response(
            200,
            {"used_today": quota.used_today, "used_this_minute": quota.used_this_minute, "per_day": quota.per_day, "per_minute": quota.per_minute},
        )

    def _set_quota(self, request: Request) -> Response:
        wanted = json_object(request)
        quota = self._simulator.quota
        quota.per_day = int(wanted.get("per_day", quota.per_day))
        quota.per_minute = int(wanted.get("per_minute", quota.per_minute))
        quota.set_used(today=wanted.get("used_today"), this_minute=wanted.get("used_this_minute"))
        return self._quota(request)

    def _deny(self, request: Request) -> Response:
        self._simulator.options.denied = set(json_object(request).get("collections", []))
        return json_response(200, {})
