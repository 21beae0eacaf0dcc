"""What hangs on a customer's existing records: lines, a discount, installments, participants, followers, variations, pictures.

Only the last few records have any, so that most stay plain.
"""

import hashlib
import random
import struct
import zlib

from sandbox.pipedrive.account.account import Account
from sandbox.pipedrive.account.deal_value import follow_lines
from sandbox.pipedrive.account.memberships import followed
from sandbox.pipedrive.store.store import Record

_EDGE = 128
_TIME = "2025-11-03T09:00:00Z"


def add_extras(account: Account, draw: random.Random) -> None:
    """Add them to the last records of each kind."""
    deals, persons, products = (sorted(table.records)[-3:] for table in (account.store[kind] for kind in ("deal", "person", "product")))
    users = [user["id"] for user in account.store["user"] if user["active_flag"]]
    for deal_id, product_id in zip(deals, products, strict=True):
        _add_line(account, deal_id, product_id, draw.randint(2, 9))
    percent = {"type": "percentage", "amount": 10, "description": "Loyal customer"}
    _add(account, "discount", uuid=account.new_uuid(), deal_id=deals[-1], **percent, creator_user_id=1, last_update_user_id=1)
    for day, name in (("2026-01-15", "On delivery"), ("2026-04-15", "After commissioning")):
        _add(account, "installment", deal_id=deals[-2], description=name, amount=draw.randint(50, 500), billing_date=day)
    for deal_id in deals:
        follow_lines(account, deal_id)
    for person_id in persons[:2]:
        _add(account, "participant", deal_id=deals[-1], person_id=person_id, creator_user_id=1)
    for position, (kind, record_id) in enumerate((("deal", deals[-1]), ("person", persons[-1]), ("organization", 1), ("product", products[-1]))):
        _add(account, "follower", followed=followed(kind, record_id), user_id=users[position % len(users)], creator_user_id=1)
    for name, price in (("Long", draw.randint(20, 60)), ("Extra long", draw.randint(61, 99))):
        prices = [{"currency": account.options.currency, "price": price, "cost": 0, "direct_cost": 0, "notes": ""}]
        _add(account, "product_variation", product_id=products[-2], name=name, prices=prices)
    _add(account, "product_image", product_id=products[-1], name="product.png", **_picture(account, draw))
    picture = _add(account, "picture", person_id=persons[-1], creator_user_id=1, **_picture(account, draw))
    account.store.put("person", {**account.store["person"].records[persons[-1]], "picture_id": picture["id"]})


def _add(account: Account, kind: str, **values: object) -> Record:
    record = account.new_record(kind, **values, add_time=_TIME)
    account.store.put(kind, record)
    return record


def _add_line(account: Account, deal_id: int, product_id: int, quantity: int) -> None:
    product, deal = account.store["product"].records[product_id], account.store["deal"].records[deal_id]
    price = product["prices"][0]["price"]
    line = {"name": product["name"], "product_id": product_id, "product_variation_id": None, "order_nr": 10, "comments": "", "tax": 0}
    kind = {"tax_method": "inclusive", "discount_type": "percentage", "billing_frequency": "one-time", "billing_frequency_cycles": None}
    amount = {"currency": deal["currency"], "discount": 0, "quantity": quantity, "item_price": price, "sum": price * quantity}
    _add(account, "deal_product", deal_id=deal_id, **line, **kind, **amount, is_enabled=True, billing_start_date=None)


def _picture(account: Account, draw: random.Random) -> Record:
    """Keep a square PNG of one colour and return what describes it."""
    content = one_colour(_EDGE, bytes(draw.randint(0, 255) for _ in range(3)))
    digest = hashlib.sha256(content).hexdigest()
    account.store.put_blob(digest, content)
    return {"mime_type": "image/png", "file_size": len(content), "digest": digest}


def one_colour(edge: int, colour: bytes) -> bytes:
    """Return a square PNG.

    Args:
        edge: Pixels.
        colour: Red, green and blue, a byte each.
    """

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    rows = (b"\0" + colour * edge) * edge
    header = struct.pack(">IIBBBBB", edge, edge, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")
