"""Note comments, remote files, call logs, and users made over the API."""

import urllib.parse
from typing import Any

import pytest

from tests.unit.sandbox_pipedrive.driver import Answer, Driver

CALL = {"to_phone_number": "+34600000001", "outcome": "connected", "start_time": "2025-01-02 03:04:05", "end_time": "2025-01-02 03:05:05"}


async def test_comments_live_under_their_note(api: Driver) -> None:
    first = (await api.post("/v1/notes/1/comments", {"content": "<p>Hi<script>bad()</script></p>"})).data
    second = (await api.post("/v1/notes/1/comments", {"content": "Two"})).data
    assert first["uuid"] != second["uuid"]
    assert (first["content"], first["object_id"], first["object_type"], first["user_id"], first["updater_id"]) == ("<p>Hi</p>", "1", "note", 1, 1)
    assert first["add_time"].endswith(".000Z")
    path = f"/v1/notes/1/comments/{first['uuid']}"
    assert (await api.put(path, {"content": "Changed"})).data["content"] == "Changed"
    assert (await api.get(path)).data["content"] == "Changed"
    assert (await api.get(f"/v1/notes/2/comments/{first['uuid']}")).status == 404
    assert [comment["uuid"] for comment in (await api.get("/v1/notes/1/comments")).data] == [first["uuid"], second["uuid"]]
    assert (await api.delete(path)).body == {"success": True, "data": True}
    assert (await api.get(path)).status == 404
    assert (await api.post("/v1/notes/1/comments", {"content": " "})).status == 400
    assert (await api.post("/v1/notes/999/comments", {"content": "x"})).status == 404


async def _form(api: Driver, path: str, **fields: str) -> Answer:
    body = urllib.parse.urlencode(fields).encode()
    return await api.send("POST", path, body, headers={"content-type": "application/x-www-form-urlencoded"})


async def test_remote_files_are_links(api: Driver) -> None:
    wanted = {"item_type": "organization", "item_id": "2", "remote_location": "googledrive"}
    made = (await _form(api, "/v1/files/remote", file_type="gsheet", title="Prices", **wanted)).data
    assert (made["org_id"], made["deal_id"], made["file_type"], made["name"], made["remote_location"]) == (2, None, "gsheet", "Prices", "googledocs")
    linked = (await _form(api, "/v1/files/remoteLink", remote_id="1gzyh6", **wanted)).data
    assert (linked["remote_id"], linked["file_size"], linked["org_id"]) == ("1gzyh6", 0, 2)
    assert [file["id"] for file in (await api.get("/v1/organizations/2/files")).data] == [made["id"], linked["id"]]
    assert (await api.get(f"/v1/files/{made['id']}/download")).status == 404
    assert (await api.delete(f"/v1/files/{made['id']}")).status == 200


@pytest.mark.parametrize("wrong", [{"item_type": "product"}, {"item_id": "999"}, {"remote_location": "s3"}, {"title": ""}, {"file_type": "pdf"}])
async def test_remote_file_is_refused(api: Driver, wrong: dict[str, str]) -> None:
    fields = {"file_type": "gdoc", "title": "x", "item_type": "deal", "item_id": "1", "remote_location": "googledrive"}
    assert (await _form(api, "/v1/files/remote", **fields | wrong)).status == 400


async def test_call_log_turns_an_activity_into_a_call(api: Driver) -> None:
    activity = (await api.post("/api/v2/activities", {"type": "task", "deal_id": 1})).data["id"]
    body = CALL | {"activity_id": activity, "deal_id": 1, "duration": "60", "note": "<b>ok</b>", "start_time": "2025-01-02T03:04:05.123Z"}
    log = (await api.post("/v1/callLogs", body)).data
    assert (log["start_time"], log["duration"], log["has_recording"], log["user_id"]) == ("2025-01-02T03:04:05.000Z", "60", False, 1)
    assert "lead_id" not in log  # what is empty is left out
    assert (await api.post("/v1/callLogs", CALL)).data["duration"] == "0"
    changed = (await api.get(f"/api/v2/activities/{activity}")).data
    assert (changed["type"], changed["done"]) == ("call", True)
    assert (await api.get(f"/v1/callLogs/{log['id']}")).data == log
    assert (await api.delete(f"/v1/callLogs/{log['id']}")).body == {"success": True}
    assert (await api.get(f"/v1/callLogs/{log['id']}")).status == 404
    assert (await api.get(f"/api/v2/activities/{activity}")).status == 200


async def test_recording_is_kept_once(api: Driver) -> None:
    log = (await api.post("/v1/callLogs", CALL)).data["id"]
    part = b'--line\r\ncontent-disposition: form-data; name="file"; filename="a.mp3"\r\n\r\nsound\r\n--line--\r\n'
    headers = {"content-type": "multipart/form-data; boundary=line"}
    path = f"/v1/callLogs/{log}/recordings"
    assert (await api.send("POST", path, part, headers=headers)).body == {"success": True}
    assert (await api.get(f"/v1/callLogs/{log}")).data["has_recording"] is True
    assert (await api.send("POST", path, part, headers=headers)).status == 409
    assert (await api.send("POST", "/v1/callLogs/none/recordings", part, headers=headers)).status == 404
    assert (await api.post(path, {})).status == 400


async def test_call_logs_are_listed_for_their_user(api: Driver) -> None:
    for _ in range(51):
        await api.post("/v1/callLogs", CALL)
    other = (await api.post("/v1/callLogs", CALL | {"user_id": 2})).data["id"]
    answer = await api.get("/v1/callLogs", limit="500")
    assert len(answer.data) == 50
    assert other not in {log["id"] for log in answer.data}
    assert answer.body["additional_data"]["pagination"] == {"start": 0, "limit": 50, "more_items_in_collection": True, "next_start": 50}
    token = (await api.control("POST", "tokens", {"user_id": 3}))["token"]
    assert (await api.send("GET", "/v1/callLogs", token=token)).data == []
    assert (await api.send("DELETE", f"/v1/callLogs/{other}", token=token)).status == 403


@pytest.mark.parametrize(
    "wrong",
    [
        {"outcome": "lost"},
        {"to_phone_number": ""},
        {"start_time": "yesterday"},
        {"duration": "long"},
        {"deal_id": 999},
        {"deal_id": 1, "lead_id": "00000000-0000-4000-8000-000000000000"},
        {"lead_id": "00000000-0000-4000-8000-000000000000"},
        {"user_id": 999},
        {"subject": 5},
    ],
)
async def test_call_log_is_refused(api: Driver, wrong: dict[str, Any]) -> None:
    answer = await api.post("/v1/callLogs", CALL | wrong)
    assert answer.status == 400
    assert "error_info" in answer.body


async def test_admin_adds_users_and_switches_them_off(api: Driver) -> None:
    user = (await api.post("/v1/users", {"email": "new@example.com", "access": [{"app": "account_settings", "admin": True}]})).data
    assert (user["email"], user["active_flag"], user["is_admin"], user["access"][0]["app"]) == ("new@example.com", True, 1, "account_settings")
    assert (await api.post("/v1/users", {"email": "NEW@example.com"})).status == 400
    token = (await api.control("POST", "tokens", {"user_id": user["id"]}))["token"]
    assert (await api.send("GET", "/v1/users/me", token=token)).status == 200
    assert (await api.put(f"/v1/users/{user['id']}", {"active_flag": False})).data["active_flag"] is False
    assert (await api.send("GET", "/v1/users/me", token=token)).status == 401
    assert (await api.put("/v1/users/999", {"active_flag": False})).error == "User not found or not accessible."
    for wrong in ({}, {"email": "no"}, {"email": "a@example.com", "access": [{"app": "games"}]}, {"email": "a@example.com", "active_flag": "maybe"}):
        assert (await api.post("/v1/users", wrong)).status == 400


async def test_others_do_not_manage_users(api: Driver) -> None:
    token = (await api.control("POST", "tokens", {"user_id": 2}))["token"]
    answer = await api.send("POST", "/v1/users", {"email": "a@example.com"}, token=token)
    assert (answer.status, answer.error) == (403, "You do not have permissions to do this.")
    assert (await api.send("PUT", "/v1/users/3", {"active_flag": False}, token=token)).status == 403
    permissions = (await api.send("GET", "/v1/users/2/permissions", token=token)).data
    assert (permissions["can_use_api"], permissions["can_add_custom_fields"]) == (True, False)
    assert (await api.get("/v1/users/1/permissions")).data["can_add_custom_fields"] is True
    assert (await api.get("/v1/userSettings")).data["file_upload_destination"] == "s3"
