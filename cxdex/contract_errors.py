"""What the contracts' short error codes mean, in a sentence for whoever sent the transaction.

Owns:     `SENTENCES`, code to sentence, and `explain`.
Promises: every code that a contract of the exchange can revert with is here; a test compares the list with the
          compiled contracts. A sentence completes "the contract refused: ".
Never:    guesses: a text that is no code of ours is given back as it is.
"""

from __future__ import annotations

SENTENCES = {
    # brake
    "B:GUARDIAN": "only GUARDIAN may pause",
    "B:PAUSED": "GUARDIAN has paused this; the pause ends by itself within 72 hours, and ways out are never paused",
    "B:RANGE": "a pause lasts 1 second to 72 hours",
    "B:RELEASER": "only the role above GUARDIAN may end a pause or allow the next one",
    "B:SOON": "GUARDIAN may pause once in 30 days",
    "B:ZERO": "a role has no key",
    # CXPT
    "C:TRANSFER": "CXPT trades only on the exchange: a wallet can give it to the Vault and to nobody else",
    "C:VAULT": "only the Vault creates and destroys CXPT",
    # SynthEngine
    "E:ASSET": "there is no such synth",
    "E:COLLATERAL": "the position has less collateral than that",
    "E:DEBT": "the position owes less than that",
    "E:RATIO": "the position would have less than 150 % collateral",
    "E:ZERO": "the amount, or an address, is zero",
    # SynthFactory
    "F:ADDRESS": "the synth would not be at the address that its name and symbol predict",
    "F:NAME": "a synth's name is printable ASCII and not empty",
    "F:SYMBOL": "the symbol is taken, empty, or not printable ASCII without spaces",
    "F:ZERO": "an address is zero",
    # implementations behind a Proxy
    "I:DELEGATED": "a Proxy cannot be the implementation of another one",
    "I:DONE": "this version is initialised already, or the call went to the bare implementation",
    # Timelock
    "L:ADMIN": "only ADMIN may announce an operation",
    "L:DELAY": "the Timelock's delay is 24 hours to 30 days",
    "L:DONE": "the operation was executed already",
    "L:EARLY": "the operation's delay is not over yet",
    "L:EMPTY": "an operation has at least one call",
    "L:EXPIRED": "the operation was not executed within a week and must be announced again",
    "L:GUARDIAN": "GUARDIAN cancels operations, which nobody else may, and executes none",
    "L:KNOWN": "the operation is announced already",
    "L:SAME": "ADMIN and GUARDIAN have the same key",
    "L:TARGET": "a call goes to an address without code, or to the Timelock itself",
    "L:UNKNOWN": "nobody announced this operation, or it was cancelled, or code that it touches has changed since",
    "L:VALUE": "the ether sent is not the sum that the calls need",
    "L:ZERO": "ADMIN or GUARDIAN has no key",
    # MarketRegistry
    "M:ASSET": "there is no synth with this number",
    "M:FEE": "maker and taker fee together are above 50 basis points",
    "M:FULL": "there is no room for another market",
    "M:KIND": "spot is the only kind of market so far",
    "M:LISTED": "the symbol is listed already, and a listed symbol never gets other terms",
    "M:LOT": "a lot is at most one whole synth, and the smallest fill is 1 to 16,777,215 lots",
    "M:ROLE": "ADMIN opens, pauses and delists markets; GUARDIAN may only pause them",
    "M:STATUS": "the market cannot go from its present status to that one",
    "M:SYMBOL": "a symbol is printable ASCII without spaces and not empty",
    "M:TICK": "a lot costs 1 to 4,294,967,295 millionths of a USDC per tick",
    "M:UNKNOWN": "the market is not listed",
    "M:ZERO": "an address is zero",
    # Oracle
    "O:CONFIG": "the quorum is 1 to 9 reporters and the staleness at least a second",
    "O:COUNT": "there are nine reporters already",
    "O:FUTURE": "the price is from the future",
    "O:ORDER": "this reporter has already reported a price of that time or a later one",
    "O:QUORUM": "there are too few fresh reports to make a price",
    "O:RANGE": "the price is absurdly high",
    "O:REPORTER": "this key is not an authorised reporter",
    "O:STALE": "the price would be too old",
    "O:ZERO": "the price is zero",
    # permits of tokens
    "P:EXPIRED": "the permit's deadline is over",
    "P:SIGNATURE": "the permit was not signed by the owner of the tokens for exactly this",
    # withdrawal queue
    "Q:DELAY": "the withdrawal delay is longer than six hours",
    "Q:RANGE": "the asset or the time does not fit the queue",
    "Q:UNKNOWN": "there is no such withdrawal, or it is already paid or cancelled",
    # roles
    "R:ADMIN": "only ADMIN may do this",
    "R:GATEWAY": "only GATEWAY may do this",
    "R:SAME": "two roles have the same key",
    "R:ZERO": "a role has no key",
    # Settlement
    "S:ASSET": "the asset number is out of range",
    "S:CORE": "only CORE may do this, or anyone once CORE has been silent for six hours",
    "S:COUNT": "cancelling and voiding name at least one number, and voiding at most 4,096",
    "S:CURSOR": "a fill needs a maker and a taker of different accounts",
    "S:DEADLINE": "the signed cancel came too late",
    "S:ENTRY": "an entry has an unknown role or signature kind, or stray bits",
    "S:EPOCH": "the account has used up its epochs, or the signed cancel names another one",
    "S:EXPIRY": "a session ends in the future, before the year 36812",
    "S:FLAGS": "an order has flags that mean nothing on a spot market",
    "S:FUNDS": "the trading balance is smaller than that",
    "S:GAS": "too little gas to ask a wallet or the SynthEngine fairly",
    "S:KEY": "a session key is some other address than the account's own, and must be known to be revoked",
    "S:LANE": "the lane number is out of range",
    "S:LENGTH": "the calldata is not a head and whole entries",
    "S:LIMIT": "a session needs a limit on what it may trade, at most 2**96 - 1 millionths of a USDC",
    "S:LOTS": "a fill is smaller than the market allows, or no market was chosen before it",
    "S:MAKER": "MARKET, IOC and FOK orders never rest, so they cannot be makers",
    "S:MARKET": "the market is not listed, or not open for trading",
    "S:OPEN": "the market is listed already",
    "S:OVERFILL": "a fill is larger than what is left of an order",
    "S:PACK": "a number does not fit its field",
    "S:PRICE": "the limits of the two orders do not cross",
    "S:REGISTRY": "only the MarketRegistry may do this",
    "S:ROLES": "two roles that must differ have the same address",
    "S:SEQ": "the batch does not begin at the market's next sequence number",
    "S:SIDE": "maker and taker are on the same side",
    "S:SIG": "an order or a cancel was not signed by its account for this exchange",
    "S:STATUS": "the market cannot get that status",
    "S:TAKER": "a POST_ONLY order never takes",
    "S:TERMS": "the market's terms break a bound",
    "S:VAULT": "only the Vault may do this",
    "S:WAIT": "the last cancelAll does not count yet; try again when it does",
    "S:ZERO": "an address is zero",
    # tokens
    "T:ALLOWANCE": "the allowance is smaller than that",
    "T:BALANCE": "the wallet's balance is smaller than that",
    "T:VAULT": "only the Vault creates and destroys synths",
    "T:ZERO": "tokens cannot go to the zero address",
    # Proxy
    "U:ADMIN": "only the Timelock upgrades",
    "U:CODE": "the admin and the implementation of a Proxy are contracts",
    "U:OUTPUT": "the answer is larger than a Proxy passes on",
    "U:UUID": "the contract is not made to run behind a Proxy",
    # Vault
    "V:ADMIN": "only ADMIN may do this",
    "V:ASSET": "there is no such asset, or no more can be numbered",
    "V:BREAKER": "too much USDC has left within this hour; at the latest, claims are paid six hours after their request",
    "V:COSIGNER": "the relayer's key has not signed exactly this withdrawal",
    "V:CXPT": "only USDC can be paid out as CXPT",
    "V:DELAY": "the withdrawal's delay is not over yet",
    "V:ENGINE": "only the SynthEngine may do this",
    "V:EXPIRED": "the relayer's signature for leaving at once is over; ask for another one",
    "V:FACTORY": "only the SynthFactory may do this",
    "V:FUNDS": "the trading balance less what is announced, or the pocket, is smaller than that",
    "V:LENGTH": "there is not one amount for each account",
    "V:NONCE": "the relayer's signature for leaving at once was used already",
    "V:OWNER": "the withdrawal belongs to another account",
    "V:RECIPIENT": "nobody can be paid at that address",
    "V:ROLES": "two roles that must differ have the same key",
    "V:SETTLEMENT": "only Settlement may do this",
    "V:SYNTH": "the synth is registered already, or its address is zero",
    "V:TRANSFER": "the token refused the transfer",
    "V:ZERO": "the amount, or an address, is zero",
}


def explain(reason: str) -> str:
    """The sentence with its code in brackets; a text that is no code of ours as it is."""
    return f"{SENTENCES[reason]} [{reason}]" if reason in SENTENCES else reason
