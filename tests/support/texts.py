"""Texts that people cannot read as what they are: whatever others read must not have them."""

from __future__ import annotations

# Texts that show nothing.
UNSEEN = {
    "a zero-width space": "\u200b",
    "a word joiner": "\u2060",
    "joiners": "\u200c\u200d",
    "a soft hyphen": "\u00ad",
    "a byte order mark": "\ufeff",
    "a Hangul filler": "\u3164",
    "a blank Braille pattern": "\u2800",
    "a variation selector": "\ufe0f",
    "tags": "\U000e0067\U000e007f",
}
# Characters that break a line, or show the text after them in another order.
MISLEADING = {
    "a right-to-left override": "\u202e",
    "an embedding": "\u202a",
    "an isolate": "\u2067",
    "a line separator": "\u2028",
    "a paragraph separator": "\u2029",
}
