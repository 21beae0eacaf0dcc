"""The files of a bundle: their columns in order, each with the kind of value it holds. The layout is inferred: the vendor documents none."""

from typing import Final

ADDRESS: Final = ("Unit/Lot number", "Street number", "Street address", "Suburb", "State", "Postcode", "Country")

TEXT: Final = "text"
NUMBER: Final = "number"
MONEY: Final = "money"
SHOWN_MONEY: Final = "shown_money"
"""Money with its symbol and thousands marks."""
PERCENT: Final = "percent"
BOOL: Final = "bool"
DATE: Final = "date"
IMPORT_DATE: Final = "import_date"
"""A date in the order of the import template, YYYY/MM/DD, whatever the tenant's own."""
MOMENT: Final = "moment"
ZONED: Final = "zoned"
"""A point in time on the clock of the row's own time zone, where it has one."""
TIME: Final = "time"
IDS: Final = "ids"
"""Joined with a semicolon."""
LABELS: Final = "labels"
"""Joined with a comma."""

_TEXTS = dict.fromkeys

COLUMNS: Final[dict[str, dict[str, str]]] = {
    "fieldworkers": {
        **_TEXTS(("Field worker ID", "User name", "Display name", "First name", "Last name", "Role"), TEXT),
        **_TEXTS(("Email 1", "Email 2", "Email 3", "Mobile 1", "Phone 1", "State", "Postcode", "Timezone"), TEXT),
        **_TEXTS(("Active", "Blocked", "Deleted"), BOOL),
        "Created": MOMENT,
        "Last login": MOMENT,
        "Pay rate": MONEY,
        "Location tracking": BOOL,
    },
    "services": {
        **_TEXTS(("Service ID", "Service name", "Description", "Category"), TEXT),
        "Duration": NUMBER,
        "Price": MONEY,
        "Pricing type": TEXT,
        "Tax": PERCENT,
        "Service area": TEXT,
        "Active": BOOL,
    },
    "faqs": {**_TEXTS(("FAQ ID", "Service ID", "Question", "Answer"), TEXT), "Order": NUMBER},
    "automations": {**_TEXTS(("Automation ID", "Automation name", "Trigger", "Conditions", "Actions"), TEXT), "Active": BOOL, "Created": MOMENT},
    "custom_fields": {**_TEXTS(("Field ID", "Label", "Object", "Type", "Options"), TEXT), "Required": BOOL, "Visible to": TEXT},
    "customers": {
        **_TEXTS(("Customer ID", "Customer number", "Customer title", "First name", "Last name"), TEXT),
        **_TEXTS(("First name2", "Last name2", "First name3", "Last name3"), TEXT),
        **_TEXTS((f"{kind} {number}" for kind in ("Email", "Mobile", "Phone") for number in (1, 2, 3)), TEXT),
        **_TEXTS(("Customer type", "Business name", "Password", *ADDRESS), TEXT),
        "Date joined": IMPORT_DATE,
        "Status": TEXT,
        "Labels": LABELS,
        "Customer source": TEXT,
        "Balance": SHOWN_MONEY,
        "Created": MOMENT,
        "Last updated": MOMENT,
    },
    "customer_properties": {
        **_TEXTS(("Property ID", "Customer ID", "Property name", "Property type", *ADDRESS), TEXT),
        "Latitude": NUMBER,
        "Longitude": NUMBER,
    },
    "inquiries": {
        **_TEXTS(("Inquiry ID", "Inquiry number", "Customer ID", "Status"), TEXT),
        "Created": MOMENT,
        "Source": TEXT,
        "Services": TEXT,
        "Message": TEXT,
    },
    "quotes": {
        **_TEXTS(("Quote ID", "Quote number", "Customer ID", "Booking ID", "Status"), TEXT),
        "Created": MOMENT,
        "Valid until": DATE,
        "Sub total": MONEY,
        "Tax": MONEY,
        "Total": MONEY,
    },
    "quote_items": {
        **_TEXTS(("Line ID", "Quote ID", "Service ID", "Description"), TEXT),
        "Quantity": NUMBER,
        "Rate": MONEY,
        "Amount": MONEY,
        "Tax": MONEY,
    },
    "bookings": {
        **_TEXTS(("Booking ID", "Booking number", "Customer ID", "Property ID", "Status", "Status ID"), TEXT),
        "Booking start": ZONED,
        "Booking end": ZONED,
        "Timezone": TEXT,
        "All-day": BOOL,
        "Field workers": IDS,
        **_TEXTS(ADDRESS, TEXT),
        **_TEXTS(("Sub total", "Discount", "Tax", "Total", "Paid amount", "Refund", "Deposit"), MONEY),
        **_TEXTS(("Currency", "Recurring ID", "Recurrence", "RRULE", "Parent booking", "Converted from quote", "Source"), TEXT),
        **_TEXTS(("Special instructions", "Notes", "Created by"), TEXT),
        "Created": MOMENT,
        "Last updated": MOMENT,
    },
    "booking_services": {
        **_TEXTS(("Line ID", "Booking ID", "Service ID"), TEXT),
        "Clone": NUMBER,
        "Field worker ID": TEXT,
        "Quantity": NUMBER,
        "Rate": MONEY,
        "Amount": MONEY,
        "Description": TEXT,
        "Considerations": TEXT,
    },
    "booking_status_history": {"Booking ID": TEXT, "Date": MOMENT, **_TEXTS(("Old status", "New status", "By", "Note"), TEXT)},
    "invoices": {
        **_TEXTS(("Invoice ID", "Invoice number", "Booking ID", "Customer ID", "Type", "Status"), TEXT),
        "Created": MOMENT,
        "Due date": DATE,
        **_TEXTS(("Sub total", "Tax", "Total", "Paid amount", "Balance"), MONEY),
        **_TEXTS(("Merged into invoice", "Parent invoice", "Purchase order number"), TEXT),
        "E-mail sent": BOOL,
    },
    "invoice_items": {
        **_TEXTS(("Line ID", "Invoice ID", "Service ID", "Description"), TEXT),
        "Quantity": NUMBER,
        "Rate": MONEY,
        "Amount": MONEY,
        "Tax rate": PERCENT,
        "Tax amount": MONEY,
    },
    "payments": {
        **_TEXTS(("Payment ID", "Invoice ID", "Booking ID", "Customer ID"), TEXT),
        "Date": DATE,
        "Time": TIME,
        "Method": TEXT,
        "Reference": TEXT,
        "Amount": MONEY,
        **_TEXTS(("Type", "Status", "Inserted by", "Insert type"), TEXT),
    },
    "form_answers": {
        **_TEXTS(("Answer ID", "Booking ID", "Service ID", "Form name", "Stage", "Question", "Type", "Value", "Answered by"), TEXT),
        "Answered at": MOMENT,
    },
    "discussions": {**_TEXTS(("Discussion ID", "Booking ID", "Author", "Message"), TEXT), "Created": MOMENT},
    "complaints": {**_TEXTS(("Complaint ID", "Booking ID", "Author", "Status", "Description"), TEXT), "Created": MOMENT},
    "attachments": {
        **_TEXTS(("Attachment ID", "Object", "Object ID", "File name", "Image type", "Tags", "Uploaded by"), TEXT),
        "Created": MOMENT,
        "Size": NUMBER,
        "Path or URL": TEXT,
    },
}
"""By file, in the order a reader needs them: what others refer to first. Columns of custom fields (`CF <id>: <label>`) come on top."""

KEYS: Final = {
    "fieldworkers": "Field worker ID",
    "services": "Service ID",
    "faqs": "FAQ ID",
    "automations": "Automation ID",
    "custom_fields": "Field ID",
    "customers": "Customer ID",
    "customer_properties": "Property ID",
    "inquiries": "Inquiry ID",
    "quotes": "Quote ID",
    "quote_items": "Line ID",
    "bookings": "Booking ID",
    "booking_services": "Line ID",
    "invoices": "Invoice ID",
    "invoice_items": "Line ID",
    "payments": "Payment ID",
    "form_answers": "Answer ID",
    "discussions": "Discussion ID",
    "complaints": "Complaint ID",
    "attachments": "Attachment ID",
}
"""The column with the id. Rows of `booking_status_history` have none."""

CUSTOMISED: Final = {"customers": "Customer", "bookings": "Booking", "customer_properties": "Property", "inquiries": "Enquiry"}
"""Files with columns of custom fields, and the object their definitions name."""
