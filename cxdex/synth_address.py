"""Where a synth lives, computed without a node.

address = last 20 bytes of keccak(0xff | factory | salt | init code hash), salt = keccak(abi_encode(name, symbol)):
the CREATE2 rule, with init code that is the same for every synth (it asks the factory for its name).

Source: https://eips.ethereum.org/EIPS/eip-1014
"""

from __future__ import annotations

from cxdex.keccak import keccak

MAX_NAME_BYTES = 64
MAX_SYMBOL_BYTES = 16


def predict_synth_address(factory: bytes, init_code_hash: bytes, name: str, symbol: str) -> bytes:
    """The 20-byte address. `init_code_hash` is `cxdex.abi.synth_init_code_hash()` or the factory's INIT_CODE_HASH.

    Raises ValueError when the factory would refuse the name or the symbol for its length.
    """
    if not 0 < len(name.encode()) <= MAX_NAME_BYTES or not 0 < len(symbol.encode()) <= MAX_SYMBOL_BYTES:
        raise ValueError(f"a synth's name has 1 to {MAX_NAME_BYTES} bytes, its symbol 1 to {MAX_SYMBOL_BYTES}")
    return keccak(b"\xff" + factory + _salt(name, symbol) + init_code_hash)[12:]


def _salt(name: str, symbol: str) -> bytes:
    """keccak(abi_encode(name, symbol)): two offsets, then each text as its length and zero-padded bytes."""
    tails = [_text(name), _text(symbol)]
    return keccak(_word(64) + _word(64 + len(tails[0])) + b"".join(tails))


def _text(text: str) -> bytes:
    data = text.encode()
    return _word(len(data)) + data + bytes(-len(data) % 32)


def _word(value: int) -> bytes:
    return value.to_bytes(32, "big")
