"""What a person decides about a bundle: the connector's options."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from services.common.errors import InvalidRequestError
from services.extractor.connectors.bundle.container import RATIO_MAX, UNPACKED_BYTES_MAX
from services.extractor.connectors.bundle.dates import zone_of
from services.extractor.connectors.bundle.layout import Formats

if TYPE_CHECKING:
    from collections.abc import Mapping

_FORMATS = frozenset(Formats.model_fields)


class BundleOptions(BaseModel):
    """The options. Those of `Formats` may stand beside them: they are laid over the layout's, and over what the manifest says."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    layout: dict[str, Any] = Field(default_factory=dict)
    """The tenant's differences, laid over everything else."""
    duplicate_ids: Literal["keep", "refuse"] = "keep"
    """Rows that share an id: each gets one of its own (`42`, `42~2`), or the table is not read."""
    wide_rows: Literal["refuse", "keep"] = "refuse"
    """Rows with more cells than heads: the table is not read, or the cells are kept as text."""
    row_ids: tuple[str, ...] = ()
    """Tables without their id column that may be read all the same: their rows are known by what they hold."""
    deletions: Literal["report", "all", "ignore"] = "report"
    """What is missing in a later full bundle: deleted, unless it is more than half of a table; deleted in any case; or left as it is."""
    file_changes: Literal["bytes", "size", "ignore"] = "bytes"
    """How a later bundle shows that a file is another one although its row says the same: by all its bytes, by its size alone, or not at all."""
    shares: dict[str, str] = Field(default_factory=dict)
    """Folder of the bundle by network share or drive that paths of files begin with."""
    page_rows: int = Field(1_000, ge=1, le=10_000)
    """Most rows in a page."""
    unpacked_bytes_max: int = Field(UNPACKED_BYTES_MAX, ge=1)
    zip_ratio_max: int = Field(RATIO_MAX, ge=1)
    skip_entities: tuple[str, ...] = ()
    """Read by the extraction itself."""
    formats: dict[str, Any] = Field(default_factory=dict)
    """Those of `Formats`, together."""


def read_options(options: Mapping[str, Any]) -> BundleOptions:
    """Read the options of a connector.

    Raises:
        InvalidRequestError: There is no such option, or it cannot have this value; the message names it.
    """
    nested = options.get("formats") or {}
    formats = {
        **(nested if isinstance(nested, dict) else {"formats": nested}),
        **{name: value for name, value in options.items() if name in _FORMATS},
    }
    try:
        Formats.model_validate(formats)
        read = BundleOptions.model_validate({**{name: value for name, value in options.items() if name not in _FORMATS}, "formats": formats})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise InvalidRequestError(f"connector option {'.'.join(str(part) for part in first['loc'])}: {first['msg']}") from error
    zone = formats.get("time_zone")
    if zone is not None and zone_of(zone) is None:
        raise InvalidRequestError(f"connector option time_zone: {zone!r} is not a time zone (an example: America/New_York)")
    return read
