"""The keys of a record: what it is recognised by. Taken in the same way of a mapped record and of one read from Pipedrive."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from services.common.edits import CUSTOM_PREFIX
from services.ledger.matching.folding import LEGAL_FORMS, code_of, domain_of, email_of, fold, fold_name, phone_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

NAME: Final = "name"
NAME_AND_POSTCODE: Final = "name_and_postcode"
NAME_AND_ORGANIZATION: Final = "name_and_organization"
_PARTS: Final = ("value", "postal_code")
_DIGEST_CHARACTERS: Final = 32
_BLOCK_CHARACTERS: Final = 8
_CUSTOM: Final = "custom_fields"
_COMPANY: Final = "organization"


@dataclass(frozen=True, slots=True)
class Key:
    """One key of the list.

    Attributes:
        kind: `domain`, `email`, `phone`, `code`, `name`, `name_and_postcode`, `name_and_organization`.
        fields: fields of an image its values stand in.
        score: how much it says when two records agree in it, 0 to 1.
        is_enough: agreeing in it is certain, whatever else differs.
    """

    kind: str
    fields: tuple[str, ...]
    score: float
    is_enough: bool = False


@dataclass(frozen=True, slots=True)
class Rules:
    """How the records of one target entity are matched.

    Attributes:
        policy: what is done with a record that is in Pipedrive already: `create`, `match`, `match_and_fill`, `update`.
        within_source: what is done with one that came twice: `keep_all`, `merge_into_first`, `review`.
        certain: score from which nobody is asked.
        uncertain: score from which a person is asked.
        keys: in order.
        differ: fields that say it is another record when they differ.
    """

    entity: str
    policy: str = "create"
    within_source: str = "keep_all"
    certain: float = 0.9
    uncertain: float = 0.7
    keys: tuple[Key, ...] = ()
    differ: tuple[str, ...] = ()
    free_mail_hosts: frozenset[str] = frozenset()
    legal_forms: frozenset[str] = LEGAL_FORMS
    phone_region: str = ""

    @classmethod
    def of(cls, entity: str, plain: Mapping[str, Any] | None) -> Rules | None:
        """Read the rules of an entity as a run keeps them; None: it is not matched."""
        if not plain:
            return None
        keys = tuple(Key(one["key"], tuple(one["fields"]), float(one["score"]), bool(one.get("is_enough"))) for one in plain["keys"])
        return cls(
            entity=entity,
            policy=plain["policy"],
            within_source=plain["within_source"],
            certain=float(plain["certain"]),
            uncertain=float(plain["uncertain"]),
            keys=keys,
            differ=tuple(plain.get("differ", ())),
            free_mail_hosts=frozenset(plain.get("free_mail_hosts", ())),
            legal_forms=LEGAL_FORMS | {form for written in plain.get("legal_forms", ()) for form in fold(written).split()},
            phone_region=plain.get("phone_region", ""),
        )

    @property
    def is_on(self) -> bool:
        """Say whether anything is looked for at all."""
        return self.policy != "create" or self.within_source != "keep_all"


@dataclass(frozen=True, slots=True)
class Identity:
    """What a record is recognised by, folded.

    Attributes:
        title: the name as it is written, for people.
        name: the folded name.
        postcode: of its address.
        values: kind of key → values.
        differ: field → value, of those that must not differ.
    """

    title: str
    name: str = ""
    postcode: str = ""
    values: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    differ: Mapping[str, str] = field(default_factory=dict)

    def plain(self) -> dict[str, Any]:
        """Answer it as it is kept."""
        return {
            "title": self.title,
            "name": self.name,
            "postcode": self.postcode,
            "values": {kind: list(values) for kind, values in self.values.items()},
            "differ": dict(self.differ),
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Identity:
        """Take it as it was kept."""
        values = {kind: tuple(found) for kind, found in plain.get("values", {}).items()}
        return cls(plain.get("title", ""), plain.get("name", ""), plain.get("postcode", ""), values, plain.get("differ", {}))

    def digests(self) -> list[str]:
        """Answer by what it is looked up: a digest for each key, and for names that are only alike."""
        marks = [f"{kind}\0{value}" for kind, values in self.values.items() for value in values]
        return [hashlib.sha256(mark.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST_CHARACTERS] for mark in [*marks, *self._blocks()]]

    def _blocks(self) -> list[str]:
        """Answer groups in which names that are alike stand together."""
        if not self.name or NAME not in self.values:
            return []
        blocks = {self.name.replace(" ", "")[:_BLOCK_CHARACTERS], "".join(sorted(self.name.split()))[:_BLOCK_CHARACTERS]}
        found = [f"block\0{block}" for block in sorted(blocks)]
        return [*found, f"block\0{self.postcode}\0{self.name[0]}"] if self.postcode else found


def identify(rules: Rules, image: Mapping[str, Any]) -> Identity:
    """Take the keys of an image or of a payload whose references are resolved. Never raises."""
    flat = {**image, **{CUSTOM_PREFIX + name: value for name, value in _object(image.get(_CUSTOM)).items()}}
    title = next(iter(_texts(flat.get(NAME))), "")
    forms = rules.legal_forms if rules.entity == _COMPANY else frozenset()
    name = fold_name(title, forms)
    postcode = code_of(str(_object(flat.get("address")).get("postal_code") or ""))
    organization = flat.get("org_id")
    readers: dict[str, Callable[[str], str]] = {
        "domain": lambda text: domain_of(text, rules.free_mail_hosts),
        "email": email_of,
        "phone": lambda text: phone_of(text, rules.phone_region),
        "code": code_of,
    }
    values: dict[str, tuple[str, ...]] = {}
    for key in rules.keys:
        if key.kind == NAME:
            found = [name]
        elif key.kind == NAME_AND_POSTCODE:
            found = [f"{name}\0{postcode}"] if name and postcode else []
        elif key.kind == NAME_AND_ORGANIZATION:
            found = [f"{name}\0{organization}"] if name and isinstance(organization, int | str) and organization else []
        else:
            found = [readers[key.kind](text) for one in key.fields for text in _texts(flat.get(one))]
        distinct = tuple(sorted({value for value in found if value} | set(values.get(key.kind, ()))))
        if distinct:
            values[key.kind] = distinct
    differ = {one: folded for one in rules.differ if (folded := code_of(" ".join(_texts(flat.get(one)))))}
    return Identity(title, name, postcode, values, differ)


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _texts(value: object) -> Iterable[str]:
    """Answer the texts in a field: of a list of e-mails or phones each, of an object its value."""
    if isinstance(value, list):
        return [text for one in value for text in _texts(one)]
    if isinstance(value, dict):
        return _texts(value.get(_PARTS[0]))
    if value is None or isinstance(value, bool):
        return []
    return [str(value)]
