# pragma version 0.4.3
"""
@title Roles
@license MIT
@author Cxmpute DEX
@notice Four keys that can do different things and are never the same key.
        ADMIN     opens markets, ends pauses early, takes fees
        GUARDIAN  may only make things safer, for a while: pause
        CORE      submits batches of matched orders
        GATEWAY   creates synths and lists markets
@dev The four are fixed at construction. Errors: R:ZERO, R:SAME, R:ADMIN, R:GATEWAY.
"""

ADMIN: public(immutable(address))
GUARDIAN: public(immutable(address))
CORE: public(immutable(address))
GATEWAY: public(immutable(address))


@deploy
def __init__(admin: address, guardian: address, core: address, gateway: address):
    """
    @notice Fixes the four keys. One key with two roles would undo the separation, so it is refused.
    @param admin Key of ADMIN.
    @param guardian Key of GUARDIAN.
    @param core Key of CORE.
    @param gateway Key of GATEWAY.
    """
    for role: address in [admin, guardian, core, gateway]:
        assert role != empty(address), "R:ZERO"
    assert admin not in [guardian, core, gateway], "R:SAME"
    assert guardian not in [core, gateway], "R:SAME"
    assert core != gateway, "R:SAME"

    ADMIN = admin
    GUARDIAN = guardian
    CORE = core
    GATEWAY = gateway


@internal
@view
def _only_admin():
    assert msg.sender == ADMIN, "R:ADMIN"


@internal
@view
def _only_gateway():
    assert msg.sender == GATEWAY, "R:GATEWAY"
