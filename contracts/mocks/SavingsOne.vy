# pragma version 0.4.3
"""
@title Savings, first version
@license MIT
@author Cxmpute DEX
@notice A small implementation for the tests of Proxy and Timelock: ether in, out again after six hours.
"""

from contracts.modules import initializable

initializes: initializable
exports: initializable.__interface__

EXIT_DELAY: constant(uint256) = 6 * 3600  # seconds; the longest that the Vault may take
MAX_WORDS: constant(uint256) = 64

owner: public(address)
savingsOf: public(HashMap[address, uint256])  # wei
exitAt: public(HashMap[address, uint256])  # unix time


@deploy
def __init__():
    """
    @notice Locks the bare implementation.
    """
    initializable.__init__()


@external
def initialize(owner: address):
    """
    @param owner Whoever the savings bank belongs to.
    """
    initializable._begin(1)
    self.owner = owner


@external
@payable
def save():
    """
    @notice Adds the ether sent to the caller's savings.
    """
    self.savingsOf[msg.sender] += msg.value


@external
def requestExit():
    """
    @notice Starts the caller's way out.
    """
    self.exitAt[msg.sender] = block.timestamp + EXIT_DELAY


@external
def claimExit():
    """
    @notice Pays out all of the caller's savings.
    """
    assert self.exitAt[msg.sender] != 0 and block.timestamp >= self.exitAt[msg.sender], "B:DELAY"
    amount: uint256 = self.savingsOf[msg.sender]
    self.savingsOf[msg.sender] = 0
    send(msg.sender, amount)


@external
@view
def countTo(words: uint256) -> DynArray[uint256, MAX_WORDS]:
    """
    @notice Output of a chosen size: 64 bytes and 32 for each word.
    @param words How many.
    @return 1, 2, 3 and so on.
    """
    numbers: DynArray[uint256, MAX_WORDS] = []
    for index: uint256 in range(words, bound=MAX_WORDS):
        numbers.append(index + 1)
    return numbers


@external
@view
def whoCalls() -> (address, address):
    """
    @return The caller and the contract, as this code sees them.
    """
    return msg.sender, self
