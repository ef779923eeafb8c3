"""The autoencoder of faces, and beside it a judge of smiles, by which edited faces are measured."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers, ops
from pydantic import Field

from plugins.autoencoder import VariationalAutoencoder, scaled
from plugins.concepts import Concepts
from plugins.contract import Array, Config
from plugins.faces_vae.data import SIDE

LATENT = 32
FILTERS = (32, 64, 128)
SMILE = "smile"


class FacesConfig(Config):
    """Hyper-parameters; the book gives none."""

    epochs: int = Field(default=30, ge=1)
    batch_size: int = Field(default=64, ge=1)
    kl_weight: float = Field(
        default=0.2, ge=0, description="of the KL term in the training loss; 1: the ELBO itself, and faces more blurred"
    )
    faces: str | None = Field(
        default=None,
        description="one's own .npz file of faces: a path, a name in the mirror or an https:// address; or `drawn`",
    )


class FacesVae(VariationalAutoencoder):
    """The autoencoder, and a judge: pictures of 0 to 1 [N, 32, 32, 1] to the chance of a smile [N, 1].

    They have no weight in common, so to train them on the sum of their losses is to train each apart. The judge sees
    photographs only, never what the decoder makes of them.
    """

    def __init__(self, kl_weight: float) -> None:
        super().__init__(build_encoder(), build_decoder(), Concepts({SMILE: 1}, LATENT), kl_weight)
        self.judge = build_judge()

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """The autoencoder's loss plus the judge's."""
        loss = super().compute_loss(x, y, y_pred, sample_weight, training)
        smiling = ops.cast(ops.reshape(y, (-1, 1)), "float32")
        return loss + ops.mean(ops.binary_crossentropy(smiling, self.judge(scaled(x), training=training)))

    def smiling(self, faces: Array) -> Array:
        """Which of the faces, uint8 [N, 32, 32], the judge takes for smiling: bool [N]."""
        return np.asarray(self.judge.predict(np.asarray(scaled(faces)), verbose=0))[:, 0] > 0.5


def build_encoder() -> keras.Model:
    """Faces of 0 to 1 [N, 32, 32, 1] to z_mean and z_log_var [N, 32]."""
    face = keras.Input((SIDE, SIDE, 1))
    x = face
    for filters in FILTERS:
        x = layers.Conv2D(filters, 4, strides=2, padding="same", activation="silu")(x)
    x = layers.Flatten()(x)
    return keras.Model(face, [layers.Dense(LATENT)(x), layers.Dense(LATENT, kernel_initializer="zeros")(x)])


def build_decoder() -> keras.Model:
    """Latent points [N, 32] to the chance of light in each pixel [N, 32, 32, 1]."""
    latent = keras.Input((LATENT,))
    side = SIDE >> len(FILTERS)
    x = layers.Dense(side * side * FILTERS[-1], activation="silu")(latent)
    x = layers.Reshape((side, side, FILTERS[-1]))(x)
    for filters in (64, 32, 32):
        x = layers.Conv2DTranspose(filters, 4, strides=2, padding="same", activation="silu")(x)
    return keras.Model(latent, layers.Conv2D(1, 3, padding="same", activation="sigmoid", dtype="float32")(x))


def build_judge() -> keras.Model:
    """Faces of 0 to 1 [N, 32, 32, 1] to the chance that they smile [N, 1]."""
    judge = keras.Sequential([keras.Input((SIDE, SIDE, 1)), layers.RandomFlip("horizontal")])
    for filters in (32, 64, 64):
        judge.add(layers.Conv2D(filters, 3, padding="same", activation="relu"))
        judge.add(layers.MaxPooling2D())
    judge.add(layers.Flatten())
    judge.add(layers.Dropout(0.5))
    judge.add(layers.Dense(64, activation="relu"))
    judge.add(layers.Dense(1, activation="sigmoid", dtype="float32"))
    return judge


def build(config: FacesConfig) -> FacesVae:
    """Compiled with Adam."""
    model = FacesVae(config.kl_weight)
    model.compile(optimizer=keras.optimizers.Adam(1e-3))
    model.build((None, SIDE, SIDE))
    return model
