"""What pages and JSON share of passkeys: the site that they are for."""

from __future__ import annotations

import re
from datetime import timedelta
from urllib.parse import urlsplit

from flask import request

from app.services.passkeys import Site
from app.views.http import THIS_MACHINE, mail_settings, own_origins, plain_origin
from app.views.signed import read_signed, sign

CHALLENGE_LIFETIME = timedelta(minutes=5)


def passkey_site() -> Site:
    """The site at its own address (`SITE_URL`); where that is not set, or this machine, at the host of this request."""
    site = urlsplit(mail_settings().site)
    origins = [plain_origin(f"{site.scheme}://{site.netloc}")]
    named = ""
    if not site.netloc or re.fullmatch(THIS_MACHINE, site.netloc):
        site, origins = urlsplit(f"//{request.host}"), own_origins()
        if re.fullmatch(THIS_MACHINE, request.host):
            port = f":{site.port}" if site.port else ""
            named = f"{request.scheme}://localhost{port}{request.script_root}"
    return Site(
        site.hostname or "",
        origins,
        lambda purpose, value: sign(purpose, value, lifetime=CHALLENGE_LIFETIME),
        read_signed,
        named,
    )
