"""Source users and where they come from."""

from __future__ import annotations

from services.transformer.mapping.base import Model


class Owner(Model):
    """A source user, and the e-mail by which the Pipedrive user is found."""

    name: str = ""
    email: str | None = None
    is_active: bool = True
    is_listed: bool = True
    """False: the source lists this person no more, but records still point to it."""
    remark: str | None = None


class Owners(Model):
    """Source users and where they come from."""

    entity: str | None = None
    """Source entity of the users."""
    also: list[str] = []
    """Further entities whose records are users, with ids that do not collide: technicians with a list of their own."""
    people: dict[str, Owner] = {}
    """Corrections and users the source lists no more, by source id."""

    @property
    def entities(self) -> tuple[str, ...]:
        """All entities whose records are users, the main one first."""
        return (self.entity, *self.also) if self.entity else ()
