"""secp256k1 signatures: sign a digest, recover who signed it, and pack it for the chain.

Owns:     ECDSA, and the constants of ERC-1271 (a contract wallet's answer is asked of a node, not computed).
Promises: recovery refuses what the contract refuses (wrong length, v other than 27 or 28, high s, r or s of
          zero), so that an order accepted here is not refused there.
Never:    stores a key.

Sources: EIP-2 (low s), EIP-2098 (compact signatures), ERC-1271 (signatures of contracts).
"""

from __future__ import annotations

from coincurve import PrivateKey, PublicKey

from cxdex.keccak import keccak
from cxdex.problem import Problem

CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
HALF_CURVE_ORDER = CURVE_ORDER // 2
ECDSA_SIGNATURE_BYTES = 65
MAX_CONTRACT_SIGNATURE_BYTES = 1024
IS_VALID_SIGNATURE = keccak(b"isValidSignature(bytes32,bytes)")[:4]  # selector, and the answer that accepts


class SignatureProblem(Problem):
    """A signature that no key could have made in the form the contract accepts."""


def sign_digest(private_key: bytes, digest: bytes) -> bytes:
    """65 bytes: r, s (always low), v (27 or 28)."""
    raw = PrivateKey(private_key).sign_recoverable(digest, hasher=None)
    return raw[:64] + bytes((raw[64] + 27,))


def recover(digest: bytes, signature: bytes) -> bytes:
    """The 20-byte address that signed. Raises SignatureProblem for malformed signatures."""
    if len(signature) != ECDSA_SIGNATURE_BYTES:
        raise SignatureProblem(
            "SIGNATURE_MALFORMED", "a signature is 65 bytes: r, s, v", given=f"{len(signature)} bytes", allowed="65"
        )
    v = signature[64]
    if v not in (27, 28):
        raise SignatureProblem("SIGNATURE_MALFORMED", "v must be 27 or 28", given=str(v), allowed="27, 28")
    if int.from_bytes(signature[32:64], "big") > HALF_CURVE_ORDER:
        raise SignatureProblem(
            "SIGNATURE_MALFORMED", "s is in the upper half of the curve (EIP-2); send the low-s twin", allowed="low s"
        )
    try:
        key = PublicKey.from_signature_and_message(signature[:64] + bytes((v - 27,)), digest, hasher=None)
    except Exception as error:  # coincurve raises bare Exception and ValueError alike
        raise SignatureProblem("SIGNATURE_MALFORMED", "no key can have made this signature") from error
    return keccak(key.format(compressed=False)[1:])[12:]


def address_of(private_key: bytes) -> bytes:
    return keccak(PrivateKey(private_key).public_key.format(compressed=False)[1:])[12:]


def to_compact(signature: bytes) -> tuple[int, int]:
    """EIP-2098: (r, vs). The top bit of vs is the parity of v."""
    r = int.from_bytes(signature[:32], "big")
    s = int.from_bytes(signature[32:64], "big")
    return r, s | (signature[64] - 27) << 255
