"""The layout of a bundle: which tables it holds, which heads their columns have, and what a cell means.

Every source has a default in its `layout.yaml`. What a tenant has otherwise stands in a `layout.yaml` inside the bundle, and over both in the
connector option `layout`; each has the shape of the whole and is laid over the one before: objects are merged key by key, everything else is
replaced, and null takes a key away.
"""

from __future__ import annotations

import enum
import re
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeAlias

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from services.common.errors import InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

FINDINGS: Final = "bundle_finding"
"""The entity that holds what the check found; it is read first."""
PROPERTIES: Final = "properties"
OTHER_COLUMNS: Final = "other_columns"
TENANT_LAYOUT: Final = "layout.yaml"
LAYOUT_BYTES_MAX: Final = 1_048_576
"""Largest layout of a tenant."""

_BLANKS: Final = re.compile(r"[\s_*\u00a0\ufeff]+")
_PLACEHOLDER: Final = re.compile(r"\{(\w+)\}")


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


def _as_tuple(value: object) -> object:
    return (value,) if isinstance(value, str) else value


Texts: TypeAlias = Annotated[tuple[str, ...], BeforeValidator(_as_tuple)]
"""Texts, or one."""


class CellType(enum.StrEnum):
    """What the cells of a column are."""

    TEXT = "text"
    ID = "id"
    INTEGER = "integer"
    NUMBER = "number"
    MONEY = "money"
    PERCENT = "percent"
    BOOLEAN = "boolean"
    DATE = "date"
    TIME = "time"
    DATETIME = "datetime"
    LIST = "list"


class Formats(_Model):
    """How cells are written. `auto` and null: as `manifest.json` says, else as the cells prove; what they do not prove is asked, never guessed."""

    date_order: Literal["auto", "dmy", "mdy", "ymd"] = "auto"
    date_orders: dict[str, Literal["dmy", "mdy", "ymd"]] = {}
    """The same for single columns, by `entity.column`."""
    time_zone: str | None = None
    """IANA name, for times without a zone."""
    encoding: str = "auto"
    delimiter: str = "auto"
    """One character, or `tab`."""
    quotes: Literal["strict", "lenient", "none"] = "strict"
    """`lenient` takes quotation marks that are not doubled, `none` takes them as text."""
    decimal: Literal["auto", ".", ","] = "auto"
    percent: Literal["auto", "one", "hundred"] = "auto"
    """Whether 1 means all (`one`) or a hundredth (`hundred`)."""
    currency: str | None = None
    """Code of the currency of money that names none."""
    two_digit_years: int | None = Field(None, ge=1900, le=2000)
    """First year of the hundred years that two digits stand for: with 1970, 69 is 2069 and 70 is 1970."""
    empty_dates: tuple[str, ...] = ("1899-12-30", "1900-01-01")
    """Dates with which old data bases say that there is none."""


class Column(_Model):
    """One column of a table."""

    heads: Texts
    """Heads it may have, the usual one first; letter case, blanks, `*` and `_` do not count."""
    type: CellType = CellType.TEXT
    is_required: bool = False
    """Without it the table cannot be read."""
    separator: Texts = (";",)
    """What stands between the elements of a list, each of them."""
    refers_to: str | None = None
    """Entity, or `entity.column`, whose values these are; others are reported as broken references."""
    zone_column: str | None = None
    """Column with the time zone of this row's times."""


class RowCondition(_Model):
    """Holds for rows whose column has one of these values; letter case does not count."""

    column: str
    one_of: list[str | int | float | bool]


class FileRule(_Model):
    """Where the file of a row is, and whose it is."""

    path: str | None = None
    """Column with the path, relative to the bundle or to `folder`."""
    name: str | None = None
    """Column with the file name."""
    folder: str | None = None
    """Path of a file made of columns in braces. Also read backwards: files that no row names are found by it."""
    kind: str | None = None
    """Column that says what kind of record the file belongs to; null: the first column in `folder`."""
    id: str | None = None
    """Column with that record's id; null: the second column in `folder`."""
    kinds: dict[str, str] = {}
    """What the kinds mean: entity by value, letter case, blanks and `_` do not count."""
    owner_entity: str | None = None
    """The entity, where all files of the table belong to one kind."""

    @property
    def placeholders(self) -> tuple[str, ...]:
        """The columns in `folder`, in order."""
        return tuple(_PLACEHOLDER.findall(self.folder or ""))

    @property
    def kind_column(self) -> str | None:
        """The column with the kind of the owner."""
        if self.kind or self.owner_entity:
            return self.kind
        return self.placeholders[0] if len(self.placeholders) > 1 else None

    @property
    def id_column(self) -> str | None:
        """The column with the owner's id."""
        if self.id:
            return self.id
        place = 0 if self.owner_entity else 1
        return self.placeholders[place] if len(self.placeholders) > place else None

    def owner_of(self, kind: str) -> str:
        """Answer the entity a kind stands for; one that is not known as it came, in snake case."""
        known = {plain(value): entity for value, entity in self.kinds.items()}
        return self.owner_entity or known.get(plain(kind)) or re.sub(r"\W+", "_", kind.strip().lower())


class EntityLayout(_Model):
    """One table."""

    source_name: str
    """Stem of its file, with the folder before it (`field_service/jobs`) where the stem alone would not do."""
    other_names: tuple[str, ...] = ()
    is_required: bool = False
    """A bundle without it is refused."""
    is_reference_data: bool = False
    is_files: bool = False
    file: FileRule | None = None
    id: tuple[str, ...] = ()
    """Columns that make the id; none: rows are known by what they hold."""
    columns: dict[str, Column] = {}
    deleted_when: RowCondition | None = None
    archived_when: RowCondition | None = None
    unread_heads: tuple[str, ...] = ()
    """Heads of columns that are passed over unread, such as passwords: their cells stand on no page."""

    @model_validator(mode="after")
    def _check_names(self) -> EntityLayout:
        named = [*self.id, *(rule.column for rule in (self.deleted_when, self.archived_when) if rule)]
        if self.file is not None:
            named += [name for name in (self.file.path, self.file.name, self.file.kind_column, self.file.id_column) if name]
        named += [column.zone_column for column in self.columns.values() if column.zone_column]
        if unknown := sorted(set(named) - set(self.columns)):
            raise ValueError(f"{self.source_name}: columns has no {', '.join(unknown)}")
        if self.is_files != (self.file is not None):
            raise ValueError(f"{self.source_name}: is_files and file belong together")
        return self


class PropertyTypes(_Model):
    """Where the bundle itself says of which type the tenant's own columns are. Others stay text."""

    entity: str
    """Table with one row for each; it stands before the tables that have the columns."""
    of: str
    """Its column that says whose field it is."""
    entities: dict[str, tuple[str, ...]]
    """By entity, what stands in that column; letter case, blanks and `_` do not count."""
    label: str
    """The label in the head of the column, with columns of the row in braces."""
    type: str
    types: dict[str, CellType]
    """Type by the source's word for it."""


class Layout(_Model):
    """A whole bundle."""

    source: str
    formats: Formats = Formats()
    property_heads: tuple[str, ...] = ()
    """Heads of the tenant's own fields, with `{label}` for their name."""
    property_types: PropertyTypes | None = None
    shares: dict[str, str] = {}
    """Folder of the bundle by network share or drive that paths of files begin with; the option of that name goes before."""
    entities: dict[str, EntityLayout]

    @model_validator(mode="after")
    def _check_references(self) -> Layout:
        for name, entity in self.entities.items():
            if name == FINDINGS or not re.fullmatch(r"[a-z][a-z0-9_]*", name):
                raise ValueError(f"entities: {name!r} is no name for an entity")
            for column_name, column in entity.columns.items():
                self._check_reference(f"entities.{name}.columns.{column_name}.refers_to", column.refers_to)
        if self.property_types is not None:
            for name in (self.property_types.entity, *self.property_types.entities):
                self._check_reference("property_types", name)
        return self

    def _check_reference(self, place: str, target: str | None) -> None:
        if target is None:
            return
        entity, _, column = target.partition(".")
        if entity not in self.entities:
            raise ValueError(f"{place}: there is no entity {entity}")
        if column and column not in self.entities[entity].columns:
            raise ValueError(f"{place}: {entity} has no column {column}")


def plain(name: str) -> str:
    """Answer a head or name as it is compared: without blanks, `*`, `_` and letter case."""
    return _BLANKS.sub("", name).casefold()


class _PlainLoader(yaml.SafeLoader):
    """Reads YAML without aliases: a few lines of them unfold to gigabytes."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not allowed in a layout")
        return super().compose_node(parent, index)


def parse_layout(text: str, *, place: str) -> dict[str, Any]:
    """Read a layout or a part of one.

    Raises:
        InvalidRequestError: It is not a YAML object; the message begins with `place`.
    """
    try:
        document = yaml.load(text, Loader=_PlainLoader)  # noqa: S506 - a safe loader, made stricter
    except (yaml.YAMLError, RecursionError) as error:
        raise InvalidRequestError(f"{place} is not YAML: {str(error).splitlines()[0]}") from error
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise InvalidRequestError(f"{place} is not an object with names")
    return document


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Lay one document over another."""
    result = dict(base)
    for key, value in over.items():
        if value is None:
            if isinstance(result.get(key), dict | list):
                del result[key]
            elif key in result:
                result[key] = None
        elif isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = merged(result[key], value)
        else:
            result[key] = value
    return result


def build_layout(parts: Iterable[tuple[str, Mapping[str, Any]]]) -> Layout:
    """Make a layout of documents laid over each other; each comes with the place it is from.

    Raises:
        InvalidRequestError: It is not one; the message names the places and the key.
    """
    document: dict[str, Any] = {}
    places: list[str] = []
    for place, part in parts:
        document = merged(document, part)
        if part:
            places.append(place)
    try:
        return Layout.model_validate(document)
    except (ValidationError, RecursionError) as error:
        problem = "; ".join(_problems(error)) if isinstance(error, ValidationError) else "it is nested too deeply"
        raise InvalidRequestError(f"layout ({', '.join(places)}): {problem}") from error


def _problems(error: ValidationError) -> list[str]:
    return [
        f"{'.'.join(str(part) for part in one['loc']) or 'layout'}: {one['msg']}" for one in error.errors(include_url=False, include_input=False)
    ][:5]
