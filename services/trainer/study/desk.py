"""Where trials that run on Ray meet their study. Apart from the engine, so that its process needs no TensorFlow."""

from __future__ import annotations

import asyncio

Report = tuple[int, int, float]  # trial, epoch, validation figure


class Desk:
    """A Ray actor: trials hand in figures and wait to hear if they are hopeless; the study's process decides.

    All methods run on one event loop, which is why nothing is locked.
    """

    def __init__(self) -> None:
        self._reports: asyncio.Queue[Report] = asyncio.Queue()
        self._waiting: dict[int, asyncio.Future[bool]] = {}

    async def hopeless(self, trial: int, epoch: int, figure: float) -> bool:
        """What a trial asks after each epoch; answers when the study has decided."""
        self._waiting[trial] = asyncio.get_running_loop().create_future()
        self._reports.put_nowait((trial, epoch, figure))
        return await self._waiting[trial]

    async def next_report(self) -> Report:
        """The oldest figure that the study has not seen; waits for one."""
        return await self._reports.get()

    async def answer(self, trial: int, hopeless: bool) -> None:
        """What the study has decided."""
        self._waiting.pop(trial).set_result(hopeless)
