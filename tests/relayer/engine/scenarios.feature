# What a trader may expect, as a trader would say it. One market, sBTC-USDC; prices in ticks, quantities in lots.
# Under each command stand all its outcomes: trades (maker first), orders closed or lowered, refusals.
# `book:` is the whole book: bids, then asks, best first, as price x lots.
# `index` is the oracle's price, in ticks; `reorg` takes the last one back. `too`: with the nonce of the order before.

Scenario: the best price trades first, and the taker gets the maker's price
  alice sells 5 at 102
  bob sells 5 at 101
  carol buys 7 at 103
    bob sells 5 to carol at 101
    bob's order closed FILLED FILLED, 0 left
    alice sells 2 to carol at 102
    carol's order closed FILLED FILLED, 0 left
  book: - | 102x3

Scenario: at one price, the older order trades first
  alice buys 3 at 100
  bob buys 3 at 100
  carol sells 4 at 99
    alice buys 3 from carol at 100
    alice's order closed FILLED FILLED, 0 left
    bob buys 1 from carol at 100
    carol's order closed FILLED FILLED, 0 left
  book: 100x2 | -

Scenario: what a limit order cannot trade rests at its limit
  alice sells 2 at 100
  bob buys 5 at 100
    alice sells 2 to bob at 100
    alice's order closed FILLED FILLED, 0 left
  book: 100x3 | -

Scenario: a partly filled maker keeps its place
  alice sells 5 at 100
  bob sells 5 at 100
  carol buys 2 at 100
    alice sells 2 to carol at 100
    carol's order closed FILLED FILLED, 0 left
  carol buys 4 at 100
    alice sells 3 to carol at 100
    alice's order closed FILLED FILLED, 0 left
    bob sells 1 to carol at 100
    carol's order closed FILLED FILLED, 0 left
  book: - | 100x4

Scenario: an IOC order takes what is there and never rests
  alice sells 2 at 100
  bob buys 5 at 100 IOC
    alice sells 2 to bob at 100
    alice's order closed FILLED FILLED, 0 left
    bob's order closed CANCELLED IOC, 3 left
  book: - | -

Scenario: a market order stops at its worst price
  alice sells 2 at 100
  alice sells 2 at 105
  bob buys 4 at 104 MARKET IOC
    alice sells 2 to bob at 100
    alice's order closed FILLED FILLED, 0 left
    bob's order closed CANCELLED IOC, 2 left
  book: - | 105x2

Scenario: FOK fills whole or not at all
  alice sells 2 at 100
  bob sells 2 at 101
  carol buys 5 at 101 FOK
    refused ORDER_FOK_UNFILLABLE
  carol buys 4 at 100 FOK
    refused ORDER_FOK_UNFILLABLE
  carol buys 4 at 101 FOK
    alice sells 2 to carol at 100
    alice's order closed FILLED FILLED, 0 left
    bob sells 2 to carol at 101
    bob's order closed FILLED FILLED, 0 left
    carol's order closed FILLED FILLED, 0 left
  book: - | -

Scenario: FOK does not count its own account's orders
  alice sells 2 at 100
  bob sells 2 at 100
  alice buys 4 at 100 FOK CANCEL_MAKER
    refused ORDER_FOK_UNFILLABLE
  alice buys 2 at 100 FOK CANCEL_TAKER
    refused ORDER_FOK_UNFILLABLE
  alice buys 2 at 100 FOK CANCEL_MAKER
    alice's order closed CANCELLED SELF_TRADE, 2 left
    bob sells 2 to alice at 100
    bob's order closed FILLED FILLED, 0 left
    alice's order closed FILLED FILLED, 0 left
  book: - | -

Scenario: a post-only order is refused rather than traded, and rests when it does not cross
  alice sells 2 at 100
  bob buys 1 at 100 POST_ONLY
    refused ORDER_POST_ONLY_WOULD_TRADE
  bob buys 1 at 99 POST_ONLY
  book: 99x1 | 100x2

Scenario: meeting oneself, CANCEL_TAKER drops the newcomer
  alice sells 2 at 100
  bob sells 1 at 99
  alice buys 5 at 100 CANCEL_TAKER
    bob sells 1 to alice at 99
    bob's order closed FILLED FILLED, 0 left
    alice's order closed CANCELLED SELF_TRADE, 4 left
  book: - | 100x2

Scenario: meeting oneself, CANCEL_MAKER drops the resting order and goes on
  alice sells 2 at 100
  bob sells 1 at 100
  alice buys 5 at 100 CANCEL_MAKER
    alice's order closed CANCELLED SELF_TRADE, 2 left
    bob sells 1 to alice at 100
    bob's order closed FILLED FILLED, 0 left
  book: 100x4 | -

Scenario: meeting oneself, CANCEL_BOTH drops both and stops
  alice sells 2 at 100
  bob sells 1 at 100
  alice buys 5 at 100 CANCEL_BOTH
    alice's order closed CANCELLED SELF_TRADE, 2 left
    alice's order closed CANCELLED SELF_TRADE, 5 left
  book: - | 100x1

Scenario: meeting oneself, DECREMENT lowers both without a trade and goes on
  alice sells 2 at 100
  bob sells 1 at 100
  alice buys 5 at 100 DECREMENT
    alice's order closed CANCELLED SELF_TRADE, 0 left
    alice's order lowered to 3
    bob sells 1 to alice at 100
    bob's order closed FILLED FILLED, 0 left
  book: 100x2 | -

Scenario: meeting a larger order of oneself, DECREMENT ends the newcomer
  alice sells 5 at 100
  alice buys 2 at 100 DECREMENT
    alice's order lowered to 3
    alice's order closed CANCELLED SELF_TRADE, 0 left
  book: - | 100x3

Scenario: an expired order never trades, even before anyone has swept it up
  alice sells 2 at 100 for 10s
  bob sells 2 at 101
  clock +9s
  carol buys 1 at 101
    alice sells 1 to carol at 100
    carol's order closed FILLED FILLED, 0 left
  clock +1s
  carol buys 1 at 101
    alice's order closed EXPIRED EXPIRED, 1 left
    bob sells 1 to carol at 101
    carol's order closed FILLED FILLED, 0 left
  book: - | 101x1

Scenario: the sweep closes what has expired, oldest deadline first
  alice sells 2 at 100 for 20s
  bob buys 2 at 90 for 10s
  carol buys 2 at 91
  clock +30s
  sweep
    bob's order closed EXPIRED EXPIRED, 2 left
    alice's order closed EXPIRED EXPIRED, 2 left
  book: 91x2 | -

Scenario: cancelling everything spares the others
  alice sells 2 at 100
  alice buys 2 at 90
  bob buys 1 at 90
  alice cancels all
    alice's order closed CANCELLED USER, 2 left
    alice's order closed CANCELLED USER, 2 left
  book: 90x1 | -

Scenario: a stop sell waits unseen, and is a taker when the index has fallen far enough
  bob buys 5 at 94
  alice sells 5 at 90 when index <= 95
  book: 94x5 | -
  index 96
  index 95
    alice's order triggered
    bob buys 5 from alice at 94
    bob's order closed FILLED FILLED, 0 left
    alice's order closed FILLED FILLED, 0 left

Scenario: a stop-limit that cannot trade at its limit rests
  alice buys 5 at 101 when index >= 100
  index 100
    alice's order triggered
  book: 101x5 | -

Scenario: one stop sets off the next, after the order that began it is done
  bob buys 1 at 99
  bob buys 1 at 97
  bob buys 1 at 95
  alice sells 1 at 90 when last <= 97
  carol sells 1 at 90 when last <= 99
  alice sells 1 at 99
    bob buys 1 from alice at 99
    bob's order closed FILLED FILLED, 0 left
    alice's order closed FILLED FILLED, 0 left
    carol's order triggered
    bob buys 1 from carol at 97
    bob's order closed FILLED FILLED, 0 left
    carol's order closed FILLED FILLED, 0 left
    alice's order triggered
    bob buys 1 from alice at 95
    bob's order closed FILLED FILLED, 0 left
    alice's order closed FILLED FILLED, 0 left

Scenario: a trailing stop follows the price up and waits for the turn
  index 100
  alice sells 5 at 80 when index falls by 5
  index 110
  index 106
  index 108
  index 105
    alice's order triggered
  book: - | 80x5

Scenario: a price that a reorg takes back counts for nobody
  alice sells 5 at 90 when index <= 95
  index 95
    alice's order triggered
  reorg
    alice's order waits again, 5 left
  book: - | -
  index 94
    alice's order triggered
  book: - | 90x5

Scenario: a bracket, and the stop cancels the target
  alice sells 5 at 110
  alice sells 5 at 90 too when index <= 95
  bob buys 2 at 110
    alice sells 2 to bob at 110
    alice's order lowered to 3
    bob's order closed FILLED FILLED, 0 left
  index 95
    alice's order triggered
    alice's order closed CANCELLED OCO, 3 left
  book: - | 90x3

Scenario: a bracket, and the target that is filled cancels the stop
  alice sells 5 at 110
  alice sells 5 at 90 too when index <= 95
  bob buys 5 at 110
    alice sells 5 to bob at 110
    alice's order lowered to 0
    alice's order closed CANCELLED OCO, 0 left
    alice's order closed FILLED FILLED, 0 left
    bob's order closed FILLED FILLED, 0 left
  index 90
  book: - | -

Scenario: an iceberg shows a part, and each next part queues behind the others
  alice sells 20 at 100 showing 5
  bob sells 5 at 100
  book: - | 100x10
  carol buys 12 at 100
    alice sells 5 to carol at 100
    bob sells 5 to carol at 100
    bob's order closed FILLED FILLED, 0 left
    alice sells 2 to carol at 100
    carol's order closed FILLED FILLED, 0 left
  book: - | 100x3
  carol buys 13 at 100
    alice sells 13 to carol at 100
    alice's order closed FILLED FILLED, 0 left
    carol's order closed FILLED FILLED, 0 left
  book: - | -

Scenario: FOK counts what an iceberg hides
  alice sells 20 at 100 showing 5
  bob buys 25 at 100 FOK
    refused ORDER_FOK_UNFILLABLE
  bob buys 15 at 100 FOK
    alice sells 15 to bob at 100
    bob's order closed FILLED FILLED, 0 left
  book: - | 100x5

Scenario: what an iceberg hides is out of reach behind an own order
  alice sells 20 at 100 showing 5
  bob sells 5 at 100
  bob buys 10 at 100 FOK CANCEL_TAKER
    refused ORDER_FOK_UNFILLABLE
  bob buys 10 at 100 FOK CANCEL_MAKER
    alice sells 5 to bob at 100
    bob's order closed CANCELLED SELF_TRADE, 5 left
    alice sells 5 to bob at 100
    bob's order closed FILLED FILLED, 0 left
  book: - | 100x5
