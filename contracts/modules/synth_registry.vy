# pragma version 0.4.3
"""
@title Synth registry
@license MIT
@author Cxmpute DEX
@notice Which synths exist, and the number that each has in the ledger. Numbers are given in order and for ever.
@dev Only tokens that the SynthFactory made get in: the Vault trusts them to mint and burn as told.
     Errors: V:FACTORY, V:SYNTH, V:ASSET.
"""

# pragma nonreentrancy on

FIRST_SYNTH: constant(uint256) = 2  # 0 is USDC, 1 is CXPT
MAX_ASSET: constant(uint256) = 2**16 - 1  # the ledger has 16 bits for it

SYNTH_FACTORY: public(immutable(address))

event SynthRegistered:
    asset: indexed(uint256)
    synth: indexed(address)

synthCount: public(uint256)
synthOf: public(HashMap[uint256, address])
assetOf: public(HashMap[address, uint256])


@deploy
def __init__(factory: address):
    """
    @param factory Who may register synths.
    """
    SYNTH_FACTORY = factory


@external
def registerSynth(synth: address) -> uint256:
    """
    @notice Gives a new synth the next asset number. SynthFactory only.
    @param synth Address of the token.
    @return Number of the asset.
    """
    assert msg.sender == SYNTH_FACTORY, "V:FACTORY"
    assert synth != empty(address) and self.assetOf[synth] == 0, "V:SYNTH"
    asset: uint256 = FIRST_SYNTH + self.synthCount
    assert asset <= MAX_ASSET, "V:ASSET"
    self.synthCount += 1
    self.synthOf[asset] = synth
    self.assetOf[synth] = asset
    log SynthRegistered(asset=asset, synth=synth)
    return asset


@internal
@view
def _token(asset: uint256) -> address:
    synth: address = self.synthOf[asset]
    assert synth != empty(address), "V:ASSET"
    return synth
