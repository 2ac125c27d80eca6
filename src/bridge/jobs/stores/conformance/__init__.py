"""What every job store must do, as checks that a store of your own can run too.

`CHECKS` maps the name of each check to an async function. It takes `connect`, which gives one more store object over one and the same
database, empty at first, that tells the time by the clock it is given; the check closes what it opened. A store that falls short raises
`AssertionError` with what is wrong. With pytest (and pytest-asyncio):

    @pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
    async def test_my_store(check, tmp_path):
        await check(lambda clock: MyStore(tmp_path / "jobs", clock=clock))

What a store does when its database fails is its own business, and checked by its own tests.
"""

from __future__ import annotations

from collections.abc import Mapping

from . import starting, waiting
from .frame import Check, Clock, Connect

__all__ = ["CHECKS", "Check", "Clock", "Connect"]

CHECKS: Mapping[str, Check] = {**starting.CHECKS, **waiting.CHECKS}
