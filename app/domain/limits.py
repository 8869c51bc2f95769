"""How much one person, device or address may ask for. What each limit is for stands beside it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Limits:
    """All limits that are settings. README.md says what happens when one is met. 0, where it is allowed, is no limit.

    An address is an IPv4 address, or the /64 network of an IPv6 address.
    """

    # Wrong passwords for one account in 15 minutes, from a device that has logged in to it before.
    guesses_per_device: int = 10
    # Those from all other devices together: for one account in 24 hours, and in 15 minutes for one account from one
    # address and for any accounts from one address.
    guesses_per_account: int = 100
    guesses_per_account_and_address: int = 20
    guesses_per_address: int = 300
    # Log-ins of one user in a minute that succeed; 0 is allowed.
    log_ins_per_minute: int = 60
    # Registrations from one address, also those that are refused; 0 is allowed.
    registrations_per_hour: int = 60
    # Mails with a link for a new password: for one e-mail address, and for any from one address. And mails with a link
    # that confirms an e-mail address, for one user.
    reset_mails_per_hour: int = 5
    reset_mails_per_address: int = 30
    confirmation_mails_per_hour: int = 5
    # Requests of one user that move money or change orders, and statements that are read; 0 is allowed.
    money_changes_per_minute: int = 600
    statements_per_minute: int = 60
    # Personal tokens that one user has at once.
    personal_tokens: int = 25
