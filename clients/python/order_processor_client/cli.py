"""The command line `orders`: what `Client` does, for a shell and for cron.

Exit status: 0 done; 1 refused, and nothing was changed; 2 a wrong command line or setting; 3 not logged in; 4 not known
whether it was done, `orders resume` finds out; 5 no answer, and nothing was changed; 6 an answer that this version
cannot read; 130 Ctrl-C.
"""

from __future__ import annotations

import argparse
import getpass
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal, InvalidOperation
from itertools import islice
from typing import Any, NoReturn, TypeVar

from order_processor_client.client import Client, Resumed
from order_processor_client.credentials import Credentials
from order_processor_client.errors import OrdersError, OutcomeUnknown
from order_processor_client.values import Unreadable, amount_text, moment_text, to_json
from order_processor_client.version import __version__

REFUSED, USAGE, NOT_LOGGED_IN, UNKNOWN, NO_ANSWER, NOT_READ, INTERRUPTED = 1, 2, 3, 4, 5, 6, 130
Row = tuple[object, ...]
T = TypeVar("T")
DRY_RUN = "say what it would do, and do nothing"


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run one command and exit."""
    sys.exit(run(arguments))


def run(arguments: list[str] | None = None) -> int:
    """Run one command; its exit status."""
    options = parser().parse_args(arguments)
    try:
        status: int = options.command(options) or 0
        sys.stdout.flush()
    except OrdersError as error:
        return _tell(error)
    except Unreadable as error:
        return _fail(f"{error}\nA change may have been made; see 'orders list' and 'orders transactions'.", NOT_READ)
    except (PermissionError, ValueError) as error:
        return _fail(str(error), USAGE)
    except BrokenPipeError:
        # Who reads has enough. Python would complain about it once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return _fail("Stopped. If a change was under way, 'orders resume' finds out whether it was done.", INTERRUPTED)
    return status


def _tell(error: OrdersError) -> int:
    if isinstance(error, OutcomeUnknown):
        return _fail(f"{error}\nRun 'orders resume' to find out. Do not run the command again.", UNKNOWN)
    if error.code == "not_authenticated":
        return _fail(f"{error}\nRun 'orders login', or set ORDERS_TOKEN.", NOT_LOGGED_IN)
    hint = f"\nTry again in {error.retry_after:.0f} seconds." if error.retry_after else ""
    is_refusal = 400 <= error.status < 500 or error.code == "no_address"
    return _fail(f"{error}{hint}", REFUSED if is_refusal else NO_ANSWER)


def _fail(message: str, status: int) -> int:
    print(message, file=sys.stderr)
    return status


# What a command prints


def show(options: argparse.Namespace, value: Any, rows: Iterable[Row]) -> None:
    """The value as JSON where --json asks for it, and else the rows, in columns."""
    if options.json:
        print(to_json(value))
        return
    texts = [[_text(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)] if texts else []
    for row in texts:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def show_each(options: argparse.Namespace, values: Iterable[Any], row: Callable[[Any], Row]) -> None:
    """The same for a long list: a line of JSON each, or a line of columns, as they come."""
    for value in values:
        print(to_json(value) if options.json else "\t".join(map(_text, row(value))), flush=True)


def _text(cell: object) -> str:
    if cell is None:
        return "-"
    if isinstance(cell, Decimal):
        return amount_text(cell)
    return moment_text(cell) if hasattr(cell, "isoformat") else str(cell)  # type: ignore[arg-type]


def order_row(order: Any) -> Row:
    """An order in one line."""
    return (order.order_id, order.created_at, *order_terms(order))


def order_terms(order: Any) -> Row:
    """What an order is, placed or only tried."""
    price = order.executed_price or order.limit_price or order.stop_price
    kind = order.order_type.replace("_", " ")
    return (kind, order.quantity, order.asset_id, price, order.status)


# The commands


def client_of(options: argparse.Namespace) -> Client:
    found = Credentials.find(options.url)
    return Client(found.base_url, found.token, username=found.username, device=found.device)


def login(options: argparse.Namespace) -> None:
    kept = Credentials.find(options.url)
    username = options.username or _ask_for("Username or e-mail: ")
    is_same = kept.username == username
    with Client(kept.base_url, device=kept.device if is_same else "") as client:
        answer = client.log_in(username, _ask_secret("Password: "), code=lambda: _ask_secret("Code: "))
        Credentials(client.base_url, client.token, client.username, client.device).save()
        show(options, answer.user, [(f"Logged in as {client.username} at {client.base_url}",)])


def logout(options: argparse.Namespace) -> None:
    kept = Credentials.find(options.url)
    with client_of(options) as client:
        client.log_out()
    # The next log-in from here is still known.
    Credentials(kept.base_url, "", kept.username, kept.device).save()
    show(options, {"message": "Logged out"}, [("Logged out",)])


def account(options: argparse.Namespace) -> None:
    with client_of(options) as client:
        found = client.account()
    rows: list[Row] = [("Status", found.status), ("Cash", found.cash_balance), ("Reserved", found.reserved_cash)]
    show(options, found, [*rows, ("Total value", found.total_value), ("Transactions", found.number)])


def balance(options: argparse.Namespace) -> None:
    with client_of(options) as client:
        found = client.balance()
    show(options, found, [("Cash", found.current_balance), ("Deposits", found.total_deposits),
                          ("Withdrawals", found.total_withdrawals)])  # fmt: skip


def portfolio(options: argparse.Namespace) -> None:
    with client_of(options) as client:
        found = client.portfolio(as_of=options.as_of)
    rows: list[Row] = [("", "quantity", "reserved", "price", "value", "gain")]
    rows += [
        (each.asset_id, each.quantity, each.reserved_quantity, each.current_price, each.market_value,
         each.unrealised_gain)
        for each in found.assets
    ]  # fmt: skip
    rows += [("Cash", "", found.reserved_cash, "", found.cash_balance, "")]
    rows += [("Total", "", "", "", found.total_value, found.total_gain)]
    show(options, found, rows)


def transactions(options: argparse.Namespace) -> None:
    with client_of(options) as client:
        if options.csv:
            sys.stdout.write(client.statement_csv(options.start, options.end))
            return
        found = client.transactions(transaction_type=options.type, start=options.start, end=options.end)
        show_each(options, islice(found, options.most), lambda each: (
            each.transaction_id, each.created_at, each.transaction_type, each.amount, each.new_balance,
            each.description or "",
        ))  # fmt: skip


def deposit(options: argparse.Namespace) -> None:
    with client_of(options) as client:
        if options.dry_run:
            show_effects(options, client.preview_deposit(options.amount))
        else:
            _show_movement(options, client.deposit(options.amount, description=options.description))


def withdraw(options: argparse.Namespace) -> None:
    with client_of(options) as client:
        if options.dry_run:
            show_effects(options, _with_proof(client, lambda: client.preview_withdrawal(options.amount)))
        else:
            moved = _with_proof(client, lambda: client.withdraw(options.amount, description=options.description))
            _show_movement(options, moved)


def _with_proof(client: Client, act: Callable[[], T]) -> T:
    """Act, and again after the password was given, if it is asked for."""
    try:
        return act()
    except OrdersError as error:
        if error.code != "proof_required" or isinstance(error, OutcomeUnknown):
            raise
        print(error.detail, file=sys.stderr)
        _prove(client)
        return act()


def _prove(client: Client) -> None:
    password = _ask_secret("Password: ")
    try:
        client.give_proof(password)
    except OrdersError as error:
        if error.code != "proof_required":
            raise
        client.give_proof(password, code=_ask_secret("Code: "))


def _show_movement(options: argparse.Namespace, moved: Any) -> None:
    row = (moved.message, moved.transaction_id, moved.transaction.amount, "balance", moved.transaction.new_balance)
    show(options, moved, [row])


def trade(options: argparse.Namespace) -> None:
    terms = {name: getattr(options, name) for name in ("spend", "stop_price", "expires_at", "time_in_force")}
    terms |= {"price": options.limit or options.worst, "client_order_id": options.client_order_id}
    order = (order_type(options), options.asset_id, options.quantity)
    with client_of(options) as client:
        if options.dry_run:
            show_effects(options, client.preview_order(*order, **terms))
        else:
            placed = client.place_order(*order, **terms)
            show(options, placed, [order_row(placed)])


def order_type(options: argparse.Namespace) -> Any:
    """The type of an order that the options mean."""
    kinds = {
        (True, False): f"limit_{options.side}",
        (True, True): f"stop_limit_{options.side}",
        (False, True): f"stop_{options.side}",
    }
    return kinds.get((options.limit is not None, options.stop_price is not None), f"market_{options.side}")


def show_effects(options: argparse.Namespace, tried: Any) -> None:
    """What a dry run answered."""
    names = ("outcome", "price", "total", "worst_total", "cash_after", "holding_after", "gain")
    found = [(name.replace("_", " "), getattr(tried, name, None)) for name in names]
    order = [] if tried.order is None else [("order", " ".join(map(_text, order_terms(tried.order))))]
    rows: list[Row] = [("Nothing was done.", ""), *order, *(row for row in found if row[1] is not None)]
    show(options, tried, [*rows, *((each.transaction_type.replace("_", " "), each.amount) for each in tried.entries)])


def list_orders(options: argparse.Namespace) -> None:
    with client_of(options) as client:
        period = {"start": options.start, "end": options.end}
        found = client.orders(asset_id=options.asset_id, status=options.status, **period)
        show_each(options, islice(found, options.most), order_row)


def cancel(options: argparse.Namespace) -> None:
    with client_of(options) as client:
        if options.dry_run:
            show_effects(options, client.preview_cancel(options.order_id))
        else:
            order = client.cancel(options.order_id)
            show(options, order, [order_row(order)])


def edit(options: argparse.Namespace) -> None:
    terms = {name: getattr(options, name) for name in ("price", "quantity", "expires_at")}
    with client_of(options) as client:
        if options.dry_run:
            show_effects(options, client.preview_change(options.order_id, **terms))
        else:
            order = client.change_order(options.order_id, **terms)
            show(options, order, [order_row(order)])


def events(options: argparse.Namespace) -> None:
    with client_of(options) as client:
        show_each(options, client.events(options.after, follow=options.follow), lambda each: (
            each.event_number, each.created_at, each.event_type, each.order_id or each.transaction_id
        ))  # fmt: skip


def cancel_all(options: argparse.Namespace) -> None:
    with client_of(options) as client:
        ended = client.cancel_all(asset_id=options.asset_id, side=options.side)
        show_each(options, ended, lambda each: (each.order_id, each.outcome))


def resume(options: argparse.Namespace) -> int:
    with client_of(options) as client:
        if options.forget:
            if client.forget(options.forget):
                return 0
            return _fail("There is no such change to forget.", REFUSED)
        if options.list:
            show_each(options, client.pending(), _entry_row)
            return 0
        results: list[Resumed] = []
        show_each(options, _noted(client.resume(), results), _resumed_row)
    return UNKNOWN if any(each.entry.is_open for each in results) else 0


def _noted(found: Iterator[Resumed], results: list[Resumed]) -> Iterator[dict[str, Any]]:
    for each in found:
        results.append(each)
        error = None if each.error is None else {"code": each.error.code, "detail": each.error.detail}
        yield {"entry": each.entry, "error": error}


def _entry_row(entry: Any) -> Row:
    body = ", ".join(f"{name} {value}" for name, value in (entry.body or {}).items())
    return (entry.key, entry.began_at, entry.path, body)


def _resumed_row(found: dict[str, Any]) -> Row:
    entry = found["entry"]
    was = "done before" if entry.replayed else "done now" if entry.state == "done" else entry.state
    why = found["error"]["detail"] if found["error"] else ""
    return (*_entry_row(entry), "not known" if entry.is_open else was, why)


def _ask_for(prompt: str) -> str:
    if sys.stdin.isatty():
        print(prompt, end="", file=sys.stderr, flush=True)
    answer = sys.stdin.readline().rstrip("\n")
    if not answer:
        raise OrdersError("Nothing was entered.", status=400, code="no_input")
    return answer


def _ask_secret(prompt: str) -> str:
    """From the terminal without showing it, or a line of what is piped in."""
    return getpass.getpass(prompt) if sys.stdin.isatty() else _ask_for(prompt)


# What the command line may be


def amount(text: str) -> str:
    """An amount as it was typed, if it is one."""
    try:
        is_amount = Decimal(text).is_finite()
    except InvalidOperation:
        is_amount = False
    if not is_amount:
        raise argparse.ArgumentTypeError(f"{text!r} is not an amount, such as 12.50")
    return text


def parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--url", default="", help="the address of the service (ORDERS_URL)")
    shared.add_argument("--json", action="store_true", help="print JSON: one object, or one a line of a list")
    top = argparse.ArgumentParser(prog="orders", description="Cash and orders of one account.", epilog=EPILOG)
    top.add_argument("--version", action="version", version=f"orders {__version__}")
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, command: Callable[[argparse.Namespace], int | None], words: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=words, description=words, parents=[shared], allow_abbrev=False)
        made.set_defaults(command=command)
        return made

    _add_account(add)
    _add_cash(add)
    _add_orders(add)
    return top


EPILOG = (
    "Exit status: 0 done; 1 refused, nothing was changed; 2 wrong command line; 3 not logged in; 4 not known "
    "whether it was done (run 'orders resume'); 5 no answer, nothing was changed; 6 an answer that this version cannot "
    "read; 130 stopped with Ctrl-C."
)
Add = Callable[[str, Callable[[argparse.Namespace], int | None], str], argparse.ArgumentParser]


def _add_account(add: Add) -> None:
    made = add("login", login, "log in, and keep the token for the next commands (one hour)")
    made.add_argument("username", nargs="?", help="or e-mail address; the password is asked for, or read from a pipe")
    add("logout", logout, "revoke the token")
    made = add("resume", resume, "find out what became of changes that were cut off, and finish them")
    made.add_argument("--list", action="store_true", help="only list them")
    made.add_argument("--forget", metavar="KEY", help="give one up: it is not sent again")


def _add_cash(add: Add) -> None:
    add("account", account, "show cash, reserve and total value")
    add("balance", balance, "show the cash balance")
    made = add("portfolio", portfolio, "show what is owned, and its value")
    made.add_argument("--as-of", metavar="TIME", help="a past day or time")
    made = add("transactions", transactions, "list the transactions of the cash account, newest first")
    made.add_argument("--type", help="only these, such as deposit")
    made.add_argument("--most", type=int, metavar="NUMBER", default=50, help="at most so many (50)")
    made.add_argument("--csv", action="store_true", help="all of them as CSV, oldest first")
    _add_period(made)
    for name, command in (("deposit", deposit), ("withdraw", withdraw)):
        made = add(name, command, f"{name} cash")
        made.add_argument("amount", type=amount)
        made.add_argument("--description", help="your words, which the transaction keeps")
        made.add_argument("--dry-run", action="store_true", help=DRY_RUN)


def _add_period(made: argparse.ArgumentParser) -> None:
    made.add_argument("--from", dest="start", metavar="DAY", help="from this day, in UTC")
    made.add_argument("--to", dest="end", metavar="DAY", help="to this day")


def _add_orders(add: Add) -> None:
    for side in ("buy", "sell"):
        made = add(side, trade, f"{side} at the market's price, or when a price is reached")
        made.set_defaults(side=side, spend=None)
        made.add_argument("asset_id", metavar="ASSET", help="such as BTC")
        size = made.add_mutually_exclusive_group(required=True)
        size.add_argument("--quantity", type=amount, help="units of the asset")
        if side == "buy":
            size.add_argument("--spend", type=amount, help="dollars to spend")
        price = made.add_mutually_exclusive_group()
        price.add_argument("--limit", type=amount, metavar="PRICE", help="wait for this price or a better one")
        price.add_argument("--worst", type=amount, metavar="PRICE", help="at once, at this price or a better one")
        made.add_argument("--stop", dest="stop_price", type=amount, metavar="PRICE", help="wait until this is reached")
        made.add_argument("--expires", dest="expires_at", metavar="TIME", help="until when the order waits")
        made.add_argument("--time-in-force", choices=("gtc", "day", "ioc", "fok"))
        made.add_argument("--client-order-id", metavar="ID", help="your own id for the order")
        made.add_argument("--dry-run", action="store_true", help=DRY_RUN)
    made = add("list", list_orders, "list orders, newest first")
    made.add_argument("--asset", dest="asset_id", metavar="ASSET")
    made.add_argument("--status", choices=("pending", "completed", "cancelled", "expired"))
    made.add_argument("--most", type=int, metavar="NUMBER", default=50, help="at most so many (50)")
    _add_period(made)
    made = add("edit", edit, "change an open order, which keeps its id")
    made.add_argument("order_id", metavar="ID")
    made.add_argument("--price", type=amount, help="another limit")
    made.add_argument("--quantity", type=amount, help="other units of the asset")
    made.add_argument("--expires", dest="expires_at", metavar="TIME", help="until when it waits")
    made.add_argument("--dry-run", action="store_true", help=DRY_RUN)
    made = add("events", events, "show what happened to the account and its orders, oldest first")
    made.add_argument("--after", metavar="NUMBER", help="only what came after this event")
    made.add_argument("--follow", action="store_true", help="wait for more, until Ctrl-C")
    made = add("cancel", cancel, "cancel an open order")
    made.add_argument("order_id", metavar="ID")
    made.add_argument("--dry-run", action="store_true", help=DRY_RUN)
    made = add("cancel-all", cancel_all, "cancel all open orders, or some")
    made.add_argument("--asset", dest="asset_id", metavar="ASSET")
    made.add_argument("--side", choices=("buy", "sell"))
