"""The client: a method for each thing that a script does.

A change of money or orders gets its Idempotency-Key, is stored in the journal, and is then sent; after a crash
`Client.resume` sends it again with the same key.
"""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, TypedDict, TypeVar, Unpack
from urllib.parse import quote

from order_processor_client import api
from order_processor_client.api import OPERATIONS
from order_processor_client.credentials import Credentials, home
from order_processor_client.errors import OrdersError, OutcomeUnknown, read_retry_after
from order_processor_client.journal import Entry, Journal
from order_processor_client.transport import Answer, Patience, Transport
from order_processor_client.values import Amount, Moment, Unreadable, amount_text, moment_text, read

T = TypeVar("T")
PageT = TypeVar("PageT", api.TransactionList, api.OrderList, api.AssetTransactionList, api.OrderChangeList)
Side = Literal["buy", "sell"]
Query = dict[str, Any] | None
Parameters = dict[str, str] | None


class Terms(TypedDict, total=False):
    """The terms of an order.

    `spend` is for buying, instead of a quantity. `price` is the limit of an order that has one, and the worst price of
    a market order. `stop_price` is that of a stop order. What is None counts as left out.
    """

    spend: Amount | None
    price: Amount | None
    stop_price: Amount | None
    expires_at: Moment | str | None
    time_in_force: api.TimeInForce | None
    client_order_id: str | None


# The service remembers a key for 30 days: sent again later, a change would be made again.
REMEMBERED_FOR = timedelta(days=29)
# Refusals that are decided before the service looks whether it knows the key: they say nothing of an earlier run.
OF_THE_CALLER = {400, 401, 403, 405, 413, 415, 429}


@dataclass(frozen=True)
class Resumed:
    """What became of a change that was open: `entry.state` is `done`, `refused`, or still open, with the error."""

    entry: Entry
    error: OrdersError | None = None


class Client:
    """The service at one address, as one user. Threads must not share a client; they may share a journal.

    `token` is a login token or a personal one. `username` is whose it is; the client asks the service where it is not
    given. `verify` may be a file of certificates to trust. Usable in a `with` statement.

    Every method raises OrdersError where the service refuses or does not answer, and a change raises OutcomeUnknown
    where it may have been made. Amounts are Decimal, int or text. Lists come as iterators, newest first, and ask for
    further pages as they go.
    """

    def __init__(
        self,
        base_url: str,
        token: str = "",
        *,
        username: str = "",
        device: str = "",
        journal: Journal | Path | str | None = None,
        patience: Patience | None = None,
        timeout: tuple[float, float] = (5.0, 30.0),
        verify: bool | Path = True,
    ) -> None:
        self._http = Transport(base_url, timeout=timeout, verify=verify, patience=patience or Patience())
        self.token = token
        self.device = device
        self._username = username
        self.journal = journal if isinstance(journal, Journal) else Journal(journal or home() / "journal.jsonl")

    @classmethod
    def from_environment(cls, **options: Any) -> Client:
        """The client that the command line would use: see `Credentials.find`. Options are those of Client."""
        found = Credentials.find()
        return cls(found.base_url, found.token, username=found.username, device=found.device, **options)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.session.close()

    @property
    def base_url(self) -> str:
        """Where the service is, without `/api/v1`."""
        return self._http.base_url

    @property
    def username(self) -> str:
        """Whose token it is. The journal has it, so that nothing is sent again as somebody else."""
        if not self._username:
            self._username = self.profile().username
        return self._username

    # Logging in

    def log_in(self, username: str, password: str, *, code: str | Callable[[], str] | None = None) -> api.Login:
        """Get a login token, which this client then uses. `code` is that of a second factor.

        A function as `code` is called only if the account has a second factor.
        """
        body = {"username": username, "password": password, "code": code if isinstance(code, str) else None}
        try:
            login = self._post("login", api.Login, body)
        except OrdersError as error:
            if error.code != "code_required" or not callable(code):
                raise
            login = self._post("login", api.Login, {**body, "code": code()})
        self.token, self.device, self._username = login.access_token, login.device, login.user.username
        return login

    def log_out(self) -> None:
        """Revoke the token."""
        self._ask("logout")
        self.token = self._username = ""

    def give_proof(self, password: str, *, code: str | None = None) -> None:
        """Give the password again, for changes of the next minutes that ask for it (`proof_required`)."""
        self._ask("give_proof", {"current_password": password, "code": code})

    def profile(self) -> api.User:
        """The user of the token."""
        return self._get("get_profile", api.User)

    def tokens(self) -> list[api.Token]:
        """The personal tokens, newest first."""
        return self._get("list_tokens", api.TokenList).data

    def create_token(self, name: str, scopes: str = "read", *, expires_at: Moment | None = None) -> api.NewToken:
        """Make a personal token. `scopes` is `read`, with `trade` and `transfer` behind it."""
        body = {"name": name, "scopes": scopes, "expires_at": _moment(expires_at)}
        return self._post("create_token", api.NewToken, body)

    def revoke_token(self, token_id: str) -> None:
        """Revoke a personal token."""
        self._ask("revoke_token", path={"token_id": token_id})

    # Cash

    def balance(self) -> api.Balance:
        """The cash balance."""
        return self._get("get_balance", api.Balance)

    def account(self) -> api.OwnAccount:
        """The account at a glance: cash, reserve, total value."""
        return self._get("get_account", api.OwnAccount)

    def deposit(self, amount: Amount, *, description: str | None = None, key: str | None = None) -> api.CashMovement:
        """Deposit cash."""
        body = {"amount": amount_text(amount), "description": description}
        return self._change("deposit", api.CashMovement, body, key=key)

    def preview_deposit(self, amount: Amount) -> api.Effects:
        """What a deposit would do, without doing it."""
        return self._preview("deposit", {"amount": amount_text(amount)})

    def withdraw(self, amount: Amount, *, description: str | None = None, key: str | None = None) -> api.CashMovement:
        """Withdraw cash. Where that is refused as `proof_required`, call `give_proof` and try again."""
        body = {"amount": amount_text(amount), "description": description}
        return self._change("withdraw", api.CashMovement, body, key=key)

    def preview_withdrawal(self, amount: Amount) -> api.Effects:
        """What a withdrawal would do, without doing it."""
        return self._preview("withdraw", {"amount": amount_text(amount)})

    def transactions(
        self,
        *,
        transaction_type: api.TransactionType | None = None,
        start: Moment | str | None = None,
        end: Moment | str | None = None,
    ) -> Iterator[api.Transaction]:
        """The transactions of the cash account: all, or those of a type, from the day `start` to the day `end`."""
        query = {"transaction_type": transaction_type, **_period(start, end)}
        for page in self._pages("list_transactions", api.TransactionList, query):
            yield from page.transactions

    def transaction(self, transaction_id: str) -> api.Transaction:
        """One transaction."""
        return self._get("get_transaction", api.Transaction, path={"transaction_id": transaction_id})

    def statement_csv(self, start: Moment | str | None = None, end: Moment | str | None = None) -> str:
        """The transactions of a period as CSV, oldest first: from the day `start` to the day `end`."""
        answer = self._ask("download_statement", query=_period(start, end))
        return answer.body.decode()

    # Holdings

    def portfolio(self, *, as_of: Moment | str | None = None) -> api.Portfolio:
        """Everything that is owned, and its value: now, or at a moment of the past."""
        return self._get("get_portfolio", api.Portfolio, query={"as_of": _moment(as_of)})

    def history(self, days: int | None = None) -> api.PortfolioHistory:
        """The value of the portfolio day by day."""
        return self._get("get_portfolio_history", api.PortfolioHistory, query={"days": days})

    def gains(self, year: int | None = None, method: api.CostMethod | None = None) -> api.GainReport:
        """The gains of a year, by its sales."""
        return self._get("get_gains", api.GainReport, query={"year": year, "method": method})

    def holdings(self) -> list[api.Holding]:
        """What is owned of each asset."""
        return self._get("list_holdings", api.HoldingList).data

    def holding(self, asset_id: str) -> api.Holding:
        """What is owned of one asset."""
        return self._get("get_holding", api.Holding, path={"asset_id": asset_id})

    # The market

    def assets(self) -> list[api.Asset]:
        """All assets."""
        return self._get("list_assets", api.AssetList, query={"limit": 250}).data

    def asset(self, asset_id: str) -> api.AssetFull:
        """One asset, with all that is known of its market."""
        return self._get("get_asset", api.AssetDetail, path={"asset_id": asset_id}).data

    def prices(self, asset_id: str, days: int | None = None) -> api.Prices:
        """Past prices of an asset, oldest first."""
        return self._get("list_prices", api.Prices, query={"days": days}, path={"asset_id": asset_id})

    # Orders

    def place_order(
        self,
        order_type: api.OrderType,
        asset_id: str,
        quantity: Amount | None = None,
        *,
        key: str | None = None,
        **terms: Unpack[Terms],
    ) -> api.Order:
        """Place an order for a quantity, or to buy for the dollars of `spend`.

        A market order is executed at once; `status` of another is `pending` while it waits.
        """
        body = _order_body(order_type, asset_id, quantity, terms)
        return self._change("place_order", api.OneOrder, body, key=key).data

    def preview_order(
        self, order_type: api.OrderType, asset_id: str, quantity: Amount | None = None, **terms: Unpack[Terms]
    ) -> api.TriedPlacing:
        """What placing an order would do, without placing it."""
        body = _order_body(order_type, asset_id, quantity, terms)
        return read(api.Preview, self._ask("preview_order", body, is_safe=True).json()).data

    def orders(
        self,
        *,
        asset_id: str | None = None,
        order_type: api.OrderType | None = None,
        status: api.OrderStatus | None = None,
        start: Moment | str | None = None,
        end: Moment | str | None = None,
    ) -> Iterator[api.Order]:
        """The orders: all, or those of an asset, a type, a status, and the days in which they were placed."""
        query = {"asset_id": asset_id, "order_type": order_type, "status": status, **_period(start, end)}
        for page in self._pages("list_orders", api.OrderList, query):
            yield from page.data

    def order(self, order_id: str) -> api.Order:
        """One order."""
        return self._get("get_order", api.OneOrder, path={"order_id": order_id}).data

    def order_by_client_id(self, client_order_id: str) -> api.Order:
        """One order, by the id that a script gave it."""
        return self._get("get_order_by_client_id", api.OneOrder, path={"client_order_id": client_order_id}).data

    def cancel(self, order_id: str, *, key: str | None = None) -> api.Order:
        """Cancel an open order."""
        return self._change("cancel_order", api.OneOrder, None, key=key, path={"order_id": order_id}).data

    def preview_cancel(self, order_id: str) -> api.Effects:
        """What cancelling an order would do, without doing it."""
        return self._preview("cancel_order", {}, {"order_id": order_id})

    def cancel_all(self, *, asset_id: str | None = None, side: Side | None = None) -> Iterator[api.EndedOrder]:
        """Cancel all open orders, or those of an asset or side. It cancels while it is iterated: 25 at a time."""
        has_more = True
        while has_more:
            body = {"asset_id": asset_id, "side": side}
            ended = self._change("cancel_orders", api.EndedOrders, body)
            yield from ended.data
            has_more = ended.has_more

    def trades(
        self, asset_id: str | None = None, *, start: Moment | str | None = None, end: Moment | str | None = None
    ) -> Iterator[api.AssetTransaction]:
        """The trades, of all assets or of one, from the day `start` to the day `end`."""
        name = "list_trades_of_asset" if asset_id else "list_trades"
        path = {"asset_id": asset_id} if asset_id else {}
        for page in self._pages(name, api.AssetTransactionList, _period(start, end), path):
            yield from page.data

    def change_order(
        self,
        order_id: str,
        *,
        price: Amount | None = None,
        quantity: Amount | None = None,
        expires_at: Moment | str | None = None,
        key: str | None = None,
    ) -> api.Order:
        """Change the price, the quantity or the end of an open order."""
        body = {"price": _amount(price), "quantity": _amount(quantity), "expires_at": _moment(expires_at)}
        return self._change("change_order", api.OneOrder, body, key=key, path={"order_id": order_id}).data

    def preview_change(
        self,
        order_id: str,
        *,
        price: Amount | None = None,
        quantity: Amount | None = None,
        expires_at: Moment | str | None = None,
    ) -> api.Effects:
        """What a change of an open order would do, without doing it."""
        body = {"price": _amount(price), "quantity": _amount(quantity), "expires_at": _moment(expires_at)}
        return self._preview("change_order", body, {"order_id": order_id})

    def changes(self, order_id: str) -> Iterator[api.OrderChange]:
        """What changed of an order while it waited."""
        for page in self._pages("list_changes", api.OrderChangeList, {}, {"order_id": order_id}):
            yield from page.data

    def events(self, after: str | None = None, *, follow: bool = False) -> Iterator[api.AccountEvent]:
        """What happened to the account and its orders, oldest first: after the event of this number, or all.

        It ends when there is no more. With `follow` it waits, as long as the service says, and goes on.
        """
        while True:
            answer = self._ask("list_account_events", query={"after": after, "limit": 100})
            feed = read(api.Feed, answer.json())
            yield from feed.data
            after = feed.next_after
            wait = read_retry_after((answer.headers or {}).get("Retry-After"))
            if wait is not None or not feed.data:
                if not follow:
                    return
                time.sleep(wait or 5)

    # What was cut off

    def pending(self) -> list[Entry]:
        """The changes of this user at this service whose outcome is not known, oldest first."""
        mine = (self.base_url, self.username)
        return [each for each in self.journal.entries() if each.is_open and (each.base_url, each.username) == mine]

    def resume(self) -> Iterator[Resumed]:
        """Send what is `pending` again, with the same keys, and say what became of each.

        A change that was made already is answered as the first time; one that never arrived is made now. What is so
        old that the service may have forgotten its key is not sent. Refusals that say nothing of an earlier run, such
        as that of an expired token, leave it open.
        """
        for entry in self.pending():
            if datetime.now(UTC) - entry.began_at > REMEMBERED_FOR:
                forgotten = OrdersError("This is too old to be sent again. Look whether it was done.", code="too_old")
                yield Resumed(entry, forgotten)
                continue
            try:
                answer = self._send_entry(entry, doubted_at=entry.touched_at.timestamp())
            except OrdersError as error:
                state = "unknown" if isinstance(error, OutcomeUnknown) else "refused"
                yield Resumed(replace(entry, state=state, code=error.code, status=error.status), error)
            else:
                done = {"status": answer.status, "replayed": answer.is_replay, "answer": answer.json()}
                yield Resumed(replace(entry, state="done", **done))

    def forget(self, key: str) -> bool:
        """Give up a pending change: it is not sent again. Whether there was one."""
        found = [entry for entry in self.pending() if entry.key == key]
        for entry in found:
            self.journal.settle(entry, "forgotten")
        return bool(found)

    # How requests are made

    def _ask(
        self,
        name: str,
        body: dict[str, Any] | None = None,
        query: Query = None,
        path: Parameters = None,
        *,
        is_safe: bool = False,
    ) -> Answer:
        """A request that changes no money. What only reads (`is_safe`) is repeated. Raises OrdersError."""
        operation = OPERATIONS[name]
        headers = {"X-Device": self.device} if name == "login" and self.device else {}
        answer = self._exchange(
            operation.method, _path(name, path), body=_without_none(body), query=query, headers=headers, is_safe=is_safe
        )[0]
        if answer.error:
            raise answer.error
        return answer

    def _get(self, name: str, kind: type[T], *, query: Query = None, path: Parameters = None) -> T:
        return read(kind, self._ask(name, query=query, path=path).json())

    def _post(self, name: str, kind: type[T], body: dict[str, Any]) -> T:
        return read(kind, self._ask(name, body).json())

    def _pages(self, name: str, kind: type[PageT], query: dict[str, Any], path: Parameters = None) -> Iterator[PageT]:
        cursor = None
        while True:
            page = read(kind, self._ask(name, None, {**query, "limit": 100, "cursor": cursor}, path).json())
            yield page
            cursor = page.next_cursor
            if cursor is None:
                return

    def _preview(self, name: str, body: dict[str, Any], path: Parameters = None) -> api.Effects:
        """A change with `dry_run`: nothing is stored here or there, so it may be repeated."""
        tried = self._ask(name, {**body, "dry_run": True}, path=path, is_safe=True).json()
        if not isinstance(tried, dict) or tried.get("dry_run") is not True:
            raise Unreadable("The service is older than this client, and knows no dry run: it may have done it.")
        return read(api.DryRun, tried).data

    def _change(
        self, name: str, kind: type[T], body: dict[str, Any] | None, *, key: str | None = None, path: Parameters = None
    ) -> T:
        """Store a change, send it, store what came of it."""
        key = key or str(uuid.uuid4())
        if not re.fullmatch("[!-~]{1,255}", key):
            raise ValueError("A key has 1 to 255 visible ASCII characters.")
        entry = Entry(
            key=key,
            base_url=self.base_url,
            username=self.username,
            method=OPERATIONS[name].method,
            path=_path(name, path),
            body=_without_none(body),
        )
        self.journal.begin(entry)
        return read(kind, self._send_entry(entry).json())

    def _send_entry(self, entry: Entry, *, doubted_at: float | None = None) -> Answer:
        """Send what the journal has, until it is answered or patience ends. Raises OrdersError, OutcomeUnknown."""
        headers = {"Idempotency-Key": entry.key}
        answer, doubted = self._exchange(entry.method, entry.path, body=entry.body, headers=headers, is_safe=True)
        doubted_at = doubted or doubted_at
        error = answer.error
        if error is None:
            done = {"replayed": answer.is_replay, "answer": answer.json()}
            self.journal.settle(entry, "done", status=answer.status, **done)
            return answer
        if doubted_at is not None and not self._speaks_for_all(answer, doubted_at):
            # Unless another run may have made it now, the journal keeps the time of the one before.
            if doubted:
                self.journal.settle(entry, "unknown", status=error.status, code=error.code)
            raise OutcomeUnknown(entry.key, error) from error
        self.journal.settle(entry, "refused", status=error.status, code=error.code)
        raise error

    def _speaks_for_all(self, answer: Answer, doubted_at: float) -> bool:
        """Whether a refusal also says that no run before, of unknown fate, made the change, or will."""
        return (
            answer.error is not None
            and 400 <= answer.status < 500
            and answer.status not in OF_THE_CALLER
            and not answer.error.code.startswith("http_")
            and time.time() - doubted_at >= self._http.patience.run_seconds
        )

    def _exchange(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        query: Query = None,
        headers: dict[str, str],
        is_safe: bool = False,
    ) -> tuple[Answer, float | None]:
        texts = {name: str(value) for name, value in (query or {}).items() if value is not None}

        def attempt() -> Answer:
            return self._http.send(method, path, token=self.token, query=texts, body=body, headers=headers)

        if method == "GET" or is_safe:
            return self._http.patiently(attempt)
        return attempt(), None


def _order_body(order_type: str, asset_id: str, quantity: Amount | None, terms: Terms) -> dict[str, Any]:
    amounts = {name: _amount(terms.get(name)) for name in ("spend", "price", "stop_price")}  # type: ignore[arg-type]
    more = {"quantity": _amount(quantity), **amounts, "expires_at": _moment(terms.get("expires_at"))}
    body = {**terms, "order_type": order_type, "asset_id": asset_id, **more}
    return {name: value for name, value in body.items() if value is not None}


def _path(name: str, parameters: Parameters) -> str:
    return OPERATIONS[name].path.format(**{name: quote(value, safe="") for name, value in (parameters or {}).items()})


def _period(start: Moment | str | None, end: Moment | str | None) -> dict[str, Any]:
    return {"from": _day(start), "to": _day(end)}


def _without_none(body: dict[str, Any] | None) -> dict[str, Any] | None:
    return None if body is None else {name: value for name, value in body.items() if value is not None}


def _amount(amount: Amount | None) -> str | None:
    return None if amount is None else amount_text(amount)


def _day(moment: Moment | str | None) -> str | None:
    """A day in UTC as the service takes it: of a time, the day on which it is."""
    text = _moment(moment)
    return text[:10] if text and isinstance(moment, datetime) else text


def _moment(moment: Moment | str | None) -> str | None:
    return None if moment is None else moment_text(moment)
