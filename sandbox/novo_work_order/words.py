"""Words of made-up accounts, in several scripts."""

from typing import Final

DEPARTMENTS: Final = ("Public Works", "Utilities", "Facilities", "Parks & Recreation", "Fire Department")
STATUSES: Final = ("Open", "Scheduled", "In Progress", "On Hold", "Completed", "Cancelled")
TENANT_STATUS: Final = "Awaiting Parts"
"""A status this town added to the product's own."""
PRIORITIES: Final = ("Emergency", "High", "Medium", "Low")
ROLES: Final = ("Technician", "Supervisor", "Administrator", "Technician")
ACCOUNTS: Final = (
    "Water Division", "Town Hall", "Elm Street School", "Sewer Commission", "Highway Garage", "Public Library", "Maple Court Housing",
    "Oak Ridge Pool", "Riverside Pump District", "Senior Center", "Northside Fire Station", "O'Brien & Söhne GmbH", "株式会社さくら設備",
    "شركة المياه البلدية", "Zażółć Gęślą Jaźń Sp. z o.o.", "=SUM(A1) Plumbing", "Hartwell Contractors, Inc.", 'Depot "Quoted" Supply',
)  # fmt: skip
FIRST_NAMES: Final = ("Jane", "Aaron", "Maria", "Luis", "Chiara", "Wei", "Fatima", "Søren", "Anne-Marie", "Иван", "O'Neil", "Priya")
LAST_NAMES: Final = ("Doe", "Smith", "García", "Nguyen", "Rossi", "王", "الحسن", "Ångström", "van der Berg", "Петров", "Brien", "Patel")
STREETS: Final = ("Main St", "Elm St", "Depot Rd", "River Ln", "Chestnut Ave", "Old Mill Rd")
CITIES: Final = (("Greenfield", "MA", "01301"), ("Orange", "MA", "01364"), ("Hadley", "MA", "01035"))
PLANTS: Final = ("Pump Station", "Treatment Plant", "Boiler House", "Chiller Plant", "Traffic Signal Group")
SYSTEMS: Final = ("Intake", "Distribution", "Controls")
UNITS: Final = ("Pump", "Motor", "Valve", "Panel")
COMPONENTS: Final = ("Bearing set", "Seal kit", "Sensor")
MAKERS: Final = (("Grundfos", "CR 64"), ("Siemens", "1LE1"), ("Flygt", "NP 3153"), ("ABB", "ACS580"))
TITLES: Final = (
    "Replace bearing", "Leaking valve", "No heat in room 12", "Street light out", "Inspect hydrant", "Mow the ballfield", "Alarm on panel",
    "Fix pothole", "Sewage smell ☠", "修理水泵", "إصلاح المضخة", 'Replace "fast blow" fuse, 10 A',
)  # fmt: skip
HTML: Final = "<p>Caller says:<br><b>water &amp; oil</b> on the floor</p><script>alert('x')</script><ul><li>valve 3</li><li>pump 2</li></ul>"
LONG: Final = "The crew found the housing cracked along the flange; the gasket was replaced twice before. "
PARTS: Final = (
    ("00123-A", "Bearing 6205", "Bearings"), ("SEAL-22", "Seal kit 22 mm", "Seals"), ("F-10A", "Fuse 10 A", "Electrical"),
    ("V-3/4", 'Ball valve 3/4"', "Valves"), ("OIL-68", "Hydraulic oil 68", "Fluids"), ("LMP-LED", "LED lamp", "Electrical"),
    ("NEVER-1", "Spare that nobody used", "Misc"),
)  # fmt: skip
STEPS: Final = ("Lock out and tag out", "Check oil level", "Grease bearings", "Measure vibration", "Wipe down & sign the sheet")
RESOLUTIONS: Final = ("Replaced and tested.", "Tightened, no leak after 24 h.", "Duplicate of an earlier call.", "Gereinigt & geprüft, läuft.")
