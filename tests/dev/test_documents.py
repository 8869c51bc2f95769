"""What the documents name is there: files, and the sections that their links lead to."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / "tests/README.md", *ROOT.glob("clients/*/*.md")]
)
# Files of the repository by their whole path, and links to files and sections.
PATH = re.compile(r"`((?:app|bench|clients|dev|docs|infra|ops|tests)/[\w./-]+)`")
LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)")


def named(document: Path) -> str:
    return str(document.relative_to(ROOT))


def sections(document: Path) -> set[str]:
    """The names of headings, as GitHub makes them, and those that are written out."""
    text = document.read_text()
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    slugs = {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}
    return slugs | set(re.findall(r'<a id="([^"]+)">', text))


# The changelog names what was there once.
@pytest.mark.parametrize("document", [each for each in DOCUMENTS if each.name != "CHANGELOG.md"], ids=named)
def test_every_file_that_a_document_names_is_there(document: Path) -> None:
    missing = [
        path
        for path in PATH.findall(document.read_text())
        if not ((ROOT / path).exists() or (document.parent / path).exists())
    ]
    assert missing == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_every_link_of_a_document_leads_somewhere(document: Path) -> None:
    for path, section in LINK.findall(document.read_text()):
        target = document.parent / path if path else document
        assert target.exists(), path
        assert not section or section in sections(target), f"{path}#{section}"
