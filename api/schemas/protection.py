"""Market-maker protection."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from api.schemas.base import Decimal, Millis, Shape


class ProtectionRequest(Shape):
    """At least one of `maxQuantity` (base asset) and `maxNotional` (USDC)."""

    window_ms: Annotated[int, Field(description="1 to 3600000")]
    max_quantity: Decimal | None = None
    max_notional: Decimal | None = None
    cooldown_ms: Annotated[int, Field(description="0 (until it is reset) to 86400000")] = 0


class ProtectionShape(Shape):
    """TRIPPED: the quotes are cancelled, and what could rest is refused with PROTECTION_TRIPPED."""

    market: str
    status: Literal["OFF", "ARMED", "TRIPPED"]
    window_ms: int
    max_quantity: Decimal | None
    max_notional: Decimal | None
    cooldown_ms: int
    until: Annotated[Millis | None, Field(description="when it arms itself again; null: it does not, or is armed")]


class ProtectionList(Shape):
    data: list[ProtectionShape]
