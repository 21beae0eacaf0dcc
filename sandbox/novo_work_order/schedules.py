"""Preventive maintenance of made-up accounts: by date, by meter and by both, in columns and in words."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from sandbox.novo_work_order import words
from sandbox.novo_work_order.account import Account, Row, at

if TYPE_CHECKING:
    import random
    from datetime import date

RE: Final = "Re-occurring"


def _forms(today: date) -> list[tuple[str, Row]]:
    """Answer the forms of schedules, each as (name, columns). Starts lie before the day of the export, mostly."""
    start = at(today - timedelta(days=400), 8)
    last_of_month = datetime(today.year - 1, 1, 31)  # noqa: DTZ001 - exports carry no zone
    monthly = {"Interval": RE, "Every": 1, "Unit": "Months"}
    both = {"Interval": RE, "Every": 6, "Unit": "Months", "Run At": start, "Meter Interval": 1000, "Next Meter Reading": 21_000}
    return [
        ("Quarterly service", {"Interval": RE, "Every": 3, "Unit": "Months", "Run At": start}),
        ("Weekly walk-through", {"Interval": RE, "Every": 1, "Unit": "Weeks", "Run At": at(today - timedelta(days=40), 22, 30)}),
        ("Oil by running hours", {"Trigger Type": "Meter", "Meter Interval": 250, "Next Meter Reading": 10_500}),
        ("Half-year check", {"Trigger Type": "Both", **both}),
        ("Repaint once", {"Interval": "Once", "Run At": at(today + timedelta(days=60), 9)}),
        ("Fortnightly rounds", {"Recurrence": "Every 2 Weeks", "Run At": at(today - timedelta(days=20), 0)}),
        ("Unclear rounds", {"Recurrence": "biweekly", "Run At": at(today - timedelta(days=20), 7)}),
        ("Retired routine", {**monthly, "Run At": start, "Active": False}),
        ("Daily reading", {"Interval": RE, "Every": 1, "Unit": "Days", "Run At": at(today - timedelta(days=3), 6)}),
        ("First Monday test", {"Recurrence": "First Monday of every month", "Run At": at(today - timedelta(days=90), 10)}),
        ("Month-end meter", {**monthly, "Run At": last_of_month}),
        ("Greasing by hours", {"Trigger Type": "Meter", "Recurrence": "every 250 hrs"}),
    ]


def add_schedules(account: Account, rng: random.Random, *, is_clean: bool) -> None:
    """Add schedules, each form at least once, with their steps."""
    assets = [row["Asset ID"] for row in account.tables["assets"] if row["Status"] == "Active"]
    for number, (name, columns) in enumerate(_forms(account.today), start=1):
        if is_clean and name == "Unclear rounds":
            continue
        row: dict[str, Any] = {
            "PM Schedule ID": number,
            "PM Name": name,
            "Asset ID": assets[number % len(assets)],
            "Trigger Type": "Date",
            "Interval": None,
            "Every": None,
            "Unit": None,
            "Recurrence": None,
            "Run At": None,
            "Next Run Date": account.today + timedelta(days=number),
            "Last Run Date": account.today - timedelta(days=number * 3),
            "Meter Interval": None,
            "Next Meter Reading": None,
            "Due Date Rule": "{NOW}+3d",
            "Priority": rng.choice(words.PRIORITIES),
            "Assigned To": [f"user{1 + number % 4}"],
            "Active": True,
        }
        account.add("pm_schedules", row | columns)
        for step, text in enumerate(words.STEPS[: 2 + number % 4], start=1):
            steps = {"PM Schedule ID": number, "Step Number": step, "Step Description": text, "Estimated Minutes": 5 * step, "Required": step != 2}
            account.add("pm_steps", steps)
    if not is_clean:
        lost = account.tables["pm_schedules"][0] | {"PM Schedule ID": 90, "PM Name": "Service of a lost asset", "Asset ID": 88_888}
        account.add("pm_schedules", lost)
        account.mark("pm_schedules", 90, "schedule_of_missing_asset")
        account.mark("pm_schedules", 7, "recurrence_unreadable")
