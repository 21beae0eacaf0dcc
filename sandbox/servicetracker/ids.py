"""Record ids as the platform makes them: a key prefix per object, a number, and three characters that survive lost capitals."""

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_CHECK = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
SHORT_LENGTH = 15


def make_id(prefix: str, number: int) -> str:
    """Return the 18-character id of the record with this number."""
    written = ""
    while number:
        number, digit = divmod(number, len(_DIGITS))
        written = _DIGITS[digit] + written
    return long_id(prefix + "Da" + written.rjust(SHORT_LENGTH - 5, "0"))


def long_id(value: str) -> str:
    """Return the 18-character form of an id; anything that is no 15-character id stays as it is."""
    if len(value) != SHORT_LENGTH or not value.isascii() or not value.isalnum():
        return value
    suffix = ""
    for start in range(0, SHORT_LENGTH, 5):
        bits = sum(1 << position for position, char in enumerate(value[start : start + 5]) if char.isupper())
        suffix += _CHECK[bits]
    return value + suffix
