# pragma version 0.4.3
"""
@title Ledger
@license MIT
@notice Who owns what inside the exchange, how far each order has come, and the terms of each market.
@dev Owns:     account words, lane words, asset balances and market words (layouts: see `packing`).
     Promises: only the Vault credits and debits, only the MarketRegistry opens markets and sets their status; whoever
               changes a balance emits the event. An account's fee tier follows its CXPT at once.
     Never:    calls another contract, holds a token, reads a price.
     Errors:   S:VAULT, S:REGISTRY, S:FUNDS, S:PACK, S:ASSET, S:LANE, S:MARKET, S:OPEN, S:TERMS, S:STATUS; Settlement says
               what each means.

     Assets: 0 is USDC cash (1e-6), 1 is CXPT (1e-6), synths follow from 2 (1e-18).
"""

from contracts.modules import packing

CASH: constant(uint256) = 0
CXPT: constant(uint256) = 1
FIRST_SYNTH: constant(uint256) = 2
MAX_ASSET: constant(uint256) = 2**16 - 1
ASSET_SHIFT: constant(uint256) = 160

# CXPT from which each fee tier begins, 1e-6.
TIER_1: constant(uint256) = 1_000 * 10**6
TIER_2: constant(uint256) = 10_000 * 10**6
TIER_3: constant(uint256) = 100_000 * 10**6
TIER_4: constant(uint256) = 1_000_000 * 10**6

# Market status.
PAUSED: constant(uint256) = 1
ACTIVE: constant(uint256) = 2
SETTLED: constant(uint256) = 4

MAX_LOT_EXPONENT: constant(uint256) = 18
MAX_TOTAL_FEE_BPS: constant(uint256) = 50

MASK_8: constant(uint256) = 2**8 - 1
MASK_16: constant(uint256) = 2**16 - 1
MASK_24: constant(uint256) = 2**24 - 1
MASK_32: constant(uint256) = 2**32 - 1
MASK_40: constant(uint256) = 2**40 - 1
MASK_64: constant(uint256) = 2**64 - 1

VAULT: public(immutable(address))
REGISTRY: public(immutable(address))

accounts: HashMap[uint256, uint256]  # by address
lanes: HashMap[uint256, uint256]  # (lane // 4) << 160 | account
assets: HashMap[uint256, uint256]  # asset << 160 | account
markets: HashMap[bytes32, uint256]


@deploy
def __init__(vault: address, registry: address):
    """
    @param vault Credits and debits balances.
    @param registry Opens markets and sets their status.
    """
    VAULT = vault
    REGISTRY = registry


# ------------------------------------------------------------------ for the Vault

@external
def credit(account: address, asset: uint256, amount: uint256) -> uint256:
    """
    @notice Adds to a balance what the Vault has received. Caller: Vault, which emits the event.
    @param account Owner of the balance.
    @param asset Number of the asset; 0 is cash.
    @param amount In the asset's units.
    @return The balance after it.
    """
    self._only_vault()
    owner: uint256 = convert(account, uint256)
    if asset == CASH:
        assert amount <= packing.MAX_CASH, "S:PACK"
        word: uint256 = self.accounts[owner]
        cash: uint256 = (word & packing.MAX_CASH) + amount
        self.accounts[owner] = packing._with_cash(word, cash)
        return cash
    balance: uint256 = self.assets[self._asset_key(owner, asset)] + amount
    self._set_asset(owner, asset, balance)
    return balance


@external
def debit(account: address, asset: uint256, amount: uint256) -> uint256:
    """
    @notice Takes from a balance what the Vault pays out. Caller: Vault, which emits the event.
    @param account Owner of the balance.
    @param asset Number of the asset; 0 is cash.
    @param amount In the asset's units, at most the balance.
    @return The balance after it.
    """
    self._only_vault()
    owner: uint256 = convert(account, uint256)
    if asset == CASH:
        word: uint256 = self.accounts[owner]
        cash: uint256 = word & packing.MAX_CASH
        assert amount <= cash, "S:FUNDS"
        self.accounts[owner] = packing._with_cash(word, cash - amount)
        return cash - amount
    balance: uint256 = self.assets[self._asset_key(owner, asset)]
    assert amount <= balance, "S:FUNDS"
    self._set_asset(owner, asset, balance - amount)
    return balance - amount


@external
def takeFees(market: bytes32) -> uint256:
    """
    @notice Hands a market's accrued fees to the Vault's fee pocket. Caller: Vault, which emits the event.
    @param market keccak256 of the symbol.
    @return How much, in 1e-6 USDC.
    """
    self._only_vault()
    word: uint256 = self._listed(market)
    self.markets[market] = packing._with_progress(word, word >> packing.SEQUENCE_SHIFT & MASK_40, 0)
    return word & packing.MAX_FEES


# ------------------------------------------------------------------ for the registry

@external
def openMarket(market: bytes32, word: uint256):
    """
    @notice Stores a new market's terms, for ever. Caller: MarketRegistry, which emits the event.
    @param market keccak256 of the symbol.
    @param word Packed as in the packing module; PAUSED, with sequence and fees zero.
    """
    self._only_registry()
    assert market != empty(bytes32) and self.markets[market] == 0, "S:OPEN"
    fees: uint256 = (word >> packing.TAKER_FEE_SHIFT & MASK_16) + (word >> packing.MAKER_FEE_SHIFT & MASK_16)
    is_sound: bool = (
        word >> packing.STATUS_SHIFT == PAUSED
        and word & (2**packing.QUOTE_SHIFT - 1) == 0
        and word >> packing.QUOTE_SHIFT & MASK_32 != 0
        and word >> packing.MIN_LOTS_SHIFT & MASK_24 != 0
        and word >> packing.LOT_EXPONENT_SHIFT & MASK_8 <= MAX_LOT_EXPONENT
        and word >> packing.BASE_ASSET_SHIFT & MASK_16 >= FIRST_SYNTH
        and word >> packing.MARKET_INDEX_SHIFT & MASK_16 != 0
        and fees <= MAX_TOTAL_FEE_BPS
    )
    assert is_sound, "S:TERMS"
    self.markets[market] = word


@external
def setMarketStatus(market: bytes32, status: uint256):
    """
    @notice Changes a market's status. Caller: MarketRegistry, which decides who may and emits the event.
    @dev A market leaves only PAUSED and ACTIVE; the later states are terminal.
    @param market keccak256 of the symbol.
    @param status PAUSED 1, ACTIVE 2, DELISTED 3 or SETTLED 4.
    """
    self._only_registry()
    word: uint256 = self._listed(market)
    assert word >> packing.STATUS_SHIFT <= ACTIVE, "S:STATUS"
    assert status >= PAUSED and status <= SETTLED, "S:STATUS"
    self.markets[market] = packing._with_status(word, status)


# ------------------------------------------------------------------ views

@external
@view
def balanceOf(account: address, asset: uint256) -> uint256:
    """
    @notice An account's balance of one asset inside the exchange.
    @param account Owner of the balance.
    @param asset Number of the asset; 0 is cash.
    @return The balance, in the asset's units.
    """
    owner: uint256 = convert(account, uint256)
    if asset == CASH:
        return self.accounts[owner] & packing.MAX_CASH
    return self.assets[self._asset_key(owner, asset)]


@external
@view
def tierOf(account: address) -> uint256:
    """
    @notice An account's fee tier: each takes 10 % off the market's fee. It follows from the CXPT held here.
    @param account Whose.
    @return 0 to 4.
    """
    return self.accounts[convert(account, uint256)] >> packing.TIER_SHIFT & MASK_8


@external
@view
def marketWord(market: bytes32) -> uint256:
    """
    @notice A market's terms, status, sequence and fees.
    @param market keccak256 of the symbol.
    @return The packed word as stored, see the packing module; zero when it is not listed.
    """
    return self.markets[market]


@external
@view
def sequenceOf(market: bytes32) -> uint256:
    """
    @notice The number that the market's next fill will have.
    @param market keccak256 of the symbol.
    @return The number, from 0.
    """
    return self.markets[market] >> packing.SEQUENCE_SHIFT & MASK_40


@external
@view
def accruedFees(market: bytes32) -> uint256:
    """
    @notice Fees of the market not yet in the Vault's fee pocket.
    @param market keccak256 of the symbol.
    @return In 1e-6 USDC.
    """
    return self.markets[market] & packing.MAX_FEES


# ------------------------------------------------------------------ internal

@internal
@view
def _only_vault():
    assert msg.sender == VAULT, "S:VAULT"


@internal
@view
def _only_registry():
    assert msg.sender == REGISTRY, "S:REGISTRY"


@internal
def _set_asset(owner: uint256, asset: uint256, balance: uint256):
    self.assets[self._asset_key(owner, asset)] = balance
    if asset == CXPT:
        word: uint256 = self.accounts[owner]
        tier: uint256 = 0
        for least: uint256 in [TIER_1, TIER_2, TIER_3, TIER_4]:
            if balance >= least:
                tier += 1
        if tier != word >> packing.TIER_SHIFT & MASK_8:
            self.accounts[owner] = packing._with_tier(word, tier)


@internal
@view
def _listed(market: bytes32) -> uint256:
    word: uint256 = self.markets[market]
    assert word != 0, "S:MARKET"
    return word


@internal
@view
def _lane(account: uint256, lane: uint256) -> uint256:
    """
    @dev The lane as stored: filled, whether a cancel is announced, seq.
    """
    assert lane <= packing.MAX_LANE, "S:LANE"
    if lane < packing.LANES_IN_ACCOUNT:
        return self.accounts[account] >> packing._account_lane_offset(lane) & MASK_64
    return self.lanes[self._lane_key(account, lane)] >> packing._slot_lane_offset(lane) & MASK_64


@internal
def _set_lane(account: uint256, lane: uint256, progress: uint256):
    """
    @dev Stores a lane as given, whether a cancel is announced included.
    """
    if lane < packing.LANES_IN_ACCOUNT:
        offset: uint256 = packing._account_lane_offset(lane)
        self.accounts[account] = self.accounts[account] & ~(MASK_64 << offset) | progress << offset
    else:
        offset: uint256 = packing._slot_lane_offset(lane)
        key: uint256 = self._lane_key(account, lane)
        self.lanes[key] = self.lanes[key] & ~(MASK_64 << offset) | progress << offset


@internal
@pure
def _lane_key(account: uint256, lane: uint256) -> uint256:
    return lane // packing.LANES_PER_SLOT << ASSET_SHIFT | account


@internal
@pure
def _asset_key(account: uint256, asset: uint256) -> uint256:
    assert asset <= MAX_ASSET, "S:ASSET"  # a larger number would lose its top bits and name another slot
    return asset << ASSET_SHIFT | account
