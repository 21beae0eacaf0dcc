"""Notes, attachments, and files with their links."""

from base64 import b64encode
from hashlib import md5

from sandbox.servicetracker.generator.build import Account, moment
from sandbox.servicetracker.store import Row
from sandbox.stel_order.binaries import OVERSIZE_BYTES, content

_NOTE = '<p>Access by the <b>rear gate</b> — ключ при входе.</p><p><img src="{url}" alt="gate"></p><p>Plan: <img src="{data}"></p>'


def build_files(account: Account) -> None:
    """Hang notes and files on the org's rows."""
    rng = account.rng("files")
    for number, order in enumerate(account.orders):
        when = moment(rng, 0.75)
        if number % 2 == 0:
            values = {
                "ParentId": order["Id"],
                "Title": f"Call back {number}",
                "Body": "Gate code 1234 <changed>\nAsk for Zoë",
                "OwnerId": order["OwnerId"],
            }
            account.add("Note", values, when)
        if number % 3 == 0:
            attach(account, order, f"photo {number}.png", content(f"photo-{number}.png"))
        if number % 4 == 0:
            link(account, upload(account, f"signed form {number}", "pdf", content(f"form-{number}.pdf")), order)
        if number % 6 == 1:
            rich_note(account, order, number)
    for number, row in enumerate(account.store.live(account.n("Invoice__c"))):
        if number % 2 == 0:
            attach(account, row, f"invoice {row['Name']}.pdf", content(f"invoice-{number}.pdf"))
    for number, customer in enumerate(account.customers):
        if number % 5 == 0:
            link(account, upload(account, f"agreement {number} ñ", "pdf", content(f"agreement-{number}.pdf")), customer)


def attach(account: Account, parent: Row, name: str, body: bytes | int, kind: str = "") -> Row:
    """Add a classic attachment; a number as body stands for that many bytes."""
    size = body if isinstance(body, int) else len(body)
    content_type = kind or ("image/png" if name.endswith(".png") else "application/pdf")
    values = {"ParentId": parent["Id"], "Name": name, "ContentType": content_type, "BodyLength": size, "OwnerId": account.users[0]["Id"]}
    row = account.add("Attachment", values, moment(account.rng(name), 0.7))
    account.store.bodies[row["Id"]] = body
    return row


def upload(account: Account, title: str, extension: str, body: bytes | int, kind: str = "") -> Row:
    """Add a file's version; its document has an id of its own."""
    number = len(account.store.rows("ContentVersion")) + 1
    document_id = account.store.document_id(number)
    values = {
        "ContentDocumentId": document_id,
        "Title": title,
        "PathOnClient": f"{title}.{extension}",
        "FileExtension": extension,
        "FileType": kind or extension.upper(),
        "ContentSize": body if isinstance(body, int) else len(body),
        "Checksum": "" if isinstance(body, int) else md5(body, usedforsecurity=False).hexdigest(),
        "IsLatest": True,
        "OwnerId": account.users[0]["Id"],
    }
    row = account.add("ContentVersion", values, moment(account.rng(title), 0.7))
    account.store.bodies[row["Id"]] = body
    return row


def link(account: Account, version: Row, parent: Row) -> None:
    """Link a file to a row, and to the user who uploaded it, as the platform does."""
    for entity_id, share in ((account.users[0]["Id"], "I"), (parent["Id"], "V")):
        values = {"ContentDocumentId": version["ContentDocumentId"], "LinkedEntityId": entity_id, "ShareType": share}
        account.add("ContentDocumentLink", values, moment(account.rng("links"), 0.7))


def rich_note(account: Account, parent: Row, number: int) -> Row:
    """Add a note with an image that lies in the org, and one that stands in the text itself."""
    image = upload(account, f"gate {number}", "png", content(f"gate-{number}.png"))
    data = "data:image/png;base64," + b64encode(content(f"plan-{number}.png")).decode()
    html = _NOTE.format(url=f"/sfc/servlet.shepherd/version/download/{image['Id']}", data=data)
    note = upload(account, f"Gate instructions {number}", "snote", html.encode(), "SNOTE")
    link(account, note, parent)
    values = {
        "Id": note["ContentDocumentId"],
        "Title": note["Title"],
        "TextPreview": "Access by the rear gate",
        "FileType": "SNOTE",
        "OwnerId": parent["OwnerId"],
    }
    account.add("ContentNote", values, moment(account.rng("notes"), 0.75))
    account.store.bodies[note["ContentDocumentId"]] = html.encode()
    return note


OVERSIZE = OVERSIZE_BYTES
"""Bytes of a file above what Pipedrive takes."""
