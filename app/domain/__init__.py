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
Order           A wish to buy or sell (`side`). A *market* order executes at once, a *limit* order may wait.
Limit price     The worst price that an order accepts; a market order may have one too. JSON calls it `price`.
Reserve         What an open order has taken out of the balance or the holding. *Open* is the status PENDING.
Fill            To execute an order that waited. The *worker* fills and expires orders, in rounds.
Quote           The market's price of one unit at an instant. A *stale* one is shown and not traded on.
Idempotency key A client's name for a request, which is then applied at most once. Its *claim* is the stored proof.
Page            Some rows of a list. The next one begins after its *start key*; a *cursor* is a signed start key.
Rate limit      How often something may happen in one window of time.
Batch           All conditional writes of one change, applied whole or not at all.
Database        The two tables in DynamoDB. Texts for people say "the service".

Signs and units: money is USD with exactly 2 decimals. Prices are USD for one unit; prices and quantities have up to 8
decimals. All are `Decimal` and above zero, except balances, which may be zero, and an adjustment and an effect, which
are signed. Times are aware UTC. Percentages are numbers such as 12.50, not fractions.
"""
