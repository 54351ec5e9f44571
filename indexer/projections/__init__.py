"""Projections: pure functions that fold events into rows. `fold.Fold` is the door; the other modules are its parts."""
