"""How a table with a wide key is stored."""

from __future__ import annotations

# Rows live in the primary-key tree itself: one tree to write instead of two.
CLUSTERED = {"sqlite_with_rowid": False}
