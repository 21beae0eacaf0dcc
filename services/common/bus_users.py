"""Who may do what on NATS, as data: what a service's connection asks for, and the permissions the servers are configured with.

`python -m tools.nats_permissions` writes the servers' file from here. A subject that is not listed is refused by the server.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Final

from services.common.streams import CONSUMERS, LOADER, MAPPED, RAW, STREAMS, TRANSFORMER

if TYPE_CHECKING:
    from services.common.streams import ConsumerSpec, StreamSpec

_API: Final = "$JS.API"


@dataclass(frozen=True, slots=True)
class BusUser:
    """A service, as NATS sees it.

    Attributes:
        name: the service's name.
        publishes: streams it puts work into.
        consumes: consumers it takes work from.
        manages: whether it declares streams and consumers; exactly one user does, so that nobody else can lead a stream's messages elsewhere.
    """

    name: str
    publishes: tuple[StreamSpec, ...] = ()
    consumes: tuple[ConsumerSpec, ...] = ()
    manages: bool = False

    @property
    def streams(self) -> tuple[StreamSpec, ...]:
        """The streams it has to do with."""
        return STREAMS if self.manages else tuple(dict.fromkeys((*self.publishes, *(one.stream for one in self.consumes))))

    @property
    def consumers(self) -> tuple[ConsumerSpec, ...]:
        """The consumers it has to do with."""
        return CONSUMERS if self.manages else self.consumes

    @property
    def inbox(self) -> str:
        """Where its answers come: a place of its own, because who listens at another's inbox reads the messages that one fetches."""
        return f"_INBOX_{self.name}"

    @property
    def may_publish(self) -> tuple[str, ...]:
        """Subjects it may publish to, requests to JetStream and acknowledgements included."""
        acts = ("CREATE", "UPDATE", "INFO") if self.manages else ("INFO",)
        return (
            *(stream.subjects for stream in self.publishes),
            *(f"{_API}.STREAM.{act}.{stream.name}" for stream in self.streams for act in acts),
            *chain.from_iterable(self._consumer_subjects(consumer) for consumer in self.consumers),
        )

    @property
    def may_subscribe(self) -> tuple[str, ...]:
        """Subjects it may subscribe to; messages of a stream come to its inbox."""
        return (f"{self.inbox}.>",)

    def _consumer_subjects(self, consumer: ConsumerSpec) -> tuple[str, ...]:
        path = f"{consumer.stream.name}.{consumer.name}"
        info = f"{_API}.CONSUMER.INFO.{path}"
        managing = (f"{_API}.CONSUMER.DURABLE.CREATE.{path}",) if self.manages else ()
        working = (f"{_API}.CONSUMER.MSG.NEXT.{path}", f"$JS.ACK.{path}.>") if consumer in self.consumes else ()
        return (info, *managing, *working)


LEDGER_USER: Final = BusUser("ledger", publishes=(RAW, MAPPED), manages=True)
TRANSFORMER_USER: Final = BusUser("transformer", publishes=(MAPPED,), consumes=(TRANSFORMER,))
LOADER_USER: Final = BusUser("loader", consumes=(LOADER,))
"""The extractor is none: what it reads goes to staging, and the ledger announces it."""

USERS: Final = (LEDGER_USER, TRANSFORMER_USER, LOADER_USER)


def authorization(users: tuple[BusUser, ...] = USERS) -> str:
    """Answers the servers' configuration of users.

    Keys come from a folder beside the one of the configuration; `transload nats-keys` writes that file. Each user has two: while one takes the
    place of the other, both are let in.
    """
    lines = ['include "../nats-keys/keys.conf"', ""]
    for user in users:
        lines += [f"{user.name.upper()}: {{", *_listed("publish", user.may_publish), *_listed("subscribe", user.may_subscribe), "}"]
    lines += ["", "authorization {", "  users: ["]
    slots = [(f"${user.name.upper()}_{slot}", user.name.upper()) for user in users for slot in ("KEY", "KEY_BEFORE")]
    lines += [f"    {{ nkey: {key}, permissions: ${name} }}" for key, name in slots]
    return "\n".join([*lines, "  ]", "}", ""])


def _listed(kind: str, subjects: tuple[str, ...]) -> list[str]:
    return [f"  {kind}: {{", "    allow: [", *(f'      "{one}"' for one in subjects), "    ]", "  }"]
