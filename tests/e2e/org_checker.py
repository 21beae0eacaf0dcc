"""An independent check of a ServiceTracker migration: what the org holds, read by its generator's own names, against what Pipedrive holds.

Knows nothing of services, ledger or mapping; only where records carry their origin, and what REQUIREMENTS says of each object.
"""

import html
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from tests.e2e.checker import Record, Target

Row = Mapping[str, Any]


class Org:
    """What the org holds."""

    def __init__(self, truth: Mapping[str, Any]) -> None:
        """Take the simulator's truth."""
        self._rows: Mapping[str, list[Row]] = truth["rows"]
        self._namespace: str = truth["namespace"]
        self.defects: dict[str, set[str]] = defaultdict(set)
        for defect in truth["defects"]:
            self.defects[defect["id"]].add(defect["kind"])

    def rows(self, name: str) -> list[Row]:
        """Return the live rows of an object; the package's begin with a point."""
        return [row for row in self.every(name) if not row["IsDeleted"]]

    def every(self, name: str) -> list[Row]:
        """Return the rows of an object, deleted ones too."""
        return self._rows.get(f"{self._namespace}__{name[1:]}" if name.startswith(".") else name, [])

    def of(self, row: Row, field: str) -> Any:
        """Return a value; the package's fields begin with a point."""
        return row[f"{self._namespace}__{field[1:]}__c" if field.startswith(".") else field]

    def under(self, name: str, field: str, parent_id: str) -> list[Row]:
        """Return the rows that point to another."""
        return [row for row in self.rows(name) if self.of(row, field) == parent_id]

    def row(self, name: str, row_id: str | None) -> Row | None:
        """Return a live row by id."""
        return next((row for row in self.rows(name) if row["Id"] == row_id), None)

    def sites(self, customer_id: str) -> list[Row]:
        """Return a customer's sites."""
        return self.under(".Site__c", ".Client", customer_id)

    def order_is_whole(self, order: Row) -> bool:
        """Say whether a work order has a customer that is there."""
        return self.row("Account", self.of(order, ".Client")) is not None


class Account:
    """What Pipedrive holds, with custom values by the names and words people see."""

    def __init__(self, export: bytes, source: str) -> None:
        """Read an export of the simulator; `source` is the label of the source account."""
        self.target = Target.parse(export)
        self.state = self.target.state
        self._source = source
        self._options = {
            (field["entity"], field["field_name"]): {option["id"]: option["label"] for option in field.get("options") or []}
            for field in self.state["fields"]
        }
        self.users = {user["id"]: user["email"] for user in self.state["users"]}
        self.stages = {stage["id"]: stage["name"] for stage in self.state["stages"]}

    def one(self, kind: str, entity: str, row_id: str) -> Record | None:
        """Return the record made of a row when there is exactly one."""
        return self.target.one(kind, f"{self._source}/{entity}/{row_id}")

    def custom(self, entity: str, record: Record) -> dict[str, Any]:
        """Return custom values by name: option words, amounts, and addresses as their parts."""
        found = {}
        for name, value in self.target.custom(entity, record).items():
            options = self._options.get((entity, name))
            if options and isinstance(value, list):
                found[name] = sorted(str(options.get(one, one)) for one in value)
            elif options and value in options:
                found[name] = options[value]
            elif isinstance(value, dict) and "currency" in value:
                found[name] = value["value"]
            else:
                found[name] = value
        return found

    def activities(self, kind: str, **links: Any) -> list[Record]:
        """Return the activities of a type on a record."""
        return [one for one in self.state["activities"] if one["type"] == kind and all(one.get(name) == value for name, value in links.items())]

    def notes(self, **links: Any) -> list[str]:
        """Return the notes on a record as the text a person reads."""
        found = [one for one in self.state["notes"] if all(one.get(name) == value for name, value in links.items())]
        return [readable(one["content"]) for one in found]


def readable(content: str) -> str:
    """Return the text of HTML."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", content)).split())


def words(text: str) -> str:
    """Return a text with single blanks, as `readable` does."""
    return " ".join(text.split())


def utc(text: str) -> str:
    """Return a moment of the platform as Pipedrive writes it."""
    return f"{datetime.fromisoformat(text).astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def span(begin: str, end: str) -> str | None:
    """Return how long something took, as hours and minutes."""
    minutes = round((datetime.fromisoformat(end) - datetime.fromisoformat(begin)).total_seconds() / 60)
    return f"{minutes // 60:02}:{minutes % 60:02}" if minutes else None


def same_address(found: Any, row: Row, names: tuple[str, str, str]) -> bool:
    """Compare street, town and postcode."""
    street, city, postcode = names
    if not isinstance(found, Mapping):
        return not any(row.get(name) for name in names)
    return (found.get("route"), found.get("locality"), found.get("postal_code")) == (row[street], row[city], row[postcode])


class Check:
    """Compares one org with one account; each method yields what is wrong."""

    def __init__(self, org: Org, account: Account) -> None:
        """Prepare."""
        self.org = org
        self.account = account

    def customers(self) -> Iterator[str]:
        """ST-01: company, owner, billing address; parents as relations."""
        related = {(one["rel_owner_org_id"], one["rel_linked_org_id"]) for one in self.account.state["organization_relations"]}
        for row in self.org.rows("Account"):
            found = self.account.one("organizations", "customer", row["Id"])
            if found is None:
                yield f"{row['Id']} is missing or doubled"
                continue
            custom = self.account.custom("organization", found)
            wanted = {
                "ST Number": row["AccountNumber"],
                "ST Industry": row["Industry"],
                "ST Phone": row["Phone"],
                "ST Employees": row["NumberOfEmployees"],
                "ST Annual Revenue": row["AnnualRevenue"],
            }
            yield from (f"{row['Id']} {name}: {custom.get(name)!r} for {value!r}" for name, value in wanted.items() if custom.get(name) != value)
            if found["name"] != row["Name"]:
                yield f"{row['Id']} name"
            if (found.get("website"), found["add_time"]) != (row["Website"], utc(row["CreatedDate"])):
                yield f"{row['Id']} website {found.get('website')!r} or add_time {found['add_time']}"
            if found["owner_id"] != self.user_of(row):
                yield f"{row['Id']} owner"
            if row["Description"] and not any(words(row["Description"]) in note for note in self.account.notes(org_id=found["id"])):
                yield f"{row['Id']} description"
            if not same_address(custom.get("ST Billing Address"), row, ("BillingStreet", "BillingCity", "BillingPostalCode")):
                yield f"{row['Id']} billing address: {custom.get('ST Billing Address')}"
            if row["ParentId"]:
                parent = self.account.one("organizations", "customer", row["ParentId"])
                if parent is None or (parent["id"], found["id"]) not in related:
                    yield f"{row['Id']} is not below its parent"

    def survivor(self, account_id: str) -> str:
        """Return the customer that stays of one that was merged into another."""
        masters = {row["Id"]: row["MasterRecordId"] for row in self.org.every("Account") if row["IsDeleted"] and row["MasterRecordId"]}
        return str(masters.get(account_id, account_id))

    def people(self) -> Iterator[str]:
        """ST-01: every contact a person of its customer; a customer without contacts is its own."""
        for row in self.org.rows("Contact"):
            if "contact_of_missing_customer" in self.org.defects[row["Id"]]:
                continue
            found = self.account.one("persons", "contact", row["Id"])
            if found is None:
                yield f"{row['Id']} is missing or doubled"
                continue
            customer = self.account.one("organizations", "customer", self.survivor(row["AccountId"])) if row["AccountId"] else None
            phones = [one["value"] for one in found["phones"]]
            checks = {
                "name": found["name"] == row["Name"],
                "organization": found.get("org_id") == (customer["id"] if customer else None),
                "email": [one["value"] for one in found["emails"]] == ([row["Email"]] if row["Email"] else []),
                "phones": phones == [one for one in (row["Phone"], row["MobilePhone"]) if one],
                "title": self.account.custom("person", found).get("ST Job Title") == row["Title"],
                "language": self.account.custom("person", found).get("Preferred Language") == row["Preferred_Language__c"],
            }
            yield from (f"{row['Id']} {name}" for name, is_right in checks.items() if not is_right)
        for row in self.org.rows("Account"):
            email = self.org.of(row, ".Primary_Contact_Email")
            found = self.account.one("persons", "customer", row["Id"])
            if bool(email) != (found is not None):
                yield f"{row['Id']} primary contact"
            elif found is not None and (found["name"], found["emails"][0]["value"]) != (self.org.of(row, ".Primary_Contact_Name"), email):
                yield f"{row['Id']} primary contact's name or e-mail"

    def user_of(self, row: Row, technician: str = "") -> int:
        """Return the user a row belongs to: its technician's where it has one, else its owner's; the fallback where nobody has the e-mail."""
        users: dict[str, int] = {email: number for number, email in self.account.users.items()}
        who = self.org.row(".Technician__c", self.org.of(row, technician)) if technician and self.org.of(row, technician) else None
        owner = self.org.row("User", row["OwnerId"])
        email = self.org.of(who, ".Email") if who else owner["Email"] if owner else ""
        return int(users.get(str(email), min(self.account.users)))

    def orders(self) -> Iterator[str]:
        """ST-02, ST-04, ST-05, ST-08: deals with their fields, owner, contract and invoices."""
        for row in self.org.rows(".Work_Order__c"):
            if not self.org.order_is_whole(row):
                continue
            found = self.account.one("deals", "work_order", row["Id"])
            if found is None:
                yield f"{row['Id']} is missing or doubled"
                continue
            custom = self.account.custom("deal", found)
            for name, value in self._order_fields(row).items():
                if custom.get(name) != value:
                    yield f"{row['Id']} {name}: {custom.get(name)!r} for {value!r}"
            customer = self.org.row("Account", self.org.of(row, ".Client"))
            if customer is not None and not (found["title"].startswith(row["Name"]) and customer["Name"][:50] in found["title"]):
                yield f"{row['Id']} title {found['title']!r}"
            if found["org_id"] != self._place(row):
                yield f"{row['Id']} organization"
            if abs(found["value"] - self._worth(row)) > 0.005:
                yield f"{row['Id']} value {found['value']} for {self._worth(row)}"
            closed = utc(self.org.of(row, ".Completed") or row["LastModifiedDate"])
            if found["status"] != "open" and found["won_time" if found["status"] == "won" else "lost_time"] != closed:
                yield f"{row['Id']} closed at {found.get('won_time') or found.get('lost_time')}, not {closed}"
            if self.account.stages[found["stage_id"]] != self.org.of(row, ".Status"):
                yield f"{row['Id']} stage"
            if found["status"] != {"Completed": "won", "Half done (old)": "won", "Cancelled": "lost"}.get(self.org.of(row, ".Status"), "open"):
                yield f"{row['Id']} status {found['status']}"

    def _order_fields(self, row: Row) -> dict[str, Any]:
        of = self.org.of
        technician = self.org.row(".Technician__c", of(row, ".Technician"))
        contract = self.org.row(".Contract__c", of(row, ".Contract"))
        invoices = sorted(self.org.under(".Invoice__c", ".Work_Order", row["Id"]), key=lambda one: of(one, ".Invoice_Date") or "")
        last = invoices[-1] if invoices else None
        site = self.org.row(".Site__c", of(row, ".Site"))
        return {
            "ST Contract End": of(contract, ".End_Date") if contract else None,
            "ST Contract": contract["Name"] if contract else None,
            "ST Invoice Date": of(last, ".Invoice_Date") if last else None,
            "ST Created": row["CreatedDate"][:10],
            "ST Scheduled Date": of(row, ".Scheduled")[:10] if of(row, ".Scheduled") else None,
            "ST Completed": of(row, ".Completed")[:10] if of(row, ".Completed") else None,
            "ST Site": site["Name"] if site else None,
            "ST GPS Coordinates": f"{of(site, '.Latitude')}, {of(site, '.Longitude')}" if site else None,
            "ST Total Value": of(row, ".Total_Value"),
            "ST Number": row["Name"],
            "ST Subject": of(row, ".Subject"),
            "ST Record Type": next((one["Name"] for one in self.org.rows("RecordType") if one["Id"] == row["RecordTypeId"]), None),
            "ST Status": of(row, ".Status"),
            "ST Priority": of(row, ".Priority"),
            "ST Technician": technician["Name"] if technician else None,
            "ST SLA Tier": of(contract, ".SLA_Tier") if contract else None,
            "ST Renewal Date": of(contract, ".Renewal_Date") if contract else None,
            "ST Contract Start": of(contract, ".Start_Date") if contract else None,
            "ST Invoice Status": of(last, ".Status") if last else None,
            "ST Payment Date": of(last, ".Payment_Date") if last else None,
            "ST Invoice Amount": round(sum(of(one, ".Amount") for one in invoices), 2) if invoices else None,
            "Billing Reference": row["Billing_Reference__c"],
            "Hours On Site": row["Hours_On_Site__c"],
        }

    def _worth(self, row: Row) -> float:
        invoices = self.org.under(".Invoice__c", ".Work_Order", row["Id"])
        if not invoices:
            return float(self.org.of(row, ".Total_Value"))
        return float(sum(self.org.of(one, ".Amount") for one in invoices if self.org.of(one, ".Billable")))

    def _place(self, row: Row) -> int | None:
        customer_id, site_id = self.org.of(row, ".Client"), self.org.of(row, ".Site")
        is_own = site_id and len(self.org.sites(customer_id)) > 1
        found = self.account.one("organizations", "site", site_id) if is_own else self.account.one("organizations", "customer", customer_id)
        return found["id"] if found else None

    def owners(self) -> Iterator[str]:
        """ST-05: the technician owns the deal; without a match the fallback does, and the name stands on it."""
        emails = set(self.account.users.values())
        for row in self.org.rows(".Work_Order__c"):
            found = self.account.one("deals", "work_order", row["Id"])
            technician = self.org.row(".Technician__c", self.org.of(row, ".Technician"))
            if found is None or technician is None:
                continue
            email = self.org.of(technician, ".Email")
            wanted = email if email in emails else self.account.users[min(self.account.users)]
            if self.account.users[found["owner_id"]] != wanted:
                yield f"{row['Id']} belongs to {self.account.users[found['owner_id']]}, not {wanted}"

    def work(self) -> Iterator[str]:
        """ST-02, ST-07: visits, parts, sign-offs, tasks and events are activities on the deal."""
        of = self.org.of
        for order in self.org.rows(".Work_Order__c"):
            deal = self.account.one("deals", "work_order", order["Id"])
            if deal is None:
                continue
            wanted = {
                "visit": sorted(
                    (
                        f"Visit {one['Name']}",
                        *(of(one, ".Start")[:10], of(one, ".Start")[11:19], of(one, ".Status") == "Done"),
                        *(self.user_of(one, ".Technician"), span(of(one, ".Start"), of(one, ".End"))),
                    )
                    for one in self._of(".Visit__c", order)
                ),
                "part_installed": sorted(
                    (
                        f"Part installed: {of(one, '.Quantity'):g} \u00d7 {one['Name']}",
                        of(one, ".Installed_Date"),
                        None,
                        True,
                        self.user_of(one),
                        None,
                    )
                    for one in self._of(".Part__c", order)
                ),
                "sign_off": sorted(
                    (
                        f"Signed off by {of(one, '.Signed_By')}",
                        *(of(one, ".Signed_Time")[:10], of(one, ".Signed_Time")[11:19], True, self.user_of(one), None),
                    )
                    for one in self._of(".Signature__c", order)
                ),
                "task": sorted(
                    (one["Subject"], one["ActivityDate"], None, one["Status"] == "Completed", self.user_of(one), None)
                    for one in self.org.under("Task", "WhatId", order["Id"])
                ),
                "event": sorted(
                    (one["Subject"], one["StartDateTime"][:10], one["StartDateTime"][11:19], True, self.user_of(one), "01:30")
                    for one in self.org.under("Event", "WhatId", order["Id"])
                ),
            }
            for kind, expected in wanted.items():
                found = self.account.activities(kind, deal_id=deal["id"])
                seen = sorted(
                    (one["subject"], one["due_date"], one.get("due_time"), one["done"], one["owner_id"], (one.get("duration") or "")[:5] or None)
                    for one in found
                )
                if seen != expected:
                    yield f"{order['Id']} {kind}: {seen} for {expected}"
            yield from self._described(order, deal)

    def _described(self, order: Row, deal: Record) -> Iterator[str]:
        """ST-07: the note of an entry describes the event; a visit's has its notes."""
        texts = {kind: [readable(one["note"]) for one in self.account.activities(kind, deal_id=deal["id"])] for kind in ("task", "visit")}
        entries = [("task", one["Description"]) for one in self.org.under("Task", "WhatId", order["Id"])]
        entries += [("visit", self.org.of(one, ".Internal_Notes")) for one in self._of(".Visit__c", order)]
        yield from (
            f"{order['Id']} {kind}: no note says {text!r}" for kind, text in entries if text and not any(words(text) in one for one in texts[kind])
        )

    def _of(self, name: str, order: Row) -> list[Row]:
        return self.org.under(name, ".Work_Order", order["Id"])

    def assets(self) -> Iterator[str]:
        """ST-03: the newest asset fills the fields, one note lists several, service history stands on the organization."""
        of = self.org.of
        for row in self.org.rows("Account"):
            found = self.account.one("organizations", "customer", row["Id"])
            assets = sorted(self.org.under(".Equipment__c", ".Client", row["Id"]), key=lambda one: (of(one, ".Install_Date") or "", one["Id"]))
            if found is None or not assets:
                continue
            custom, newest = self.account.custom("organization", found), assets[-1]
            wanted = {
                "ST Asset Name": newest["Name"],
                "ST Serial Number": of(newest, ".Serial_Number"),
                "ST Asset Location": of(newest, ".Asset_Location"),
                "ST Warranty Expiry": of(newest, ".Warranty_Expiry"),
                "ST Last Service Date": of(newest, ".Last_Service_Date"),
                "ST Assets": len(assets),
            }
            yield from (f"{row['Id']} {name}: {custom.get(name)!r} for {value!r}" for name, value in wanted.items() if custom.get(name) != value)
            listing = [note for note in self.account.notes(org_id=found["id"]) if note.startswith("Assets")]
            if len(listing) != (len(assets) > 1) or any(words(one["Name"]) not in note for one in assets for note in listing):
                yield f"{row['Id']} list of assets"
            if len(self.account.activities("asset", org_id=found["id"])) != len(assets):
                yield f"{row['Id']} assets as activities"
            for asset in assets:
                records = self.org.under(".Inspection__c", ".Asset", asset["Id"])
                for record in records:
                    subject = f"{record['Name']} · {asset['Name']} · {of(record, '.Result')}"
                    matching = [one for one in self.account.activities("service_record", org_id=found["id"]) if one["subject"] == subject]
                    if [one["due_date"] for one in matching] != [of(record, ".Inspected")]:
                        yield f"{record['Id']} service record"

    def contracts(self) -> Iterator[str]:
        """ST-04: the contract that began last is on the organization, and every one is a note."""
        of = self.org.of
        for row in self.org.rows("Account"):
            found = self.account.one("organizations", "customer", row["Id"])
            contracts = sorted(self.org.under(".Contract__c", ".Client", row["Id"]), key=lambda one: (of(one, ".Start_Date"), one["Id"]))
            if found is None or not contracts:
                continue
            custom, last = self.account.custom("organization", found), contracts[-1]
            wanted = {"ST Contract Start": ".Start_Date", "ST Contract End": ".End_Date", "ST Contract Status": ".Status"}
            yield from (f"{row['Id']} {name}" for name, field in wanted.items() if custom.get(name) != of(last, field))
            notes = self.account.notes(org_id=found["id"])
            yield from (f"{one['Id']} note" for one in contracts if not any(one["Name"] in note and of(one, ".SLA_Tier") in note for note in notes))

    def sites(self) -> Iterator[str]:
        """ST-09: one site gives its customer's address; several are organizations of their own below it."""
        names = tuple(f"{self.org._namespace}__{name}__c" for name in ("Street", "City", "Postcode"))
        related = {(one["rel_owner_org_id"], one["rel_linked_org_id"]) for one in self.account.state["organization_relations"]}
        for row in self.org.rows("Account"):
            customer, sites = self.account.one("organizations", "customer", row["Id"]), self.org.sites(row["Id"])
            if customer is None:
                continue
            if not sites and not same_address(customer.get("address"), row, ("BillingStreet", "BillingCity", "BillingPostalCode")):
                yield f"{row['Id']} address"
            for site in sites:
                gps = f"{self.org.of(site, '.Latitude')}, {self.org.of(site, '.Longitude')}"
                found = self.account.one("organizations", "site", site["Id"]) if len(sites) > 1 else customer
                if found is None or not same_address(found.get("address"), site, (names[0], names[1], names[2])):
                    yield f"{site['Id']} address"
                elif self.account.custom("organization", found).get("ST GPS Coordinates") != gps:
                    yield f"{site['Id']} GPS"
                elif len(sites) > 1 and (customer["id"], found["id"]) not in related:
                    yield f"{site['Id']} is not below its customer"

    def custom(self) -> Iterator[str]:
        """ST-10: the tenant's own fields, and the rows of objects without a role."""
        for row in self.org.rows("Account"):
            found = self.account.one("organizations", "customer", row["Id"])
            if found is None:
                continue
            custom = self.account.custom("organization", found)
            wanted = {
                "Rate Type": "Rate_Type__c",
                "Billing Code": "Billing_Code__c",
                "First Served": "First_Served__c",
                "Credit Limit": "Credit_Limit__c",
            }
            yield from (f"{row['Id']} {name}: {custom.get(name)!r}" for name, field in wanted.items() if custom.get(name) != row[field])
            pests = sorted(row["Pests_Covered__c"].split(";")) if row["Pests_Covered__c"] else None
            if custom.get("Pests Covered") != pests:
                yield f"{row['Id']} Pests Covered: {custom.get('Pests Covered')!r} for {pests}"
        everything = [readable(one["content"]) for one in self.account.state["notes"]]
        for row in self.org.rows("Rodent_Log__c"):
            whole = [note for note in everything if note.startswith(f"Rodent Log {row['Name']} ")]
            if len(whole) != 1 or row["Bait_Station__c"] not in whole[0] or row["Activity_Level__c"] not in whole[0]:
                yield f"{row['Id']} rodent log"
        for row in self.org.rows("Water_Survey__c"):
            whole = [note for note in everything if note.startswith(f"Water Survey {row['Name']} ")]
            answers = [value for name, value in row.items() if name.startswith("Survey_Question") and value]
            if len(whole) != 1 or not answers or any(answer not in whole[0] for answer in answers):
                yield f"{row['Id']} survey"
