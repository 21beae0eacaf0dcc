"""Decides who calls and whether it may: without I/O but for the list of callers, which is read again when it changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from services.common import telemetry
from services.common.access.callers import Caller, Callers
from services.common.access.roles import RULES, Rule
from services.common.errors import AccessDeniedError, UnauthenticatedError
from transload.security import AUTHORIZATION
from transload.watched import Watched

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

_LOG = telemetry.get_logger(__name__)
_SCHEME: Final = "bearer "
_NAMES: Final = ("x509_subject_alternative_name", "x509_common_name")
_NOBODY: Final = Rule()


class Guard:
    """Who may call, by the file of callers."""

    def __init__(self, path: Path) -> None:
        """Reads the file. Raises ConfigurationError when it is broken; once it was right, a broken one leaves the last good one in force."""
        self._callers = Watched(
            (path,),
            lambda: Callers.read(path),
            on_broken=lambda error: _LOG.error("access.file_broken", problem=str(error), effect="the callers read last stay in force"),
            on_changed=lambda: _LOG.info("access.file_read", file=str(path)),
        )

    @property
    def generation(self) -> int:
        """Grows when the list of callers changes; who was let in before may have to be looked at again."""
        self._callers.current()
        return self._callers.generation

    def identify(self, metadata: Iterable[tuple[str, Any]], auth_context: Mapping[str, Iterable[bytes]]) -> Caller:
        """Answers who calls. A token goes before the certificate; a wrong one is not made good by it.

        Raises:
            UnauthenticatedError: nothing of it is known here.
        """
        callers = self._callers.current()
        tokens = [value for key, value in metadata if key == AUTHORIZATION]
        if tokens:
            caller = callers.by_token(_token(tokens))
            if caller is None:
                raise UnauthenticatedError("the bearer token is not known here: it is misspelt, was taken back, or belongs to another installation")
            return caller
        names = [name.decode("utf-8", "replace") for key in _NAMES for name in auth_context.get(key, ())]
        if not names:
            raise UnauthenticatedError("the call says not who makes it: send a bearer token or use a client certificate")
        caller = callers.by_certificate(names)
        if caller is None:
            raise UnauthenticatedError("the client certificate is trusted, but its names belong to no caller here, or to several")
        return caller

    def check(self, caller: Caller, method: str) -> None:
        """Lets the caller call `method`, the full path of an RPC.

        Raises:
            AccessDeniedError: its role may not; metadata has `role` and `needed`.
        """
        rule = RULES.get(method, _NOBODY)
        if not rule.allows(caller.role, caller.services):
            name = method.rpartition("/")[2]
            needed = rule.needed or "nobody"
            raise AccessDeniedError(
                f"{caller.actor} may not call {name}: it needs the role {needed}, and this caller is {caller.role}",
                metadata={"rpc": name, "role": str(caller.role), "needed": needed},
            )


def _token(values: list[str | bytes]) -> str:
    """Answers the token of the one header there may be; empty when it is something else."""
    value = values[0]
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    return text[len(_SCHEME) :].strip() if len(values) == 1 and text[: len(_SCHEME)].lower() == _SCHEME else ""
