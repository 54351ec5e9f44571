# pragma version 0.4.3
"""
@title ERC-20 balances and allowances
@license MIT
@author Cxmpute DEX
@notice What every token here has in common: names of any useful length, balances, allowances, a supply.
        Who may mint and burn is decided by the contract that uses the module.
@dev An allowance of 2**256 - 1 is not used up. Errors: T:ZERO, T:BALANCE, T:ALLOWANCE.
"""

from ethereum.ercs import IERC20

implements: IERC20

name: public(immutable(String[64]))
symbol: public(immutable(String[16]))
decimals: public(immutable(uint8))

totalSupply: public(uint256)
balanceOf: public(HashMap[address, uint256])
allowance: public(HashMap[address, HashMap[address, uint256]])


@deploy
def __init__(name_: String[64], symbol_: String[16], decimals_: uint8):
    """
    @param name_ Name of the token.
    @param symbol_ Symbol of the token.
    @param decimals_ Decimal places of the token.
    """
    name = name_
    symbol = symbol_
    decimals = decimals_


@external
def transfer(to: address, amount: uint256) -> bool:
    """
    @notice Sends the caller's tokens.
    @param to Who receives them.
    @param amount How many, in the smallest unit.
    @return Always True; it reverts when the balance is too small.
    """
    self._transfer(msg.sender, to, amount)
    return True


@external
def transferFrom(owner: address, to: address, amount: uint256) -> bool:
    """
    @notice Sends another account's tokens, within the allowance that it gave the caller.
    @param owner Whose tokens.
    @param to Who receives them.
    @param amount How many, in the smallest unit.
    @return Always True; it reverts when the balance or the allowance is too small.
    """
    self._spend_allowance(owner, msg.sender, amount)
    self._transfer(owner, to, amount)
    return True


@external
def approve(spender: address, amount: uint256) -> bool:
    """
    @notice Allows an account to send up to this many of the caller's tokens, in place of the previous allowance.
    @param spender Who may send them.
    @param amount How many, in the smallest unit; 2**256 - 1 means without limit.
    @return Always True.
    """
    self._approve(msg.sender, spender, amount)
    return True


@internal
def _transfer(owner: address, to: address, amount: uint256):
    assert to != empty(address), "T:ZERO"
    balance: uint256 = self.balanceOf[owner]
    assert balance >= amount, "T:BALANCE"
    self.balanceOf[owner] = balance - amount
    self.balanceOf[to] += amount
    log IERC20.Transfer(sender=owner, receiver=to, value=amount)


@internal
def _approve(owner: address, spender: address, amount: uint256):
    self.allowance[owner][spender] = amount
    log IERC20.Approval(owner=owner, spender=spender, value=amount)


@internal
def _spend_allowance(owner: address, spender: address, amount: uint256):
    allowed: uint256 = self.allowance[owner][spender]
    if allowed == max_value(uint256):
        return
    assert allowed >= amount, "T:ALLOWANCE"
    self._approve(owner, spender, allowed - amount)


@internal
def _mint(to: address, amount: uint256):
    assert to != empty(address), "T:ZERO"
    self.totalSupply += amount
    self.balanceOf[to] += amount
    log IERC20.Transfer(sender=empty(address), receiver=to, value=amount)


@internal
def _burn(owner: address, amount: uint256):
    balance: uint256 = self.balanceOf[owner]
    assert balance >= amount, "T:BALANCE"
    self.balanceOf[owner] = balance - amount
    self.totalSupply -= amount
    log IERC20.Transfer(sender=owner, receiver=empty(address), value=amount)
