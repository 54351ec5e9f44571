# pragma version 0.4.3
"""
@title Hostile USDC
@license MIT
@author Cxmpute DEX
@notice For tests: a token that keeps a fee, refuses an account, answers False, or calls somebody in the middle of a
        transfer. What it does is set from outside.
"""

from contracts.modules import erc20

initializes: erc20

exports: (
    erc20.name,
    erc20.symbol,
    erc20.decimals,
    erc20.totalSupply,
    erc20.balanceOf,
    erc20.allowance,
    erc20.approve,
)

BPS: constant(uint256) = 10_000

feeBps: public(uint256)
lies: public(bool)  # transfers answer False and move nothing
blocked: public(HashMap[address, bool])

callTarget: public(address)
callData: public(Bytes[260])
callSucceeded: public(bool)
calls: public(uint256)


@deploy
def __init__():
    """
    @notice Deploys a token that behaves until it is told otherwise.
    """
    erc20.__init__("Hostile Coin", "HOST", 6)


@external
def mint(to: address, amount: uint256):
    """
    @param to Who receives tokens.
    @param amount How many.
    """
    erc20._mint(to, amount)


@external
def setFee(bps: uint256):
    """
    @param bps What each transfer loses, in 1/10,000.
    """
    self.feeBps = bps


@external
def setLies(lies: bool):
    """
    @param lies Whether transfers answer False and move nothing.
    """
    self.lies = lies


@external
def setBlocked(account: address, blocked: bool):
    """
    @param account Who may no longer receive or send.
    @param blocked Whether that is so.
    """
    self.blocked[account] = blocked


@external
def setCall(target: address, data: Bytes[260]):
    """
    @param target Whom each transfer calls; zero for nobody.
    @param data With what.
    """
    self.callTarget = target
    self.callData = data


@external
def transfer(to: address, amount: uint256) -> bool:
    """
    @param to Who receives.
    @param amount How much is sent.
    @return Whether it was, or False.
    """
    return self._move(msg.sender, to, amount)


@external
def transferFrom(owner: address, to: address, amount: uint256) -> bool:
    """
    @param owner Who sends.
    @param to Who receives.
    @param amount How much is sent.
    @return Whether it was, or False.
    """
    erc20._spend_allowance(owner, msg.sender, amount)
    return self._move(owner, to, amount)


@external
def receiveWithAuthorization(
    owner: address,
    to: address,
    amount: uint256,
    validAfter: uint256,
    validBefore: uint256,
    nonce: bytes32,
    v: uint8,
    r: bytes32,
    s: bytes32,
):
    """
    @notice EIP-3009 without the check of the signature.
    @param owner Who sends.
    @param to Who receives.
    @param amount How much is sent.
    @param validAfter Not looked at.
    @param validBefore Not looked at.
    @param nonce Not looked at.
    @param v Not looked at.
    @param r Not looked at.
    @param s Not looked at.
    """
    moved: bool = self._move(owner, to, amount)


@internal
def _move(owner: address, to: address, amount: uint256) -> bool:
    assert not self.blocked[owner] and not self.blocked[to], "blocked"
    if self.lies:
        return False
    erc20._transfer(owner, to, amount)
    erc20._burn(to, amount * self.feeBps // BPS)
    if self.callTarget != empty(address):
        self.calls += 1
        self.callSucceeded = raw_call(self.callTarget, self.callData, revert_on_failure=False)
    return True
