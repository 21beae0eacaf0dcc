"""Attachments of the office, and jobs of the field service with photos and signatures, which lie in a folder of their own."""

from datetime import timedelta

from sandbox.results.build import Account, Row, moment, texts
from sandbox.results.reference import user_ref

OVERSIZE_BYTES = 26 * 1024 * 1024 + 17
SHARE = r"\\RESULTSSRV\Documents"
"""Network share of the office; the packer copies what lies there to `SHARE_FOLDER`."""
SHARE_FOLDER = "attachments/share"
_OBJECTS = (("Contact", "contacts"), ("Opportunity", "opportunities"), ("Associate", "associates"), ("Project", "projects"))
_WORKFLOW = ("Scheduled", "En Route", "In Progress", "Paused", "Completed", "Canceled")
_KINDS = ("Before", "During", "After", "Signature")


def build_attachments(account: Account) -> None:
    """Make attachments: in the bundle, on the share, one too large, one missing, one on a record that is not there."""
    rng = account.rng("attachments")
    for index in range(account.plan.count(0.4, 10)):
        object_name, table = _OBJECTS[index % len(_OBJECTS)]
        rows = account.tables[table]
        owner = next(iter(rows[(index * 5) % len(rows)].values()))
        name, flaws = texts()["files"][index % len(texts()["files"])], []
        inside = f"attachments/{object_name}/{owner}/{index}-{name}"
        path = inside
        size: int | None = None
        if index % 5 == 3:
            inside, path = f"{SHARE_FOLDER}/{owner}/{index}-{name}", f"{SHARE}\\{owner}\\{index}-{name}"
            flaws.append("file_on_share")
        elif not account.plan.is_clean and index == 4:
            size = OVERSIZE_BYTES
            flaws.append("file_too_large")
        elif not account.plan.is_clean and index == 6:
            flaws.append("file_missing")
        elif not account.plan.is_clean and index == 7:
            object_name, owner = "Vehicle", "5"
            flaws.append("file_without_home")
        row: Row = {"Attachment ID": str(6001 + index), "Object": object_name, "Object ID": owner, "File Name": name, "Path": path}
        row |= {"Size": size, "Created Date": moment(rng), "Created By": user_ref(index), "Description": "Scanned" if index % 2 else None}
        account.put("attachments", row, *flaws)
        if "file_missing" not in flaws:
            account.files[inside] = size


def build_jobs(account: Account) -> None:
    """Make field-service jobs, most of them of projects, with before and after photos and the customer's signature."""
    rng = account.rng("jobs")
    projects, companies = account.tables["projects"], account.tables["contacts"]
    for index in range(account.plan.count(0.3, 8)):
        project = projects[index % len(projects)] if index % 4 != 3 else None
        company = project["Contact ID"] if project else companies[index % len(companies)]["Contact ID"]
        start = moment(rng)
        job_id = str(8001 + index)
        status = _WORKFLOW[index % len(_WORKFLOW)]
        row: Row = {
            "Job ID": job_id,
            "Project ID": project["Project ID"] if project else None,
            "Contact ID": company,
            "Technician": user_ref(index + 3),
            "Scheduled Start": start,
            "Scheduled End": start + timedelta(hours=2),
            "Workflow Status": status,
            "Pause Reason": rng.choice(texts()["pause_reasons"]) if status == "Paused" else None,
            "Job Notes": rng.choice(texts()["notes"]) if index % 2 else None,
        }
        account.put("field_service/jobs", row)
        for step, kind in enumerate(_KINDS if status == "Completed" else _KINDS[: index % 3]):
            _media(account, job_id, step, kind, start + timedelta(minutes=30 * step))


def _media(account: Account, job_id: str, step: int, kind: str, taken: object) -> None:
    name = f"{kind.lower()}-{step}.png"
    path = f"field_service/media/{job_id}/{name}"
    row: Row = {"Media ID": f"{job_id}{step}", "Job ID": job_id, "Kind": kind, "Taken At": taken, "File Name": name, "Path": path}
    account.put("field_service/media", row | {"Signed By": " ".join(part for part in texts()["people"][2] if part) if kind == "Signature" else None})
    account.files[path] = None
