"""Sends matched fills to the chain in batches: planned from the contract's sequence, signed, sent, followed."""
