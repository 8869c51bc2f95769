"""Table `users`: texts that the processes share.

| item | PK | SK |
|---|---|---|
| SharedText | `SHARED#{name}` | `SHARED` |
"""

from __future__ import annotations

from app.models.attributes import NumberAttribute, UnicodeAttribute
from app.models.batch import write_if
from app.models.item import Key
from app.models.users import UsersItem


class SharedText(UsersItem, discriminator="SHARED"):
    """A text that any process may replace; `version` counts how often that happened."""

    text = UnicodeAttribute()
    version = NumberAttribute()

    @staticmethod
    def key(name: str) -> Key:
        return f"SHARED#{name}", "SHARED"


class StoredText:
    """One text by its name. Each method makes one call, and raises Busy or StoreUnavailable."""

    def __init__(self, name: str) -> None:
        self._key = SharedText.key(name)

    def read(self) -> tuple[str, int]:
        """The text and its version; empty and 0 where there is none. May be a moment late, at half the price."""
        item = SharedText.find(self._key, consistent=False)
        return (item.text, int(item.version)) if item else ("", 0)

    def replace(self, text: str, *, version: int) -> bool:
        """Write a text in place of the one with this version; False, and nothing is written, if that is gone."""
        item = SharedText(*self._key, text=text, version=version + 1)
        is_unchanged = SharedText.version == version if version else SharedText.absent()
        return write_if(lambda: item.save(condition=is_unchanged))
