"""The matching engine: plain functions of (state, command). No clock, network, database or randomness inside."""

from relayer.build import engine_path

__path__[:0] = engine_path()  # the compiled build of these sources, where there is one
