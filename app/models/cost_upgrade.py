"""What holdings of an older version cost, and what their sales gained: computed from all trades, and written once."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from operator import attrgetter

from app.domain import gains, money
from app.domain.gains import Basis, Gain, TradeQueue
from app.domain.orders import Side
from app.domain.periods import BEGINNING, END, Period
from app.models.balance_changes import HOLDING_AS_READ
from app.models.batch import MOST_STEPS, Batch, retry_while_busy
from app.models.ledger import Trade, get_holding, iterate_trades


def upgrade_holding(username: str, asset_id: str) -> bool:
    """Write what a holding cost and what its sales gained, where that is absent or wrong: whether anything was.

    One call for the holding, one and one more for each 500 trades; where something differs, one for each 99 sales that
    do, the last of them with the holding. Raises Busy when every attempt came second.
    """
    costs = _Costs(username, asset_id)
    # A long history takes longer than attempts may: they begin when it was read.
    costs.read_on()
    return costs.write()


class _Costs:
    """The cost of a holding after the trades that were read so far.

    What was traded never changes, and each new trade is later than all before. So what was computed stays right,
    whatever is traded meanwhile, and another attempt only reads on. It keeps up with an owner who trades all the time.
    """

    def __init__(self, username: str, asset_id: str) -> None:
        self._username, self._asset_id = username, asset_id
        self._basis, self._owned = Basis(), Decimal(0)
        self._queue: TradeQueue[Trade] = TradeQueue(attrgetter("effect"))
        self._latest = BEGINNING
        self._unwritten: list[tuple[Trade, Gain]] = []
        self._is_changed = False

    @retry_while_busy
    def read_on(self) -> None:
        """Count the trades that were not read yet, and write what their sales gained as soon as there are many."""
        since = Period(self._latest + timedelta.resolution, END)
        for found in iterate_trades(self._username, since, asset_id=self._asset_id):
            self._latest = found.traded_at
            for trade in self._queue.add(found):
                self._count(trade)
            while len(self._unwritten) >= MOST_STEPS - 1:
                self._commit(self._batch_of_sales())

    @retry_while_busy
    def write(self) -> bool:
        """Write what is left, and the holding: whether anything was written, in any attempt."""
        # Before the last trades: the condition fails where one came after it.
        holding = get_holding(self._username, self._asset_id)
        self.read_on()
        batch = self._batch_of_sales()
        if holding.asset_account.basis != self._basis:
            values = {
                "cost_total": self._basis.cost_total,
                "realised_gain": self._basis.realised_gain,
                # The next trade must be later than all others, also where an older version left times that go back.
                "updated_at": max(holding.updated_at, self._latest),
            }
            # A change that does not know the cost may restore all figures. It leaves another time.
            batch.set("holding", holding, values, unchanged=(*HOLDING_AS_READ, "updated_at"))
        self._commit(batch)
        return self._is_changed

    def _count(self, trade: Trade) -> None:
        if trade.transaction_type == Side.BUY:
            self._basis = gains.buy(self._basis, trade.total_amount)
        else:
            self._basis, gained = gains.sell(self._basis, trade.quantity, self._owned, trade.total_amount)
            if Gain(trade.cost_total, trade.gain) != gained:
                self._unwritten.append((trade, gained))
        self._owned = money.add(self._owned, trade.effect)

    def _batch_of_sales(self) -> Batch:
        batch = Batch()
        for trade, gained in self._unwritten[: MOST_STEPS - 1]:
            figures = (Trade.cost_total.set(gained.cost_total), Trade.gain.set(gained.gain))
            batch.update("sale", trade, figures, condition=Trade.order_id == trade.order_id)
        return batch

    def _commit(self, batch: Batch) -> None:
        if batch:
            batch.commit_as_read()
            self._unwritten, self._is_changed = self._unwritten[MOST_STEPS - 1 :], True
