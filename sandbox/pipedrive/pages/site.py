"""Answers the requests for pages: finds the page of a path, renders it, and says so in HTML when there is none."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from sandbox.common.asgi import Headers, Request, Response
from sandbox.pipedrive.account.account import Account
from sandbox.pipedrive.control.journal import Journal
from sandbox.pipedrive.limits.limits import Limits
from sandbox.pipedrive.pages import activities, board, deal, files, leads, look, organizations, persons, products
from sandbox.pipedrive.pages.about import about
from sandbox.pipedrive.pages.page import Page, Show, ShowOne
from sandbox.pipedrive.pages.reader import Reader
from sandbox.pipedrive.pages.searching import search

_FOLDER = Path(__file__).parent
_STYLE = (_FOLDER / "style.css").read_bytes()
_STYLE_PATH = "/style.css"
_ICON = (_FOLDER / "icon.svg").read_bytes()
_API_PREFIXES = ("/api/", "/v1/", "/_sandbox", "/oauth")
_ID_DIGITS_MAX = 15
_POLICY = b"default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
_HEADERS: Headers = [
    (b"cache-control", b"no-cache"),
    (b"content-security-policy", _POLICY),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
]  # fmt: skip
_Other = Callable[[Request], Response | None]
_LISTS: dict[str, Show] = {
    "": board.first,
    "leads": leads.show_all,
    "activities": activities.show_all,
    "organizations": organizations.show_all,
    "persons": persons.show_all,
    "products": products.show_all,
    "search": search,
}
_RECORDS: dict[str, ShowOne] = {
    "pipeline": board.show,
    "stage": board.stage,
    "deal": deal.show,
    "lead": leads.show,
    "organization": organizations.show,
    "person": persons.show,
    "product": products.show,
}
_BYTES = frozenset({"file", "picture", "product_image"})
_NAVIGATION = (
    ("deals", "Deals", "/"), ("leads", "Leads", "/leads"), ("activities", "Activities", "/activities"),
    ("organizations", "Organizations", "/organizations"), ("persons", "Persons", "/persons"), ("products", "Products", "/products"),
)  # fmt: skip


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_FOLDER / "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        auto_reload=False,
    )
    environment.filters |= {"money": look.money, "number": look.number, "day": look.day}
    environment.globals |= {
        "plural": look.plural,
        "navigation": _NAVIGATION,
        "style": f"{_STYLE_PATH}?{hashlib.sha256(_STYLE).hexdigest()[:12]}",
    }
    return environment


_ENVIRONMENT = _environment()


class Pages:
    """The pages of one account. They need no token, cost nothing and change nothing."""

    def __init__(self, account: Account, limits: Limits, journal: Journal) -> None:
        self._reader = Reader(account)
        self._limits = limits
        self._journal = journal
        self._others: dict[str, _Other] = {"about": self._about, _STYLE_PATH[1:]: _style, "favicon.ico": _icon}

    def answer(self, request: Request) -> Response | None:
        """Answer a request for a page; None when the path is not one of a page."""
        path = request.path
        if path.startswith(_API_PREFIXES) or request.method not in {"GET", "HEAD"}:
            return None
        name, slash, rest = path[1:].partition("/")
        if not slash and name in self._others:
            return self._others[name](request)
        if not slash and name in _LISTS:
            return self._render(_LISTS[name](self._reader, request.query()))
        if name in _BYTES or name in _RECORDS:
            found = self._record(name, int(rest), request) if _is_id(rest) else None
            return found or self._missing()
        return self._missing() if "text/html" in request.header(b"accept") else None

    def _record(self, name: str, record_id: int, request: Request) -> Response | None:
        if name in _BYTES:
            return files.download(self._reader, record_id) if name == "file" else files.picture(self._reader, name, record_id)
        page = _RECORDS[name](self._reader, request.query(), record_id)
        return None if page is None else self._render(page)

    def _about(self, request: Request) -> Response:
        del request
        return self._render(about(self._reader, self._limits, self._journal))

    def _missing(self) -> Response:
        return self._render(Page("missing.html", "Not found", ""), 404)

    def _render(self, page: Page, status: int = 200) -> Response:
        shared: dict[str, Any] = {
            "title": page.title,
            "section": page.section,
            "company": self._reader.store.meta["company"]["company_name"],
            "reader": self._reader,
            "term": "",
        }
        text = _ENVIRONMENT.get_template(page.template).render(shared | page.values)
        return Response(status, text.encode("utf-8", "replace"), b"text/html; charset=utf-8", list(_HEADERS))


def _style(request: Request) -> Response:
    """The address of the style sheet changes with it, so a browser may keep it for ever."""
    del request
    return Response(200, _STYLE, b"text/css; charset=utf-8", [(b"cache-control", b"public, max-age=31536000, immutable")])


def _icon(request: Request) -> Response:
    """Browsers ask for an icon when they show a file; without an answer the question would go to the API."""
    del request
    return Response(200, _ICON, b"image/svg+xml", [(b"cache-control", b"public, max-age=86400")])


def _is_id(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _ID_DIGITS_MAX
