"""What is wrong in real orgs, made on purpose, each noted so that a checker knows which row has which defect."""

from sandbox.servicetracker.generator.build import LAST_DAY, Account, day, moment
from sandbox.servicetracker.generator.files import OVERSIZE, attach, link, upload
from sandbox.servicetracker.store import Row, stamp

NOBODY = "001Da00000ZZZZZIAO"
"""An account id that no row has."""


def build_defects(account: Account) -> None:
    """Add the rows that have something wrong with them."""
    _customers(account)
    _work(account)
    _files(account)
    _removed(account)


def _customers(account: Account) -> None:
    rng = account.rng("defects")
    owner = {"OwnerId": account.users[0]["Id"]}
    long_name = ("Interminable Holdings of the North " * 9)[:255]
    row = account.add("Account", {"Name": long_name, **owner}, moment(rng, 0.3))
    account.defect("name_long", "Account", row, "Name")
    row = account.add("Contact", {"LastName": "Nobody", "Name": "Nobody", **owner}, moment(rng, 0.4))
    account.defect("contact_without_customer", "Contact", row, "AccountId")
    row = account.add("Contact", {"LastName": "Stray", "Name": "Stray", "AccountId": NOBODY, "Email": "not an address", **owner}, moment(rng, 0.4))
    account.defect("contact_of_missing_customer", "Contact", row, "AccountId")
    queue = account.store.rows("Group")[0]["Id"]
    row = account.add("Account", {"Name": "Owned by a queue", "OwnerId": queue}, moment(rng, 0.4))
    account.defect("owner_is_queue", "Account", row, "OwnerId")
    row = account.add(".Site__c", {"Name": "Site of nobody", **owner}, moment(rng, 0.5))
    account.defect("site_without_customer", account.n("Site__c"), row, account.n("Client__c"))
    row = account.add(".Equipment__c", {"Name": "Asset of nobody", **owner}, moment(rng, 0.5))
    account.defect("asset_without_customer", account.n("Equipment__c"), row, account.n("Client__c"))


def _order(account: Account, name: str, values: Row) -> Row:
    rng = account.rng(name)
    base = {
        "Name": name,
        ".Client__c": account.customers[0]["Id"],
        ".Status__c": "Draft",
        ".Priority__c": "Low",
        ".Total_Value__c": 10.0,
        "OwnerId": account.users[0]["Id"],
    }
    return account.add(".Work_Order__c", base | values, moment(rng, 0.8))


def _work(account: Account) -> None:
    name = account.n("Work_Order__c")
    account.defect("status_not_in_list", name, _order(account, "WO-ODD", {".Status__c": "Half done (old)"}), account.n("Status__c"))
    account.defect("order_without_customer", name, _order(account, "WO-NOBODY", {".Client__c": None}), account.n("Client__c"))
    account.defect("order_of_missing_customer", name, _order(account, "WO-LOST", {".Client__c": NOBODY}), account.n("Client__c"))
    late = _order(account, "WO-LATE", {".Status__c": "Completed", ".Completed__c": stamp(moment(account.rng("late"), 0.1))})
    account.defect("late_from_a_device", name, late, account.n("Completed__c"))
    rng = account.rng("invoices")
    values = {"Name": "INV-ALONE", ".Client__c": account.customers[0]["Id"], ".Amount__c": 99.5, ".Billable__c": True, ".Status__c": "Overdue"}
    row = account.add(".Invoice__c", values | {".Invoice_Date__c": day(moment(rng, 0.5)), "OwnerId": account.users[0]["Id"]}, moment(rng, 0.5))
    account.defect("invoice_without_order", account.n("Invoice__c"), row, account.n("Work_Order__c"))
    row = account.add(
        "Task",
        {"Subject": "Loose end", "ActivityDate": day(moment(rng, 0.5)), "OwnerId": account.users[0]["Id"], "IsArchived": False},
        moment(rng, 0.5),
    )
    account.defect("task_without_parent", "Task", row, "WhatId")


def _files(account: Account) -> None:
    row = attach(account, account.orders[0], "vídeo of the site.mp4", OVERSIZE, "video/mp4")
    account.defect("file_too_large", "Attachment", row)
    row = attach(account, account.orders[1], "gone.pdf", b"x")
    del account.store.bodies[row["Id"]]
    account.defect("file_missing", "Attachment", row)
    row = attach(account, {"Id": NOBODY}, "orphan.pdf", b"%PDF-1.4 orphan")
    account.defect("file_of_missing_row", "Attachment", row, "ParentId")
    version = upload(account, "linked twice", "pdf", b"%PDF-1.4 linked twice")
    link(account, version, account.orders[0])
    link(account, version, account.customers[0])


def _removed(account: Account) -> None:
    rng = account.rng("removed")
    row = account.add("Account", {"Name": "Deleted Ltd", "OwnerId": account.users[0]["Id"]}, moment(rng, 0.5))
    account.store.delete("Account", row["Id"], LAST_DAY)
    account.defect("deleted", "Account", row)
    loser = account.add("Account", {"Name": "Merged away Ltd", "OwnerId": account.users[0]["Id"]}, moment(rng, 0.5))
    with_contacts = {row["AccountId"] for row in account.store.live("Contact")}
    winner = next(row for row in account.customers if row["Id"] in with_contacts)
    account.store.update("Account", loser["Id"], {"MasterRecordId": winner["Id"], "IsDeleted": True}, LAST_DAY)
    account.defect("merged", "Account", loser, "MasterRecordId")
    # The platform moves what it knows of to the one that stays; what a package keeps in fields of its own still names the one that is gone.
    stayed = account.add("Contact", {"LastName": "Stayed", "Name": "Stayed", "AccountId": loser["Id"]}, moment(rng, 0.5))
    account.defect("contact_of_merged_customer", "Contact", stayed, "AccountId")
    contact = account.add("Contact", {"LastName": "Left", "Name": "Left", "AccountId": account.customers[0]["Id"]}, moment(rng, 0.5))
    account.store.delete("Contact", contact["Id"], LAST_DAY)
    account.defect("deleted", "Contact", contact)
