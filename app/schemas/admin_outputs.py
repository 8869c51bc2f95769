"""Response schemas for administrators. See `outputs.py` for amounts and times."""

from __future__ import annotations

from marshmallow import fields

from app.domain.approvals import ApprovalStatus
from app.domain.events import DONE, WAITS, Means
from app.schemas.amounts import Money, Quantity
from app.schemas.dry_run_outputs import DryRunOutput, EffectsOutput
from app.schemas.fields import LowerCase, Output, Timestamp
from app.schemas.outputs import (
    STORED_EVENTS,
    AssetTransactionOutput,
    BalanceOutput,
    EventOutput,
    PageOutput,
    PortfolioOutput,
    TransactionOutput,
    UserWithStatusOutput,
)


class ResetLinkOutput(Output):
    """A link for a new password. It is as good as the password until it is used or ends."""

    reset_link = fields.String()
    expires_at = Timestamp()


class FactorResetOutput(Output):
    """From when on a log-in with the password alone removes the second factor."""

    falls_at = Timestamp()


class TriedAdjustmentOutput(EffectsOutput):
    """What an adjustment would do. One that needs an approval would wait, and book nothing yet."""

    needs_approval = fields.Boolean()


class AdjustmentDryRunOutput(DryRunOutput):
    """What an adjustment would do at this moment. Nothing was done."""

    data = fields.Nested(TriedAdjustmentOutput)


class UserListOutput(PageOutput):
    """The users that a search found, or a page of those who joined in a month, newest first."""

    data = fields.List(fields.Nested(UserWithStatusOutput))


class AssetTotalOutput(Output):
    """What all users own of an asset, and how much of that is in open orders to sell."""

    asset_id = fields.String()
    owned_quantity = Quantity(attribute="owned")
    reserved_quantity = Quantity(attribute="reserved")


class TotalsOutput(Output):
    """What all accounts had together, as an audit saw it.

    It began to read at `taken_at`, and took `seconds`. What changed meanwhile may be in it or not.
    """

    taken_at = Timestamp()
    seconds = fields.Integer()
    accounts = fields.Integer(metadata={"description": "All, also those that are suspended or closed"})
    suspended = fields.Integer()
    closed = fields.Integer()
    cash = Money()
    reserved = Money(metadata={"description": "Cash in open orders to buy"})
    deposits = Money()
    withdrawals = Money()
    adjustments = Money(metadata={"description": "Signed"})
    assets = fields.List(fields.Nested(AssetTotalOutput))
    open_orders = fields.Integer()
    items = fields.Integer()
    violations = fields.Integer(metadata={"description": "0 where the books were sound"})


class TotalsListOutput(PageOutput):
    """The totals of all audits that kept them, newest first."""

    data = fields.List(fields.Nested(TotalsOutput))


class ActOutput(Output):
    """What `actor`, an administrator or the `command line`, did to the account of `username`."""

    event = fields.String(attribute="kind", metadata={"enum": STORED_EVENTS})
    outcome = fields.String(metadata={"enum": [DONE, WAITS]})
    actor = fields.String()
    username = fields.String()
    via = LowerCase(Means, allow_none=True)
    created_at = Timestamp()


class ActListOutput(PageOutput):
    """A page of what administrators and the command line did in a month, newest first."""

    data = fields.List(fields.Nested(ActOutput))


class AccountOutput(Output):
    """A user with balance and portfolio, for an admin."""

    user = fields.Nested(UserWithStatusOutput)
    balance = fields.Nested(BalanceOutput, attribute="portfolio.balance")
    portfolio = fields.Nested(PortfolioOutput)


class AdminEventOutput(EventOutput):
    """A security event with who did it: a username, `command line`, or null for who was not logged in."""

    actor = fields.String(allow_none=True)


class AdminEventListOutput(PageOutput):
    """A page of a user's security events, for an admin."""

    data = fields.List(fields.Nested(AdminEventOutput))


class ApprovalOutput(Output):
    """An adjustment that waits, or waited, for a second admin."""

    approval_id = fields.String()
    username = fields.String()
    amount = Money()
    reason = fields.String()
    status = LowerCase(ApprovalStatus)
    asked_by = fields.String()
    decided_by = fields.String(allow_none=True)
    decided_at = Timestamp(allow_none=True)
    transaction_id = fields.String(allow_none=True)
    created_at = Timestamp()
    expires_at = Timestamp()


class OneApprovalOutput(Output):
    """One adjustment that waits, or waited, for a second admin."""

    data = fields.Nested(ApprovalOutput)


class ApprovalListOutput(PageOutput):
    """A page of adjustments that wait, or waited, for a second admin."""

    data = fields.List(fields.Nested(ApprovalOutput))


class AdjustmentOutput(Output):
    """An adjustment that was made."""

    data = fields.Nested(TransactionOutput)


class HolderOutput(Output):
    """What one user owns of an asset, for an admin."""

    username = fields.String()
    asset_id = fields.String()
    quantity = Quantity()
    reserved_quantity = Quantity(attribute="asset_account.reserved_quantity")
    created_at = Timestamp()
    updated_at = Timestamp()


class HolderListOutput(PageOutput):
    """A page of the holders of an asset."""

    data = fields.List(fields.Nested(HolderOutput))


class UserAssetTransactionOutput(AssetTransactionOutput):
    """A trade with the user who made it, for an admin."""

    username = fields.String()


class UserAssetTransactionListOutput(PageOutput):
    """A page of the trades of an asset."""

    data = fields.List(fields.Nested(UserAssetTransactionOutput))
