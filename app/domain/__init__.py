"""The rules of the product: pure functions on values, with the standard library only.

The vocabulary, for code, documents and tests. Each idea has one word.

User            A registered person. An *admin* is a user with the role ADMIN. The *operator* runs the servers.
Balance         What a user can spend now. The rules see it as a *cash account* (`ledger.CashAccount`).
Transaction     One entry of the cash ledger, numbered without a gap. A *posting* is one that is decided, not written.
Effect          What a transaction adds to the balance: above zero for money in, below zero for money out.
Asset           Something that is traded, such as BTC. Its id is upper case.
Holding         What a user owns of one asset: the `quantity` that can be sold now, and the `reserved_quantity` of open
                orders to sell. The rules see it as an *asset account* (`holdings.AssetAccount`).
Trade           One purchase or sale of an asset that has happened.
Cost            What the owned units of an asset were bought for; `gains.Basis` has it, by average.
Gain            What a sale brought beyond the cost of its units (*realised*), or what is owned is worth beyond its cost
                (*unrealised*). Signed: a loss is below zero. A *lot* is what is left of one purchase.
Order           A wish to buy or sell (`side`). A *market* order executes at once, a *limit* order may wait, a *stop*
                order always waits.
Limit price     The worst price that an order accepts; a market order may have one too. JSON calls it `price`.
Stop price      The price at which a *stop* order begins to count: it falls to that of a sale, and rises to that of a
                purchase. Reaching it *triggers* the order, once and for good.
Book            The open orders of one asset that wait for a falling price (DOWN), or for a rising one (UP).
Reserve         What an open order has taken out of the balance or the holding. *Open* is the status PENDING.
Terms           What the owner of an open order can change: quantity, limit price and end. Each change of them makes the
                next *revision* of the order.
Fill            To execute an order that waited. The *worker* fills and expires orders, in rounds.
Quote           The market's price of one unit at an instant. A *stale* one is shown and not traded on.
Idempotency key A client's name for a request, which is then applied at most once. Its *claim* is the stored proof.
Act             What an admin or the operator did to the account of somebody else; its trace is a *security event*.
Account event   What happened to the orders or the money of an account, for the scripts of its owner: numbered without a
                gap, which is how a script follows them. A security event is something else, and has no number.
Totals          What all accounts have together, as one audit saw it.
Page            Some rows of a list. The next one begins after its *start key*; a *cursor* is a signed start key.
Rate limit      How often something may happen in one window of time.
Batch           All conditional writes of one change, applied whole or not at all.
Database        The two tables in DynamoDB. Texts for people say "the service".

Signs and units: money is USD with exactly 2 decimals. Prices are USD for one unit; prices and quantities have up to 8
decimals. All are `Decimal` and above zero, except balances and costs, which may be zero, and an adjustment, an effect
and a gain, which are signed. Times are aware UTC. Percentages are numbers such as 12.50, not fractions.
"""
