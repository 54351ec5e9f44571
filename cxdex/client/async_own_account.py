"""The part of the awaited client about one's own account: limits, protection, money, keys. See `async_exchange`."""

from __future__ import annotations

from cxdex.client import custody, endpoints, protection, session_keys, trading
from cxdex.client.amounts import Amount
from cxdex.client.chain import Transaction
from cxdex.client.custody import WithdrawalRequest
from cxdex.client.driver import AsyncDriver
from cxdex.client.replies import AccountInfo, Balance, Limits, Protection, SessionKey, Withdrawal
from cxdex.client.session import Session

MAX_PAGE = 500


class AsyncOwnAccount:
    _driver: AsyncDriver
    _session: Session

    # Protection and limits --------------------------------------------------------------------------------

    async def protections(self) -> list[Protection]:
        """Market-maker protection, one a market."""
        return await self._driver.run(protection.listed(self._session))

    async def protect(
        self,
        market: str,
        *,
        window_ms: int,
        max_quantity: Amount | None = None,
        max_notional: Amount | None = None,
        cooldown_ms: int = 0,
    ) -> Protection:
        """Takes your quotes off the market's book once your fills as maker within the window reach a limit.

        Then nothing may rest for `cooldown_ms`, or with 0 until `reset_protection`.
        """
        flow = protection.protect(self._session, market, window_ms, max_quantity, max_notional, cooldown_ms)
        return await self._driver.run(flow)

    async def reset_protection(self, market: str) -> Protection:
        """Arms it again at once, counting from zero."""
        return await self._driver.run(protection.reset(self._session, market))

    async def remove_protection(self, market: str) -> Protection:
        """Takes it away, tripped or not."""
        return await self._driver.run(protection.remove(self._session, market))

    async def limits(self) -> Limits:
        """What this account may trade, and what it has traded today."""
        return await self._driver.run(self._session.request(endpoints.limits(self._session.account), Limits))

    # Money ------------------------------------------------------------------------------------------------

    async def account(self) -> AccountInfo:
        """Epoch and fee tier."""
        return await self._driver.run(self._session.request(endpoints.account(self._session.account), AccountInfo))

    async def balances(self) -> list[Balance]:
        return await self._driver.run(trading.balances(self._session))

    async def deposit(self, amount: Amount, asset: str = "USDC") -> Transaction:
        """Deposits, and allows exactly this: USDC in one transaction, other assets in two. Needs `rpc_url`."""
        return await self._driver.run(custody.deposit(self._session, amount, asset))

    async def withdraw_instantly(
        self,
        amount: Amount,
        asset: str = "USDC",
        *,
        as_cxpt: bool = False,
        recipient: str | None = None,
        within: float = 60.0,
    ) -> Transaction:
        """Pays out in one transaction that the exchange co-signs. Needs `rpc_url`.

        Waits up to `within` seconds for matched fills to settle: they come first.
        """
        flow = custody.withdraw_instantly(self._session, amount, asset, as_cxpt, recipient, within)
        return await self._driver.run(flow)

    async def withdraw(self, amount: Amount, asset: str = "USDC", *, as_cxpt: bool = False) -> WithdrawalRequest:
        """Announces a withdrawal on chain; `claim` it after the delay. Needs `rpc_url`, not the exchange."""
        return await self._driver.run(custody.withdraw(self._session, amount, asset, as_cxpt))

    async def claim(self, withdrawal: int | str | WithdrawalRequest) -> Transaction:
        return await self._driver.run(custody.claim(self._session, withdrawal))

    async def withdrawals(self, count: int | None = None) -> list[Withdrawal]:
        call = endpoints.withdrawals(self._session.account, MAX_PAGE, None)
        return await self._driver.run(self._session.pages(call, Withdrawal, count))

    # Session keys -----------------------------------------------------------------------------------------

    async def set_session(
        self, key: str, notional: Amount, *, market: str | None = None, expires_in: int = 86_400
    ) -> Transaction:
        """Lets the key with this address sign orders for this account, for `notional` USDC in all. Needs `rpc_url`.

        Trade with it as `Exchange(url, SessionWallet(key, account))`; it can sign orders and cancels, nothing else.
        """
        return await self._driver.run(session_keys.set_key(self._session, key, market, notional, expires_in))

    async def revoke_session(self, key: str) -> Transaction:
        """Ends a session key at once. Needs `rpc_url`, not the exchange."""
        return await self._driver.run(session_keys.revoke_key(self._session, key))

    async def sessions(self) -> list[SessionKey]:
        return await self._driver.run(session_keys.keys(self._session))
