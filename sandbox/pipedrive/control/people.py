"""People who work in the web application while others use the API: they edit, merge and delete records, delete fields, revoke tokens.

What they do is validated and carried out like a request, but by the source `app`: it costs no tokens and is not in the journal. A list
of its own tells what was done, so that a checker can tell it from what a load did.
"""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import orjson

from sandbox.common.asgi import Request
from sandbox.common.faults import FaultRuleError
from sandbox.pipedrive.account.account import Account
from sandbox.pipedrive.control.faults import Rule as ChanceRule
from sandbox.pipedrive.control.moves import ControlError, change_budget, move_clock, revoke_token
from sandbox.pipedrive.gateway.effects import Effects
from sandbox.pipedrive.limits.budget import Budget
from sandbox.pipedrive.store.store import Record

Deed = dict[str, Any]
"""One thing to do: an object whose only key says what."""

PATHS: dict[str, tuple[str, str]] = {
    "deal": ("PATCH", "/api/v2/deals"),
    "person": ("PATCH", "/api/v2/persons"),
    "organization": ("PATCH", "/api/v2/organizations"),
    "product": ("PATCH", "/api/v2/products"),
    "activity": ("PATCH", "/api/v2/activities"),
    "pipeline": ("PATCH", "/api/v2/pipelines"),
    "stage": ("PATCH", "/api/v2/stages"),
    "lead": ("PATCH", "/v1/leads"),
    "note": ("PUT", "/v1/notes"),
    "file": ("PUT", "/v1/files"),
    "activity_type": ("PUT", "/v1/activityTypes"),
    "organization_relation": ("PUT", "/v1/organizationRelationships"),
}
"""How each kind that people can edit and delete is edited, and where."""
_MERGED = {"deal": "/v1/deals", "person": "/v1/persons", "organization": "/v1/organizations"}
_FIELDS = {"deal": "dealFields", "person": "personFields", "organization": "organizationFields", "product": "productFields"}
_SHAPES: dict[str, tuple[str, ...]] = {
    "edit": ("kind", "id", "values"),
    "delete": ("kind", "id"),
    "merge": ("kind", "id", "into"),
    "delete_field": ("entity", "field"),
    "call": ("method", "path"),
    "revoke_token": (),
    "clock": (),
    "spend": (),
}
"""What can be done, and the keys each needs. `id` and `field` may be `"random"` or `"latest"`."""


_TYPES: dict[str, tuple[type, ...]] = {
    "kind": (str,), "id": (int, str), "into": (int, str), "values": (dict,), "entity": (str,), "field": (str,), "method": (str,), "path": (str,),
}  # fmt: skip


class NothingToDoError(Exception):
    """There is no record of the kind to do it to."""


@dataclass(slots=True)
class Rule(ChanceRule):
    """When people do something: before or after the requests it picks, as a fault rule picks them."""

    KINDS: ClassVar[tuple[str, ...]] = ("before", "after")

    do: list[Deed] = field(default_factory=list)


class People:
    """Does what rules and tests say, and keeps a list of it."""

    def __init__(self, account: Account, effects: Effects, budget: Budget) -> None:
        self._account = account
        self._effects = effects
        self._budget = budget
        self.rules: list[Rule] = []
        self.clear()

    def clear(self) -> None:
        """Forget rules and list, and draw from the beginning again."""
        self.rules.clear()
        self.done: list[Record] = []
        self._draw = random.Random(self._account.store.meta["salt"])

    def add(self, wanted: Any) -> None:
        """Add rules given as JSON: `{"when": {...}, "at": "after", "do": ...}`, a list of them, or an object with the list `rules`.

        Raises:
            ControlError: When one of them makes no sense; none is added then.
        """
        given = wanted.get("rules", [wanted]) if isinstance(wanted, Mapping) else wanted
        if not isinstance(given, list):
            raise ControlError("give a rule, or a list of rules")
        self.rules += [_rule(item) for item in given]

    def describe(self) -> dict[str, Any]:
        """Return the rules with their counts, and what was done."""
        return {"rules": [rule.describe() for rule in self.rules], "done": self.done}

    def happen(self, kind: str, request: Request) -> None:
        """Do what is due before or after a request."""
        for rule in self.rules:
            if rule.kind == kind and rule.fires(request.method, request.path):
                for deed in rule.do:
                    cause = f"{kind} {request.method} {request.path}"
                    try:
                        self.do(deed, rule.draw, cause)
                    except ControlError as error:
                        self.done.append(self._entry(deed, cause) | {"status": 400, "error": str(error)})

    def do(self, deed: Deed, draw: random.Random | None = None, cause: str = "") -> Record:
        """Do one thing and return its entry in the list.

        Raises:
            ControlError: When it makes no sense.
        """
        _check(deed)
        name, value = next(iter(deed.items()))
        entry = self._entry(deed, cause)
        try:
            acts: dict[str, Callable[[Any, random.Random], Record]] = {
                "edit": self._edit, "delete": self._delete, "merge": self._merge, "delete_field": self._delete_field, "call": self._call,
                "revoke_token": self._revoke, "clock": self._clock, "spend": self._spend,
            }  # fmt: skip
            entry |= acts[name](value, draw or self._draw)
        except NothingToDoError as error:
            entry |= {"status": 404, "error": str(error)}
        self.done.append(entry)
        return entry

    def _entry(self, deed: Deed, cause: str) -> Record:
        return {"number": len(self.done) + 1, "at": self._account.now(), "cause": cause, "do": deed, "status": 200}

    def _edit(self, value: Record, draw: random.Random) -> Record:
        method, path = PATHS[value["kind"]]
        return self._act(method, f"{path}/{self._pick(value['kind'], value['id'], draw)}", value["values"], value)

    def _delete(self, value: Record, draw: random.Random) -> Record:
        return self._act("DELETE", f"{PATHS[value['kind']][1]}/{self._pick(value['kind'], value['id'], draw)}", None, value)

    def _merge(self, value: Record, draw: random.Random) -> Record:
        kind = value["kind"]
        into = self._pick(kind, value["into"], draw)
        merged = self._pick(kind, value["id"], draw, but=into)
        return self._act("PUT", f"{_MERGED[kind]}/{merged}/merge", {"merge_with_id": into}, value)

    def _delete_field(self, value: Record, draw: random.Random) -> Record:
        entity, wanted = value["entity"], value["field"]
        fields = list(self._account.fields.custom[entity].values())
        if wanted == "random" and fields:
            code = draw.choice(fields)["field_code"]
        elif wanted == "latest" and fields:
            code = fields[-1]["field_code"]
        else:
            codes = [item["field_code"] for item in fields if wanted in {item["field_code"], item["field_name"]}]
            if not codes:
                raise NothingToDoError(f"there is no custom {entity} field {wanted}")
            code = codes[0]
        return self._act("DELETE", f"/api/v2/{_FIELDS[entity]}/{code}", None, value)

    def _call(self, value: Record, draw: random.Random) -> Record:
        del draw
        return self._act(value["method"], value["path"], value.get("body"), value)

    def _revoke(self, value: Any, draw: random.Random) -> Record:
        """Revoke the first user's token, or all of a user's."""
        del draw
        tokens = self._account.store.meta["tokens"]
        user_id = value.get("user_id", 1) if isinstance(value, dict) else 1
        revoked = [token for token, owner in tokens.items() if owner == user_id]
        if not revoked:
            raise NothingToDoError(f"user {user_id} has no token")
        for token in revoked:
            revoke_token(self._account, token)
        return {"user_id": user_id, "revoked": len(revoked)}

    def _clock(self, value: Any, draw: random.Random) -> Record:
        del draw
        move_clock(self._account, value)
        return {"now": self._account.now()}

    def _spend(self, value: Any, draw: random.Random) -> Record:
        del draw
        change_budget(self._budget, {"spend": value})
        return {"others": self._budget.others}

    def _act(self, method: str, path: str, body: Any, value: Record) -> Record:
        user_id = value.get("user_id", 1)
        user = self._account.store["user"].get(user_id) if type(user_id) is int else None
        if user is None:
            raise NothingToDoError(f"there is no user {user_id}")
        path, _, query = path.partition("?")
        content = b"" if body is None else orjson.dumps(body)
        response = self._effects.request(Request(method, path, query.encode(), {b"content-type": b"application/json"}, content), user, "app")
        if response is None:
            raise NothingToDoError(f"there is no operation {method} {path}")
        done: Record = {"user_id": user_id, "method": method, "path": path, "status": response.status}
        if response.status >= 400:
            done["error"] = orjson.loads(response.body).get("error")
        return done

    def _pick(self, kind: str, wanted: Any, draw: random.Random, but: Any = None) -> Any:
        """Return the id, as the API has it, of a record that is named, the latest or a random one."""
        if wanted not in {"random", "latest"}:
            return wanted
        key = "uuid" if kind == "lead" else "id"
        table = self._account.store[kind]
        if wanted == "latest":
            for record in table.before(1 << 62):
                if not record["is_deleted"] and record[key] != but:
                    return record[key]
        else:
            live = [record[key] for record in table if not record["is_deleted"] and record[key] != but]
            if live:
                return draw.choice(live)
        raise NothingToDoError(f"there is no {kind}")


def _rule(item: Any) -> Rule:
    if not isinstance(item, dict) or not item.keys() <= {"when", "at", "do"} or "do" not in item:
        raise ControlError('a rule has "do", and may have "when" and "at"')
    when = item.get("when", {})
    deeds = item["do"] if isinstance(item["do"], list) else [item["do"]]
    for deed in deeds:
        _check(deed)
    if not isinstance(when, dict) or when.keys() & {"kind", "do"}:
        raise ControlError('"when" must be an object such as {"method": "POST", "path": "deals", "nth": 3}')
    try:
        return Rule(kind=item.get("at", "before"), do=deeds, **when)
    except (FaultRuleError, TypeError) as error:
        raise ControlError(str(error)) from error


def _check(deed: Any) -> None:
    """Refuse what nobody can do."""
    if not isinstance(deed, dict) or len(deed) != 1 or not deed.keys() <= _SHAPES.keys():
        raise ControlError(f'"do" must be an object with one key of: {", ".join(_SHAPES)}')
    name, value = next(iter(deed.items()))
    needed = _SHAPES[name]
    if needed and (not isinstance(value, dict) or not value.keys() >= set(needed)):
        raise ControlError(f"{name} needs {', '.join(needed)}")
    for key in needed:
        if not isinstance(value[key], _TYPES[key]) or isinstance(value[key], bool):
            raise ControlError(f"{name}: {key} is of the wrong type")
    kinds = {"edit": tuple(PATHS), "delete": tuple(PATHS), "merge": tuple(_MERGED)}.get(name)
    if kinds is not None and value["kind"] not in kinds:
        raise ControlError(f"{name} knows the kinds {', '.join(kinds)}")
    if name == "delete_field" and value["entity"] not in _FIELDS:
        raise ControlError(f"delete_field knows the entities {', '.join(_FIELDS)}")
