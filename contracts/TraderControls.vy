# pragma version 0.4.3
"""
@title Trader controls
@license MIT
@notice What the owner of an account does about its orders without the relayer: cancels and session keys.
@dev Owns:     nothing. Settlement hands every call that it has no function for to this contract by `delegatecall`: the
               code runs on Settlement's storage, under Settlement's address, with the caller unchanged.
     Promises: the modules of Settlement in the same order, so that each variable is where Settlement keeps it; a test
               compares the two layouts.
     Never:    calls another contract, touches a balance, or matters where it stands: no order looks at its own storage.
     Errors:   those of `cancels` and `sessions`; Settlement says what each means.
"""

from contracts.modules import cancels
from contracts.modules import initializable
from contracts.modules import ledger
from contracts.modules import sessions

initializes: initializable
initializes: ledger
initializes: cancels[ledger := ledger]
initializes: sessions[ledger := ledger]

exports: cancels.__interface__
exports: sessions.__interface__


@deploy
def __init__():
    initializable.__init__()
    ledger.__init__(empty(address), empty(address))  # what the Vault and the registry call is not here
