"""Cleans HTML the way the account does: scripts, styles and event attributes go, ordinary formatting and links stay.

Pipedrive's own list of allowed tags is not published; this one is assumed.
"""

import nh3

_ATTRIBUTES = {**nh3.ALLOWED_ATTRIBUTES, "a": nh3.ALLOWED_ATTRIBUTES["a"] | {"rel", "target"}}


def clean_html(text: str) -> str:
    """Return the HTML without anything active in it."""
    return nh3.clean(text, attributes=_ATTRIBUTES, link_rel=None)
