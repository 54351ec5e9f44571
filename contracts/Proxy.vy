# pragma version 0.4.3
"""
@title Proxy
@license MIT
@author Cxmpute DEX
@notice One address for ever, with code that its admin can replace. The admin is a Timelock, and stays the same for ever.
@dev Owns:     the two ERC-1967 slots and nothing else; every other slot belongs to the implementation.
     Promises: every call but `upgradeToAndCall` and `implementation` runs the implementation's code on this storage,
               with the caller, value, calldata, output and revert data unchanged. Output that does not fit is an error.
     Never:    changes its admin: a Timelock with a shorter delay, or a key, can never take its place.

     Each function here hides one of the same selector in the implementation; a test compares them.
     Errors: U:ADMIN, U:CODE, U:UUID, U:OUTPUT, and those of the implementation.
"""

# keccak("eip1967.proxy.implementation") - 1
IMPLEMENTATION_SLOT: constant(bytes32) = 0x360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc

# Code of this size is none, or an EIP-7702 designator: an account whose key can swap what it runs.
DELEGATION_BYTES: constant(uint256) = 23
MAX_DATA: constant(uint256) = 1024
MAX_OUTPUT: constant(uint256) = 1024
# One word more than may be returned: raw_call cuts what does not fit, and a full last word is how that is seen.
OUTPUT_BUFFER: constant(uint256) = MAX_OUTPUT + 32

event Upgraded:
    implementation: indexed(address)

event AdminChanged:
    previousAdmin: address
    newAdmin: address

# Vyper numbers storage from 0, so the gaps put the two addresses exactly where ERC-1967 wants them: the lengths are
# IMPLEMENTATION_SLOT, and keccak("eip1967.proxy.admin") - 1 less the slots before; only literals are allowed here.
_before_implementation: uint256[
    24440054405305269366569402256811496959409073762505157381672968839269610695612
]
implementation: public(address)  # the Timelock asks for it, to bind the code behind a proxy
_before_admin: uint256[
    57515418674210777583064340759886350581885744927316125368323712657003024561478
]
_admin: address


@deploy
def __init__(implementation: address, admin: address, data: Bytes[MAX_DATA]):
    """
    @notice Takes an implementation, and runs its initialiser if there is one, so that nobody can do it first.
    @param implementation Contract whose code runs here.
    @param admin Contract that may replace it; not a key, because a key would upgrade without notice.
    @param data Call of the initialiser; empty for none.
    """
    assert admin.codesize > DELEGATION_BYTES, "U:CODE"
    self._admin = admin
    log AdminChanged(previousAdmin=empty(address), newAdmin=admin)
    self._upgrade(implementation, data)


@external
def upgradeToAndCall(implementation: address, data: Bytes[MAX_DATA]):
    """
    @notice Replaces the implementation, and runs its initialiser if there is one. Admin only.
    @param implementation Contract whose code runs here from now on.
    @param data Call to run on the new code, for instance its initialiser; empty for none.
    """
    assert msg.sender == self._admin, "U:ADMIN"
    self._upgrade(implementation, data)


@external
@payable
@raw_return
def __default__() -> Bytes[OUTPUT_BUFFER]:
    """
    @notice Runs the implementation.
    @return Its output as it is, at most MAX_OUTPUT bytes.
    """
    output: Bytes[OUTPUT_BUFFER] = raw_call(
        self.implementation, msg.data, max_outsize=OUTPUT_BUFFER, is_delegate_call=True
    )
    assert len(output) <= MAX_OUTPUT, "U:OUTPUT"
    return output


@internal
def _upgrade(implementation: address, data: Bytes[MAX_DATA]):
    assert implementation.codesize > DELEGATION_BYTES, "U:CODE"
    answered: bool = False
    answer: Bytes[32] = b""
    answered, answer = raw_call(
        implementation,
        method_id("proxiableUUID()"),
        max_outsize=32,
        is_static_call=True,
        revert_on_failure=False,
    )
    assert answered and len(answer) == 32, "U:UUID"
    assert convert(answer, bytes32) == IMPLEMENTATION_SLOT, "U:UUID"
    self.implementation = implementation
    log Upgraded(implementation=implementation)
    if len(data) != 0:
        raw_call(implementation, data, is_delegate_call=True)
