"""The servable: one loaded version, and the threads that run it."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence, Set
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol, TypeVar

from services.core.tensors import Array
from services.core.tfs import meta_graph_pb2
from services.model_server.shortness import Shortness

T = TypeVar("T")
_C = ctypes.CDLL(None)


class Session(Protocol):
    """A graph with its variables restored. `steady` are the signatures whose time follows from their inputs' shapes."""

    steady: Set[str]

    def run(self, feeds: Mapping[str, Array], fetches: Sequence[str]) -> Sequence[Array]:
        """The values of the tensors named by `fetches`. Raises TensorgateError with the runtime's code and text."""

    def close(self) -> None:
        """Free the graph and its variables."""


class Servable:
    """A session with its signatures and threads of its own, so that one slow model does not hold up another.

    The threads' queue is the count of who still uses the session: `unload` returns when the last request is answered.
    What the event loop runs itself is over before it can tell to unload.
    """

    def __init__(
        self, session: Session, signatures: Mapping[str, meta_graph_pb2.SignatureDef], threads: int, version: int
    ) -> None:
        self.signatures = signatures
        self.version = version
        self.run = session.run
        self.shortness = Shortness(session.steady)
        self._session = session
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix=f"servable-{version}")

    def submit(self, work: Callable[[], T]) -> Future[T]:
        """Run `work` on one of the servable's threads."""
        return self._executor.submit(work)

    def unload(self) -> None:
        """Take no more work, wait for what was taken, free the session. Blocks."""
        self._executor.shutdown(wait=True)
        self._session.close()


def give_back_memory() -> None:
    """To the system, what was freed and glibc keeps."""
    _C.malloc_trim(0)
