# pragma version 0.4.3
"""
@title Session keys
@license MIT
@notice A second key that may sign orders for an account, within limits, and nothing else.
@dev Owns:     the limits of each key.
     Promises: a key signs only orders: no function that moves money, cancels or makes keys asks for it. It stops working when
               it expires, when its notional is used up, and in the block in which its owner revokes it.
     Never:    touches a balance, or knows what a synth is worth: the limit bounds what a lost key can spend, and counts a sale
               at the price at which it is made, so that it does not bound what the key can sell cheaply.
     Errors:   S:KEY, S:EXPIRY, S:LIMIT, S:MARKET; Settlement says what each means.
"""

from contracts.modules import ledger
from contracts.modules import packing

uses: ledger

# session = notional 96 | expiry 40 | marketIndex 16, lowest bits first; zero: there is none
EXPIRY_SHIFT: constant(uint256) = 96
MARKET_SHIFT: constant(uint256) = 136
MAX_NOTIONAL: constant(uint256) = 2**96 - 1
MAX_EXPIRY: constant(uint256) = 2**40 - 1
MASK_16: constant(uint256) = 2**16 - 1

# Why a fill was skipped; the taker's reason is the next number.
MAKER_SIGNATURE: constant(uint256) = 7
MAKER_SESSION_LIMIT: constant(uint256) = 9

event SessionSet:
    account: indexed(address)
    key: indexed(address)
    market: bytes32
    notional: uint256
    expiry: uint256


event SessionRevoked:
    account: indexed(address)
    key: indexed(address)


event SessionUsed:
    account: indexed(address)
    key: indexed(address)
    notionalLeft: uint256


words: HashMap[uint256, HashMap[uint256, uint256]]  # by account, by key


@external
def setSession(key: address, market: bytes32, notional: uint256, expiry: uint256):
    """
    @notice Lets a key sign orders for the caller, in place of whatever limits it had.
    @param key Address of the key; not the caller's own.
    @param market The only market it may trade, keccak256 of the symbol; zero for all.
    @param notional How much its orders may trade in all, in 1e-6 USDC at the prices of the fills; 2**96 - 1 at most.
    @param expiry Unix second from which it is no longer good.
    """
    assert key != empty(address) and key != msg.sender, "S:KEY"
    assert expiry > block.timestamp and expiry <= MAX_EXPIRY, "S:EXPIRY"
    assert notional != 0 and notional <= MAX_NOTIONAL, "S:LIMIT"
    index: uint256 = 0
    if market != empty(bytes32):
        index = ledger._listed(market) >> packing.MARKET_INDEX_SHIFT & MASK_16
    self.words[convert(msg.sender, uint256)][convert(key, uint256)] = (
        notional | expiry << EXPIRY_SHIFT | index << MARKET_SHIFT
    )
    log SessionSet(account=msg.sender, key=key, market=market, notional=notional, expiry=expiry)


@external
def revokeSession(key: address):
    """
    @notice Ends a key of the caller at once.
    @param key Address of the key.
    """
    assert self.words[convert(msg.sender, uint256)][convert(key, uint256)] != 0, "S:KEY"
    self.words[convert(msg.sender, uint256)][convert(key, uint256)] = 0
    log SessionRevoked(account=msg.sender, key=key)


@external
@view
def sessionOf(account: address, key: address) -> (uint256, uint256, uint256):
    """
    @notice The limits of a session key.
    @param account Whose orders it may sign.
    @param key Address of the key.
    @return Index of the only market (0: all), notional left in 1e-6 USDC, and expiry; zeros when there is no such key.
    """
    word: uint256 = self.words[convert(account, uint256)][convert(key, uint256)]
    return word >> MARKET_SHIFT, word & MAX_NOTIONAL, word >> EXPIRY_SHIFT & MAX_EXPIRY


@internal
@view
def _refusal(account: uint256, key: uint256, market_index: uint256, notional: uint256) -> uint256:
    """
    @dev Why the key may not trade this notional in this market now, as if its order were the maker's; zero if it may.
    """
    word: uint256 = self.words[account][key]
    market: uint256 = word >> MARKET_SHIFT
    if block.timestamp >= word >> EXPIRY_SHIFT & MAX_EXPIRY or (market != 0 and market != market_index):
        return MAKER_SIGNATURE
    if notional > word & MAX_NOTIONAL:
        return MAKER_SESSION_LIMIT
    return 0


@internal
def _use(account: uint256, key: uint256, notional: uint256):
    """
    @dev Takes a fill's notional off the key's limit, which `_refusal` has compared.
    """
    word: uint256 = self.words[account][key]
    self.words[account][key] = word - notional  # compared before: it does not borrow from the expiry
    log SessionUsed(
        account=convert(account, address), key=convert(key, address), notionalLeft=(word - notional) & MAX_NOTIONAL
    )
