"""Currencies the account knows: code, name, digits after the decimal point, symbol."""

CURRENCIES: tuple[tuple[str, str, int, str], ...] = (
    ("AED", "UAE Dirham", 2, "AED"), ("ARS", "Argentine Peso", 2, "AR$"), ("AUD", "Australian Dollar", 2, "A$"), ("BGN", "Bulgarian Lev", 2, "лв"),
    ("BRL", "Brazilian Real", 2, "R$"), ("CAD", "Canadian Dollar", 2, "CA$"), ("CHF", "Swiss Franc", 2, "CHF"), ("CLP", "Chilean Peso", 0, "CLP$"),
    ("CNY", "Chinese Yuan", 2, "¥"), ("COP", "Colombian Peso", 2, "COL$"), ("CZK", "Czech Koruna", 2, "Kč"), ("DKK", "Danish Krone", 2, "kr"),
    ("EUR", "Euro", 2, "€"), ("GBP", "Pound Sterling", 2, "£"), ("HKD", "Hong Kong Dollar", 2, "HK$"), ("HUF", "Hungarian Forint", 2, "Ft"),
    ("ILS", "Israeli New Shekel", 2, "₪"), ("INR", "Indian Rupee", 2, "₹"), ("JPY", "Japanese Yen", 0, "¥"), ("KRW", "South Korean Won", 0, "₩"),
    ("KWD", "Kuwaiti Dinar", 3, "KWD"), ("MAD", "Moroccan Dirham", 2, "MAD"), ("MXN", "Mexican Peso", 2, "MX$"), ("NOK", "Norwegian Krone", 2, "kr"),
    ("NZD", "New Zealand Dollar", 2, "NZ$"), ("PEN", "Peruvian Sol", 2, "S/"), ("PLN", "Polish Zloty", 2, "zł"), ("RON", "Romanian Leu", 2, "lei"),
    ("SEK", "Swedish Krona", 2, "kr"), ("SGD", "Singapore Dollar", 2, "S$"), ("TRY", "Turkish Lira", 2, "₺"), ("UAH", "Ukrainian Hryvnia", 2, "₴"),
    ("USD", "US Dollar", 2, "$"), ("UYU", "Uruguayan Peso", 2, "$U"), ("ZAR", "South African Rand", 2, "R"),
)  # fmt: skip
DIGITS = {code: digits for code, _, digits, _ in CURRENCIES}


def round_money(amount: float, currency: str) -> float | int:
    """Round to the currency's digits; a whole amount becomes an int."""
    rounded = round(amount + 0.0, DIGITS.get(currency, 2))
    return int(rounded) if rounded == int(rounded) else rounded
