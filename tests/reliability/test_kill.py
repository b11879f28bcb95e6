"""P43: fifty random ends of real processes. `make kill N=1000` is the long form."""

import time
from pathlib import Path

from tests.reliability.kill import kill

KILLS = 50


async def test_fifty_kills(tmp_path: Path) -> None:
    seed = int(time.time())
    total = await kill(KILLS, seed, folder=tmp_path / "worlds")
    assert total.wrong == [], f"make kill N={KILLS} SEED={seed}"
    assert total.kills + total.terms == KILLS
    assert total.documents > KILLS
    assert total.creates > KILLS
