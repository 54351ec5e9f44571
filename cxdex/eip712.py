"""EIP-712: the exact bytes that a wallet signs, for every message this exchange accepts.

Owns:     the domain, the type strings and the struct hashes. The contract computes the same hashes from
          packed words; tests hold both to eth-account, viem and cast.
Promises: `order_digest` is the order's id; two different orders never share one (the account is signed too).
Never:    signs, recovers or does I/O (see `signature`).

Source: https://eips.ethereum.org/EIPS/eip-712
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from cxdex.condition import Trigger
from cxdex.keccak import keccak
from cxdex.order import Order, OrderType, SelfTrade, Side, TimeInForce

DOMAIN_NAME = "Cxmpute DEX"
DOMAIN_VERSION = "1"

DOMAIN_TYPE = "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
ORDER_TYPE = (
    "Order(address account,string market,string side,string orderType,string timeInForce,"
    "uint64 quantity,uint64 limitPrice,uint16 maxFeeBps,uint64 maxCollateral,string selfTrade,"
    "bool reduceOnly,uint64 expiry,uint64 nonce)"
)
CONDITIONAL_ORDER_TYPE = (
    "ConditionalOrder(address account,string market,string side,string orderType,string timeInForce,"
    "uint64 quantity,uint64 limitPrice,uint16 maxFeeBps,uint64 maxCollateral,string selfTrade,"
    "bool reduceOnly,uint64 expiry,uint64 nonce,string trigger,uint64 triggerPrice,uint64 activeFrom)"
)
CANCEL_ORDERS_TYPE = "CancelOrders(address account,uint64[] nonces,uint64 deadline)"
CANCEL_ALL_TYPE = "CancelAll(address account,uint64 epoch,uint64 deadline)"
INSTANT_WITHDRAWAL_TYPE = (
    "InstantWithdrawal(address account,uint256 asset,uint256 amount,bool asCxpt,address recipient,"
    "uint256 nonce,uint256 deadline)"
)
LOGIN_TYPE = "Login(address account,string statement,uint64 expiresAt)"
LOGIN_STATEMENT = "Sign in to Cxmpute DEX. This gives no permission to trade or move funds."

ORDER_TYPEHASH = keccak(ORDER_TYPE.encode())
CONDITIONAL_ORDER_TYPEHASH = keccak(CONDITIONAL_ORDER_TYPE.encode())
CANCEL_ORDERS_TYPEHASH = keccak(CANCEL_ORDERS_TYPE.encode())
CANCEL_ALL_TYPEHASH = keccak(CANCEL_ALL_TYPE.encode())
INSTANT_WITHDRAWAL_TYPEHASH = keccak(INSTANT_WITHDRAWAL_TYPE.encode())
LOGIN_TYPEHASH = keccak(LOGIN_TYPE.encode())

_SIDES = {word: keccak(word.name.encode()) for word in Side}
_ORDER_TYPES = {word: keccak(word.name.encode()) for word in OrderType}
_TIMES_IN_FORCE = {word: keccak(word.name.encode()) for word in TimeInForce}
_SELF_TRADES = {word: keccak(word.name.encode()) for word in SelfTrade}
_TRIGGERS = {word: keccak(word.name.encode()) for word in Trigger}
# The type's hash and the 13 fields of every order, each right in a word of 32 bytes. One call instead of thirteen: this
# runs for every order that is placed.
_ORDER_WORDS = struct.Struct(">32s 12x20s 32s 32s 32s 32s 24xQ 24xQ 24xQ 24xQ 32s 31x? 24xQ 24xQ")


@dataclass(frozen=True, slots=True)
class Domain:
    """Where a signature is valid: one chain, one contract (Settlement, or the Vault for what leaves it)."""

    chain_id: int
    verifying_contract: bytes
    separator: bytes = field(init=False)

    def __post_init__(self) -> None:
        packed = b"".join(
            (
                keccak(DOMAIN_TYPE.encode()),
                keccak(DOMAIN_NAME.encode()),
                keccak(DOMAIN_VERSION.encode()),
                _word(self.chain_id),
                _address(self.verifying_contract),
            )
        )
        object.__setattr__(self, "separator", keccak(packed))

    def digest(self, struct_hash: bytes) -> bytes:
        return keccak(b"\x19\x01" + self.separator + struct_hash)


def order_digest(domain: Domain, order: Order) -> bytes:
    """The 32 bytes that are signed, and the order's id everywhere."""
    return domain.digest(order_struct_hash(order))


def order_struct_hash(order: Order) -> bytes:
    """Of the type that the order is signed as: a plain order and a conditional one never hash alike."""
    condition = order.condition
    fields = _ORDER_WORDS.pack(
        ORDER_TYPEHASH if condition is None else CONDITIONAL_ORDER_TYPEHASH,
        order.account,
        market_hash(order.market),
        _SIDES[order.side],
        _ORDER_TYPES[order.order_type],
        _TIMES_IN_FORCE[order.time_in_force],
        order.quantity,
        order.limit_price,
        order.max_fee_bps,
        order.max_collateral,
        _SELF_TRADES[order.self_trade],
        order.reduce_only,
        order.expiry,
        order.nonce,
    )
    if condition is None:
        return keccak(fields)
    waiting = (
        _TRIGGERS[condition.trigger],
        _word(condition.trigger_price),
        _word(condition.active_from),
    )
    return keccak(fields + b"".join(waiting))


def cancel_orders_digest(domain: Domain, account: bytes, nonces: list[int], deadline: int) -> bytes:
    """A signed cancel: names the nonces, so that it can never un-cancel or be read as anything else."""
    hashed = keccak(b"".join(map(_word, nonces)))
    return domain.digest(keccak(CANCEL_ORDERS_TYPEHASH + _address(account) + hashed + _word(deadline)))


def cancel_orders_typed_data(domain: Domain, account: bytes, nonces: list[int], deadline: int) -> dict[str, Any]:
    message = {"account": to_checksum(account), "nonces": [str(n) for n in nonces], "deadline": str(deadline)}
    return typed_data(domain, CANCEL_ORDERS_TYPE, message)


def cancel_all_digest(domain: Domain, account: bytes, epoch: int, deadline: int) -> bytes:
    """A signed cancel of everything: names the epoch that it ends, so that a replay ends no later one."""
    return domain.digest(keccak(CANCEL_ALL_TYPEHASH + _address(account) + _word(epoch) + _word(deadline)))


def cancel_all_typed_data(domain: Domain, account: bytes, epoch: int, deadline: int) -> dict[str, Any]:
    message = {"account": to_checksum(account), "epoch": str(epoch), "deadline": str(deadline)}
    return typed_data(domain, CANCEL_ALL_TYPE, message)


@dataclass(frozen=True, slots=True)
class InstantWithdrawal:
    """What the co-signer signs for `Vault.withdraw`. The domain is the Vault's; the nonce is used once an account.

    asset 0 is USDC, amount in the asset's units, deadline in unix seconds.
    """

    account: bytes
    asset: int
    amount: int
    as_cxpt: bool
    recipient: bytes
    nonce: int
    deadline: int


def instant_withdrawal_digest(vault_domain: Domain, withdrawal: InstantWithdrawal) -> bytes:
    return vault_domain.digest(
        keccak(
            b"".join(
                (
                    INSTANT_WITHDRAWAL_TYPEHASH,
                    _address(withdrawal.account),
                    _word(withdrawal.asset),
                    _word(withdrawal.amount),
                    _word(int(withdrawal.as_cxpt)),
                    _address(withdrawal.recipient),
                    _word(withdrawal.nonce),
                    _word(withdrawal.deadline),
                )
            )
        )
    )


def instant_withdrawal_typed_data(vault_domain: Domain, withdrawal: InstantWithdrawal) -> dict[str, Any]:
    message = {
        "account": to_checksum(withdrawal.account),
        "asset": str(withdrawal.asset),
        "amount": str(withdrawal.amount),
        "asCxpt": withdrawal.as_cxpt,
        "recipient": to_checksum(withdrawal.recipient),
        "nonce": str(withdrawal.nonce),
        "deadline": str(withdrawal.deadline),
    }
    return typed_data(vault_domain, INSTANT_WITHDRAWAL_TYPE, message)


def login_digest(domain: Domain, account: bytes, expires_at: int) -> bytes:
    return domain.digest(
        keccak(LOGIN_TYPEHASH + _address(account) + keccak(LOGIN_STATEMENT.encode()) + _word(expires_at))
    )


def order_message(order: Order) -> dict[str, Any]:
    """The order as an EIP-712 message. Integers are decimal strings: JSON numbers lose digits above 2**53."""
    message = {
        "account": to_checksum(order.account),
        "market": order.market,
        "side": order.side.name,
        "orderType": order.order_type.name,
        "timeInForce": order.time_in_force.name,
        "quantity": str(order.quantity),
        "limitPrice": str(order.limit_price),
        "maxFeeBps": str(order.max_fee_bps),
        "maxCollateral": str(order.max_collateral),
        "selfTrade": order.self_trade.name,
        "reduceOnly": order.reduce_only,
        "expiry": str(order.expiry),
        "nonce": str(order.nonce),
    }
    if order.condition is not None:
        message["trigger"] = order.condition.trigger.name
        message["triggerPrice"] = str(order.condition.trigger_price)
        message["activeFrom"] = str(order.condition.active_from)
    return message


def typed_data(domain: Domain, type_string: str, message: dict[str, Any]) -> dict[str, Any]:
    """The JSON that `eth_signTypedData_v4`, ``cast wallet sign --data`` and viem take."""
    name, fields = parse_type(type_string)
    return {
        "types": {"EIP712Domain": parse_type(DOMAIN_TYPE)[1], name: fields},
        "primaryType": name,
        "domain": {
            "name": DOMAIN_NAME,
            "version": DOMAIN_VERSION,
            "chainId": domain.chain_id,
            "verifyingContract": to_checksum(domain.verifying_contract),
        },
        "message": message,
    }


def order_typed_data(domain: Domain, order: Order) -> dict[str, Any]:
    type_string = ORDER_TYPE if order.condition is None else CONDITIONAL_ORDER_TYPE
    return typed_data(domain, type_string, order_message(order))


def parse_type(type_string: str) -> tuple[str, list[dict[str, str]]]:
    """``"Mail(address to)"`` becomes ``("Mail", [{"name": "to", "type": "address"}])``."""
    name, _, body = type_string.rstrip(")").partition("(")
    pairs = [part.split(" ") for part in body.split(",")]
    return name, [{"name": field_name, "type": kind} for kind, field_name in pairs]


def market_hash(symbol: str) -> bytes:
    """The market's key on chain. A symbol is listed once and never again, so it is a definition."""
    return _text(symbol)


@lru_cache(maxsize=4096)
def to_checksum(address: bytes) -> str:
    """EIP-55 checksummed address."""
    plain = address.hex()
    mask = keccak(plain.encode()).hex()
    return "0x" + "".join(c.upper() if int(m, 16) >= 8 else c for c, m in zip(plain, mask, strict=False))


_TEXT_HASHES: dict[str, bytes] = {}
_TEXT_HASHES_LIMIT = 4096  # bounded: a stranger's symbols must not fill the memory


def _text(text: str) -> bytes:
    known = _TEXT_HASHES.get(text)
    if known is None:
        known = keccak(text.encode())
        if len(_TEXT_HASHES) < _TEXT_HASHES_LIMIT:
            _TEXT_HASHES[text] = known
    return known


def _word(value: int) -> bytes:
    return value.to_bytes(32, "big")


def _address(address: bytes) -> bytes:
    return b"\x00" * 12 + address
