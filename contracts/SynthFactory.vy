# pragma version 0.4.3
"""
@title SynthFactory
@license MIT
@author Cxmpute DEX
@notice Creates synths at addresses that anyone can compute beforehand, and registers them with the Vault.
@dev address = CREATE2(this factory, keccak(abi_encode(name, symbol)), INIT_CODE_HASH). Only this factory can create
     there and only GATEWAY can make it, so nobody can occupy an address first.
     Errors: F:NAME, F:SYMBOL, F:ADDRESS, F:ZERO, and those of the roles module.
"""

# pragma nonreentrancy on

from contracts.interfaces import ISynthFactory
from contracts.interfaces import IVault
from contracts.modules import plain_text
from contracts.modules import roles

implements: ISynthFactory

initializes: roles

exports: roles.__interface__

VAULT: public(immutable(address))
BLUEPRINT: public(immutable(address))
INIT_CODE_HASH: public(immutable(bytes32))

event SynthCreated:
    synth: indexed(address)
    asset: uint256
    name: String[64]
    symbol: String[16]

synthOf: public(HashMap[String[16], address])  # by symbol; a symbol names one synth for ever

# What `naming` answers while a synth is being created.
_name: transient(String[64])
_symbol: transient(String[16])


@deploy
def __init__(
    vault: address,
    blueprint: address,
    init_code_hash: bytes32,
    admin: address,
    guardian: address,
    core: address,
    gateway: address,
):
    """
    @param vault Where synths are registered.
    @param blueprint ERC-5202 blueprint of Synth.
    @param init_code_hash Keccak of the init code in the blueprint; the first creation proves it.
    @param admin See the roles module.
    @param guardian See the roles module.
    @param core See the roles module.
    @param gateway Who may create synths.
    """
    assert vault != empty(address) and blueprint != empty(address), "F:ZERO"
    VAULT = vault
    BLUEPRINT = blueprint
    INIT_CODE_HASH = init_code_hash
    roles.__init__(admin, guardian, core, gateway)


@external
def createSynth(name: String[64], symbol: String[16]) -> address:
    """
    @notice Creates a synth at its predictable address and gives it the next asset number. GATEWAY only.
    @param name Name of the token: printable ASCII.
    @param symbol Symbol of the token: printable ASCII without spaces, never used before.
    @return Address of the new token.
    """
    roles._only_gateway()
    assert plain_text._is_plain(name, True), "F:NAME"
    assert plain_text._is_plain(symbol, False) and self.synthOf[symbol] == empty(address), "F:SYMBOL"

    self._name = name
    self._symbol = symbol
    synth: address = create_from_blueprint(BLUEPRINT, salt=self._salt(name, symbol))
    self._name = ""
    self._symbol = ""
    assert synth == self._predict(name, symbol), "F:ADDRESS"

    self.synthOf[symbol] = synth
    asset: uint256 = extcall IVault(VAULT).registerSynth(synth)
    log SynthCreated(synth=synth, asset=asset, name=name, symbol=symbol)
    return synth


@external
@view
@reentrant
def naming() -> (String[64], String[16], address):
    """
    @notice What the synth that is being created asks for in its constructor.
    @return Its name, its symbol, and the Vault; name and symbol are empty at any other time.
    """
    return self._name, self._symbol, VAULT


@external
@view
def predict(name: String[64], symbol: String[16]) -> address:
    """
    @notice Where a synth of this name and symbol is or will be.
    @param name Name of the token.
    @param symbol Symbol of the token.
    @return Its address.
    """
    return self._predict(name, symbol)


@internal
@view
def _predict(name: String[64], symbol: String[16]) -> address:
    digest: bytes32 = keccak256(concat(x"ff", convert(self, bytes20), self._salt(name, symbol), INIT_CODE_HASH))
    return convert(convert(digest, uint256) & convert(max_value(uint160), uint256), address)


@internal
@pure
def _salt(name: String[64], symbol: String[16]) -> bytes32:
    return keccak256(abi_encode(name, symbol))
