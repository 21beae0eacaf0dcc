"""Organizations and persons in short, as they stand beside a deal or a lead."""

from dataclasses import dataclass
from typing import Any

from sandbox.pipedrive.pages import look, values
from sandbox.pipedrive.pages.reader import Chip, Reader, Ref
from sandbox.pipedrive.pages.values import Part
from sandbox.pipedrive.store.store import Record


@dataclass(frozen=True, slots=True)
class ContactCard:
    """An organization or a person in short."""

    ref: Ref
    initials: str
    tone: int
    chips: list[Chip]
    address: str
    contacts: list[Part]
    organization: Ref | None
    """Where a person works."""
    picture: str = ""


def organization_card(reader: Reader, org_id: int | None) -> ContactCard | None:
    """Return an organization in short."""
    found = reader.store["organization"].get(org_id) if org_id is not None else None
    if found is None:
        return None
    ref = reader.ref_to("organization", found)
    return ContactCard(
        ref, look.initials(ref.text), look.tone(found["id"]), reader.chips("organization", found), values.address(found["address"]), [], None
    )


def person_card(reader: Reader, person_id: int | None) -> ContactCard | None:
    """Return a person in short."""
    found = reader.store["person"].get(person_id) if person_id is not None else None
    if found is None:
        return None
    ref = reader.ref_to("person", found)
    contacts = values.contacts(found["emails"], "email") + values.contacts(found["phones"], "phone")
    return ContactCard(
        ref,
        look.initials(ref.text),
        look.tone(found["id"]),
        reader.chips("person", found),
        "",
        contacts,
        reader.ref("organization", found["org_id"]),
        reader.picture("picture", "person_id", found["id"]),
    )


def contact_rows(reader: Reader, persons: list[Record]) -> list[dict[str, Any]]:
    """Return persons as rows of a list."""
    return [
        {
            "ref": reader.ref_to("person", person),
            "chips": reader.chips("person", person),
            "organization": reader.ref("organization", person["org_id"]),
            "emails": values.contacts(person["emails"], "email")[:1],
            "phones": values.contacts(person["phones"], "phone")[:1],
            "owner": reader.user(person["owner_id"]),
        }
        for person in persons
    ]
