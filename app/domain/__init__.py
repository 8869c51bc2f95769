"""The rules of the product: pure functions on values, with the standard library only.

The vocabulary, for code, documents and tests. Each idea has one word.

User            A registered person. An *admin* is a user with the role ADMIN. The *operator* runs the servers.
Balance         What a user can spend now. The rules see it as a *cash account* (`ledger.CashAccount`).
Transaction     One entry of the cash ledger, numbered without a gap. A *posting* is one that is decided, not written.
Effect          What a transaction adds to the balance: above zero for money in, below zero for money out.
Asset           Something that is traded, such as BTC. Its id is upper case.
Holding         What a user owns of one asset. `quantity` can be sold now, open orders to sell have `reserved_quantity`.
                The rules see it as an *asset account* (`holdings.AssetAccount`).
Trade           One purchase or sale of an asset that has happened.
Cost            What the owned units of an asset were bought for; `gains.Basis` has it, by average.
Gain            *Realised*: what a sale brought beyond the cost of its units. *Unrealised*: the value of what is owned
                beyond its cost. Signed: a loss is below zero. A *lot* is what is left of one purchase.
Order           A wish to buy or sell (`side`). A *market* order executes at once, a *limit* order may wait, a *stop*
                order always waits.
Limit price     The worst price that an order accepts; a market order may have one too. JSON calls it `price`.
Stop price      The price that a *stop* order waits for: the market falls to that of a sale, and rises to that of a
                purchase. Reaching it *triggers* the order, for good.
Book            The open orders of one asset that wait for a falling price (DOWN), or for a rising one (UP).
Reserve         What an open order has taken out of the balance or the holding. *Open* is the status PENDING.
Terms           What the owner of an open order can change: quantity, limit price and end. Each change of them makes the
                next *revision* of the order.
Fill            To execute an order that waited. The *worker* fills and expires orders, in rounds.
Quote           The market's price of one unit at an instant. A *stale* one is shown and not traded on.
Idempotency key A client's name for a request, which is then applied at most once. Its *claim* is an item that keeps it.
Dry run         A change that is decided and not written. A *preview* is the dry run of an order.
Chain           The *hash* of each transaction covers the one before it. The *head* is the hash of the last one.
Credential      What shows who asks: the *session* of a browser, a *login token*, or a *personal token*.
Second factor   What a log-in needs beside the password: a code of an app, a passkey, or a *recovery code*.
Proof           The password, and a code where there is a second factor, given again before a change. *Evidence* is what
                a request brings for it.
Link            What is mailed to confirm an address, or to choose a new password. The tables call its item Proof.
Guess           A password that was tried. A *mark* shows a device that has logged in before, which has its own count.
Approval        A large adjustment that waits, or waited, for a second admin.
Security event  What changed who somebody is or what they may do. It has no number.
Act             What an admin or the operator did to the account of somebody else; its trace is a security event.
Account event   What happened to the orders or the money of an account. Scripts of its owner follow the numbers, which
                have no gap.
Totals          What all accounts have together, as one audit saw it.
Page            Some rows of a list. The next one begins after its *start key*; a *cursor* is a signed start key.
Rate limit      How often something may happen in one window of time.
Batch           All conditional writes of one change, applied whole or not at all.
Database        The two tables in DynamoDB. Texts for people say "the service".

Signs and units: money is USD with exactly 2 decimals. Prices are USD for one unit; prices and quantities have up to 8
decimals. All are `Decimal` and above zero. Balances and costs may be zero; an adjustment, an effect and a gain are
signed. Times are aware UTC. Percentages are numbers such as 12.50, not fractions.
"""
