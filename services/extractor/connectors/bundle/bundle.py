"""An open bundle: its files, its layout with the tenant's differences, and how its cells are written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from services.common.errors import InvalidRequestError
from services.extractor.connectors.bundle.container import BundleRefusedError, Container, fingerprint
from services.extractor.connectors.bundle.heads import Heads, match_heads
from services.extractor.connectors.bundle.layout import TENANT_LAYOUT, Formats, Layout, build_layout, parse_layout
from services.extractor.connectors.bundle.locate import Manifest, Tables, find_tables, open_bundle, read_manifest, read_tenant_layout
from services.extractor.connectors.bundle.tables import BROKEN, as_broken, open_rows
from services.extractor.connectors.bundle.workbooks import BrokenTableError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from services.extractor.connectors.bundle.options import BundleOptions
    from services.extractor.connectors.bundle.profile import PartFacts


@dataclass(frozen=True, slots=True)
class Bundle:
    """Everything that is known before a table is opened."""

    container: Container
    layout: Layout
    formats: Formats
    manifest: Manifest
    tables: Tables
    options: BundleOptions

    @classmethod
    def open(cls, url: str, default: Mapping[str, Any], options: BundleOptions, *, preferred: str = "") -> Self:
        """Find the bundle, and lay its own layout and the option over the default. Of several the `preferred` one is taken where it still is.

        Raises:
            ConfigurationError: There is none.
            BundleRefusedError: It must not be read.
            InvalidRequestError: A layout is wrong.
        """
        base = [("default", default), ("option", options.layout)]
        container = open_bundle(
            url, build_layout(base), unpacked_bytes_max=options.unpacked_bytes_max, ratio_max=options.zip_ratio_max, preferred=preferred
        )
        try:
            layout = _tenants(container, base)
            manifest = read_manifest(container)
            return cls(container, layout, _formats(layout.formats, manifest, options), manifest, find_tables(container, layout), options)
        except BaseException:
            container.close()
            raise

    @property
    def fingerprint(self) -> str:
        """Changes when a table, the manifest or the layout does."""
        paths = ["manifest.json", TENANT_LAYOUT, *(member.path for members in self.tables.parts.values() for member in members)]
        # Looked up anew: a file may have changed since it was found.
        return fingerprint([member for path in paths if (member := self.container.find(path)) is not None])

    @property
    def shares(self) -> dict[str, str]:
        """Folders of the bundle by network share: those of the option, else of the layout."""
        return {**self.layout.shares, **self.options.shares}

    @property
    def is_delta(self) -> bool:
        """Whether what is not in the bundle is only unchanged."""
        return (self.manifest.kind or "").strip().lower() == "delta"

    def rows(self, part: PartFacts) -> Iterator[tuple[int, Sequence[str]]]:
        """Yield the rows of a file with their numbers (the heads are row 1 where they stand at the top), the heads first.

        Empty rows, and heads that come again further down, are no rows.

        Raises:
            BrokenTableError: At a row that cannot be read.
        """
        heads: Sequence[str] | None = None
        number = 0
        try:
            with open_rows(self.container, part) as rows:
                for cells in rows:
                    number += 1
                    if heads is None:
                        if any(cells):
                            heads = cells
                            yield number, cells
                    elif any(cells) and cells != heads:
                        yield number, cells
        except BROKEN as error:
            raise as_broken(error, number) from error
        if heads is None:
            raise BrokenTableError(f"{part.path} is empty: it has not even heads", 0)

    def heads(self, entity: str, cells: Sequence[str]) -> Heads:
        """Match heads with the layout of a table."""
        return match_heads(cells, self.layout, self.layout.entities[entity])

    def close(self) -> None:
        """Close the container."""
        self.container.close()


def _tenants(container: Container, base: Sequence[tuple[str, Mapping[str, Any]]]) -> Layout:
    """Lay the bundle's own layout between the default and the option."""
    text = read_tenant_layout(container, TENANT_LAYOUT)
    try:
        return build_layout([base[0], (TENANT_LAYOUT, parse_layout(text, place=TENANT_LAYOUT)), *base[1:]])
    except InvalidRequestError as error:
        if not text:
            raise
        # The file is the bundle's: whoever mends it resumes.
        raise BundleRefusedError(error.message) from error


def _formats(of_layout: Formats, manifest: Manifest, options: BundleOptions) -> Formats:
    """Lay the options over the layout's formats, and those over what the manifest says."""
    merged = {**of_layout.model_dump(), **options.formats}
    merged["date_orders"] = {**of_layout.date_orders, **options.formats.get("date_orders", {})}
    said = {"time_zone": manifest.time_zone, "date_order": manifest.date_order, "encoding": manifest.encoding, "currency": manifest.currency}
    for name, value in said.items():
        if value and merged[name] in {None, "auto"}:
            merged[name] = value
    return Formats.model_validate(merged)
