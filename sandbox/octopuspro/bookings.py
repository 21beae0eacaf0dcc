"""Bookings with their services, workers, history, answers, discussions and files; quotes and enquiries before them."""

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from random import Random
from typing import Final
from zoneinfo import ZoneInfo

from sandbox.octopuspro import fields, words
from sandbox.octopuspro.account import EXPORTED, Builder, Row
from sandbox.octopuspro.people import UNMATCHED_WORKER, address

STATUSES: Final = (
    ("1", "Quoted"),
    ("2", "To do"),
    ("3", "In progress"),
    ("4", "Completed"),
    ("5", "On hold"),
    ("6", "Cancelled"),
    ("12", "Awaiting parts"),
    ("3", "IN PROGRESS"),
    ("4", "Completed"),
)
"""Id and name. One is the tenant's own, one is written in other letters."""
ZONES: Final = ("", "", "", "Australia/Perth", "Australia/Brisbane", "")
QUOTE_STATUSES: Final = ("Sent", "Accepted", "Rejected", "Expired", "Accepted")
SERIES_RULES: Final = (
    {"Recurrence": "every 2 weeks"},
    {"Recurrence": "every 2 weeks", "RRULE": "RRULE:FREQ=WEEKLY;INTERVAL=2"},
    {"Recurrence": "", "RRULE": "FREQ=WEEKLY;INTERVAL=2"},
)
"""How the three recurring series say that they come every other week: in words, in both ways, as calendars write it."""
GST: Final = Decimal("0.1")
_FIRST: Final = date(2025, 2, 3)


def cents(amount: Decimal) -> Decimal:
    """Round to cents."""
    return amount.quantize(Decimal("0.01"))


def build_bookings(builder: Builder) -> None:
    """Make two bookings for each customer, three recurring series and awkward ones."""
    rng = builder.rng("bookings")
    customers = builder.account.tables["customers"][: builder.size]
    for index in range(builder.size * 2):
        booking(builder, rng, index, customers[index * 7 % len(customers)])
    for series in range(3):
        first = _FIRST + timedelta(days=20 * series)
        for visit in range(4 + (40 if series == 0 else 0)):
            day = first + timedelta(days=14 * visit)
            special = {"Recurring ID": f"R-{700 + series}", **SERIES_RULES[series], "Status": "Completed", "Status ID": "4"}
            if day > EXPORTED.date():
                special |= {"Status": "To do", "Status ID": "2"}
            if visit in {0, 1, 2, 3} or day > EXPORTED.date():
                booking(builder, rng, 1000 + series * 100 + visit, customers[series], day=day, special=special)
    _awkward(builder, rng)


def booking(builder: Builder, rng: Random, index: int, customer: Row, *, day: date | None = None, special: Row | None = None) -> Row:
    """Make one booking with what hangs on it."""
    tables, tenant = builder.account.tables, builder.account.tenant
    booking_id = builder.id("bookings", 501_233)
    zone = ZONES[index % len(ZONES)]
    starts = datetime.combine(
        day or _FIRST + timedelta(days=rng.randrange(460)), time(7 + index % 11, (0, 15, 30)[index % 3]), ZoneInfo(zone or tenant.time_zone)
    )
    lines = [_line(builder, rng, booking_id, index + number, number) for number in range(index % 4)]
    workers = list(dict.fromkeys(line["Field worker ID"] for line in lines if line["Field worker ID"]))
    if index % 10 == 3:
        workers = [tables["fieldworkers"][index % UNMATCHED_WORKER]["Field worker ID"], *workers]
    sub_total = sum((line["Amount"] for line in lines), Decimal(0)) or Decimal("55.00")
    discount = cents(sub_total * Decimal("0.05")) if index % 6 == 2 else Decimal(0)
    tax = cents((sub_total - discount) * GST)
    status_id, status = STATUSES[index % len(STATUSES)]
    properties = [one for one in tables["customer_properties"] if one["Customer ID"] == customer["Customer ID"]]
    created = starts - timedelta(days=3 + index % 20)
    row = {
        "Booking ID": booking_id,
        "Booking number": f"BOK-{1000 + len(tables['bookings'])}",
        "Customer ID": customer["Customer ID"],
        "Property ID": properties[0]["Property ID"] if properties and index % 2 else "",
        "Status": status,
        "Status ID": status_id,
        "Booking start": starts,
        "Booking end": starts + timedelta(minutes=60 + 45 * (index % 4)),
        "Timezone": zone,
        "All-day": index % 14 == 6,
        "Field workers": list(dict.fromkeys(workers)),
        **({} if properties and index % 6 == 1 else address(rng, index)),
        "Sub total": sub_total,
        "Discount": discount,
        "Tax": tax,
        "Total": sub_total - discount + tax,
        "Paid amount": Decimal(0),
        "Refund": Decimal(0),
        "Deposit": Decimal("50.00") if index % 9 == 1 else Decimal(0),
        "Currency": tenant.currency if index % 5 else "",
        "Source": words.SOURCES[index % len(words.SOURCES)],
        "Special instructions": words.INSTRUCTIONS[index % len(words.INSTRUCTIONS)],
        "Notes": words.NOTES[index % len(words.NOTES)],
        "Created by": "office",
        "Created": created,
        "Last updated": max(created, min(starts + timedelta(hours=5), EXPORTED - timedelta(hours=1))),
        **fields.values("Booking", index, rng),
        **(special or {}),
    }
    builder.put("bookings", row)
    _history(builder, row)
    _answers(builder, row, index)
    if index % 4 == 1:
        _talk(builder, row, index)
    return row


def _line(builder: Builder, rng: Random, booking_id: str, index: int, number: int) -> Row:
    services, workers = builder.account.tables["services"], builder.account.tables["fieldworkers"]
    service = services[index % len(services)]
    quantity = Decimal(1 + index % 3)
    rate = service["Price"] or Decimal("42.10")
    worker = workers[rng.randrange(UNMATCHED_WORKER if index % 23 else len(workers))]
    return builder.put(
        "booking_services",
        {
            "Line ID": builder.id("booking_services", 70_001),
            "Booking ID": booking_id,
            "Service ID": service["Service ID"],
            "Clone": number if index % 8 == 7 else 0,
            "Field worker ID": worker["Field worker ID"] if index % 5 else "",
            "Quantity": quantity,
            "Rate": rate,
            "Amount": cents(rate * quantity),
            "Description": f"Part {number + 1}" if index % 2 else "",
            "Considerations": "Two-storey" if index % 6 == 0 else "",
        },
    )


def _history(builder: Builder, row: Row) -> None:
    steps = ["Quoted", "To do", row["Status"]] if row["Status"] not in {"Quoted", "To do"} else [row["Status"]]
    for number, status in enumerate(steps):
        builder.put(
            "booking_status_history",
            {
                "Booking ID": row["Booking ID"],
                "Date": row["Created"] + timedelta(hours=6 * number) if number < len(steps) - 1 else row["Last updated"],
                "Old status": steps[number - 1] if number else "",
                "New status": status,
                "By": "office",
                "Note": "Customer rang" if number == 1 else "",
            },
        )


def _answers(builder: Builder, row: Row, index: int) -> None:
    """Answer the forms of a booking that has begun: checked types, free text, and a photo."""
    if row["Status"] not in {"In progress", "Completed", "IN PROGRESS"} or index % 2:
        return
    answers = (
        ("Check-in", "check-in", "Safe to work?", "toggle", "Yes" if index % 3 else "No"),
        ("Check-in", "check-in", "Storeys", "integer", str(1 + index % 3)),
        ("Check-in", "check-in", "Roof", "dropdown", ("Tiles", "Metal", "Flat")[index % 3]),
        ("Check-out", "check-out", "Areas done", "check boxes", ", ".join(("Front", "Back", "Sides")[: 1 + index % 3])),
        ("Check-out", "check-out", "What was done?", "text box", f"Cleaned everything.\nFound <moss> & removed it ({index})."),
        ("Check-out", "check-out", "Photo after", "image", f"after_{row['Booking ID']}.jpg"),
    )
    services = [line["Service ID"] for line in builder.account.tables["booking_services"] if line["Booking ID"] == row["Booking ID"]]
    for number, (form, stage, question, kind, value) in enumerate(answers):
        builder.put(
            "form_answers",
            {
                "Answer ID": builder.id("form_answers", 40_001),
                "Booking ID": row["Booking ID"],
                "Service ID": services[0] if services else "",
                "Form name": form,
                "Stage": stage,
                "Question": question,
                "Type": kind,
                "Value": value,
                "Answered by": "Mateo Ruiz",
                "Answered at": row["Booking start"] + timedelta(minutes=number),
            },
        )


def _talk(builder: Builder, row: Row, index: int) -> None:
    created = row["Created"] + timedelta(hours=2)
    author = ("Lucía García", "Customer", "Office & co")[index % 3]
    talk = {"Discussion ID": builder.id("discussions", 8001), "Booking ID": row["Booking ID"], "Author": author, "Created": created}
    builder.put("discussions", talk | {"Message": f"{words.NOTES[index % len(words.NOTES)] or 'When do you come?'} (about {row['Booking number']})"})
    if index % 8 == 1:
        complaint = {"Complaint ID": builder.id("complaints", 9001), "Booking ID": row["Booking ID"], "Author": author, "Created": created}
        builder.put(
            "complaints", complaint | {"Status": ("Open", "Resolved")[index % 16 // 8], "Description": "Streaks on the <glass>\nPlease come again."}
        )


def _awkward(builder: Builder, rng: Random) -> None:
    tables = builder.account.tables
    orphan = booking(builder, rng, 2000, {"Customer ID": "99999998"})
    builder.defect("orphan", "bookings", orphan["Booking ID"])
    deleted = next(one for one in tables["customers"] if one["Status"] == "Deleted")
    builder.defect("customer_deleted", "bookings", booking(builder, rng, 2002, deleted)["Booking ID"])
    worker = tables["fieldworkers"][UNMATCHED_WORKER]["Field worker ID"]
    unmatched = booking(builder, rng, 2004, tables["customers"][1], special={"Field workers": [worker]})
    builder.defect("worker_unmatched", "bookings", unmatched["Booking ID"])


def build_quotes(builder: Builder) -> None:
    """Make quotes of every status; an accepted one may have become a booking."""
    rng = builder.rng("quotes")
    tables = builder.account.tables
    services = tables["services"]
    bookings = tables["bookings"][: builder.size * 2]
    for index in range(max(6, builder.size // 2)):
        quote_id = builder.id("quotes", 3001)
        status = QUOTE_STATUSES[index % len(QUOTE_STATUSES)]
        target = bookings[index * 3 % len(bookings)] if index % 5 == 1 else None
        created = EXPORTED - timedelta(days=10 + rng.randrange(300))
        customer = target["Customer ID"] if target else tables["customers"][index % builder.size]["Customer ID"]
        lines = []
        for number in range(1 + index % 2):
            service = services[(index + number) % len(services)]
            rate = service["Price"] or Decimal("42.10")
            line = {
                "Line ID": builder.id("quote_items", 60_001),
                "Quote ID": quote_id,
                "Service ID": service["Service ID"],
                "Description": "As discussed",
            }
            lines.append(builder.put("quote_items", line | {"Quantity": Decimal(1), "Rate": rate, "Amount": rate, "Tax": cents(rate * GST)}))
        sub_total = sum((line["Amount"] for line in lines), Decimal(0))
        tax = sum((line["Tax"] for line in lines), Decimal(0))
        row = {"Quote ID": quote_id, "Quote number": f"QUO-{300 + index}", "Customer ID": customer, "Status": status, "Created": created}
        row |= {"Booking ID": target["Booking ID"] if target else "", "Valid until": (created + timedelta(days=30)).date()}
        builder.put("quotes", row | {"Sub total": sub_total, "Tax": tax, "Total": sub_total + tax})
        if target is not None:
            target["Converted from quote"] = quote_id
    for index in range(max(3, builder.size // 6)):
        row = {"Inquiry ID": builder.id("inquiries", 2001), "Inquiry number": f"ENQ-{index}", "Status": ("New", "Contacted", "Closed")[index % 3]}
        row |= {"Customer ID": tables["customers"][index]["Customer ID"], "Created": EXPORTED - timedelta(days=index + 1), "Source": "Web form"}
        row |= {
            "Services": services[index % len(services)]["Service name"],
            "Message": f"How much would it be?\n{words.NOTES[index % len(words.NOTES)]}".strip(),
        }
        builder.put("inquiries", row | fields.values("Enquiry", index, rng))
