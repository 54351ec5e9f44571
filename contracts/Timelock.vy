# pragma version 0.4.3
"""
@title Timelock
@license MIT
@author Cxmpute DEX
@notice The admin of every Proxy: what ADMIN wants waits at least a day in public, so that everybody can leave first.
@dev Owns:     the time from which each operation may be executed.
     Promises: what is executed is what was scheduled: an operation's id is a hash of its targets, values, calldata, salt,
               the code at each target, the code behind it when it is a Proxy and, in an upgrade, the code of the new
               implementation, all read again at execution. The delay is fixed at construction, and there is nothing
               here that an operation could change.
     Never:    lets GUARDIAN schedule or execute, keeps ether, calls an address without code, or calls itself.

     An operation that was announced before an upgrade of its target is void after it: announce it again.
     Errors: L:ZERO, L:SAME, L:DELAY, L:ADMIN, L:GUARDIAN, L:EMPTY, L:TARGET, L:KNOWN, L:UNKNOWN, L:DONE, L:EARLY,
     L:EXPIRED, L:VALUE, and those of the targets.
"""

MIN_DELAY: public(constant(uint256)) = 24 * 3600  # seconds
MAX_DELAY: public(constant(uint256)) = 30 * 24 * 3600  # seconds; more is a lock without a key
EXECUTION_WINDOW: public(constant(uint256)) = 7 * 24 * 3600  # seconds; what nobody executed must be announced again

# Memory is reserved for the full capacity, so the capacity is small.
MAX_CALLS: constant(uint256) = 8
MAX_DATA: constant(uint256) = 1280  # a whole upgradeToAndCall with 1,024 bytes of its own
UPGRADE_BYTES: constant(uint256) = 36  # selector and first word of upgradeToAndCall
ASK_GAS: constant(uint256) = 30_000  # for `implementation()` of a Proxy: a cold slot and some code
EXECUTED: constant(uint256) = 1  # in place of a time

struct Call:
    target: address
    value: uint256  # wei
    data: Bytes[MAX_DATA]

event OperationScheduled:
    id: indexed(bytes32)
    salt: bytes32
    executableAt: uint256
    expiresAt: uint256

event CallScheduled:
    id: indexed(bytes32)
    index: uint256
    target: indexed(address)
    value: uint256
    data: Bytes[MAX_DATA]
    targetCodeHash: bytes32
    currentCodeHash: bytes32  # behind a target that is a Proxy, otherwise zero
    upgradeCodeHash: bytes32  # that an upgrade would install, otherwise zero

event OperationCancelled:
    id: indexed(bytes32)

event OperationExecuted:
    id: indexed(bytes32)

ADMIN: public(immutable(address))
GUARDIAN: public(immutable(address))
DELAY: public(immutable(uint256))  # seconds between schedule and execution

# By operation: unix time from which it may be executed, EXECUTED, or zero when unknown or cancelled.
executableAt: public(HashMap[bytes32, uint256])


@deploy
def __init__(admin: address, guardian: address, delay: uint256):
    """
    @param admin Who may schedule.
    @param guardian Who may cancel, and nothing else.
    @param delay Seconds between schedule and execution, 24 hours to 30 days.
    """
    assert admin != empty(address) and guardian != empty(address), "L:ZERO"
    assert admin != guardian, "L:SAME"
    assert delay >= MIN_DELAY and delay <= MAX_DELAY, "L:DELAY"
    ADMIN = admin
    GUARDIAN = guardian
    DELAY = delay


@external
def schedule(calls: DynArray[Call, MAX_CALLS], salt: bytes32) -> bytes32:
    """
    @notice Announces calls that are executed together after the delay. ADMIN only.
    @param calls What to call, in order; at most 8.
    @param salt Tells apart operations that are otherwise the same.
    @return Number of the operation.
    """
    assert msg.sender == ADMIN, "L:ADMIN"
    assert len(calls) != 0, "L:EMPTY"
    id: bytes32 = self._id(calls, salt)
    assert self.executableAt[id] == 0, "L:KNOWN"
    executable_at: uint256 = block.timestamp + DELAY
    self.executableAt[id] = executable_at
    log OperationScheduled(
        id=id, salt=salt, executableAt=executable_at, expiresAt=executable_at + EXECUTION_WINDOW
    )
    index: uint256 = 0
    for call: Call in calls:
        log CallScheduled(
            id=id,
            index=index,
            target=call.target,
            value=call.value,
            data=call.data,
            targetCodeHash=call.target.codehash,
            currentCodeHash=self._current_code_hash(call.target),
            upgradeCodeHash=self._upgrade_code_hash(call.data),
        )
        index += 1
    return id


@external
def cancel(id: bytes32):
    """
    @notice Takes back an operation that was not executed. GUARDIAN only.
    @dev ADMIN may announce it again, and then the whole delay begins again.
    @param id Number of the operation.
    """
    assert msg.sender == GUARDIAN, "L:GUARDIAN"
    executable_at: uint256 = self.executableAt[id]
    assert executable_at != 0, "L:UNKNOWN"
    assert executable_at != EXECUTED, "L:DONE"
    self.executableAt[id] = 0
    log OperationCancelled(id=id)


@external
@payable
def execute(calls: DynArray[Call, MAX_CALLS], salt: bytes32):
    """
    @notice Makes the announced calls, all or none. Anyone but GUARDIAN, once, from the announced time until a week later.
    @dev Changed calls, or changed code at a target or at the new implementation, make an operation nobody announced.
    @param calls As scheduled.
    @param salt As scheduled.
    """
    assert msg.sender != GUARDIAN, "L:GUARDIAN"
    id: bytes32 = self._id(calls, salt)
    executable_at: uint256 = self.executableAt[id]
    assert executable_at != 0, "L:UNKNOWN"
    assert executable_at != EXECUTED, "L:DONE"
    assert block.timestamp >= executable_at, "L:EARLY"
    assert block.timestamp <= executable_at + EXECUTION_WINDOW, "L:EXPIRED"

    self.executableAt[id] = EXECUTED  # before the calls: a target that calls back finds it done
    log OperationExecuted(id=id)
    total: uint256 = 0
    for call: Call in calls:
        total += call.value
        raw_call(call.target, call.data, value=call.value)
    assert total == msg.value, "L:VALUE"


@external
@view
def operationId(calls: DynArray[Call, MAX_CALLS], salt: bytes32) -> bytes32:
    """
    @notice The number that these calls would have with the code that is on the chain now.
    @param calls What to call.
    @param salt As for `schedule`.
    @return Number of the operation.
    """
    return self._id(calls, salt)


@internal
@view
def _id(calls: DynArray[Call, MAX_CALLS], salt: bytes32) -> bytes32:
    id: bytes32 = keccak256(abi_encode(chain.id, self, salt, len(calls)))
    for call: Call in calls:
        assert call.target.is_contract and call.target != self, "L:TARGET"
        id = keccak256(
            abi_encode(
                id,
                call.target,
                call.value,
                keccak256(call.data),
                call.target.codehash,
                self._current_code_hash(call.target),
                self._upgrade_code_hash(call.data),
            )
        )
    return id


@internal
@view
def _current_code_hash(target: address) -> bytes32:
    """
    @dev A target that answers otherwise at execution than it did when the operation was announced voids the operation.
    @return Hash of the code that a Proxy runs; zero for a target that has no `implementation()`.
    """
    answered: bool = False
    answer: Bytes[32] = b""
    answered, answer = raw_call(
        target,
        method_id("implementation()"),
        max_outsize=32,
        gas=ASK_GAS,
        is_static_call=True,
        revert_on_failure=False,
    )
    if not answered or len(answer) != 32:
        return empty(bytes32)
    return self._code_hash(convert(answer, bytes32))


@internal
@view
def _upgrade_code_hash(data: Bytes[MAX_DATA]) -> bytes32:
    """
    @return Hash of the code that an upgrade would install; zero for any other call.
    """
    if len(data) < UPGRADE_BYTES:
        return empty(bytes32)
    if slice(data, 0, 4) != method_id("upgradeToAndCall(address,bytes)"):
        return empty(bytes32)
    return self._code_hash(extract32(data, 4))


@internal
@view
def _code_hash(word: bytes32) -> bytes32:
    """
    @dev Whatever stands in front of the address is cut off, so that no word makes this revert.
    """
    return convert(convert(word, uint256) & convert(max_value(uint160), uint256), address).codehash
