"""The grammars of identifiers, each a regular expression of ASCII characters.

Text is matched whole (`matches`) before it reaches the database, so a trailing line break does not pass. No grammar
has `#`, which separates the parts of a database key, except that of idempotency keys, which end theirs.
"""

from __future__ import annotations

import re

USERNAME = r"[a-z0-9_]{3,30}"
TYPED_USERNAME = r"[A-Za-z0-9_]{3,30}"
"""A username as people type it, before it is lower-cased."""

ASSET_ID = r"[A-Za-z0-9]{1,10}"
"""In any case; the catalogue has upper case."""

ORDER_ID = r"[A-Za-z0-9_]{10,50}"
APPROVAL_ID = r"approval_[0-9A-Z]{26}"
TRANSACTION_ID = r"[0-9]{12}"
TOKEN_ID = r"[0-9a-f]{16}"
PASSKEY_ID = r"[0-9a-f]{16}"
CLIENT_ORDER_ID = r"[A-Za-z0-9._:-]{1,64}"
"""Which a script gives an order of its own."""

IDEMPOTENCY_KEY = r"[!-~]{1,255}"
REQUEST_ID = r"[A-Za-z0-9_-]{1,64}"


def matches(grammar: str, text: str) -> bool:
    """Whether the whole text is of this grammar."""
    return re.fullmatch(grammar, text) is not None
