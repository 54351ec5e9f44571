"""Money for the demo accounts of a local chain: ether for gas, USDC in the wallet and in the Vault, minted synths.

Never: runs where USDC is not our own mock.
"""

from __future__ import annotations

from collections.abc import Mapping

from scripts.chain import Chain, Contract, address_of

ETHER = 10**18
USDC = 10**6
LEAST_ETHER = ETHER
GIVEN_ETHER = 100 * ETHER

# 1e-6 USDC: deposited into the Vault, and left in the wallet to try a deposit with
DEPOSITS = {
    "alice": 100_000 * USDC,
    "bob": 100_000 * USDC,
    "carol": 100_000 * USDC,
    "maker": 5_000_000 * USDC,
    "taker": 1_000_000 * USDC,
}
WALLET = 50_000 * USDC

# Value of each synth that is minted, 1e-6 USDC at the first price, by account
MINTS = {
    "maker": 750_000 * USDC,
    "taker": 100_000 * USDC,
    "alice": 5_000 * USDC,
}
COLLATERAL_PERCENT = 175  # above the least, 150, so that a demo price can move


def give_ether(chain: Chain, keys: Mapping[str, str]) -> None:
    """Every key can pay gas afterwards; only some accounts of a local node are funded from the start."""
    for name, key in keys.items():
        if name != "deployer" and chain.balance(address_of(key)) < LEAST_ETHER:
            chain.send(keys["deployer"], address_of(key), b"", GIVEN_ETHER)


def fund(contracts: Mapping[str, Contract], keys: Mapping[str, str], prices: Mapping[int, int]) -> None:
    """Deposits and mints for every demo account that has a key. `prices`: 1e-6 USDC per whole synth, by asset."""
    usdc, vault, engine = contracts["USDC"], contracts["Vault"], contracts["SynthEngine"]
    for name, amount in DEPOSITS.items():
        if name not in keys:
            continue
        key = keys[name]
        usdc.send(key, "mint", address_of(key), amount + WALLET)
        usdc.send(key, "approve", vault.address, amount)
        vault.send(key, "deposit", amount)
        for asset, price in prices.items():
            value = MINTS.get(name, 0)
            if value:
                amount_minted = value * 10**6 // price * 10**12  # whole millionths of a synth
                collateral = value * COLLATERAL_PERCENT // 100
                usdc.send(key, "mint", address_of(key), collateral)
                usdc.send(key, "approve", vault.address, collateral)
                engine.send(key, "mint", asset, amount_minted, collateral)
