"""How far each fill is on its way to the chain, as an append-only log that anybody can follow by number."""
