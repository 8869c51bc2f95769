"""`/health` and `/ready`: whether the process is up, and whether it can reach its tables."""

from __future__ import annotations

from typing import Any

from app import __version__
from app.domain.errors import Busy, StoreUnavailable
from app.models.create_tables import check_tables, check_writes
from app.schemas.outputs import HealthOutput
from app.views.api.blueprint import JsonBlueprint

blueprint = JsonBlueprint("Probes", __name__, description="For load balancers and monitoring")


@blueprint.get("/health")
@blueprint.response(200, HealthOutput)
def health() -> Any:
    """The process is up; nothing else is checked."""
    return {"status": "healthy", "service": "order-processor", "version": __version__}


@blueprint.get("/ready")
@blueprint.refuses(Busy, StoreUnavailable)
@blueprint.response(200, HealthOutput)
def ready() -> Any:
    """Both tables can be read, and a write in this minute succeeded."""
    check_tables()
    check_writes()
    return {"status": "healthy", "service": "order-processor", "version": __version__}
