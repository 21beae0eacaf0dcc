"""An independent check: what STEL Order holds against what Pipedrive holds, through the simulators' own eyes.

Knows nothing of services, ledger or mapping code; only that organizations, persons, products and deals carry their origin in the custom field
"Transload ID" as `{account}/{entity}/{id}`, and what REQUIREMENTS says of each object.
"""

import json
import re
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Record = Mapping[str, Any]

ORIGIN_FIELD = "Transload ID"
CLIENT, CONTACT = "client", "contact"
DEAL_ENTITIES = {"salesEstimates": "sales_estimate", "salesOrders": "sales_order", "workOrders": "work_order", "ordinaryInvoices": "ordinary_invoice"}
CATALOGUE_ENTITIES = {"products": "product", "services": "service"}
SOURCE_ENTITIES = {"clients": CLIENT, "contacts": CONTACT} | CATALOGUE_ENTITIES | DEAL_ENTITIES
TARGETS = (
    {CLIENT: "organizations", CONTACT: "persons"}
    | dict.fromkeys(CATALOGUE_ENTITIES.values(), "products")
    | dict.fromkeys(DEAL_ENTITIES.values(), "deals")
)
ADMISSIBLE_DEFECTS = frozenset(
    {
        "name_too_long",
        "name_missing",
        "contact_without_account",
        "contact_of_missing_client",
        "contact_of_deleted_client",
        "broken_date",
        "unknown_state",
        "document_without_client",
        "document_of_missing_client",
        "document_of_deleted_client",
    }
)
"""A record with one of these, and a document for a lead, may end in the skip file or in review; every other record must arrive."""
CENT = 0.011


@dataclass(slots=True)
class Target:
    """The Pipedrive account, indexed by origin."""

    state: Mapping[str, list[dict[str, Any]]]
    origin_codes: set[str] = field(init=False)
    by_origin: dict[str, dict[str, list[Record]]] = field(init=False)

    def __post_init__(self) -> None:
        """Index the records we made."""
        self.origin_codes = {one["field_code"] for one in self.state["fields"] if one["field_name"] == ORIGIN_FIELD}
        self.by_origin = {}
        for kind in ("organizations", "persons", "products", "deals"):
            index = self.by_origin.setdefault(kind, {})
            for record in self.state[kind]:
                for origin in self._origins(record):
                    index.setdefault(origin, []).append(record)

    @classmethod
    def parse(cls, export: bytes) -> "Target":
        """Read an export of the simulator."""
        return cls(json.loads(export)["state"])

    def _origins(self, record: Record) -> Iterator[str]:
        for code in self.origin_codes:
            if origin := record.get("custom_fields", {}).get(code):
                yield origin

    def one(self, kind: str, origin: str) -> Record | None:
        """Return the record of an origin when there is exactly one."""
        found = self.by_origin[kind].get(origin, [])
        return found[0] if len(found) == 1 else None

    def custom(self, entity: str, record: Record) -> dict[str, Any]:
        """Return a record's custom values by the names people see."""
        names = {one["field_code"]: one["field_name"] for one in self.state["fields"] if one["entity"] == entity}
        return {names[code]: value for code, value in record.get("custom_fields", {}).items() if code in names}

    def labels(self, record: Record) -> set[str]:
        """Return a deal's labels as text."""
        options = next(one["options"] for one in self.state["fields"] if one["entity"] == "deal" and one["field_code"] == "label_ids")
        names = {option["id"]: option["label"] for option in options or []}
        return {names.get(number, "?") for number in record.get("label_ids", [])}


class Checker:
    """Compares one account's truth with one Pipedrive export."""

    def __init__(
        self,
        truth: Mapping[str, Any],
        export: bytes,
        account: str,
        *,
        deleted_later: Container[tuple[str, int]] = (),
        edited: Container[int] = (),
        merged: Mapping[tuple[str, int], int] | None = None,
    ) -> None:
        """Prepare a comparison.

        Args:
            truth: what the source holds now.
            export: what Pipedrive holds now.
            account: label of the source account.
            deleted_later: records (collection, id) that were deleted in the source after they had been moved; they stay in Pipedrive.
            edited: organizations whose name a person has changed in Pipedrive.
            merged: (kind, id) of records that people merged, and into which. What was loaded afterwards hangs on the survivor.
        """
        self._merged = merged or {}
        self._deleted_later = deleted_later
        self._edited = edited
        self._source: Mapping[str, list[dict[str, Any]]] = truth["collections"]
        self._defects: dict[tuple[str, int], set[str]] = {}
        for defect in truth["defects"]:
            self._defects.setdefault((defect["collection"], defect["id"]), set()).add(defect["kind"])
        self._target = Target.parse(export)
        self._account = account
        self._for_leads = {
            (name, record["id"]) for name in DEAL_ENTITIES for record in self._source[name] if "potentialClients" in (record["account-path"] or "")
        }
        self._sold: dict[int, dict[tuple[str, int], int]] = {}
        """Lines wanted on merged deals: survivor, document, lines."""
        self.problems: list[str] = []
        self.missing: list[tuple[str, int]] = []
        """Records that are not in Pipedrive because of an admissible defect; the ledger has to give a reason for each."""

    def check(self) -> list[str]:
        """Return everything that is not as it should be, as text; empty when all is well."""
        for collection in SOURCE_ENTITIES:
            self._exactly_once(collection)
        self._no_strangers()
        self._organizations()
        self._persons()
        self._client_persons()
        self._products()
        for collection in DEAL_ENTITIES:
            self._deals(collection)
        self._merged_lines()
        self._payments()
        self._assets()
        return self.problems

    def origin(self, collection: str, record_id: int) -> str:
        """Return the origin as records in Pipedrive carry it."""
        return f"{self._account}/{SOURCE_ENTITIES[collection]}/{record_id}"

    def wanted(self, collection: str) -> Iterator[dict[str, Any]]:
        """Yield the records that have to move: neither deleted nor archived."""
        for record in self._source.get(collection, []):
            if not record["deleted"] and not record.get("inactive"):
                yield record

    def arrived(self, collection: str) -> Iterator[tuple[dict[str, Any], Record]]:
        """Yield the source records that are in Pipedrive once, with their targets."""
        kind = TARGETS[SOURCE_ENTITIES[collection]]
        for record in self.wanted(collection):
            target = self._target.one(kind, self.origin(collection, record["id"]))
            if target is not None:
                yield record, target

    def _problem(self, text: str) -> None:
        self.problems.append(text)

    def _is_admissible(self, collection: str, record_id: int) -> bool:
        return bool(self._defects.get((collection, record_id), set()) & ADMISSIBLE_DEFECTS) or (collection, record_id) in self._for_leads

    def _exactly_once(self, collection: str) -> None:
        index = self._target.by_origin[TARGETS[SOURCE_ENTITIES[collection]]]
        for record in self.wanted(collection):
            count = len(index.get(self.origin(collection, record["id"]), []))
            if count == 0 and self._is_admissible(collection, record["id"]):
                self.missing.append((collection, record["id"]))
            elif count != 1:
                self._problem(f"{collection}/{record['id']} is in Pipedrive {count} times")

    def _no_strangers(self) -> None:
        for collection, entity in SOURCE_ENTITIES.items():
            known = {self.origin(collection, record["id"]) for record in self.wanted(collection)}
            known |= {
                self.origin(collection, one["id"]) for one in self._source.get(collection, []) if (collection, one["id"]) in self._deleted_later
            }
            prefix = f"{self._account}/{entity}/"
            for origin in self._target.by_origin[TARGETS[entity]]:
                whole = "/".join(origin.split("/")[:3])
                if origin.startswith(prefix) and whole not in known:
                    self._problem(f"{origin} is in Pipedrive, but deleted, archived or unknown in the source")

    def _organizations(self) -> None:
        for client, organization in self.arrived("clients"):
            is_excused = organization["id"] in self._edited or "name_too_long" in self._defects_of("clients", client)
            if not is_excused and squeezed(organization["name"]) != squeezed(client["legal-name"] or client["name"]):
                self._problem(f"clients/{client['id']}: name {organization['name']!r}")
            self._owner("clients", client, client.get("agent-id"), organization)
            city = (organization.get("address") or {}).get("locality")
            if client["main-address"]["city-town"] and squeezed(city) != squeezed(client["main-address"]["city-town"]):
                self._problem(f"clients/{client['id']}: city {city!r}")

    def _persons(self) -> None:
        for contact, person in self.arrived("contacts"):
            self._linked("contacts", contact, person)
            found = {entry["value"].casefold() for entry in person.get("emails", [])}
            for address in split_values(contact["email"]):
                if "@" in address and address.casefold() not in found:
                    self._problem(f"contacts/{contact['id']}: e-mail {address!r} did not arrive")
            if squeezed(person["name"]) != squeezed(contact["name"]):
                self._problem(f"contacts/{contact['id']}: name {person['name']!r}")

    def _client_persons(self) -> None:
        """Check that a client without contacts, but with an e-mail or a phone, is a person of its organization as well (SO-01)."""
        with_contacts = {reference(contact["account-path"]) for contact in self._source["contacts"] if self._is_or_was_wanted("contacts", contact)}
        for client, organization in self.arrived("clients"):
            found = self._target.by_origin["persons"].get(self.origin("clients", client["id"]), [])
            is_wanted = ("clients", client["id"]) not in with_contacts and bool(client["email"] or client["phone"])
            if len(found) != is_wanted:
                self._problem(f"clients/{client['id']}: is {len(found)} persons instead of {int(is_wanted)}")
            if any(not self._is_alike("organizations", person.get("org_id"), organization["id"]) for person in found):
                self._problem(f"clients/{client['id']}: its person hangs on another organization")

    def _is_or_was_wanted(self, collection: str, record: Record) -> bool:
        return not record["deleted"] or (collection, record["id"]) in self._deleted_later

    def _products(self) -> None:
        for collection in CATALOGUE_ENTITIES:
            for item, product in self.arrived(collection):
                prices = [entry["price"] for entry in product["prices"]]
                if not any(abs(price - item["sales-price"]) < CENT for price in prices):
                    self._problem(f"{collection}/{item['id']}: price {prices}")

    def _deals(self, collection: str) -> None:
        valued = self._chain_ends()
        lines: Counter[int] = Counter(line["deal_id"] for line in self._target.state["deal_products"])
        gone = {(name, item["id"]) for name in CATALOGUE_ENTITIES for item in self._source[name] if item["deleted"] or item.get("inactive")}
        for document, deal in self.arrived(collection):
            is_shared = self._is_merged("deals", deal["id"])  # it is the deal of several documents, and what was written last stands in it
            if not is_shared:
                self._linked(collection, document, deal)
                self._owner(collection, document, document.get("agent-id"), deal)
            items = [line for line in document["lines"] if line["line-type"] == "ITEM" and not line["deleted"]]
            sold = [line for line in items if reference(line["item-path"]) not in gone]
            if not len(sold) <= lines[deal["id"]] <= len(items):
                if is_shared:
                    self._sold.setdefault(self._survivor("deals", deal["id"]), {})[collection, document["id"]] = len(sold)
                    continue
                self._problem(f"{collection}/{document['id']}: {lines[deal['id']]} lines instead of {len(sold)}")
            if is_shared:
                continue
            wanted = document["total-amount"] if (collection, document["id"]) in valued else 0
            if abs(deal["value"] - wanted) > CENT:
                self._problem(f"{collection}/{document['id']}: value {deal['value']} instead of {wanted}")
            if deal["currency"] != document["currency-code"]:
                self._problem(f"{collection}/{document['id']}: currency {deal['currency']}")
            if collection == "ordinaryInvoices" and deal["status"] != "won":
                self._problem(f"{collection}/{document['id']}: an invoice's deal is {deal['status']}")

    def _merged_lines(self) -> None:
        """Check that deals which people merged have the lines of all their documents among them: what was loaded again is on the survivor."""
        lines: Counter[int] = Counter()
        for line in self._target.state["deal_products"]:
            lines[self._survivor("deals", line["deal_id"])] += 1
        for survivor, sold in self._sold.items():
            if lines[survivor] < sum(sold.values()):
                for collection, document in sold:
                    self._problem(f"{collection}/{document}: {lines[survivor]} lines instead of {sum(sold.values())} on what was merged")

    def _survivor(self, kind: str, record_id: int) -> int:
        """Return the record that stands for another after all merges."""
        seen: set[int] = set()
        while (kind, record_id) in self._merged and record_id not in seen:
            seen.add(record_id)
            record_id = self._merged[kind, record_id]
        return record_id

    def _is_merged(self, kind: str, record_id: int) -> bool:
        """Say whether a person merged a record into another, or another into it."""
        return (kind, record_id) in self._merged or any(name == kind and into == record_id for (name, _), into in self._merged.items())

    def _is_alike(self, kind: str, first: int | None, second: int) -> bool:
        """Say whether two ids stand for the same record after all merges."""
        return first is not None and self._survivor(kind, first) == self._survivor(kind, second)

    def _chain_ends(self) -> set[tuple[str, int]]:
        """Return the documents of which no other one descends, delivery notes passed over: they carry the value of their sale (D-01)."""
        parents: dict[tuple[str, int], tuple[str, int] | None] = {}
        for name in (*DEAL_ENTITIES, "salesDeliveryNotes", "workDeliveryNotes", "workEstimates"):
            for document in self.wanted(name):
                parents[name, document["id"]] = reference(document["parent-document-path"])
        ancestors: set[tuple[str, int]] = set()
        for child, parent in parents.items():
            above = parent if child[0] in DEAL_ENTITIES else None
            while above is not None and above not in ancestors:
                ancestors.add(above)
                above = parents.get(above)
        return set(parents) - ancestors

    def _linked(self, collection: str, record: Record, target: Record) -> None:
        """Check that the target hangs on the organization of the record's client."""
        wanted = reference(record.get("account-path") or "")
        organization = self._target.one("organizations", self.origin(*wanted)) if wanted is not None and wanted[0] == "clients" else None
        if organization is not None and not self._is_alike("organizations", target.get("org_id"), organization["id"]):
            self._problem(f"{collection}/{record['id']}: organization {target.get('org_id')} instead of {organization['id']}")
        if organization is None and target.get("org_id") is not None:
            self._problem(f"{collection}/{record['id']}: hangs on organization {target['org_id']} without reason")

    def _owner(self, collection: str, record: Record, employee_id: int | None, target: Record) -> None:
        """Check that an owner whose e-mail belongs to an active Pipedrive user became that user."""
        users = {user["email"].casefold(): user["id"] for user in self._target.state["users"] if user["active_flag"]}
        employee = next((one for one in self._source["employees"] if one["id"] == employee_id and not one["deleted"]), None)
        if employee is None:
            return
        address = str(employee.get("email") or employee.get("user-name") or "").casefold()
        if address in users and target.get("owner_id") != users[address]:
            self._problem(f"{collection}/{record['id']}: owner {target.get('owner_id')} instead of {users[address]}")

    def _payments(self) -> None:
        """Check that every receipt of an invoice that arrived is an activity on its deal (SO-09)."""
        activities = Counter(activity.get("deal_id") for activity in self._target.state["activities"])
        receipts = Counter(reference(receipt["original-element-path"]) for receipt in self.wanted("ordinaryInvoiceReceipts"))
        for invoice, deal in self.arrived("ordinaryInvoices"):
            expected = receipts[("ordinaryInvoices", invoice["id"])]
            if activities[deal["id"]] < expected:
                self._problem(f"ordinaryInvoices/{invoice['id']}: {activities[deal['id']]} payment activities for {expected} receipts")

    def _assets(self) -> None:
        """Check that every asset of a client that arrived is named in a note or field of its organization (SO-08)."""
        texts: dict[int, list[str]] = {}
        for note in self._target.state["notes"]:
            if note.get("org_id"):
                texts.setdefault(note["org_id"], []).append(note["content"])
        for asset in self.wanted("assets"):
            owner = reference(asset["account-path"] or "")
            organization = self._target.one("organizations", self.origin(*owner)) if owner is not None and owner[0] == "clients" else None
            if organization is None:
                continue
            everything = " ".join(
                [*texts.get(organization["id"], []), json.dumps(self._target.custom("organization", organization), ensure_ascii=False)]
            )
            if asset["full-reference"] not in everything and asset["name"] not in everything:
                self._problem(f"assets/{asset['id']}: not named on organization {organization['id']}")

    def _defects_of(self, collection: str, record: Record) -> set[str]:
        return self._defects.get((collection, record["id"]), set())


def squeezed(text: str | None) -> str:
    """Return text with white space and control characters folded, as a CRM may fold them."""
    return re.sub(r"[\s\x00-\x1f]+", " ", text or "").strip()


def split_values(text: str | None) -> list[str]:
    """Return the values of a field that holds several."""
    return [part.strip() for part in re.split(r"[;/,]", text or "") if part.strip()]


def reference(path: str) -> tuple[str, int] | None:
    """Return collection and id of a record's path."""
    match = re.search(r"app/([A-Za-z]+)/(-?\d+)$", path or "")
    return (match[1], int(match[2])) if match else None


def diff_of(before: bytes, after: bytes, limit: int = 20) -> list[str]:
    """Say in which records two exports differ, for a readable failure."""
    first, second = json.loads(before)["state"], json.loads(after)["state"]
    lines: list[str] = []
    for kind in sorted(first.keys() | second.keys()):
        left, right = _by_id(first.get(kind, [])), _by_id(second.get(kind, []))
        lines += [
            f"{kind}/{key}: {left.get(key)} -> {right.get(key)}"
            for key in sorted(left.keys() | right.keys(), key=str)
            if left.get(key) != right.get(key)
        ]
    return lines[:limit]


def _by_id(records: list[dict[str, Any]] | dict[str, Any]) -> dict[Any, Any]:
    if isinstance(records, dict):
        return records
    return {(record.get("entity"), record.get("id")): record for record in records}


OWNED_KINDS = {
    "product": "products",
    "organization": "organizations",
    "organization_relation": "organization_relations",
    "person": "persons",
    "deal": "deals",
    "line_item": "deal_products",
    "activity": "activities",
    "note": "notes",
    "file": "files",
    "pipeline": "pipelines",
    "stage": "stages",
    "activity_type": "activity_types",
    "custom_field": "fields",
}
"""Target entities and where the export of the account keeps them."""


def ownership_problems(before: bytes, after: bytes, owned: Mapping[str, Iterable[str]]) -> list[str]:
    """Compare what came into being in Pipedrive with what a ledger owns, one by one: the strictest form of "once each".

    Equal records (two like notes on a deal) count, too: there are as many of them as records own one.

    Args:
        before: export before the migration.
        after: export now.
        owned: target entity -> the id each record owns.
    """
    first, second = json.loads(before)["state"], json.loads(after)["state"]
    problems: list[str] = []
    for entity, kind in OWNED_KINDS.items():
        known = {_own_id(record) for record in first[kind]}
        made = Counter(one for one in map(_own_id, second[kind]) if one not in known)
        ours = Counter(one for one in owned.get(entity, ()) if one not in known)
        problems += [f"{kind}/{one} is in Pipedrive {made[one]} times, {ours[one]} records own it" for one in made | ours if made[one] != ours[one]]
    return problems


def _own_id(record: Mapping[str, Any]) -> str:
    return str(record.get("field_code") or record["id"])
