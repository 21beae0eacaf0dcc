"""Payloads as the transformer makes them."""

from __future__ import annotations

from typing import Any


def organization(name: str = "Müller & Söhne", **more: Any) -> dict[str, Any]:
    return {"name": name, "add_time": "2020-02-03T04:05:06Z", "address": {"value": "Calle Mayor 1, Madrid", "locality": "Madrid"}, **more}


def person(org: str, name: str = "Ana Núñez", **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "org_id": {"$ref": org},
        "emails": [{"value": "ana@example.com", "label": "work", "primary": True}],
        "phones": [{"value": "+34 600 000 000"}],
        **more,
    }


def deal(org: str, title: str = "Offer 17", **more: Any) -> dict[str, Any]:
    return {"title": title, "org_id": {"$ref": org}, "value": 120.0, "currency": "EUR", "status": "won", "won_time": "2021-01-02T03:04:05Z", **more}


def line(deal_key: str, product_key: str, **more: Any) -> dict[str, Any]:
    return {"deal_id": {"$ref": deal_key}, "product_id": {"$ref": product_key}, "item_price": 10.5, "quantity": 2, "tax": 21, "comments": "", **more}


def activity(deal_key: str, subject: str = "Visit", **more: Any) -> dict[str, Any]:
    return {
        "subject": subject,
        "type": "call",
        "due_date": "2024-05-06",
        "due_time": "07:30",
        "done": True,
        "deal_id": {"$ref": deal_key},
        "note": "<p>Fixed  the\n pump</p>",
        **more,
    }


def note(deal_key: str, content: str = "<p>Hello <b>world</b></p>", **more: Any) -> dict[str, Any]:
    return {"content": content, "add_time": "2022-03-04T05:06:07Z", "deal_id": {"$ref": deal_key}, **more}


def file(deal_key: str, digest: str, size: int, name: str = 'Angebot "ñ".pdf') -> dict[str, Any]:
    return {"name": name, "staging_name": f"files/{digest}", "byte_count": size, "content_type": "application/pdf", "deal_id": {"$ref": deal_key}}
