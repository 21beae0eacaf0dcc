"""Names and texts, hostile ones too."""

from typing import Final

PEOPLE: Final = (
    ("Olivia", "Nguyen"),
    ("Jack", "O'Brien"),
    ("Mía", "Fernández Ruiz"),
    ("李", "伟"),
    ("Charlotte", "Smith-Jones"),
    ("محمد", "العلي"),
    ("Noah", "Papadopoulos"),
    ("Zoë", "van der Berg"),
    ("Αθηνά", "Κωστοπούλου"),
    ("Priya", "श्रीनिवासन"),
    ('=HYPERLINK("x")', "Formula"),
    ("Łukasz", "Żółkiewski"),
    ("Anna, Maria", "Comma; Semicolon"),
    ("Robert'); DROP TABLE", "Students"),
    ("👩🏽‍🔧 Sam", "Emoji"),
    ("שרה", "כהן"),
)
BUSINESSES: Final = (
    "Bondi Strata Pty Ltd",
    "Harbour & Sons <Plumbing>",
    'Café Crème "The Corner"',
    "北京清洁有限公司",
    "Green Lawns, Inc.",
    "شركة النظافة",
)
TITLES: Final = ("Dr", "Mr", "Mrs", "Miss", "Ms", "")
SUBURBS: Final = (
    ("Bondi Beach", "New South Wales", "2026"),
    ("Fremantle", "Western Australia", "6160"),
    ("Fortitude Valley", "Queensland", "4006"),
    ("Glenelg", "South Australia", "5045"),
    ("Parramatta", "New South Wales", "2150"),
)
STREETS: Final = ("George Street", "Ocean Parade", "King William Road", "Elizabeth St", "Rue de l'Église")
SOURCES: Final = ("Google", "Referral", "Online booking", "Phone", "")
LABELS: Final = ((), ("VIP",), ("VIP", "Strata"), ("Pets",), ())
NOTES: Final = (
    "",
    'Ring twice.\nDog in the yard: "Rex", friendly.',
    "<script>alert('x')</script> keep off the grass",
    "ملاحظة: الباب الخلفي",
    "Bring ladder, 3 m; keys under mat, ask Sam.",
    "=1+1",
)
INSTRUCTIONS: Final = ("", "Use the side gate", "Call 30 minutes before arriving", "Ne pas sonner — bébé dort", "")

SERVICES: Final = (
    ("Window cleaning", "Inside and out, frames wiped", "Cleaning", 90, "120.00", "fixed", "Sydney Metro"),
    ("Gutter cleaning", "Up to two storeys", "Cleaning", 120, "180.50", "hourly", "Sydney Metro; Blue Mountains"),
    ("Lawn mowing", "Front and back", "Garden", 60, "75.00", "per unit", "North Shore"),
    ("End of lease clean", "Bond-back\nguarantee", "Cleaning", 300, "640.00", "formula", ""),
    ("Pest control <general>", "", "Pest", 45, "199.99", "fixed", "Anywhere"),
    ("Vaccination visit", "For cats & dogs", "Vet", 30, "88.00", "fixed", "Inner West"),
    ("Pressure wash 高压清洗", "Driveways", "Cleaning", None, "0.00", "hourly", ""),
    ("Old service no longer sold", "Kept for history", "Archive", 15, "10.00", "fixed", ""),
)
"""Name, description, category, minutes, price, pricing type, service area. The last one is not active."""

FAQS: Final = (
    (0, "Do I have to be at home?", "No. Leave the key & we lock up."),
    (0, "Do you clean screens?", "Yes:\n- fly screens\n- security <screens>"),
    (3, "Is the bond guaranteed?", "Yes, within 72 hours."),
    (5, "My pet is nervous, what now?", "Tell us beforehand; we take more time. 🐾"),
)
AUTOMATIONS: Final = (
    ("Reminder", "Before booking start", "Status is To do; 24 hours before", "SMS to customer; e-mail to field worker", True),
    ("Review request", "Booking status changed", "New status is Completed", "E-mail to customer with rating link", True),
    ("Overdue invoice", "Invoice overdue", "7 days after due date", "E-mail to customer; create task for office", True),
    ("Old welcome mail", "Customer created", "", "E-mail to customer", False),
)
"""Name, trigger, conditions, actions, active."""
