"""Makes the bytes of requests and messages from their descriptors and a seed: from nonsense to what is right but for one field."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from google.protobuf import message_factory
from google.protobuf.descriptor import FieldDescriptor as Field

from tests.fuzz import values, wire

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from google.protobuf.descriptor import Descriptor

_LISTS_MAX: Final = 3
_MANY: Final = 3_000
_DEEP: Final = 4
_BYTES_MAX: Final = 4 * 1024 * 1024
"""Of one field that repeats; what is larger than 64 MiB gRPC itself refuses."""


@dataclass(slots=True)
class Known:
    """What the installation really holds, by the name of the field it fits in.

    Attributes:
        texts: field name -> values.
        documents: field name -> JSON or YAML of which almost right ones are made.
        messages: full name of a message -> real ones, as they went over a stream.
    """

    texts: dict[str, list[bytes]] = field(default_factory=dict)
    documents: dict[str, list[bytes]] = field(default_factory=dict)
    messages: dict[str, list[bytes]] = field(default_factory=dict)

    def add(self, name: str, *found: str | bytes) -> None:
        """Add values of a field."""
        known = self.texts.setdefault(name, [])
        known.extend(raw for one in found if (raw := one.encode() if isinstance(one, str) else one) and raw not in known)


class Maker:
    """Makes requests; the same seed and the same knowledge give the same bytes."""

    def __init__(self, known: Known, rng: random.Random) -> None:
        self._known = known
        self._rng = rng

    def make(self, descriptor: Descriptor) -> bytes:
        """Return the bytes of one request."""
        kinds: tuple[tuple[int, Callable[[Descriptor], bytes]], ...] = (
            (14, self._spoilt),
            (2, self._hostile),
            (4, lambda one: self.sensible(one).SerializeToString()),
            (1, self._cut),
            (1, self._noise),
            (1, self._mistyped),
            (1, self._nested),
        )
        return self._rng.choices([make for _, make in kinds], [weight for weight, _ in kinds])[0](descriptor)

    def sensible(self, descriptor: Descriptor, depth: int = 0) -> Any:
        """Return a message whose fields hold what the installation knows, as far as it does."""
        message = message_factory.GetMessageClass(descriptor)()
        real = self._known.messages.get(descriptor.full_name)
        if real and self._rng.random() < 0.8:
            message.ParseFromString(self._rng.choice(real))
            return message
        for one in descriptor.fields:
            is_message = one.message_type is not None
            if (is_message and depth > _DEEP) or self._rng.random() < (0.15 if is_message else 0.05):
                continue
            self._fill(message, one, depth)
        return message

    def _fill(self, message: Any, one: Field, depth: int) -> None:
        if one.message_type is not None and one.message_type.GetOptions().map_entry:
            return
        if one.is_repeated:
            target = getattr(message, one.name)
            for _ in range(self._rng.randint(0, _LISTS_MAX)):
                if one.message_type is not None:
                    target.add().CopyFrom(self._sensible_child(one.message_type, depth))
                else:
                    target.append(self._value(one))
        elif one.message_type is not None:
            getattr(message, one.name).CopyFrom(self._sensible_child(one.message_type, depth))
        else:
            setattr(message, one.name, self._value(one))

    def _sensible_child(self, descriptor: Descriptor, depth: int) -> Any:
        if descriptor.full_name.startswith("google.protobuf."):
            return message_factory.GetMessageClass(descriptor)(seconds=self._rng.choice((0, 1, 60, 1_750_000_000)), nanos=0)
        return self.sensible(descriptor, depth + 1)

    def _value(self, one: Field) -> Any:
        rng = self._rng
        if one.type in {Field.TYPE_STRING, Field.TYPE_BYTES}:
            raw = self._text(one.name)
            return raw if one.type == Field.TYPE_BYTES else raw.decode("utf-8", "replace")
        if one.type == Field.TYPE_BOOL:
            return rng.random() < 0.5
        if one.enum_type is not None:
            return rng.choice([value.number for value in one.enum_type.values])
        if one.type == Field.TYPE_DOUBLE:
            return rng.choice((0.0, 0.5, 30.0))
        return rng.choice((0, 1, 2, 10, 100, 1000))

    def _text(self, name: str) -> bytes:
        known = self._known.texts.get(name, []) + self._known.documents.get(name, [])
        return self._rng.choice(known) if known else b"x"

    def _spoilt(self, descriptor: Descriptor) -> bytes:
        """Sensible but for one to three fields."""
        raw: bytes = self.sensible(descriptor).SerializeToString()
        return raw + b"".join(self._bad_field(descriptor) for _ in range(self._rng.choice((1, 1, 1, 1, 2))))

    def _hostile(self, descriptor: Descriptor) -> bytes:
        """Nothing but bad fields."""
        return b"".join(self._bad_field(descriptor) for _ in range(self._rng.randint(1, 6)))

    def _bad_field(self, descriptor: Descriptor, depth: int = 0) -> bytes:
        if not descriptor.fields:
            return wire.content(self._rng.randint(1, 2_000), b"unknown")
        one = self._rng.choice(descriptor.fields)
        times = self._rng.choice((2, 50, _MANY)) if one.is_repeated and self._rng.random() < 0.15 else 1
        made = self._bad_value(descriptor, one, depth)
        return made * min(times, 1 + _BYTES_MAX // (len(made) + 1))

    def _bad_value(self, descriptor: Descriptor, one: Field, depth: int) -> bytes:
        rng = self._rng
        if one.message_type is not None:
            return wire.content(one.number, self._bad_field(one.message_type, depth + 1) if depth < _DEEP else b"")
        if one.type in {Field.TYPE_STRING, Field.TYPE_BYTES}:
            return wire.content(one.number, self._bad_text(one.name))
        if one.type == Field.TYPE_DOUBLE:
            return wire.real(one.number, rng.choice(values.REALS))
        if descriptor.full_name.startswith("google.protobuf."):
            return wire.integer(one.number, rng.choice(values.SECONDS if one.name == "seconds" else values.NANOS))
        return wire.integer(one.number, rng.choice(values.INTEGERS))

    def _bad_text(self, name: str) -> bytes:
        rng = self._rng
        documents = self._known.documents.get(name)
        if documents and rng.random() < 0.6:
            return (values.twisted_yaml if "yaml" in name else values.twisted_json)(rng.choice(documents), rng)
        if rng.random() < 0.4:
            # What is right somewhere else: the page token of another list, the id of another thing.
            return rng.choice(rng.choice(list(self._known.texts.values())))
        known = self._known.texts.get(name)
        if known and rng.random() < 0.2:
            whole = rng.choice(known)
            return rng.choice((whole[:-1], whole + b"x", whole.upper(), whole[::-1], whole * 50, b" " + whole))
        return rng.choice(values.TEXTS)

    def _cut(self, descriptor: Descriptor) -> bytes:
        """A message of which the end is missing."""
        raw: bytes = self.sensible(descriptor).SerializeToString()
        return raw[: self._rng.randint(0, max(0, len(raw) - 1))]

    def _noise(self, descriptor: Descriptor) -> bytes:
        """Random bytes, now and then behind something right."""
        raw: bytes = self.sensible(descriptor).SerializeToString() if self._rng.random() < 0.3 else b""
        return raw + self._rng.randbytes(self._rng.choice((0, 1, 7, 64, 4096)))

    def _mistyped(self, descriptor: Descriptor) -> bytes:
        """Fields in the wire format of another type."""
        numbers = [one.number for one in descriptor.fields] or [1]
        out = bytearray(self.sensible(descriptor).SerializeToString())
        for _ in range(self._rng.randint(1, 4)):
            number = self._rng.choice(numbers)
            out += self._rng.choice((wire.integer(number, 7), wire.real(number, 7.0), wire.content(number, b"\x08\x96\x01")))
        return bytes(out)

    def _nested(self, descriptor: Descriptor) -> bytes:
        """Messages or groups inside each other, deeper than anything means."""
        if self._rng.random() < 0.5:
            return wire.nested_groups(self._rng.choice((10, 99, 5_000)))
        number = next((one.number for one in descriptor.fields if one.message_type is not None), 1)
        raw = b""
        for _ in range(self._rng.choice((50, 500))):
            raw = wire.content(number, raw)
        return raw
