"""The settings TensorFlow reads when it is imported; apart from ours, so that a server starts without pydantic."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryFile


def quiet_tensorflow(*, errors: bool) -> None:
    """Keep TensorFlow's C++ notices out of what we print, and its `errors` too; must run before it is imported.

    A person's terminal does without the errors: those of consequence are raised as exceptions, the others alarm for
    nothing. A server's log keeps them.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3" if errors else "2")


def share_gpu() -> None:
    """Let TensorFlow take a GPU's memory as it needs it, not all at once; must run before it is imported.

    Training and serving then fit on one GPU. TensorFlow's own variable, which is obeyed where it is set already.
    """
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")


def work_where_called() -> None:
    """Let the thread that calls one of oneDNN's operations do its part of it, instead of waiting for others to do all;
    must run before TensorFlow is imported.

    Half of a small network's time goes into waking those. TensorFlow's own variable, as above.
    """
    os.environ.setdefault("TF_ONEDNN_THREADPOOL_USE_CALLER_THREAD", "1")


@contextmanager
def loading_tensorflow() -> Iterator[None]:
    """Around an import that loads TensorFlow, for a terminal: what is written to stderr meanwhile is told only if the
    import fails. Its libraries tell of the processor before they look at TF_CPP_MIN_LOG_LEVEL.
    """
    try:
        stderr = os.dup(2)
    except OSError:  # closed: nothing to keep quiet
        yield
        return
    with TemporaryFile() as notices:
        os.dup2(notices.fileno(), 2)
        try:
            yield
        except Exception:  # but not Ctrl-C
            notices.seek(0)
            os.write(stderr, notices.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
