"""One spelling for values by which records are compared.

Every function takes any text, never raises, and answers an empty text for what says nothing.
"""

# ruff: noqa: RUF001 - legal forms and letters of other scripts are meant

from __future__ import annotations

import re
import unicodedata
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

import phonenumbers

if TYPE_CHECKING:
    from collections.abc import Collection

LEGAL_FORMS: Final = frozenset(
    # Spain, Portugal, Latin America
    "sl slu sll slp slne sa sau sad sc scp scoop cb sociedad limitada anonima lda ltda eireli sapi cv rl "
    # Germany, Austria, Switzerland
    "gmbh ggmbh mbh ag kg kgaa ohg ug gbr ev eg eu ek haftungsbeschrankt "
    # English-speaking countries
    "ltd limited llc llp lp plc inc incorporated corp corporation co company pllc pc pte pty cic "
    # France, Belgium, Netherlands, Luxembourg, Italy
    "sas sasu sarl eurl snc sca scs srl srls spa sapa ss bv bvba nv vof cvba "
    # Nordic and Baltic countries
    "oy oyj ab as asa aps ks hf ehf uab sia ou "
    # Central and eastern Europe
    "sro spol spzoo zoo sp kft zrt nyrt bt doo dd ad ood eood ooo zao oao pao tov "
    "ооо зао оао пао ао ип тов оод еоод аед".casefold().split()
)
"""Words that say what kind of company it is, folded. Those of two letters count at the end of a name only, like all of them."""
_LEADING: Final = frozenset(["ооо", "зао", "оао", "пао", "ао", "ип", "тов", "ooo", "zao", "oao", "pao", "tov", "uab", "sia", "pt", "cv"])
"""Legal forms that stand in front where they are usual."""
_JOINED: Final = ("股份有限公司", "有限责任公司", "有限公司", "株式会社", "有限会社", "合同会社", "주식회사", "유한회사")
"""Legal forms written without a blank; the longer ones first."""
_POLISH: Final = ("sp", "z", "oo")
_AND: Final = frozenset({"and", "und", "et", "y", "e", "og", "och", "&"})
_LETTERS: Final = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ı": "i", "ħ": "h"})
# Marks of Latin, Greek and Cyrillic letters. Those of other scripts carry the vowels, and stay.
_MARKS: Final = re.compile("[\N{COMBINING GRAVE ACCENT}-\N{COMBINING LATIN SMALL LETTER X}]")
# Letters, digits, and marks, which carry the vowels of some scripts and are no word characters to `re`.
_WORD_CATEGORIES: Final = frozenset("LNM")
_DOTS: Final = re.compile(r"[.'’ʼ`´]")
_EMAIL: Final = re.compile(r"[^\s@<>]+@[^\s@<>]+\.[^\s@<>.]+")
_SCHEME: Final = re.compile(r"^[a-z][a-z0-9+.-]*:(//)?", re.IGNORECASE)
_HOST: Final = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)+")
_HOST_CHARACTERS_MAX: Final = 253
_DIGITS_MIN: Final = 7
_TEXT_CHARACTERS_MAX: Final = 1000
"""More of a text says nothing about who somebody is, and folding must not take long on a cell of 200 KB."""


def fold(text: str) -> str:
    """Fold case, accents and punctuation: words with one blank between them."""
    plain = unicodedata.normalize("NFKD", text[:_TEXT_CHARACTERS_MAX]).casefold().translate(_LETTERS)
    plain = unicodedata.normalize("NFC", _MARKS.sub("", unicodedata.normalize("NFKD", plain)))
    return " ".join(_words(_DOTS.sub("", plain)))


def _words(text: str) -> list[str]:
    if text.isascii() and text.replace(" ", "").isalnum():
        return text.split()
    return "".join(sign if unicodedata.category(sign)[0] in _WORD_CATEGORIES else " " for sign in text).split()


def fold_name(text: str, legal_forms: Collection[str] = LEGAL_FORMS) -> str:
    """Fold a name of a company or a person, without its legal form; a name that is nothing else keeps it."""
    for form in _JOINED:
        text = text.replace(form, " ")
    words = _without_spelled_out(fold(text.replace("&", " and ")).split())
    words = [word for word in words if word not in _AND] or words
    kept = words[:-3] if tuple(words[-3:]) == _POLISH and len(words) > len(_POLISH) else list(words)
    while len(kept) > 1 and kept[-1] in legal_forms:
        kept.pop()
    while len(kept) > 1 and kept[0] in _LEADING:
        kept.pop(0)
    return " ".join(kept)


def _without_spelled_out(words: list[str]) -> list[str]:
    """Put single letters together: `S. L.` is `SL`."""
    joined: list[str] = []
    is_open = False
    for word in words:
        is_letter = len(word) == 1 and word.isalpha()
        if is_letter and is_open:
            joined[-1] += word
        else:
            joined.append(word)
        is_open = is_letter
    return joined


def email_of(text: str) -> str:
    """Answer an e-mail address in lower case."""
    found = _EMAIL.search(unicodedata.normalize("NFKC", text[:_TEXT_CHARACTERS_MAX]).casefold())
    address = found[0].removeprefix("mailto:").strip(".,;:()[]\"'") if found else ""
    return address if _EMAIL.fullmatch(address) else ""


def domain_of(text: str, free_mail_hosts: Collection[str] = ()) -> str:
    """Answer the host of a web address or an e-mail address without `www.`; none for hosts where anybody can have a mailbox, and for numbers."""
    written = text[:_TEXT_CHARACTERS_MAX].strip()
    rest = written.rpartition("@")[2] if _EMAIL.search(written) and "/" not in written else _SCHEME.sub("", written).rpartition("@")[2]
    host = re.split(r"[/?#:\s,;<>]", rest, maxsplit=1)[0].casefold().strip(".")
    try:
        host = host.encode("idna").decode("ascii")
    except UnicodeError:
        return ""
    host = host.removeprefix("www.")
    if not _HOST.fullmatch(host) or len(host) > _HOST_CHARACTERS_MAX or _is_number(host) or host in free_mail_hosts:
        return ""
    return host


def _is_number(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return host.rpartition(".")[2].isdigit()
    return True


def phone_of(text: str, region: str = "") -> str:
    """Answer a phone number as E.164 where it can be read, else its digits if there are enough."""
    written = unicodedata.normalize("NFKC", text[:_TEXT_CHARACTERS_MAX])
    try:
        number = phonenumbers.parse(written, region or None)
        if phonenumbers.is_possible_number(number):
            return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    except phonenumbers.NumberParseException:
        pass
    digits = "".join(sign for sign in written if sign in "0123456789")
    return digits if len(digits) >= _DIGITS_MIN else ""


def code_of(text: str) -> str:
    """Answer a code (article number, post code): letters and digits only, in one case."""
    return unicodedata.normalize("NFC", "".join(_words(unicodedata.normalize("NFKC", text[:_TEXT_CHARACTERS_MAX]).casefold())))
