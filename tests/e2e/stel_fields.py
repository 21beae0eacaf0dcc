"""Every field the rows SO-01 to SO-10 name, compared by value: what STEL Order holds, by its interface's own names, against what Pipedrive holds.

The counterpart of `checker`, which says that everything is there once and linked. Knows nothing of services, ledger or mapping.
"""

import html
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from tests.e2e.checker import CATALOGUE_ENTITIES, DEAL_ENTITIES, Record, reference, split_values
from tests.e2e.org_checker import Account, readable, words

Row = dict[str, Any]

PIPELINES = {
    "salesEstimates": ("Quote", "STEL Quotes"),
    "salesOrders": ("Order", "STEL Orders"),
    "workOrders": ("Work Order", "STEL Work Orders"),
    "ordinaryInvoices": ("Invoice", "STEL Invoices"),
}
"""What a kind of document is called on its deal, and its pipeline."""
STATUSES = {
    "salesEstimates": {"Aceptado": "won", "Rechazado": "lost"},
    "salesOrders": {"Cerrada": "won"},
    "workOrders": {"Cerrada": "won", "Facturada": "won"},
}
"""What the words of the sandbox's states mean where nothing descends from a document (D-02)."""
CHAINED = ("salesEstimates", "salesOrders", "salesDeliveryNotes", "workEstimates", "workOrders", "workDeliveryNotes", "ordinaryInvoices")
UNREADABLE = {"mixed_date_format", "broken_date", "unknown_state", "name_too_long", "email_invalid"}
"""Records with a value that cannot arrive as it is; reports and review name them, other tests look at that."""


def day(stamp: str | None) -> str | None:
    """Return the day of a document's date: midnight, written as UTC, means a day of the calendar."""
    return stamp[:10] if stamp else None


def instant(stamp: str | None) -> str | None:
    """Return a moment as Pipedrive writes it."""
    return f"{datetime.fromisoformat(stamp).astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" if stamp else None


def amount(value: float) -> str:
    """Return an amount as people write it."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def shown(text: str | None) -> str:
    """Return a text as `readable` gives it back from a note."""
    return words(html.unescape(text or ""))


def address_parts(found: Any) -> tuple[Any, ...] | None:
    """Return the parts of an address in Pipedrive."""
    if not isinstance(found, Mapping):
        return None
    return tuple(found.get(name) or None for name in ("route", "subpremise", "locality", "admin_area_level_1", "postal_code", "country"))


def address_of(row: Row | None) -> tuple[Any, ...] | None:
    """Return the parts of an address in STEL Order."""
    if row is None:
        return None
    return tuple(row.get(name) or None for name in ("address-data", "extra-data", "city-town", "province", "postal-code", "country-code"))


class Fields:
    """Compares one account with one export; each method yields what is wrong."""

    def __init__(self, truth: Mapping[str, Any], export: bytes, label: str) -> None:
        """Take what both sides hold."""
        self.source: Mapping[str, list[Row]] = truth["collections"]
        self.account = Account(export, label)
        self.state = self.account.state
        self._by_id = {(name, row["id"]): row for name, rows in self.source.items() for row in rows}
        self._odd = {(one["collection"], one["id"]): one["kind"] for one in truth["defects"]}
        self._options = {(field["entity"], field["field_code"]): field.get("options") or [] for field in self.state["fields"]}
        self._followers: dict[tuple[str, int], list[tuple[str, int]]] = {}
        for name in CHAINED:
            for row in self.source.get(name, []):
                parent = reference(row["parent-document-path"] or "")
                if parent and not row["deleted"]:
                    self._followers.setdefault(parent, []).append((name, row["id"]))
        self.compared: Counter[str] = Counter()
        """How many values were compared, by kind of record, so that a test can see that there were any."""

    # ------------------------------------------------------------------ helpers

    def pairs(self, collection: str, kind: str, entity: str) -> Iterator[tuple[Row, Record]]:
        """Yield the rows of a collection that arrived, without those that hold unreadable values."""
        for row in self.source[collection]:
            found = self.account.one(kind, entity, row["id"])
            if found is not None and not row["deleted"] and self._odd.get((collection, row["id"])) not in UNREADABLE:
                yield row, found

    def at(self, path: str | None) -> Row | None:
        """Return the row a path leads to."""
        where = reference(path or "")
        return self._by_id.get(where) if where else None

    def _differing(self, what: str, wanted: Mapping[str, Any], found: Mapping[str, Any]) -> Iterator[str]:
        self.compared[what.partition("/")[0]] += len(wanted)
        for name, value in wanted.items():
            if (found.get(name) or None) != (value or None) and not (value == 0 and found.get(name) == 0):
                yield f"{what} {name}: {found.get(name)!r} for {value!r}"

    def _own_properties(self, row: Row, top: Iterable[str], types: Mapping[str, Callable[[Any], Any]]) -> Row:
        own = {name: row.get(name) for name in top} | (row.get("custom-fields") or {})
        return {name: types[name](value) if name in types else value for name, value in own.items() if value is not None and value != ""}

    def _noted(self, what: str, row: Row, **home: int) -> Iterator[str]:
        notes = self.account.notes(**home)
        for name in ("comments", "private-comments"):
            text = shown(row.get(name))
            if text and not any(text in note for note in notes):
                yield f"{what}: {name} {text!r} is in none of {len(notes)} notes"

    def _user(self, employee_id: int | None) -> int:
        """Return the user an employee is, or the fallback: the one whose key is used."""
        users = {one["email"].casefold(): one["id"] for one in self.state["users"] if one["active_flag"]}
        row = self._by_id.get(("employees", employee_id or 0))
        email = str((row or {}).get("email") or (row or {}).get("user-name") or "").casefold()
        is_there = row is not None and not row["deleted"]
        return int(users[email]) if is_there and email in users else min(int(one["id"]) for one in self.state["users"])

    def _option(self, entity: str, code: str, number: Any) -> Any:
        return next((one["label"] for one in self._options[entity, code] if one["id"] == number), number)

    # ------------------------------------------------------------------ rows

    def clients(self) -> Iterator[str]:
        """SO-01: address parts, own properties as fields, comments as a note; a client without contacts is a person too."""
        known = {"Última visita": day, "Cliente VIP": lambda value: "Yes" if value else "No"}
        for row, found in self.pairs("clients", "organizations", "client"):
            what = f"clients/{row['id']}"
            place, category = row["main-address"], self._by_id.get(("accountCategories", row["account-category-id"]))
            has_place = place.get("latitude") is not None
            wanted = {
                "STEL Reference": row["full-reference"],
                "STEL Trade Name": row["name"],
                "STEL Tax ID": row["tax-identification-number"],
                "STEL E-mail": row["email"],
                "STEL Phone": row["phone"],
                "STEL Phone 2": row["phone2"],
                "STEL Fax": row["fax"],
                "STEL Category": category["name"] if category else None,
                "STEL GPS": f"{place['latitude']}, {place['longitude']}" if has_place else None,
                "STEL Currency": row["currency-code"],
                "STEL Discount %": row["discount-percentage"],
                "STEL External ID": row["external-id"],
            } | self._own_properties(row, ("sector",), known)
            yield from self._differing(what, wanted, self.account.custom("organization", found))
            yield from self._differing(what, {"website": row["website"], "add_time": instant(row["creation-date"])}, found)
            if address_parts(found.get("address")) != address_of(place):
                yield f"{what} address: {address_parts(found.get('address'))} for {address_of(place)}"
            yield from self._noted(what, row, org_id=found["id"])
            person = self.account.one("persons", "client", row["id"])
            if person is not None:
                yield from self._reached(f"{what} person", person, [row["email"]], [(row["phone"], "work"), (row["phone2"], "work")])
                if person["name"] != row["legal-name"] or person["owner_id"] != self._user(row["agent-id"]):
                    yield f"{what} person: name or owner"

    def _reached(self, what: str, person: Record, emails: list[str | None], phones: list[tuple[str | None, str]]) -> Iterator[str]:
        mails = [part for text in emails for part in split_values(text) if "@" in part]
        if sorted(one["value"].casefold() for one in person.get("emails", [])) != sorted(one.casefold() for one in mails):
            yield f"{what} e-mails: {person.get('emails')} for {mails}"
        numbers = [(part, label) for text, label in phones for part in split_values(text)]
        if sorted((one["value"], one["label"]) for one in person.get("phones", [])) != sorted(numbers):
            yield f"{what} phones: {person.get('phones')} for {numbers}"

    def contacts(self) -> Iterator[str]:
        """SO-02: e-mail, phone, mobile, job title, fax, address; comments as a note on the person."""
        for row, found in self.pairs("contacts", "persons", "contact"):
            what = f"contacts/{row['id']}"
            custom = self.account.custom("person", found)
            yield from self._differing(what, {"STEL Job Title": row["position"], "STEL Fax": row["fax"]}, custom)
            yield from self._reached(what, found, [row["email"]], [(row["phone"], "work"), (row.get("mobile"), "mobile")])
            if address_parts(custom.get("STEL Address")) != address_of(row.get("address")):
                yield f"{what} address: {custom.get('STEL Address')} for {row.get('address')}"
            if found["add_time"] != instant(row["creation-date"]):
                yield f"{what} add_time"
            yield from self._noted(what, row, person_id=found["id"])

    def catalogue(self) -> Iterator[str]:
        """SO-03: name, code, price, cost, unit, description, category, tax; stock and warehouse as fields."""
        for collection, entity in CATALOGUE_ENTITIES.items():
            for row, found in self.pairs(collection, "products", entity):
                what = f"{collection}/{row['id']}"
                category, description = self.at(row.get("product-category-path")), row.get("description")
                text = description.get("text") if isinstance(description, dict) else description
                (price,) = found["prices"]
                native = {
                    **found,
                    "price": price["price"],
                    "cost": price["cost"],
                    "category": self._option("product", "category", found.get("category")),
                }
                wanted = {
                    "name": row["name"],
                    "code": row["full-reference"],
                    "unit": row.get("unit"),
                    "tax": row["primary-tax-percentage"],
                    "category": category["name"] if category else None,
                    "price": row["sales-price"],
                    "cost": row.get("purchase-price", 0),
                }
                yield from self._differing(what, wanted, native)
                if words(text or "") not in words(found.get("description") or ""):
                    yield f"{what} description: {found.get('description')!r} for {text!r}"
                custom = self.account.custom("product", found)
                yield from self._differing(what, self._stock(row) | self._own_properties(row, ("energy-class",), {}), custom)

    def _stock(self, row: Row) -> Row:
        houses = [self.at(one["warehouse-path"]) for one in row.get("product-warehouses", [])]
        is_counted = row.get("stock-enabled")
        return {
            "STEL Stock Quantity": row["real-stock"] if is_counted else None,
            "STEL Minimum Stock": row["minimum-stock"] if is_counted else None,
            "STEL Warehouse": ", ".join(one["name"] for one in houses if one) or None,
            "STEL Tax Rate": row["primary-tax-percentage"],
            "STEL Minimum Price": row.get("sales-minimum-price"),
            "STEL Barcode": row.get("barcode"),
            "STEL Shelf": row.get("location"),
            "STEL Created": day(row["creation-date"]),
        }

    def documents(self, collection: str) -> Iterator[str]:
        """SO-04 to SO-07: label, pipeline, stage, status with its time, numbers, dates, amounts, what came before, and the readable note."""
        label, pipeline = PIPELINES[collection]
        pipelines = {one["id"]: one["name"] for one in self.state["pipelines"]}
        for row, found in self.pairs(collection, "deals", DEAL_ENTITIES[collection]):
            what = f"{collection}/{row['id']}"
            state, before = self.at(row["document-state-path"]), self._before((collection, row["id"]))
            account, option = self.at(row["account-path"]), self.at(row["payment-option-path"])
            place = self.at(row["invoicing-address-path"])
            wanted = {
                "STEL Document Number": row["full-reference"],
                "STEL Document Date": day(row["date"]),
                "STEL Created": day(row["creation-date"]),
                "STEL Status": state["name"] if state else None,
                "STEL Discount %": row["discount-percentage"],
                "STEL Subtotal": row["subtotal-amount"],
                "STEL Tax": row["tax-total-amount"],
                "STEL Total": row["total-amount"],
                "STEL Payment Method": option["name"] if option else None,
                "STEL Previous Document": before[1]["full-reference"] if before else None,
                "STEL Previous Document Key": f"{DEAL_ENTITIES[before[0]]}/{before[1]['id']}" if before else None,
                "STEL Currency Rate": row["currency-rate"] if row["currency-rate"] != 1 else None,
            } | self._particular(collection, row)
            custom = self.account.custom("deal", found)
            yield from self._differing(what, wanted, custom)
            if address_parts(custom.get("STEL Invoicing Address")) != address_of(place):
                yield f"{what} invoicing address: {custom.get('STEL Invoicing Address')} for {place}"
            won = self._closed(collection, row, state["name"] if state else "")
            native = {"stage": self.account.stages[found["stage_id"]], "pipeline": pipelines[found["pipeline_id"]], **found}
            yield from self._differing(what, {"pipeline": pipeline, "stage": state["name"] if state else None, **won}, native)
            if self.account.target.labels(found) != {label}:
                yield f"{what} labels {self.account.target.labels(found)}"
            parts = (f"{label} {row['full-reference']}", *(shown(one) for one in ((account or {}).get("legal-name"), row["title"])))
            if not all(part in shown(found["title"]) or len(found["title"]) >= 250 for part in parts):
                yield f"{what} title {found['title']!r} for {parts}"
            yield from self._noted(what, row, deal_id=found["id"])
            yield from self._whole_note(what, row, found)

    def _before(self, key: tuple[str, int]) -> tuple[str, Row] | None:
        """Return the nearest document above that is moved."""
        row: Row | None = self._by_id[key]
        for _ in range(10):
            where = reference((row or {}).get("parent-document-path") or "")
            row = self._by_id.get(where) if where else None
            if where is None or row is None:
                return None
            if where[0] in DEAL_ENTITIES and not row["deleted"]:
                return where[0], row
        return None

    def following(self, key: tuple[str, int]) -> list[Row]:
        """Return the moved documents that descend from one, oldest first."""
        found: list[Row] = []
        for below in self._followers.get(key, []):
            found += [self._by_id[below]] if below[0] in DEAL_ENTITIES else []
            found += self.following(below)
        return sorted(found, key=lambda one: one["date"])

    def _closed(self, collection: str, row: Row, state: str) -> Row:
        """Return status and time: an invoice is won on its date, what was followed up when that was made, the rest when it last changed."""
        if collection == "ordinaryInvoices":
            return {"status": "won", "won_time": f"{day(row['date'])}T12:00:00Z"}
        after = self.following((collection, row["id"]))
        if after:
            return {"status": "won", "won_time": f"{day(after[0]['date'])}T12:00:00Z"}
        status = STATUSES[collection].get(state, "open")
        changed = instant(row["utc-last-modification-date"])
        return {"status": status, "won_time": changed if status == "won" else None, "lost_time": changed if status == "lost" else None}

    def _particular(self, collection: str, row: Row) -> Row:
        """Return the fields only one kind of document has."""
        match collection:
            case "salesEstimates":
                return {"STEL Validity Date": day(row.get("validity-date"))}
            case "ordinaryInvoices":
                paid = row["paid-total-amount"]
                return {
                    "STEL Due Date": day(row.get("due-date")),
                    "STEL Payment Status": "Paid" if row["settled"] else "Partly paid" if paid > 0 else "Unpaid",
                    "STEL Paid": paid,
                    "STEL Remaining": row["remaining-total-amount"],
                    "STEL Tax Reporting State": row.get("verifactu-state"),
                }
            case "workOrders":
                return self._work(row)
            case _:
                return {}

    def _work(self, row: Row) -> Row:
        assigned = row.get("assigned-date")
        items = sorted((one for one in row["lines"] if not one["deleted"] and one["line-type"] == "ITEM"), key=lambda one: one["order"])
        assets = [self._by_id.get(("assets", one["id"] if isinstance(one, dict) else one)) for one in row.get("assets", [])]
        own = self._own_properties(row, ("access-code",), {"Próxima revisión": day, "Requiere andamio": lambda value: "Yes" if value else "No"})
        return {
            "STEL Technician": self._technician(row),
            "STEL Scheduled Date": day(assigned),
            "STEL Scheduled Time": assigned[11:16] if assigned else None,
            "STEL Equipment": ", ".join(one["name"] for one in assets if one) or None,
            "STEL Line Items": "\n".join(f"{one['units']:g} x {one['item-name']}" for one in items),
            "STEL Signed": "Yes" if row["signed"] else "No",
        } | own

    def _technician(self, row: Row) -> str | None:
        """Return a technician's name; whom the interface lists no more has a number only."""
        found = self.at(row.get("assignee-path"))
        if found is None or found["deleted"]:
            return f"Employee {row['assignee-id']}" if row.get("assignee-id") else None
        return found.get("full-name") or f"{found['name']} {found['surname']}"

    def _whole_note(self, what: str, row: Row, found: Record) -> Iterator[str]:
        """SO-04, SO-07: one note has number, client and every line with units, price and total."""
        notes = [one for one in self.account.notes(deal_id=found["id"]) if row["full-reference"] in one[:80]]
        wanted = [
            f"{one['item-reference']} {shown(one['item-name'])}" for one in row["lines"] if one["line-type"] == "ITEM" and not one["deleted"]
        ] + [f"{amount(row['total-amount'])} {row['currency-code']}"]
        if len(notes) != 1 or any(part not in words(notes[0]) for part in wanted):
            yield f"{what}: {len(notes)} notes; not in it: {[part for part in wanted if not notes or part not in words(notes[0])]}"

    def shipping(self) -> Iterator[str]:
        """SO-05: an order's shipping address; SO-07: where a work order is done."""
        deliveries = {
            one["account-id"]: one for one in reversed(self.source["addresses"]) if one["address-type"] == "DELIVERY" and not one["deleted"]
        }
        for row, found in self.pairs("salesOrders", "deals", "sales_order"):
            seen, wanted = (
                address_parts(self.account.custom("deal", found).get("STEL Shipping Address")),
                address_of(deliveries.get(row["account-id"])),
            )
            self.compared["shipping"] += wanted is not None
            if seen != wanted:
                yield f"salesOrders/{row['id']} shipping address: {seen} for {wanted}"
        for row, found in self.pairs("workOrders", "deals", "work_order"):
            place = self.at(row.get("address-path")) or (self.at(row["account-path"]) or {}).get("main-address")
            seen = address_parts(self.account.custom("deal", found).get("STEL Location"))
            if seen != address_of(place):
                yield f"workOrders/{row['id']} location: {seen} for {address_of(place)}"

    def lines(self) -> Iterator[str]:
        """SO-04: line items are products on the deal, with price, quantity, both discounts and tax."""
        products = {
            (name, row["id"]): found["id"] for name, entity in CATALOGUE_ENTITIES.items() for row, found in self.pairs(name, "products", entity)
        }
        made: dict[int, Counter[tuple[Any, ...]]] = {}
        for one in self.state["deal_products"]:
            key = (one["product_id"], round(one["item_price"], 2), one["quantity"], round(one["discount"], 2), one["tax"], one["is_enabled"])
            made.setdefault(one["deal_id"], Counter())[key] += 1
        for collection, entity in DEAL_ENTITIES.items():
            for row, found in self.pairs(collection, "deals", entity):
                wanted: Counter[tuple[Any, ...]] = Counter()
                for line in row["lines"]:
                    product = products.get(reference(line.get("item-path") or "") or ("", 0))
                    if line["line-type"] != "ITEM" or line["deleted"] or product is None:
                        continue
                    left = (1 - line["discount-percentage"] / 100) * (1 - row["discount-percentage"] / 100)
                    price, tax = line["item-base-price"], line["primary-tax-percentage"]
                    is_enabled = not self.following((collection, row["id"]))
                    wanted[product, price, line["units"], round((1 - left) * 100, 2), tax, is_enabled] += 1
                self.compared["lines"] += sum(wanted.values())
                seen = made.get(found["id"], Counter())
                if seen != wanted:
                    yield f"{collection}/{row['id']} lines: {seen - wanted} for {wanted - seen}"

    def payments(self) -> Iterator[str]:
        """SO-06, SO-09: every receipt is an activity with amount, date, method, invoice and what the gateway said."""
        for row in self.source["ordinaryInvoiceReceipts"]:
            invoice = self.at(row["original-element-path"])
            deal = self.account.one("deals", "ordinary_invoice", invoice["id"]) if invoice else None
            if invoice is None or deal is None or row["deleted"]:
                continue
            kind, what = ("Refund" if row["amount"] < 0 else "Payment"), f"ordinaryInvoiceReceipts/{row['id']}"
            subject = f"{kind} {amount(row['amount'])} {row['currency-code']} · {invoice['full-reference']}"
            found = [one for one in self.account.activities("payment", deal_id=deal["id"]) if one["subject"] == subject]
            date = day(row["payment-date"] if row["paid"] else row["payment-term-date"])
            method = self.at(row["payment-option-path"])
            fitting = [one for one in found if (one["due_date"], bool(one["done"])) == (date, row["paid"])]
            facts = (f"Method: {method['name']}" if method else "", f"Concept: {row['concept']}", f"Receipt: {row['full-reference']}")
            self.compared["payments"] += 1
            if not any(all(fact in readable(one["note"]) for fact in facts) for one in fitting):
                yield f"{what}: {subject} on {date}, {facts}: {found}"
            if any(one["owner_id"] != self._user(invoice["agent-id"]) or one.get("org_id") != deal.get("org_id") for one in fitting):
                yield f"{what}: owner or organization"

    def assets(self) -> Iterator[str]:
        """SO-08: the newest fills the organization's fields, with warranty and status; each is a note with its description."""
        known = {"Activo", "Retirado", "En reparación"}
        by_client: dict[int, list[Row]] = {}
        for row in self.source["assets"]:
            if not row["deleted"] and row["account-id"]:
                by_client.setdefault(row["account-id"], []).append(row)
        for client, found in self.pairs("clients", "organizations", "client"):
            rows = sorted(by_client.get(client["id"], []), key=lambda one: (one["creation-date"], one["id"]))
            custom, what = self.account.custom("organization", found), f"assets of clients/{client['id']}"
            newest = rows[-1] if rows else {}
            status = (newest.get("custom-fields") or {}).get("Estado")
            wanted = {
                "STEL Assets": len(rows) or None,
                "STEL Asset": newest.get("name"),
                "STEL Asset Serial Number": newest.get("serial-number"),
                "STEL Asset Status": status,
                "STEL Asset Warranty Expiry": day(newest.get("warranty-end-date")),
            }
            yield from self._differing(what, wanted, custom)
            notes = self.account.notes(org_id=found["id"])
            for row in rows:
                own = (row.get("custom-fields") or {}).get("Estado")
                facts = [
                    f"Asset {row['full-reference']} {row['name']}",
                    f"Brand: {row['brand']}",
                    shown(row["description"]),
                    own if own in known else "",
                ]
                facts += [f"Warranty until: {day(row['warranty-end-date'])}"] if row["warranty-end-date"] else []
                if not any(all(words(fact) in note for fact in facts) for note in notes):
                    yield f"assets/{row['id']}: no note with {facts}"

    def owners(self) -> Iterator[str]:
        """SO-10: the user with the e-mail, or the fallback."""
        for collection, entity in DEAL_ENTITIES.items():
            for row, found in self.pairs(collection, "deals", entity):
                self.compared["owners"] += 1
                if found["owner_id"] != self._user(row["agent-id"]):
                    yield f"{collection}/{row['id']} owner {found['owner_id']} for {self._user(row['agent-id'])}"
