"""Words a person decides with in the cells of a workbook."""

from __future__ import annotations

from typing import Final

MOVE: Final = "move"
LEAVE: Final = "leave"
NEW_FIELD: Final = "new field"
AS_POLICY: Final = "as the policy says"
