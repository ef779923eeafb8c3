"""The gRPC door: bytes to messages, errors to status codes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any

from google.protobuf.message import DecodeError

from services.core.errors import Code, TensorgateError
from services.core.tfs_methods import METHODS, PATHS
from services.model_server.model_service import ModelService
from services.model_server.prediction_service import PredictionService
from services.rpc.call import Call, Method, Rules, Unary
from services.rpc.health import HEALTH, HealthServicer
from services.rpc.messages import LARGEST_MESSAGE, Status
from services.rpc.server import Server
from services.rpc.services import methods_of

log = logging.getLogger(__name__)

Handler = Callable[[Any], Awaitable[bytes]]
# What TensorFlow Serving answers RESOURCE_EXHAUSTED beyond; waiting requests are bounded by it.
MOST_CALLS = 1024


def build_server(prediction: PredictionService, models: ModelService, with_health: bool) -> Server:
    """A server with both services, and grpc.health.v1 if asked. No limit on message sizes, as in TensorFlow Serving."""
    calls = _Calls()
    health = methods_of(HEALTH, HealthServicer(), _unreadable) if with_health else {}
    methods = {path: Method(unary=calls.unary(path, handler)) for path, handler in _handlers(prediction, models)}
    return Server(Rules({**methods, **health}, admit=calls.admit, most_bytes=LARGEST_MESSAGE, unknown=""))


class _Calls:
    """Those under way."""

    def __init__(self) -> None:
        self._running = 0

    def admit(self, call: Call) -> None:
        """Before a message is read."""
        if self._running >= MOST_CALLS:
            raise Status(Code.RESOURCE_EXHAUSTED, f"At most {MOST_CALLS} calls are under way. Received: one more")

    def unary(self, path: str, handler: Handler) -> Unary:
        """The method at a path, within its caller's deadline."""
        message = METHODS[path]

        async def answer(data: bytes, call: Call) -> bytes:
            self._running += 1
            try:
                async with asyncio.timeout_at(call.deadline):
                    return await handler(message.FromString(data))
            except DecodeError:
                raise Status(Code.INTERNAL, "") from None
            except TimeoutError:
                raise Status(Code.DEADLINE_EXCEEDED, "Deadline Exceeded") from None
            except TensorgateError as error:
                raise Status(error.code, error.message) from None
            except Exception:  # the edge of the service: a fault of ours becomes a status, its text stays here
                log.exception("A request failed")
                raise Status(Code.INTERNAL, "Internal error; the server's log has it") from None
            finally:
                self._running -= 1

        return answer


async def _unreadable(call: Call, size: int) -> Any:
    raise Status(Code.INTERNAL, "")


def _handlers(prediction: PredictionService, models: ModelService) -> Iterator[tuple[str, Handler]]:
    handlers: Mapping[str, Handler] = {
        "Predict": prediction.predict,
        "Classify": prediction.classify,
        "Regress": prediction.regress,
        "MultiInference": prediction.multi_inference,
        "GetModelMetadata": prediction.get_model_metadata,
        "GetModelStatus": models.get_model_status,
        "HandleReloadConfigRequest": models.handle_reload_config_request,
    }
    return ((PATHS[name], handler) for name, handler in handlers.items())
