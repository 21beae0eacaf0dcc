"""The mapping: what each kind of source record becomes in Pipedrive. Models of the YAML file, readable by the person who confirms it.

A mapping document may hold two partial documents under `account` (what the proposal found in this account) and `overrides` (what a person wants
otherwise). Both have the shape of the whole and are laid over it, `account` first: objects are merged key by key, everything else is replaced,
and null takes a key away. So the comments of the connector's file stay where they are.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from services.common.canonical import digest_of
from services.common.errors import MappingError, NotFoundError
from services.common.sources import installed_mapping
from services.transformer import name_rules, proposal_rules, sections

if TYPE_CHECKING:
    from collections.abc import Mapping as MappingType

Scalar: TypeAlias = str | int | float | bool | None

_LAYERS = ("account", "overrides")


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


def _as_word(value: object) -> object:
    """Take `is: true`, which YAML reads as a truth value, as the word it stands for."""
    return str(value).lower() if isinstance(value, bool) else value


class Condition(_Model):
    """A test of a record. Give `of`, `field` or `policy` with exactly one test, or one of `all`, `any`, `not`."""

    of: str | None = None
    """Source path."""
    field: str | None = None
    """Target field of the same record, filled by a rule that stands before."""
    policy: str | None = None
    """One of the policies, or of the mapping's own choices."""
    is_: Annotated[
        Literal["present", "empty", "true", "false", "moved", "missing", "loop", "native_outcome", "after_window"] | None, BeforeValidator(_as_word)
    ] = Field(None, alias="is")
    """`moved`, `missing` and `loop` are asked of a link: it leads to a record that is moved, to one that is not there, round in a circle;
    `native_outcome` of a text: the account has an activity outcome of that name; `after_window` of a date: it lies after the window in which
    what comes again is made (policies `recurrence_from` and `recurrence_window_months`)."""
    equals: Scalar = None
    one_of: list[Scalar] | None = None
    later_than: str | None = None
    """Source path of a point in time that must be before this one; without both it does not hold."""
    greater_than: float | None = None
    less_than: float | None = None
    longer_than: int | None = None
    all_: list[ConditionRef] | None = Field(None, alias="all")
    any_: list[ConditionRef] | None = Field(None, alias="any")
    not_: ConditionRef | None = Field(None, alias="not")


ConditionRef: TypeAlias = str | Condition
"""A condition, or the name of one under `conditions`."""


class RefRule(_Model):
    """A reference to another mapped record."""

    to: str
    """Target entity of the record referred to."""
    of: str = "self"
    """Link that leads to the source record; `self` is the record being mapped."""
    placeholder: str | None = None
    """Instead of `of`: one of the records without a source record, under `placeholders`."""
    part: str = ""
    on_missing: Literal["review", "drop", "leave_out"] = "review"
    """What to do without it: wait for a person, go without the reference, or leave this record out with a remark."""


def _as_rule(value: object) -> object:
    return {"from": value} if isinstance(value, (str, list)) else value


class TableBlock(_Model):
    """A table in a note: one row for each element of a list."""

    rows: str
    sort_by: str | None = None
    columns: dict[str, RuleRef]


class Block(_Model):
    """One part of a note. Exactly one of `heading`, `facts`, `table`, `text`, `properties`; empty values leave no trace."""

    heading: str | None = None
    title: str | None = None
    facts: dict[str, RuleRef] | None = None
    table: TableBlock | None = None
    text: RuleRef | None = None
    properties: bool = False
    when: ConditionRef | None = None


class ImageRule(_Model):
    """Which files the images of an HTML text are."""

    of: str
    """Link to many that leads to the records of the files."""
    number: str = "number"
    """Field in them: the place of the image among all images of the text, from 1."""


class FieldRule(_Model):
    """How one target field gets its value: one source of the value, then transforms, then the value map, then the default."""

    from_: str | list[str] | None = Field(None, alias="from")
    """Source path, or several of which the first with a value counts."""
    value: Scalar | list[Scalar] = None
    """A fixed value."""
    policy: str | None = None
    """What a policy or a choice says."""
    template: str | None = None
    """Text with source paths in braces; empty when none of them has a value."""
    join: list[RuleRef] | None = None
    """Several values as one text; empty ones are left out."""
    separator: str = " "
    cases: list[RuleRef] | None = None
    """Several rules of which the first whose `when` holds and that gives a value counts."""
    together: list[RuleRef] | None = None
    """Several lists as one: phones and mobiles."""
    object_: dict[str, RuleRef] | None = Field(None, alias="object")
    """Several values under names, for transforms that need more than one; empty ones are left out."""
    html: list[Block] | None = None
    ref: RefRule | None = None
    images: ImageRule | None = None
    """For HTML: its images get the addresses their files have in Pipedrive. Only in a target that is made `after_files`."""
    owner: str | None = None
    """Link to the source user who becomes the owner."""
    transforms: list[str | dict[str, dict[str, Any]]] = []
    map: str | None = None
    """Value map, or `map.column` where the map's entries are objects."""
    currency: str | None = None
    """Source path of the currency, for money and prices."""
    cost: str | None = None
    """Source path of the cost, for prices."""
    default: Scalar = None
    required: bool = False
    on_invalid: Literal["reject", "drop"] = "drop"
    """A value that cannot be read: reject the record, or go on without the value and flag it. Required fields always reject."""
    on_unmapped: Literal["wait", "drop"] = "wait"
    """A value that no value map or option knows: the record waits for a person, or goes on without the value, flagged."""
    when: ConditionRef | None = None


RuleRef: TypeAlias = Annotated[FieldRule, BeforeValidator(_as_rule)]
"""A field rule; a plain text or a list of texts is short for `{from: ...}`."""


class Stop(_Model):
    """A condition under which no mapped record is made, and what becomes of the source record."""

    when: ConditionRef
    state: Literal["waiting", "rejected", "skipped", "flagged"] = "waiting"
    """`flagged`: it is made all the same, and named in the review queue."""
    reason: str
    """`ErrorReason` name without prefix."""
    message: str
    """What is wrong and what to do; paths in braces are filled in."""


class Target(_Model):
    """One kind of mapped record made of a source record."""

    target: str
    part: str = ""
    """Tells several records of one kind apart; paths in braces are filled in."""
    when: ConditionRef | None = None
    for_each: str | FieldRule | None = None
    """Path of a list, or a rule that makes one: one mapped record for each of its elements."""
    as_: str = Field("item", alias="as")
    """Name of the element in paths."""
    after_files: bool = False
    """Notes only: made when the files are there, because the text shows them."""
    stops: list[Stop] = []
    include: list[str] = []
    """Names of fragments whose fields come first."""
    fields: dict[str, RuleRef] = {}
    custom: dict[str, RuleRef] = {}
    """Custom fields by their id under `schema.fields`."""


class Fragment(_Model):
    """Field rules that several targets share."""

    fields: dict[str, RuleRef] = {}
    custom: dict[str, RuleRef] = {}


class Placeholder(_Model):
    """A mapped record without a source record, for what has nothing to hang on. Made once, when something refers to it."""

    target: str
    fields: dict[str, Scalar | list[Scalar]] = {}
    custom: dict[str, Scalar] = {}
    """Custom fields by their id under `schema.fields`."""


class Choice(_Model):
    """A decision of this mapping, by name, which conditions read like a policy."""

    value: str
    allowed: list[str]
    says: str = ""
    """What is decided, in words."""


class Property(_Model):
    """A field the tenant added to the source, and where it goes."""

    keys: list[str]
    """Where it stands in the raw record: the names from the outside in."""
    move: bool = True
    separator: str | None = None
    """Of a picklist of several: what stands between the values, where the source writes them as one text."""
    score: float | None = None
    """How sure the proposal is of the type, 0 to 1."""
    reason: str | None = None


class PropertyRows(_Model):
    """Rows of another entity that are fields of this one: a question in each row, and the answer beside it."""

    link: str
    """Link to many that leads to the rows."""
    name: str
    """Field of a row with the property's name."""
    value: str
    type: str | None = None
    """Field of a row that says of which type its value is, in the source's words."""
    types: dict[str, str] = {}
    """Custom field type by the source's word for it; values of other types are proposed by what they are."""
    order_by: str | None = None
    """Of several rows with the same name the last one counts, in this order (default: of ids)."""


class EntityMapping(_Model):
    """What becomes of one source entity."""

    use: Literal["move", "part", "reference_data", "not_moved"] = "move"
    part_of: str | None = None
    """With `use: part`: link to the record it is moved with; without that record it waits for a person."""
    label: str = ""
    archived: Literal["skip", "load"] | None = None
    deleted: Literal["skip", "load"] | None = None
    targets: list[Target] = []
    property_groups: list[str] = []
    """Objects in the raw record whose keys are properties of the tenant."""
    property_rows: list[PropertyRows] = []
    properties: dict[str, Property] = {}
    """Properties by custom field id of the first target."""
    not_moved: dict[str, str] = {}
    """Source fields left out on purpose, each with the reason."""


class LinkRule(_Model):
    """How to get from one source record to others. Give `id`, or `many`, or `chain`."""

    id: str | None = None
    """Field with the other record's id, or with a list of ids."""
    path: str | None = None
    """Field with the other record's address, which says what kind it is."""
    kind: str | None = None
    """Field with the other record's kind, in our words."""
    entity: str | list[str] | None = None
    """Kinds of record it leads to."""
    many: str | list[str] | None = None
    """Kinds of record that point back here."""
    by: str | list[str] | None = None
    """Field in which they do. With `id`: the other record's field that holds the value instead of its id; several are tried, `@id` is its id."""
    loosely: bool = False
    """With `by`: where no value is the same, one of which letters and digits are."""
    decided: str | None = None
    """Value map in which a person says where it leads: by this record's `{entity}/{id}`, by what is written, by `*` for what leads nowhere."""
    chain: Literal["up", "down"] | None = None
    """All ancestors, nearest first, or all descendants, over any number of steps."""
    only: list[str] | None = None
    """Of a chain, only these kinds of record (the others are passed through)."""
    where: dict[str, Scalar | list[Scalar]] = {}
    """Only records with these values, or with one of several; letters' case does not count, null means no value."""
    order_by: str | None = None
    pick: Literal["first", "last"] | None = None
    """Only the first or last record, in the order of `order_by` (default: of ids)."""
    level: int | None = Field(None, ge=1)
    """Of a chain up, only the ancestor at this level; 1 is the root."""


class CustomField(_Model):
    """A custom field to create in Pipedrive (or to find by name and type)."""

    name: str
    type: str
    options: list[str] = []


class Pipeline(_Model):
    """A pipeline with its stages in order."""

    name: str
    stages: dict[str, str] = {}
    """Stage names by stage id."""
    probabilities: dict[str, Annotated[int, Field(ge=0, le=100)]] = {}
    """Percent by stage id. Pipedrive counts with them once any stage of the pipeline has one."""


class ActivityType(_Model):
    """An activity type to create."""

    name: str
    icon_key: str = "task"


class Schema(_Model):
    """What must exist in Pipedrive before records move."""

    pipelines: dict[str, Pipeline] = {}
    activity_types: dict[str, ActivityType] = {}
    labels: dict[str, list[str]] = {}
    """Label names by target entity."""
    options: dict[str, list[str]] = {}
    """Options of built-in fields: `product.category` to names."""
    fields: dict[str, dict[str, CustomField]] = {}
    """Custom fields by target entity and field id."""


class Policies(_Model):
    """Decisions that hold for the whole migration."""

    archived: Literal["skip", "load"] = "skip"
    deleted: Literal["skip", "load"] = "skip"
    deal_value: Literal["chain_end", "every"] = "chain_end"
    unmatched_owner: Literal["fallback", "wait"] = "fallback"
    fallback_owner: str | None = None
    """E-mail of the Pipedrive user who gets what has no owner; null: the user the token belongs to."""
    oversize_files: Literal["flag", "link", "split"] = "flag"
    default_currency: str = "EUR"
    time_zone: str = "UTC"
    phone_format: Literal["as_written", "e164"] = "as_written"
    phone_region: str | None = None
    recurrence_from: str | None = None
    """First day of the window in which what comes again is made; the audit proposes its own day."""
    recurrence_window_months: int = Field(12, ge=0, le=240)
    recurrence_past_months: int = Field(12, ge=0, le=240)
    """How far before the window past occurrences are kept."""
    recurrence_cap: int = Field(50, ge=1, le=1_000)
    """Occurrences of one record at most."""


ConflictWord: TypeAlias = Literal["ask", "source", "target"]
DeletionWord: TypeAlias = Literal["keep", "flag", "ask", "delete"]


class EntityDelta(_Model):
    """What a target entity does differently in deltas."""

    conflicts: ConflictWord | None = None
    deletions: DeletionWord | None = None
    fields: dict[str, ConflictWord] = {}
    """Who decides on single fields: fields as Pipedrive names them, or ids of custom fields."""


class Delta(_Model):
    """What deltas do with fields that changed in the source and in Pipedrive, and with records the source has no more.

    Deltas alone go by it, so it is no part of the mapping's digest: changing it takes no confirmation and no approval back.
    """

    conflicts: ConflictWord | None = None
    """None: as the migration's option says."""
    deletions: DeletionWord | None = None
    """None: flag."""
    entities: dict[str, EntityDelta] = {}


class MatchKey(_Model):
    """One key by which records are recognised."""

    key: Literal["domain", "email", "phone", "code", "name", "name_and_postcode", "name_and_organization"]
    fields: list[str] = []
    """Fields of Pipedrive, or ids of custom fields, it is taken from; none: the usual ones of the key."""
    score: float | None = Field(None, ge=0, le=1)
    """How much it says when two records agree in it; none: the usual score."""
    is_enough: bool = False
    """Records that agree in it are one, whatever else differs."""


def _as_key(value: object) -> object:
    return {"key": value} if isinstance(value, str) else value


class EntityMatching(_Model):
    """How records of one target entity are recognised that exist already, and what is done with them."""

    policy: Literal["create", "match", "match_and_fill", "update"] = "create"
    """In Pipedrive already: create another one, link to it and change nothing, fill its empty fields, or let the source win."""
    within_source: Literal["keep_all", "merge_into_first", "review"] = "keep_all"
    """Came twice in the source: keep both, take the later one for the first, or ask."""
    certain: float = Field(0.9, ge=0, le=1)
    """Score from which nobody is asked."""
    uncertain: float = Field(0.7, ge=0, le=1)
    """Score from which a person is asked; what has less is another record."""
    keys: list[Annotated[MatchKey, BeforeValidator(_as_key)]] = []
    """Keys in order; none: the usual ones."""
    differ: list[str] = []
    """Fields that must not differ: records that have other values in them are never taken for one without a person."""


class Matching(_Model):
    """De-duplication before insert."""

    organization: EntityMatching | None = None
    person: EntityMatching | None = None
    product: EntityMatching | None = None
    free_mail_hosts: list[str] = []
    """Further hosts where anybody has a mailbox."""
    legal_forms: list[str] = []
    """Further words that say what kind of company it is."""


class Owner(_Model):
    """A source user, and the e-mail by which the Pipedrive user is found."""

    name: str = ""
    email: str | None = None
    is_active: bool = True
    is_listed: bool = True
    """False: the source lists this person no more, but records still point to it."""
    remark: str | None = None


class Owners(_Model):
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


class StateGroup(_Model):
    """Which value map and pipeline the states of one kind fill."""

    pipeline: str
    value_map: str


class StateProposal(_Model):
    """How the proposal fills stages and status value maps from a list of states in the source, or from the states that records are in."""

    entity: str
    name: str = "name"
    group: str | None = "type"
    """Field that says of which kind a state is; null: the one group is meant."""
    order: str = "order"
    groups: dict[str, StateGroup]

    def kind_of(self, data: MappingType[str, Any]) -> str:
        """Answer of which kind a record's state is."""
        return next(iter(self.groups), "") if self.group is None else str(data.get(self.group) or "")


class OptionProposal(_Model):
    """Options taken from values in the source: of a built-in field, of labels, or of a declared custom field."""

    option: str
    """`entity.field`: a field Pipedrive has itself (`product.category`, `organization.label_ids`), or a custom field by its id."""
    entity: str | list[str]
    name: str | list[str] = "name"
    """Fields in which the values stand."""
    value_map: str | None = None
    """Value map that says what a value means; values it does not have are added to it."""


class StatelessProposal(_Model):
    """Records that may have no state, and the pipeline in which they get a stage of their own."""

    link: str
    pipeline: str


class Proposals(_Model):
    """What the proposal reads from the audit's pages."""

    names: name_rules.NameProposal | None = None
    states: list[StateProposal] = []
    stateless: dict[str, StatelessProposal] = {}
    """By source entity."""
    always_won: list[str] = []
    """Pipelines whose deals are won whatever their state."""
    closed_means_won: list[str] = []
    """Pipelines in which a closed document is a done one."""
    options: list[OptionProposal] = []
    pipelines: list[proposal_rules.PipelineProposal] = []
    activity_types: list[proposal_rules.ActivityTypeProposal] = []
    property_types: proposal_rules.PropertyTypes | None = None
    policies: dict[str, proposal_rules.PolicyProposal] = {}
    """By policy."""


# The sections name rules, which are defined here.
for _model in (sections.Sheet, sections.Rebuild, sections.Series, sections.Exports):
    _model.model_rebuild(_types_namespace={"RuleRef": RuleRef, "ConditionRef": ConditionRef})


class Mapping(_Model):
    """A whole mapping, layers applied."""

    version: Literal[1] = 1
    source: str
    title: str = ""
    policies: Policies = Policies()
    choices: dict[str, Choice] = {}
    delta: Delta = Delta()
    matching: Matching = Matching()
    collections: dict[str, str] = {}
    """Names in the source's addresses to entities."""
    names: dict[str, dict[str, name_rules.NameRef]] = {}
    """By source entity: what a name in the mapping stands for in its raw records, where sources differ in it."""
    links: dict[str, LinkRule] = {}
    conditions: dict[str, Condition] = {}
    value_maps: dict[str, dict[str, Scalar | dict[str, Scalar]]] = {}
    schema_: Schema = Field(Schema(), alias="schema")
    placeholders: dict[str, Placeholder] = {}
    fragments: dict[str, Fragment] = {}
    owners: Owners = Owners()
    propose: Proposals = Proposals()
    quality: sections.Quality = sections.Quality()
    exports: sections.Exports = sections.Exports()
    call_plan: sections.CallPlan | None = None
    entities: dict[str, EntityMapping]

    def decided(self, name: str) -> Any:
        """Answer what a policy or a choice says. Raises KeyError where there is neither."""
        if name in self.choices:
            return self.choices[name].value
        if name not in Policies.model_fields:
            raise KeyError(name)
        return getattr(self.policies, name)

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of the mapping in canonical form: layout and comments do not count, nor do the parts that change no mapped record."""
        return digest_of(self.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude={"delta", *sections.SECTIONS}))


def merge(base: Any, layer: Any) -> Any:
    """Lay one YAML value over another: objects key by key, null takes a key away, anything else replaces."""
    if not isinstance(base, dict) or not isinstance(layer, dict):
        return layer
    merged = dict(base)
    for key, value in layer.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge(merged[key], value) if key in merged else value
    return merged


class _Loader(yaml.CSafeLoader):  # type: ignore[misc, name-defined, unused-ignore]
    """Reads YAML and refuses a key that stands twice, which would silently lose a rule."""


def _mapping_without_repeats(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[Any] = set()
    for key_node, _ in node.value:
        if key_node.tag == "tag:yaml.org,2002:merge":
            continue
        key = loader.construct_object(key_node)
        if key in seen:
            raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} stands twice", key_node.start_mark)
        seen.add(key)
    return loader.construct_mapping(node, deep=True)


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping_without_repeats)


def read_document(text: str) -> dict[str, Any]:
    """Read a YAML document whose root is an object; an empty one counts as an empty object.

    Raises:
        MappingError: it is no YAML, or something else than an object.
    """
    try:
        document = yaml.load(text, Loader=_Loader)  # noqa: S506 - derived from the safe loader
    except yaml.YAMLError as error:
        raise MappingError(f"the mapping is not readable YAML: {error}") from error
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise MappingError("the mapping must be an object with keys such as `entities`")
    return document


def load_mapping(text: str) -> Mapping:
    """Read a mapping from YAML, with its `account` and `overrides` laid over it.

    Raises:
        MappingError: it cannot be read; the message names the place.
    """
    document = read_document(text)
    layers = [document.pop(name, None) or {} for name in _LAYERS]
    for layer in layers:
        document = merge(document, layer)
    return mapping_of(document)


def mapping_of(document: MappingType[str, Any]) -> Mapping:
    """Validate a mapping document. Raises MappingError naming every place that is wrong, ten at most."""
    try:
        return Mapping.model_validate(document)
    except ValidationError as error:
        places = [f"{'.'.join(str(part) for part in problem['loc'])}: {problem['msg']}" for problem in error.errors(include_url=False)[:10]]
        raise MappingError("the mapping cannot be read: " + "; ".join(places)) from error


@cache
def connector_mapping_text(connector: str) -> str:
    """Answer the mapping file that comes with a connector.

    Raises:
        NotFoundError: there is none.
    """
    resource = files("services.transformer").joinpath("mappings", f"{connector}.yaml")
    if connector.replace("_", "").isalnum() and resource.is_file():
        return resource.read_text(encoding="utf-8")
    if (text := installed_mapping(connector)) is not None:
        return text
    raise NotFoundError(f"there is no mapping for the connector {connector!r}")
