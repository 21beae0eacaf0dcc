"""Files that stay at a remote place: made there empty and linked, or linked only. The sandbox keeps the link; there is nothing to download."""

from typing import Any

from sandbox.pipedrive.account.account import Account
from sandbox.pipedrive.gateway.call import Call, Result, success
from sandbox.pipedrive.gateway.errors import bad_request
from sandbox.pipedrive.gateway.routes import Route
from sandbox.pipedrive.v1.common import body_of, integer_of
from sandbox.pipedrive.v1.files import PARENTS, Files

FILE_TYPES = ("gdoc", "gslides", "gsheet", "gform", "gdraw")
_COLUMNS = {"deal": "deal_id", "organization": "org_id", "person": "person_id"}
_STORED_LOCATION = "googledocs"
"""How answers name the place that requests call `googledrive`."""


class RemoteFiles:
    """`/files/remote` and `/files/remoteLink`."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self._files = Files(account)

    def create(self, call: Call) -> Result:
        """Make an empty remote file and link it to a record; its remote id is made up."""
        body = body_of(call)
        _require(body, "file_type", "title", "item_type", "item_id", "remote_location")
        if body["file_type"] not in FILE_TYPES:
            raise bad_request(f"file_type must be among: {', '.join(FILE_TYPES)}")
        remote_id = self.account.new_uuid().replace("-", "")
        return self._link(call, body, str(body["title"]), remote_id, body["file_type"], file_name="")

    def link(self, call: Call) -> Result:
        """Link an existing remote file to a record. What it is called over there is not known here, so its id stands for a name (assumed)."""
        body = body_of(call)
        _require(body, "item_type", "item_id", "remote_id", "remote_location")
        remote_id = str(body["remote_id"])
        return self._link(call, body, remote_id, remote_id, FILE_TYPES[0], file_name=remote_id)

    def _link(self, call: Call, body: dict[str, Any], name: str, remote_id: str, file_type: str, *, file_name: str) -> Result:
        if body["remote_location"] != "googledrive":
            raise bad_request("remote_location must be googledrive")
        kind = body["item_type"]
        if type(kind) is not str or kind not in _COLUMNS:
            raise bad_request(f"item_type must be among: {', '.join(_COLUMNS)}")
        item_id = integer_of(body["item_id"], "item_id")
        if self.account.live(kind, item_id) is None:
            raise bad_request(f"{kind.capitalize()} {item_id} not found")
        links: dict[str, Any] = {**dict.fromkeys(PARENTS), _COLUMNS[kind]: item_id}
        file = self.account.new_record(
            "file",
            user_id=call.user["id"],
            **links,
            name=name,
            file_name=file_name,
            description=None,
            file_size=0,
            digest=None,
            file_type=file_type,
            remote_location=_STORED_LOCATION,
            remote_id=remote_id,
        )
        self.account.store.put("file", file)
        return success(self._files.render(file, call))


def _require(body: dict[str, Any], *names: str) -> None:
    for name in names:
        if body.get(name) in (None, ""):
            raise bad_request(f"{name} must be given.")


def routes(account: Account) -> list[Route]:
    """Return the operations on remote files."""
    files = RemoteFiles(account)
    return [Route("POST", "/v1/files/remote", 1, 10, files.create), Route("POST", "/v1/files/remoteLink", 1, 10, files.link)]
