# pragma version 0.4.3
"""
@title Mock USDC
@license MIT
@author Cxmpute DEX
@notice USDC for local chains and test networks: 6 decimals, EIP-2612 with version "2", EIP-3009 and a blacklist like the
        real one, and anyone may mint. Never deployed where money is real.
@dev The deployer is the issuer and may blacklist. Errors: A:ISSUER, A:BLOCKED, A:PAYEE, A:EARLY, A:LATE, A:USED,
     A:SIGNATURE, and those of the modules.
"""

from contracts.interfaces import IERC3009
from contracts.modules import erc20
from contracts.modules import erc2612

implements: IERC3009

initializes: erc20
initializes: erc2612[erc20 := erc20]

exports: (
    erc20.name,
    erc20.symbol,
    erc20.decimals,
    erc20.totalSupply,
    erc20.balanceOf,
    erc20.allowance,
    erc20.approve,
)
exports: erc2612.__interface__

TRANSFER_WITH_AUTHORIZATION_TYPEHASH: public(constant(bytes32)) = keccak256(
    "TransferWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)"
)
RECEIVE_WITH_AUTHORIZATION_TYPEHASH: public(constant(bytes32)) = keccak256(
    "ReceiveWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)"
)
CANCEL_AUTHORIZATION_TYPEHASH: public(constant(bytes32)) = keccak256(
    "CancelAuthorization(address authorizer,bytes32 nonce)"
)

ISSUER: public(immutable(address))

event AuthorizationUsed:
    authorizer: indexed(address)
    nonce: indexed(bytes32)

event AuthorizationCanceled:
    authorizer: indexed(address)
    nonce: indexed(bytes32)

event Blacklisted:
    account: indexed(address)

event UnBlacklisted:
    account: indexed(address)

isBlacklisted: public(HashMap[address, bool])
authorizationState: public(HashMap[address, HashMap[bytes32, bool]])  # by authorizer: True once used or cancelled


@deploy
def __init__():
    """
    @notice Deploys an empty token; the deployer is its issuer.
    """
    ISSUER = msg.sender
    erc20.__init__("USD Coin", "USDC", 6)
    erc2612.__init__("2")


@external
def mint(to: address, amount: uint256):
    """
    @notice Gives tokens to anyone who asks.
    @param to Who receives them.
    @param amount How many, in 1e-6 USDC.
    """
    erc20._mint(to, amount)


@external
def blacklist(account: address):
    """
    @notice Stops an account from sending and receiving. Issuer only.
    @param account Which.
    """
    assert msg.sender == ISSUER, "A:ISSUER"
    self.isBlacklisted[account] = True
    log Blacklisted(account=account)


@external
def unBlacklist(account: address):
    """
    @notice Lets an account send and receive again. Issuer only.
    @param account Which.
    """
    assert msg.sender == ISSUER, "A:ISSUER"
    self.isBlacklisted[account] = False
    log UnBlacklisted(account=account)


@external
def transfer(to: address, amount: uint256) -> bool:
    """
    @notice Sends the caller's tokens.
    @param to Who receives them.
    @param amount How many.
    @return Always True.
    """
    self._move(msg.sender, to, amount)
    return True


@external
def transferFrom(owner: address, to: address, amount: uint256) -> bool:
    """
    @notice Sends another account's tokens, within the allowance that it gave the caller.
    @param owner Whose tokens.
    @param to Who receives them.
    @param amount How many.
    @return Always True.
    """
    assert not self.isBlacklisted[msg.sender], "A:BLOCKED"
    erc20._spend_allowance(owner, msg.sender, amount)
    self._move(owner, to, amount)
    return True


@external
def transferWithAuthorization(
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
    @notice Sends tokens as their owner has signed. Anyone may submit it.
    @param owner Who signed.
    @param to Who receives.
    @param amount How many.
    @param validAfter Unix time after which it is good.
    @param validBefore Unix time before which it is good.
    @param nonce Good once for this owner, in any order.
    @param v Recovery byte of the signature.
    @param r First half of the signature.
    @param s Second half of the signature.
    """
    message: bytes32 = keccak256(
        abi_encode(TRANSFER_WITH_AUTHORIZATION_TYPEHASH, owner, to, amount, validAfter, validBefore, nonce)
    )
    self._authorize(owner, message, validAfter, validBefore, nonce, v, r, s)
    self._move(owner, to, amount)


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
    @notice Takes tokens as their owner has signed. Only the recipient may submit it.
    @param owner Who signed.
    @param to Who receives: the caller.
    @param amount How many.
    @param validAfter Unix time after which it is good.
    @param validBefore Unix time before which it is good.
    @param nonce Good once for this owner, in any order.
    @param v Recovery byte of the signature.
    @param r First half of the signature.
    @param s Second half of the signature.
    """
    assert to == msg.sender, "A:PAYEE"
    message: bytes32 = keccak256(
        abi_encode(RECEIVE_WITH_AUTHORIZATION_TYPEHASH, owner, to, amount, validAfter, validBefore, nonce)
    )
    self._authorize(owner, message, validAfter, validBefore, nonce, v, r, s)
    self._move(owner, to, amount)


@external
def cancelAuthorization(authorizer: address, nonce: bytes32, v: uint8, r: bytes32, s: bytes32):
    """
    @notice Uses a nonce up without moving anything, as its owner has signed.
    @param authorizer Who signed.
    @param nonce The nonce.
    @param v Recovery byte of the signature.
    @param r First half of the signature.
    @param s Second half of the signature.
    """
    assert not self.authorizationState[authorizer][nonce], "A:USED"
    message: bytes32 = keccak256(abi_encode(CANCEL_AUTHORIZATION_TYPEHASH, authorizer, nonce))
    self._check_signature(authorizer, message, v, r, s)
    self.authorizationState[authorizer][nonce] = True
    log AuthorizationCanceled(authorizer=authorizer, nonce=nonce)


@internal
def _move(owner: address, to: address, amount: uint256):
    assert not self.isBlacklisted[owner] and not self.isBlacklisted[to], "A:BLOCKED"
    erc20._transfer(owner, to, amount)


@internal
def _authorize(
    owner: address,
    message: bytes32,
    valid_after: uint256,
    valid_before: uint256,
    nonce: bytes32,
    v: uint8,
    r: bytes32,
    s: bytes32,
):
    assert block.timestamp > valid_after, "A:EARLY"
    assert block.timestamp < valid_before, "A:LATE"
    assert not self.authorizationState[owner][nonce], "A:USED"
    self._check_signature(owner, message, v, r, s)
    self.authorizationState[owner][nonce] = True
    log AuthorizationUsed(authorizer=owner, nonce=nonce)


@internal
@view
def _check_signature(owner: address, message: bytes32, v: uint8, r: bytes32, s: bytes32):
    assert convert(s, uint256) <= convert(erc2612.MAX_S, uint256), "A:SIGNATURE"
    digest: bytes32 = keccak256(concat(x"1901", erc2612._domain_separator(), message))
    signer: address = ecrecover(digest, v, r, s)
    assert signer != empty(address) and signer == owner, "A:SIGNATURE"
