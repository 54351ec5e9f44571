# pragma version 0.4.3
"""
@title Mint vault
@license MIT
@author Cxmpute DEX
@notice For tests of Settlement alone: passes on whatever it is told in the Vault's name, and remembers the collateral.
"""

interface ILedger:
    def credit(account: address, asset: uint256, amount: uint256) -> uint256: nonpayable
    def debit(account: address, asset: uint256, amount: uint256) -> uint256: nonpayable
    def takeFees(market: bytes32) -> uint256: nonpayable


event ProceedsLocked:
    account: indexed(address)
    amount: uint256
    balance: uint256
    total: uint256


settlement: public(ILedger)
locked: public(uint256)


@external
def setSettlement(settlement: address):
    """
    @param settlement Whom it tells.
    """
    self.settlement = ILedger(settlement)


@external
def credit(account: address, asset: uint256, amount: uint256) -> uint256:
    """
    @param account Owner of the balance.
    @param asset Number of the asset.
    @param amount How much.
    @return The balance after it.
    """
    return extcall self.settlement.credit(account, asset, amount)


@external
def debit(account: address, asset: uint256, amount: uint256) -> uint256:
    """
    @param account Owner of the balance.
    @param asset Number of the asset.
    @param amount How much.
    @return The balance after it.
    """
    return extcall self.settlement.debit(account, asset, amount)


@external
def lockProceeds(account: address, amount: uint256, balance: uint256):
    """
    @param account Whose cash became collateral.
    @param amount How much.
    @param balance What is left.
    """
    self.locked += amount
    log ProceedsLocked(account=account, amount=amount, balance=balance, total=self.locked)
