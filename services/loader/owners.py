"""Loading users (L-04): source users are matched to active Pipedrive users by e-mail, never created."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from services.loader.entities.schema import list_users
from services.loader.work import Action, Outcome, Result

if TYPE_CHECKING:
    from services.loader.attempts import Attempts
    from services.loader.work import Batch, LedgerPort, Work

FALLBACK_KEY: Final = "user:schema/fallback"
UNMATCHED: Final = "OWNER_UNMATCHED"


class Owners:
    """Matches users."""

    def __init__(self, *, attempts: Attempts, ledger: LedgerPort) -> None:
        self._attempts = attempts
        self._ledger = ledger

    async def load(self, batch: Batch) -> None:
        """Decides `user` records."""
        works = batch.open(Action.CREATE, Action.UPDATE, Action.IN_DOUBT)
        if not works:
            return

        async def act() -> None:
            users = await list_users(batch.client, batch.shared)
            fallback = await self._fallback(batch, users)
            for work in works:
                work.outcome = _match(work, users, fallback)

        await self._attempts.group(batch, works, act)

    async def _fallback(self, batch: Batch, users: list[dict[str, Any]]) -> str:
        """The fallback user's id: as the ledger has it, else of this batch's own fallback record, else the token's user."""
        if known := batch.reference_ids.get(FALLBACK_KEY) or (await self._ledger.manifest(batch.manifest_digest)).fallback_user_id:
            return str(known)
        record = next((work for work in batch.works if work.key == FALLBACK_KEY), None)
        if record is not None and record.body.get("email"):
            return str((_by_email(users, record.body["email"]) or {}).get("id", ""))
        return _own(users)


def _match(work: Work, users: list[dict[str, Any]], fallback: str) -> Outcome:
    email = work.body.get("email")
    if work.key == FALLBACK_KEY and not email:
        own = _own(users)
        if own:
            return Outcome(Result.MATCHED, own, image={"id": int(own)})
        return Outcome(Result.WAITING, reason=UNMATCHED, message="Pipedrive does not say which user the token belongs to")
    user = _by_email(users, email)
    if user is not None:
        return Outcome(Result.MATCHED, str(user["id"]), image={"id": user["id"], "email": str(user["email"]).casefold()})
    message = "no active Pipedrive user has the e-mail of this source user; invite the user, or name another in the mapping"
    if work.body.get("use_fallback") and fallback:
        message = "no active Pipedrive user has the e-mail of this source user; the fallback user owns the records instead"
        return Outcome(Result.MATCHED, fallback, image={"id": int(fallback)}, message=message, flag_reason=UNMATCHED)
    return Outcome(Result.WAITING, reason=UNMATCHED, message=message)


def _by_email(users: list[dict[str, Any]], email: Any) -> dict[str, Any] | None:
    wanted = str(email or "").strip().casefold()
    if not wanted:
        return None
    return next((user for user in users if user.get("active_flag") and str(user.get("email") or "").casefold() == wanted), None)


def _own(users: list[dict[str, Any]]) -> str:
    return next((str(user["id"]) for user in users if user.get("is_you")), "")
