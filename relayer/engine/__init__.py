"""The matching engine: plain functions of (state, command). No clock, network, database or randomness inside."""
