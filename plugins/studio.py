"""What can be asked of a variational autoencoder: pictures for latent points, and the way back; in the graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from plugins.autoencoder import VariationalAutoencoder
from plugins.canvas import FRAMES, PICTURE, SCALE, SEED, STEPS, each, films, latent_point, png
from plugins.contract import InputField, OutputField, Signature, Task

STRONGEST = 3.0

STRENGTH = InputField(
    name="strength",
    dtype="float32",
    description="1: as far as the pictures with the concept are from those without; 0: the reconstruction",
    default=1.0,
    minimum=-STRONGEST,
    maximum=STRONGEST,
)


@dataclass(frozen=True)
class Studio:
    """The signatures' functions, each argument with one row a request, and what clients are told of them.

    `read` makes one PNG or JPEG string into what the encoder sees, float32 [height, width, channels] of 0 to 1.
    `example` is such a PNG.
    """

    model: VariationalAutoencoder
    read: Callable[[Any], Any]
    example: bytes

    @property
    def numbers(self) -> int:
        """Of a latent point."""
        return int(self.model.decoder.input_shape[-1])

    def signatures(self) -> Mapping[str, Signature]:
        """Pictures from a seed, a point, a line or a changed picture; and where a picture lies."""
        start, end = self._on_first_axis(-1.5), self._on_first_axis(1.5)
        return {
            "generate": drawing(self.generate, (SEED, SCALE), {"seed": 7, "scale": 8}, "A picture for a seed"),
            "decode": drawing(
                self.decode, (self._point("latent"), SCALE), {"latent": end, "scale": 8}, "The picture at a point"
            ),
            "interpolate": Signature(
                Task.GENERATE_IMAGE,
                self.interpolate,
                (self._point("from_latent"), self._point("to_latent"), STEPS, SCALE),
                (FRAMES,),
                {"from_latent": start, "to_latent": end, "steps": 10, "scale": 4},
                "Frames from one point to another",
            ),
            "edit": drawing(
                self.edit,
                (self._picture(), self._concept(), STRENGTH, SCALE),
                {"image_bytes": self.example, "concept": self._names[-1], "strength": 1.0, "scale": 8},
                "A picture, encoded, moved towards a concept, and decoded",
            ),
            "encode": Signature(
                Task.REGRESS,
                self.encode,
                (self._picture(),),
                tuple(
                    OutputField(name=name, dtype="float32", shape=(self.numbers,)) for name in ("z_mean", "z_log_var")
                ),
                {"image_bytes": self.example},
                "Where a picture lies",
            ),
        }

    def generate(self, seed: Any, scale: Any) -> Mapping[str, Any]:
        """The picture at a point drawn from the prior: the same point for the same seed."""
        return {"image_bytes": each(lambda seed, scale: self._draw(self.point_of(seed), scale), seed, scale)}

    def decode(self, latent: Any, scale: Any) -> Mapping[str, Any]:
        """The picture at a latent point."""
        return {"image_bytes": each(self._draw, latent, scale)}

    def interpolate(self, from_latent: Any, to_latent: Any, steps: Any, scale: Any) -> Mapping[str, Any]:
        """Frames on a straight line, ends included, string [N, most steps]; after a row's last one, empty strings."""

        def film(steps: Any, start: Any, end: Any, scale: Any) -> Any:
            return each(lambda point: self._draw(point, scale), tf.linspace(start, end, steps))

        return {"image_bytes": films(film, steps, from_latent, to_latent, scale)}

    def edit(self, image_bytes: Any, concept: Any, strength: Any, scale: Any) -> Mapping[str, Any]:
        """The picture at z_mean + strength x the concept's vector; an unknown concept's is zeros (book 8.4.2)."""
        chosen = tf.cast(concept[:, tf.newaxis] == tf.constant(self._names), tf.float32)
        strength = tf.clip_by_value(strength, -STRONGEST, STRONGEST)
        moves = strength[:, tf.newaxis] * tf.matmul(chosen, self.model.concepts.vectors())

        def draw(image_bytes: Any, move: Any, scale: Any) -> Any:
            z_mean, _ = self.model.encoder(self.read(image_bytes)[tf.newaxis])
            return self._draw(z_mean[0] + move, scale)

        return {"image_bytes": each(draw, image_bytes, moves, scale)}

    def encode(self, image_bytes: Any) -> Mapping[str, Any]:
        """Where a picture lies: mean and log-variance of its latent point."""
        shape = self.model.encoder.input_shape[1:]
        pictures = tf.map_fn(self.read, image_bytes, fn_output_signature=tf.TensorSpec(shape, tf.float32))
        z_mean, z_log_var = self.model.encoder(pictures)
        return {"z_mean": z_mean, "z_log_var": z_log_var}

    def point_of(self, seed: Any) -> Any:
        """The latent point of a seed, float32 [numbers]."""
        return latent_point(seed, self.numbers)

    def paint(self, points: Any) -> Any:
        """Grey levels uint8 [N, height, width, channels] of latent points [N, numbers]."""
        return tf.cast(tf.round(self.model.decoder(points) * 255), tf.uint8)

    def _draw(self, point: Any, scale: Any) -> Any:
        return png(self.paint(point[tf.newaxis])[0], scale)

    @property
    def _names(self) -> tuple[str, ...]:
        return tuple(self.model.concepts.classes)

    def _point(self, name: str) -> InputField:
        numbers = (self.numbers,)
        return InputField(name=name, dtype="float32", shape=numbers, description="a point, usually within 3 of 0")

    def _picture(self) -> InputField:
        return InputField(
            name="image_bytes", dtype="string", content="image", description="PNG or JPEG; what is in it fills it"
        )

    def _concept(self) -> InputField:
        only = self._names[0] if len(self._names) == 1 else None
        return InputField(name="concept", dtype="string", content="text", default=only, choices=self._names)

    def _on_first_axis(self, number: float) -> list[float]:
        return [number, *[0.0] * (self.numbers - 1)]


def drawing(function: Any, inputs: tuple[InputField, ...], example: Mapping[str, Any], description: str) -> Signature:
    """A signature that answers one picture."""
    return Signature(Task.GENERATE_IMAGE, function, inputs, (PICTURE,), example, description)
