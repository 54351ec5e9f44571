# pragma version 0.4.3
"""
@title Cancels on chain
@license MIT
@notice How the owner of an order kills it without the relayer.
@dev Owns:     which cancels are announced, and from when each counts.
     Promises: a cancel cannot be refused, cannot be taken back, and counts CANCEL_DELAY after it; a later cancel of more of
               a lane that still waits begins its delay anew, which is the owner's to avoid. Nothing revives an order
               whose cancel counts. Only the owner cancels, by a transaction or by a signature that anyone may send.
     Never:    touches a balance, or the progress of an order that still lives.
     Errors:   S:COUNT, S:LANE, S:EPOCH, S:WAIT, S:DEADLINE, S:SIG; Settlement says what each means.

     Why the delay: a fill is final for both sides when it is matched. If a cancel counted at once, whoever sees the
     price move could take back a matched fill in the seconds before it settles, at the other side's expense. The
     relayer stops matching the order when it sees the event.
"""

from contracts.modules import ledger
from contracts.modules import order_hash
from contracts.modules import packing
from contracts.modules import signatures

uses: ledger

CANCEL_DELAY: public(constant(uint256)) = 300  # seconds
MAX_CANCELS: constant(uint256) = 64
WORD_BYTES: constant(uint256) = 32
ARRAY_HEAD_BYTES: constant(uint256) = 2 * WORD_BYTES  # what ABI encoding puts before the members of an array
MASK_16: constant(uint256) = 2**16 - 1
MASK_24: constant(uint256) = 2**24 - 1

# record = seq 24 | effectiveAt 40, lowest bits first
EFFECTIVE_SHIFT: constant(uint256) = 24
LANE_SHIFT: constant(uint256) = 160

CANCEL_ORDERS_TYPEHASH: constant(bytes32) = keccak256(
    "CancelOrders(address account,uint64[] nonces,uint64 deadline)"
)
CANCEL_ALL_TYPEHASH: constant(bytes32) = keccak256("CancelAll(address account,uint64 epoch,uint64 deadline)")

event NonceRaised:
    account: indexed(address)
    lane: uint256
    seq: uint256
    effectiveAt: uint256


event EpochRaised:
    account: indexed(address)
    epoch: uint256
    effectiveAt: uint256


records: HashMap[uint256, uint256]  # lane << 160 | account
epochTimes: HashMap[uint256, uint256]  # by account: unix time from which orders of the epoch before are dead


# ------------------------------------------------------------------ cancels

@external
def cancelOrders(nonces: DynArray[uint64, MAX_CANCELS]):
    """
    @notice Kills the caller's orders with these nonces, and every older order of the same lanes, after CANCEL_DELAY.
    @dev A nonce of a past epoch is dead already and is passed over, so that it cannot kill a newer order of
         its lane.
    @param nonces epoch 16 | lane 24 | seq 24 each, at most 64.
    """
    self._cancel_orders(convert(msg.sender, uint256), nonces)


@external
def cancelAll():
    """
    @notice Kills every order the caller ever signed for the present epoch, after CANCEL_DELAY. Orders of the new epoch
            are good at once. Not again before the last one counts.
    """
    self._cancel_all(convert(msg.sender, uint256))


@external
def cancelOrdersBySignature(
    account: address, nonces: DynArray[uint64, MAX_CANCELS], deadline: uint256, r: uint256, vs: uint256
):
    """
    @notice cancelOrders for an account that signed it; anyone may send it. A second time it does nothing new.
    @param account Whose orders.
    @param nonces As for cancelOrders.
    @param deadline Last unix second at which it may be sent.
    @param r EIP-2098 compact signature of CancelOrders by the account's key.
    @param vs Its second word.
    """
    self._check(account, keccak256(
        abi_encode(CANCEL_ORDERS_TYPEHASH, account, self._nonces_hash(nonces), deadline)
    ), deadline, r, vs)
    self._cancel_orders(convert(account, uint256), nonces)


@external
def cancelAllBySignature(account: address, epoch: uint256, deadline: uint256, r: uint256, vs: uint256):
    """
    @notice cancelAll for an account that signed it; anyone may send it, once.
    @param account Whose orders.
    @param epoch The account's present epoch.
    @param deadline Last unix second at which it may be sent.
    @param r EIP-2098 compact signature of CancelAll by the account's key.
    @param vs Its second word.
    """
    self._check(account, keccak256(abi_encode(CANCEL_ALL_TYPEHASH, account, epoch, deadline)), deadline, r, vs)
    assert epoch == self._epoch(convert(account, uint256)), "S:EPOCH"
    self._cancel_all(convert(account, uint256))


# ------------------------------------------------------------------ views

@external
@view
def epochOf(account: address) -> uint256:
    """
    @notice The account's epoch; orders of any other epoch are dead, those of the one before from epochEffectiveAt.
    @param account Whose.
    @return The epoch, from 0.
    """
    return self._epoch(convert(account, uint256))


@external
@view
def epochEffectiveAt(account: address) -> uint256:
    """
    @notice From when the account's last cancelAll counts.
    @param account Whose.
    @return Unix time; zero when there was none.
    """
    return self.epochTimes[convert(account, uint256)]


@external
@view
def laneOf(account: address, lane: uint256) -> (uint256, uint256):
    """
    @notice How far the orders of a lane have come, cancels that count included.
    @param account Owner of the lane.
    @param lane Number of the lane, below 2**24.
    @return The lowest seq that is alive, and the lots that orders with that seq have filled.
    """
    stored: uint256 = self._settled_lane(convert(account, uint256), lane)
    return stored >> packing.SEQ_SHIFT, stored & packing.MAX_FILLED


@external
@view
def cancelOf(account: address, lane: uint256) -> (uint256, uint256):
    """
    @notice The last cancel of a lane.
    @param account Owner of the lane.
    @param lane Number of the lane, below 2**24.
    @return Orders up to and including this seq die, and the unix time from which they are dead; zeros without one.
    """
    record: uint256 = self.records[lane << LANE_SHIFT | convert(account, uint256)]
    return record & MASK_24, record >> EFFECTIVE_SHIFT


# ------------------------------------------------------------------ internal

@internal
def _cancel_orders(account: uint256, nonces: DynArray[uint64, MAX_CANCELS]):
    assert len(nonces) != 0, "S:COUNT"
    epoch: uint256 = self._epoch(account)
    for packed: uint64 in nonces:
        nonce: uint256 = convert(packed, uint256)
        if nonce >> packing.NONCE_EPOCH_SHIFT >= epoch:
            self._cancel_lane(account, nonce >> packing.NONCE_LANE_SHIFT & MASK_24, nonce & MASK_24)


@internal
def _cancel_lane(account: uint256, lane: uint256, seq: uint256):
    """
    @dev Announces that orders of the lane up to and including `seq` die. A cancel that counts already is first made
         part of the lane itself: the new record must not give its orders more time.
    """
    stored: uint256 = self._settled_lane(account, lane)
    if seq < stored >> packing.SEQ_SHIFT:
        return  # dead already
    key: uint256 = lane << LANE_SHIFT | account
    if stored & packing.CANCEL_ANNOUNCED != 0 and seq <= self.records[key] & MASK_24:
        return  # announced already
    effective_at: uint256 = block.timestamp + CANCEL_DELAY
    self.records[key] = effective_at << EFFECTIVE_SHIFT | seq
    ledger._set_lane(account, lane, stored | packing.CANCEL_ANNOUNCED)
    log NonceRaised(
        account=convert(account, address), lane=lane, seq=min(seq + 1, packing.MAX_SEQ), effectiveAt=effective_at
    )


@internal
def _cancel_all(account: uint256):
    assert block.timestamp >= self.epochTimes[account], "S:WAIT"
    epoch: uint256 = self._epoch(account) + 1
    assert epoch <= packing.MAX_EPOCH, "S:EPOCH"
    effective_at: uint256 = block.timestamp + CANCEL_DELAY
    self.epochTimes[account] = effective_at
    ledger.accounts[account] = packing._with_epoch(ledger.accounts[account], epoch)
    log EpochRaised(account=convert(account, address), epoch=epoch, effectiveAt=effective_at)


@internal
@view
def _settled_lane(account: uint256, lane: uint256) -> uint256:
    """
    @dev The lane with a cancel that counts carried out: nothing filled, the first seq after it.
    """
    stored: uint256 = ledger._lane(account, lane)
    if stored & packing.CANCEL_ANNOUNCED != 0:
        record: uint256 = self.records[lane << LANE_SHIFT | account]
        if block.timestamp >= record >> EFFECTIVE_SHIFT:
            return min((record & MASK_24) + 1, packing.MAX_SEQ) << packing.SEQ_SHIFT
    return stored


@internal
@view
def _is_dead(account: uint256, lane: uint256, seq: uint256) -> (bool, bool):
    """
    @dev Of an order in a lane with an announced cancel: whether the cancel is meant for it, and whether it counts.
    """
    record: uint256 = self.records[lane << LANE_SHIFT | account]
    is_meant: bool = seq <= record & MASK_24
    return is_meant, is_meant and block.timestamp >= record >> EFFECTIVE_SHIFT


@internal
@view
def _is_past(account: uint256, order_epoch: uint256, epoch: uint256) -> bool:
    """
    @dev Whether an order of another epoch than the account's is dead: yes, unless the epoch was raised just now.
    """
    return order_epoch + 1 != epoch or block.timestamp >= self.epochTimes[account]


@internal
@view
def _epoch(account: uint256) -> uint256:
    return ledger.accounts[account] >> packing.EPOCH_SHIFT & MASK_16


@internal
@view
def _check(account: address, struct_hash: bytes32, deadline: uint256, r: uint256, vs: uint256):
    assert block.timestamp <= deadline, "S:DEADLINE"
    digest: bytes32 = keccak256(concat(order_hash.DIGEST_PREFIX, order_hash._domain_separator(), struct_hash))
    assert signatures._signer(digest, r, vs) == convert(account, uint256), "S:SIG"


@internal
@pure
def _nonces_hash(nonces: DynArray[uint64, MAX_CANCELS]) -> bytes32:
    """
    @dev EIP-712 of an array: the hash of its members, one word each.
    """
    encoded: Bytes[ARRAY_HEAD_BYTES + WORD_BYTES * MAX_CANCELS] = abi_encode(nonces)
    return keccak256(slice(encoded, ARRAY_HEAD_BYTES, WORD_BYTES * len(nonces)))
