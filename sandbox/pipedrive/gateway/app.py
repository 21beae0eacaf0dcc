"""The HTTP side of the simulated account: tells requests to the API, the control interface and the pages for people apart."""

from sandbox.common.asgi import ConnectionCutError, Request, Response
from sandbox.pipedrive.account.account import Account
from sandbox.pipedrive.account.public_images import PREFIX as PUBLIC_PREFIX
from sandbox.pipedrive.account.public_images import answer_public
from sandbox.pipedrive.control.control import PREFIX as CONTROL_PREFIX
from sandbox.pipedrive.control.control import Control
from sandbox.pipedrive.gateway.engine import Engine
from sandbox.pipedrive.gateway.oauth import PREFIX as OAUTH_PREFIX
from sandbox.pipedrive.gateway.oauth import OAuth
from sandbox.pipedrive.gateway.visit import Visit
from sandbox.pipedrive.limits.limits import Credential
from sandbox.pipedrive.pages.site import Pages


class PipedriveApp:
    """Answers every request to one account."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.engine = Engine(account)
        self.limits = self.engine.limits
        self.journal = self.engine.journal
        self.faults = self.engine.faults
        self.webhooks = self.engine.webhooks
        self._control = Control(self.engine)
        self._pages = Pages(account, self.limits, self.journal)
        self._oauth = OAuth(account) if account.options.oauth_client is not None else None
        self._correlation = 0
        self._labels: dict[tuple[str, bool], str] = {}

    async def handle(self, request: Request) -> Response:
        """Answer one request."""
        self.engine.effects.let_time_work()
        if request.path.startswith(PUBLIC_PREFIX):
            return answer_public(self.account, request)
        page = self._pages.answer(request)
        if page is not None:
            return page
        if self._oauth is not None and request.path.startswith(OAUTH_PREFIX):
            return self._oauth.answer(request)
        if request.path.startswith(CONTROL_PREFIX):
            return await self._control.handle(request)
        visit = Visit(self.engine, request, self.credential(request))
        try:
            response = await visit.answer()
        except ConnectionCutError:
            visit.note(0)
            raise
        self._correlation += 1
        response.headers.append((b"x-correlation-id", b"sandbox-%012d" % self._correlation))
        visit.note(response.status)
        return response

    def credential(self, request: Request) -> Credential | None:
        """Return who calls: header, bearer token, or query parameter."""
        token, is_bearer = request.header(b"x-api-token"), False
        if not token:
            authorization = request.header(b"authorization")
            if authorization[:7].lower() == "bearer ":
                token, is_bearer = authorization[7:].strip(), True
        if not token and b"api_token=" in request.query_string:
            token = request.query().get("api_token", "")
        user_id = self.account.store.meta["tokens"].get(token) if token else None
        scopes = None
        if user_id is None and is_bearer and self._oauth is not None and (granted := self._oauth.find(token)) is not None:
            user_id, scopes = granted
        user = self.account.store["user"].get(user_id) if user_id is not None else None
        if user is None or not user["active_flag"]:
            return None
        kind = self.account.options.token_kind
        is_oauth = is_bearer if kind == "auto" else kind == "oauth"
        label = self._labels.get((token, is_oauth)) or self._new_label(token, user["id"], is_oauth=is_oauth)
        return Credential(token, user["id"], is_oauth, label, scopes)

    def _new_label(self, token: str, user_id: int, *, is_oauth: bool) -> str:
        """Name a token that is seen for the first time: by its user and kind, and by a number when that is taken."""
        label = stem = f"user:{user_id}:{'oauth' if is_oauth else 'api'}"
        number = 1
        while label in self._labels.values():
            number += 1
            label = f"{stem}:{number}"
        self._labels[token, is_oauth] = label
        return label
