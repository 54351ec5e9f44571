# pragma version 0.4.3
"""
@title Second sources
@license MIT
@author Cxmpute DEX
@notice For each asset the address of an aggregator that knows its price as well, and what it says now.
@dev Owns:     the list of sources and how one is asked.
     Promises: nothing that a source does makes `_read` revert: what reverts, burns its gas, answers too little or too
               much, zero, a negative or absurd number, a time too old or to come, or has other decimals than when it was
               let in, counts as silent. Whether it is silent does not depend on the caller: each question has exactly
               SOURCE_GAS, or O:GAS is raised before it is asked.
     Never:    changes anything outside: a source is asked by static calls.

     source = address 160 | heartbeat 32 | decimals 8, lowest bits first; zero for none
     Errors: O:SOURCE, O:GAS.
"""

from contracts.interfaces import IAggregatorV3
from contracts.modules import price_history

MAX_DECIMALS: constant(uint256) = 18
PRICE_DECIMALS: constant(uint256) = 6
MAX_SOURCE_PRICE: constant(uint256) = 2**80 - 1  # 1e-6 USDC
MAX_ANSWER: constant(int256) = 2**120  # 2**80 with 18 instead of 6 decimals

HEARTBEAT_SHIFT: constant(uint256) = 160
DECIMALS_SHIFT: constant(uint256) = 192
ADDRESS_MASK: constant(uint256) = 2**160 - 1
HEARTBEAT_MASK: constant(uint256) = 2**32 - 1

SOURCE_GAS: constant(uint256) = 150_000
# A call passes on 63/64 of what is left: 150,000 of 152,381, and 2,600 for an address that was not asked before, and
# what is between the check and the call.
GAS_TO_ASK: constant(uint256) = 160_000

ROUND_BYTES: constant(uint256) = 160
WORD_BYTES: constant(uint256) = 32

event SourceSet:
    asset: indexed(uint256)
    source: indexed(address)
    heartbeat: uint256
    decimals: uint256

_sources: HashMap[uint256, uint256]  # by asset


@external
@view
def sourceOf(asset: uint256) -> (address, uint256, uint256):
    """
    @notice The second source of a price.
    @param asset Number of the synth.
    @return Address of the aggregator, age in seconds up to which it counts, its decimals; zeros when there is none.
    """
    word: uint256 = self._sources[asset]
    return self._address(word), word >> HEARTBEAT_SHIFT & HEARTBEAT_MASK, word >> DECIMALS_SHIFT


@external
@view
def secondPrice(asset: uint256) -> (bool, uint256, uint256):
    """
    @notice What the second source says now.
    @param asset Number of the synth.
    @return Whether it counts; if so, price of one whole synth in 1e-6 USDC and the unix time of it, else zeros.
    """
    return self._read(asset)


@internal
def _set(asset: uint256, source: address, heartbeat: uint256):
    """
    @dev The zero address removes the source. The decimals are asked here, and held against it from then on.
    """
    decimals: uint256 = 0
    if source == empty(address):
        assert heartbeat == 0, "O:SOURCE"
        self._sources[asset] = 0
    else:
        assert heartbeat != 0 and heartbeat <= price_history.MAX_AGE and source.is_contract, "O:SOURCE"
        decimals = convert(staticcall IAggregatorV3(source).decimals(), uint256)
        assert decimals <= MAX_DECIMALS, "O:SOURCE"
        self._sources[asset] = (
            convert(source, uint256) | heartbeat << HEARTBEAT_SHIFT | decimals << DECIMALS_SHIFT
        )
    log SourceSet(asset=asset, source=source, heartbeat=heartbeat, decimals=decimals)


@internal
@view
def _read(asset: uint256) -> (bool, uint256, uint256):
    """
    @return Whether the source counts, its price in 1e-6 USDC, its unix time.
    """
    word: uint256 = self._sources[asset]
    if word == 0:
        return False, 0, 0
    source: address = self._address(word)
    decimals: uint256 = word >> DECIMALS_SHIFT

    answered: bool = False
    data: Bytes[ROUND_BYTES] = b""
    answered, data = self._ask(source, method_id("decimals()"))
    if not answered or len(data) != WORD_BYTES or extract32(data, 0, output_type=uint256) != decimals:
        return False, 0, 0
    answered, data = self._ask(source, method_id("latestRoundData()"))
    if not answered or len(data) != ROUND_BYTES:
        return False, 0, 0

    answer: int256 = extract32(data, WORD_BYTES, output_type=int256)
    time: uint256 = extract32(data, 3 * WORD_BYTES, output_type=uint256)
    if answer <= 0 or answer > MAX_ANSWER or time > block.timestamp:
        return False, 0, 0
    if block.timestamp - time > word >> HEARTBEAT_SHIFT & HEARTBEAT_MASK:
        return False, 0, 0
    price: uint256 = convert(answer, uint256) * 10**PRICE_DECIMALS // 10**decimals
    if price == 0 or price > MAX_SOURCE_PRICE:
        return False, 0, 0
    return True, price, time


@internal
@view
def _ask(source: address, question: Bytes[4]) -> (bool, Bytes[ROUND_BYTES]):
    """
    @dev At most ROUND_BYTES of the answer are looked at, however long it is.
    """
    assert msg.gas >= GAS_TO_ASK, "O:GAS"
    return raw_call(
        source, question, max_outsize=ROUND_BYTES, gas=SOURCE_GAS, is_static_call=True, revert_on_failure=False
    )


@internal
@pure
def _address(word: uint256) -> address:
    return convert(word & ADDRESS_MASK, address)
