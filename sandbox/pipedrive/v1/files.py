"""Files, which only version 1 has: multipart upload, lists, download."""

import hashlib
from collections.abc import AsyncGenerator
from typing import Any

from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from sandbox.common.asgi import Request
from sandbox.pipedrive.account.account import Account
from sandbox.pipedrive.gateway.call import Call, Result, success
from sandbox.pipedrive.gateway.errors import ApiError, bad_request, not_found
from sandbox.pipedrive.gateway.routes import Route
from sandbox.pipedrive.store.store import Record
from sandbox.pipedrive.v1.common import FILES_LIMIT_MAX, body_of, integer_of, lead_link, paged, times
from sandbox.pipedrive.v2.parents import live_parent

PARENTS = {"deal_id": "deal", "person_id": "person", "org_id": "organization", "product_id": "product", "activity_id": "activity"}
_IMAGES = frozenset({"png", "jpg", "jpeg", "gif", "webp", "bmp", "svg", "heic"})


class Files:
    """`/files`."""

    def __init__(self, account: Account) -> None:
        self.account = account

    def list_all(self, call: Call) -> Result:
        """Answer the list of files."""
        chosen = (file for file in self.account.store["file"] if not file["is_deleted"])
        return paged(call, chosen, lambda file: self.render(file, call), ("id", "update_time"), FILES_LIMIT_MAX)

    def list_of(self, column: str) -> Any:
        """Return the handler of the files of one record."""
        kind = PARENTS[column]

        def handler(call: Call) -> Result:
            parent = live_parent(self.account, kind, call)
            chosen = (file for file in self.account.store["file"].find(column, parent["id"]) if not file["is_deleted"])
            return paged(call, chosen, lambda file: self.render(file, call), ("id", "update_time"), FILES_LIMIT_MAX)

        return handler

    def get(self, call: Call) -> Result:
        """Answer a request for one file's description."""
        return success(self.render(self._find(call), call))

    def download(self, call: Call) -> Result:
        """Answer the bytes of a file. Of a remote one the sandbox has none (404, assumed)."""
        file = self._find(call)
        if file["digest"] is None:
            raise not_found("Content of the remote file")
        return Result(None, content=self.account.store.get_blob(file["digest"]))

    async def create(self, call: Call) -> Result:
        """Upload one file, linked to any number of records."""
        content_type = call.request.header(b"content-type")
        if not content_type.startswith("multipart/form-data"):
            raise bad_request("File must be given.")
        fields, name, content = await read_form(call.request)
        if not name:
            raise bad_request("File must be given.")
        if 0 < self.account.options.file_bytes_max < len(content):
            raise ApiError(413, "File is too large.")
        links: dict[str, int | None] = dict.fromkeys(PARENTS)
        lead_id = lead_link(self.account, fields.get("lead_id"))
        for field, value in fields.items():
            if field in PARENTS:
                links[field] = integer_of(value, field)
            elif field == "project_id" and value:
                raise bad_request(f"Project {value} not found")
        for field, parent in links.items():
            if parent is not None and self.account.live(PARENTS[field], parent) is None:
                raise bad_request(f"{PARENTS[field].capitalize()} {parent} not found")
        file = self._store(call.user, name, content, {**links, "lead_id": lead_id})
        return success(self.render(file, call))

    def _store(self, user: Record, name: str, content: bytes, links: dict[str, Any]) -> Record:
        account = self.account
        digest = hashlib.sha256(content).hexdigest()
        account.store.put_blob(digest, content)
        file = account.new_record("file", user_id=user["id"], **links, name=name, description=None, file_size=len(content), digest=digest)
        file["file_name"] = account.suffix(name, file["id"])
        account.store.put("file", file)
        return file

    def update(self, call: Call) -> Result:
        """Rename or describe a file."""
        file = self._find(call)
        body = body_of(call)
        changes = {name: body[name] for name in ("name", "description") if name in body}
        if "name" in changes and (type(changes["name"]) is not str or not changes["name"].strip()):
            raise bad_request("Name must be given.")
        changed = file | changes | {"update_time": self.account.now()}
        self.account.store.put("file", changed)
        return success(self.render(changed, call))

    def delete(self, call: Call) -> Result:
        """Delete a file."""
        file = self._find(call)
        self.account.store.put("file", {**file, "is_deleted": True, "update_time": self.account.now()})
        return success({"id": file["id"]})

    def _find(self, call: Call) -> Record:
        file = self.account.store["file"].get(call.id("File"))
        if file is None or (file["is_deleted"] and self.account.options.deleted_get == "404"):
            raise not_found("File")
        return file

    def render(self, file: Record, call: Call) -> dict[str, Any]:
        """Return the description of a file; its address is on the host that was called. Texts it lacks are empty, as in the official examples."""
        host = call.request.header(b"host") or "localhost"
        names: dict[str, str] = {}
        for column, kind in PARENTS.items():
            parent = self.account.store[kind].get(file[column] or 0)
            names[f"{column.removesuffix('_id')}_name"] = str(parent.get("name", parent.get("title"))) if parent is not None else ""
        names.pop("activity_name")
        lead = self.account.lead(file.get("lead_id"))
        return {
            "id": file["id"],
            "user_id": file["user_id"],
            "log_id": None,
            **times(file),
            "file_name": file["file_name"],
            "file_type": file.get("file_type") or _file_type(file["file_name"]),
            "file_size": file["file_size"],
            "active_flag": not file["is_deleted"],
            "inline_flag": False,
            "remote_location": file.get("remote_location") or "s3",
            "remote_id": file.get("remote_id") or file["digest"][:32],
            **dict.fromkeys(("cid", "s3_bucket", "mail_message_id", "mail_template_id"), ""),
            **{column: file[column] for column in PARENTS},
            "lead_id": file.get("lead_id"),
            "project_id": None,
            **names,
            "lead_name": lead["title"] if lead is not None else "",
            "project_name": "",
            "url": f"http://{host}/v1/files/{file['id']}/download",
            "name": file["name"],
            "description": file["description"] or "",
        }


def _file_type(name: str) -> str:
    """The kind of a file by the ending it was uploaded with, images under one name."""
    ending = name.rpartition(".")[2].lower() if "." in name else ""
    return "img" if ending in _IMAGES else ending or "file"


class _InMemoryParser(MultiPartParser):
    """Keeps all parts in memory, so that no operation has to wait for a file in the middle of its effect."""

    spool_max_size = 1 << 62


async def read_form(request: Request, part: str = "file") -> tuple[dict[str, str], str, bytes]:
    """Read a multipart body: its plain fields, and name and bytes of the part with the file; of other bodies nothing.

    Raises:
        ApiError: 400 when it is malformed.
    """
    if not request.header(b"content-type").startswith("multipart/form-data"):
        return {}, "", b""

    async def stream() -> AsyncGenerator[bytes, None]:
        yield request.body

    fields: dict[str, str] = {}
    name, content = "", b""
    if not request.header(b"content-type").startswith("multipart/form-data"):
        return fields, name, content
    try:
        form = await _InMemoryParser(Headers(raw=list(request.headers.items())), stream()).parse()
        for field, value in form.multi_items():
            if not isinstance(value, UploadFile):
                fields[field] = value
            elif field == part:
                name, content = value.filename or "", await value.read()
        await form.close()
    except MultiPartException as error:
        raise bad_request("Malformed multipart body") from error
    return fields, name, content


def routes(account: Account) -> list[Route]:
    """Return the operations on files."""
    files = Files(account)
    return [
        Route("GET", "/v1/files", 1, 20, files.list_all),
        Route("POST", "/v1/files", 1, 10, files.create),
        Route("GET", "/v1/files/{id}", 1, 2, files.get),
        Route("PUT", "/v1/files/{id}", 1, 10, files.update),
        Route("DELETE", "/v1/files/{id}", 1, 6, files.delete),
        Route("GET", "/v1/files/{id}/download", 1, 20, files.download),
        Route("GET", "/v1/deals/{id}/files", 1, 20, files.list_of("deal_id")),
        Route("GET", "/v1/persons/{id}/files", 1, 20, files.list_of("person_id")),
        Route("GET", "/v1/organizations/{id}/files", 1, 20, files.list_of("org_id")),
        Route("GET", "/v1/products/{id}/files", 1, 20, files.list_of("product_id")),
    ]
