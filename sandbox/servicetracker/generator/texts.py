"""Made-up names and texts in several scripts. Nothing here belongs to a real person or company."""

COMPANIES = (
    "Harbour View Hotels Ltd",
    "Bäckerei Müller & Söhne GmbH",
    "Caffè Città d'Oro",
    "Rhôs-on-Sea Leisure CIC",
    "Zakłady Mięsne Żółw Sp. z o.o.",
    "東京衛生サービス株式会社",
    "شركة النظافة المتحدة",
    "Чистый дом и сад",
    "חברת הדברה בע״מ",
    "O'Brien & Daughters Ltd",
    '<b>Bold</b> & Co "Quoted" Ltd',
    "Robert'); DROP TABLE clients;-- Ltd",
    "Emoji Pest 🐀🐜 Control",
    '=HYPERLINK("http://example.com") plc',
)
PEOPLE = (
    ("Aoife", "Ní Dhomhnaill"),
    ("Bartosz", "Żak"),
    ("Chloé", "Lefèvre"),
    ("Dylan", "ap Rhys"),
    ("健太", "佐藤"),
    ("فاطمة", "الزهراء"),
    ("Ольга", "Петрова"),
    ("José", "Núñez d'Ávila"),
    ("Zoë", "O'Connor-Smythe"),
)
STREETS = ("High Street", "Mill Lane", "Sankt-Georgs-Platz", "Ffordd y Môr", "中央通り", "شارع الملك", "Quay Road")
CITIES = (
    ("Leeds", "West Yorkshire", "LS1 4AP"),
    ("Conwy", "Clwyd", "LL32 8LD"),
    ("Bristol", "Avon", "BS1 5TR"),
    ("Köln", "Nordrhein-Westfalen", "50667"),
)
SUBJECTS = ("Rodent inspection", "Legionella sampling", "Boiler service", "Wasp nest removal", "ネズミ駆除", "فحص المياه", "Bird proofing — façade")
PARTS = ("Bait station", "Fly killer tube 15 W", "Filter cartridge", "Trap & lure", "Ventil ¾″")
FINDINGS = ("No activity", "Droppings near the loading bay", "Temp. 48 °C at outlet", "Grünspan am Ventil", "点検済み")
