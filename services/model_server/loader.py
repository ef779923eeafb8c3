"""The loader: SavedModel folder in, session out. The only module of this room that imports tensorflow.

Models go through the SavedModel loader in a Session: the restore op of the graph, as in TensorFlow Serving, so what
loads here loads there.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from services.core.errors import Code, DataLoss, InvalidArgument, NotFound, TensorgateError, error_of
from services.core.tensors import Array
from services.core.tfs import meta_graph_pb2, saved_model_pb2, stand_in
from services.model_server.graph import is_steady

if "tensorflow" not in sys.modules:
    # `import tensorflow` builds its whole public interface and imports Keras: 5.7 s of processor time, where what a
    # server needs takes 1.5. The stand-in stays, for TensorFlow imports parts of itself later.
    stand_in("tensorflow")
from tensorflow.core.protobuf import config_pb2
from tensorflow.python.client.session import Session
from tensorflow.python.framework.errors import OpError
from tensorflow.python.framework.ops import Graph, dismantle_graph
from tensorflow.python.lib.io.tf_record import tf_record_iterator
from tensorflow.python.saved_model import loader_impl

SERVE_TAG = "serve"
# One signature with different output filters needs one callable each; a client could ask for every subset.
_MAX_CALLABLES = 64


class GraphSession:
    """A TensorFlow session, called through prepared callables."""

    def __init__(self, session: Any, steady: Set[str] = frozenset()) -> None:
        self.steady = steady
        self._session = session
        self._callable = lru_cache(_MAX_CALLABLES)(self._make_callable)

    def _make_callable(self, feeds: tuple[str, ...], fetches: tuple[str, ...]) -> Callable[..., Any]:
        # Not public, but 27 us a call for a small model where `Session.run` and `make_callable` take 360, and the
        # error texts are the runtime's own. Pool -1 is the caller's thread: no hand-over, and no shared pool that a
        # slow model could fill.
        return self._session._make_callable_from_options(
            config_pb2.CallableOptions(
                feed=feeds, fetch=fetches, run_options=config_pb2.RunOptions(inter_op_thread_pool=-1)
            )
        )

    def run(self, feeds: Mapping[str, Array], fetches: Sequence[str]) -> Sequence[Array]:
        """The values of the tensors named by `fetches`. Raises TensorgateError with the runtime's code and text."""
        try:
            values = self._callable(tuple(feeds), tuple(fetches))(*feeds.values())
        except OpError as error:
            raise _error(error) from error
        return [_array(value) for value in values]

    def close(self) -> None:
        """Free the graph and its variables."""
        self._callable.cache_clear()
        _free(self._session)
        del self._callable, self._session


def _free(session: Any) -> None:
    """Its memory goes with the last who names it. A graph is a web of cycles, which are cut here: the garbage collector
    looks at all there is to find them, and meanwhile nobody is answered, 100 ms beside 300 models.
    """
    session.close()
    for name in session.graph.get_all_collection_keys():
        session.graph.clear_collection(name)  # of variables, in graphs of TensorFlow 1
    dismantle_graph(session.graph)


def _array(value: Any) -> Array:
    """A fetched value as an array: strings of rank 0 come as plain bytes."""
    return np.asarray(value, object) if isinstance(value, bytes) else np.asarray(value)


def _error(error: Any) -> TensorgateError:
    return error_of(Code(error.error_code), error.message)


class SavedModelLoader:
    """Loads SavedModels.

    `intra_op_threads`: threads of one operation, such as a matrix product; 0 lets TensorFlow choose.
    """

    def __init__(self, intra_op_threads: int = 0) -> None:
        self._config = config_pb2.ConfigProto(intra_op_parallelism_threads=intra_op_threads)

    def load(self, folder: Path) -> tuple[GraphSession, Mapping[str, meta_graph_pb2.SignatureDef]]:
        """A session with its variables restored, and the model's signatures by name.

        Raises NotFound without saved_model.pb, DataLoss if it cannot be parsed, else what TensorFlow reports.
        """
        _check_saved_model(folder)
        session = Session(graph=Graph(), config=self._config)
        try:
            with session.graph.as_default():
                meta_graph = loader_impl.load(session, [SERVE_TAG], str(folder))
        except OpError as error:
            _free(session)
            raise _error(error) from error
        except (OSError, RuntimeError, ValueError) as error:
            _free(session)
            raise InvalidArgument(f"{error}") from error
        signatures = dict(meta_graph.signature_def)
        return GraphSession(session, _steady(meta_graph.graph_def, signatures)), signatures


def _steady(graph: Any, signatures: Mapping[str, meta_graph_pb2.SignatureDef]) -> Set[str]:
    fetches = {name: [output.name for output in one.outputs.values()] for name, one in signatures.items()}
    return {name for name, tensors in fetches.items() if is_steady(graph, tensors)}


def _check_saved_model(folder: Path) -> None:
    """TensorFlow's own texts (cc/saved_model/reader.cc), which its Python loader words differently."""
    file = folder / "saved_model.pb"
    if not file.is_file():
        raise NotFound(
            "Specified file path does not appear to contain a SavedModel bundle "
            f"(should have a file called `saved_model.pb`)\nSpecified file path: {folder}"
        )
    try:
        saved_model = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    except DecodeError as error:
        raise DataLoss(f"Can't parse {file} as binary proto") from error
    if not any(SERVE_TAG in meta_graph.meta_info_def.tags for meta_graph in saved_model.meta_graphs):
        raise NotFound(f"Could not find meta graph def matching supplied tags: {{ {SERVE_TAG} }}.")


def read_records(file: Path) -> Iterator[bytes]:
    """The records of a TFRecord file. Raises TensorgateError if it is none."""
    try:
        yield from tf_record_iterator(str(file))
    except OpError as error:
        raise _error(error) from error
