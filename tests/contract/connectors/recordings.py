"""One recording for each connector: a source with awkward content, and what reading it must give.

Sources that are read from bundles have one made of their layout. Another connector of the product has a function `recording` in
`tests/fixtures/<connector>/recording.py`, which is given an empty folder and answers a `Recording`; one of another package an entry point.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path

from services.extractor.connectors.bundle.connector import BundleConnector
from services.extractor.registry import CONNECTORS
from tests.contract.connectors.bundle_recording import bundle_recording
from tests.contract.connectors.recording import Recording

GROUP = "transload.recordings"
"""Entry points of other packages: a function that is given an empty folder and answers a `Recording`."""


def _found() -> Iterator[tuple[str, Callable[[Path], Recording]]]:
    for name, kind in CONNECTORS.items():
        module = f"tests.fixtures.{name}.recording"
        if issubclass(kind, BundleConnector):
            yield name, partial(bundle_recording, name)
        elif find_spec(module.rpartition(".")[0]) is not None and find_spec(module) is not None:
            yield name, import_module(module).recording
    for one in entry_points(group=GROUP):
        yield one.name, one.load()


RECORDINGS: Mapping[str, Callable[[Path], Recording]] = dict(sorted(_found()))
