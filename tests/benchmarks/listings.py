"""The book's own code, as literally as Keras 3 allows: what the speed of ours is measured against.

Each function takes what the book starts from, prepares and trains as the listing does, and returns the model. Of what
Keras 3 has no longer, `fit_generator` is `fit`, `lr` is `learning_rate`, and an integer division is `//`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers, models, optimizers

from plugins.contract import Array


def mnist_convnet(train_images: Array, train_labels: Array, epochs: int) -> Any:
    """Listings 5.1 to 5.3."""
    model = models.Sequential()
    model.add(keras.Input((28, 28, 1)))
    model.add(layers.Conv2D(32, (3, 3), activation="relu"))
    model.add(layers.MaxPooling2D((2, 2)))
    model.add(layers.Conv2D(64, (3, 3), activation="relu"))
    model.add(layers.MaxPooling2D((2, 2)))
    model.add(layers.Conv2D(64, (3, 3), activation="relu"))
    model.add(layers.Flatten())
    model.add(layers.Dense(64, activation="relu"))
    model.add(layers.Dense(10, activation="softmax"))
    train_images = train_images.reshape((len(train_images), 28, 28, 1))
    train_images = train_images.astype("float32") / 255
    train_labels = keras.utils.to_categorical(train_labels)
    model.compile(optimizer="rmsprop", loss="categorical_crossentropy", metrics=["accuracy"])
    model.fit(train_images, train_labels, epochs=epochs, batch_size=64, verbose=0)
    return model


def vectorize_sequences(sequences: Sequence[Any], dimension: int = 10000) -> Array:
    """Listing 3.2."""
    results = np.zeros((len(sequences), dimension))
    for i, sequence in enumerate(sequences):
        results[i, sequence] = 1.0
    return results


def imdb_bag(train_data: Sequence[Any], train_labels: Array, epochs: int) -> Any:
    """Listings 3.2 to 3.5."""
    x_train = vectorize_sequences(train_data)
    y_train = np.asarray(train_labels).astype("float32")
    model = models.Sequential()
    model.add(keras.Input((10000,)))
    model.add(layers.Dense(16, activation="relu"))
    model.add(layers.Dense(16, activation="relu"))
    model.add(layers.Dense(1, activation="sigmoid"))
    model.compile(optimizer="rmsprop", loss="binary_crossentropy", metrics=["accuracy"])
    model.fit(x_train, y_train, epochs=epochs, batch_size=512, verbose=0)
    return model


def to_one_hot(labels: Array, dimension: int = 46) -> Array:
    """Listing 3.14."""
    results = np.zeros((len(labels), dimension))
    for i, label in enumerate(labels):
        results[i, label] = 1.0
    return results


def reuters_dense(train_data: Sequence[Any], train_labels: Array, epochs: int) -> Any:
    """Listings 3.14 to 3.18."""
    x_train = vectorize_sequences(train_data)
    one_hot_train_labels = to_one_hot(train_labels)
    model = models.Sequential()
    model.add(keras.Input((10000,)))
    model.add(layers.Dense(64, activation="relu"))
    model.add(layers.Dense(64, activation="relu"))
    model.add(layers.Dense(46, activation="softmax"))
    model.compile(optimizer="rmsprop", loss="categorical_crossentropy", metrics=["accuracy"])
    model.fit(x_train, one_hot_train_labels, epochs=epochs, batch_size=512, verbose=0)
    return model


def imdb_20(train_data: Sequence[Any], train_labels: Array, epochs: int) -> Any:
    """Listings 6.6 and 6.7."""
    x_train = keras.utils.pad_sequences(train_data, maxlen=20)
    model = models.Sequential()
    model.add(keras.Input((20,)))
    model.add(layers.Embedding(10000, 8))
    model.add(layers.Flatten())
    model.add(layers.Dense(1, activation="sigmoid"))
    model.compile(optimizer="rmsprop", loss="binary_crossentropy", metrics=["accuracy"])
    model.fit(x_train, train_labels, epochs=epochs, batch_size=32, verbose=0)
    return model


def generator(
    data: Any, lookback: int, delay: int, min_index: int, max_index: int, shuffle: bool = False, batch_size: int = 128,
    step: int = 6, target: int = 1,
) -> Iterator[Any]:  # fmt: skip
    """Listing 6.33: (samples, targets), endlessly; the target's column is a parameter."""
    i = min_index + lookback
    while 1:
        if shuffle:
            rows = np.random.randint(min_index + lookback, max_index, size=batch_size)
        else:
            if i + batch_size >= max_index:
                i = min_index + lookback
            rows = np.arange(i, min(i + batch_size, max_index))
            i += len(rows)

        samples = np.zeros((len(rows), lookback // step, data.shape[-1]))
        targets = np.zeros((len(rows),))
        for j, _ in enumerate(rows):
            indices = range(rows[j] - lookback, rows[j], step)
            samples[j] = data[indices]
            targets[j] = data[rows[j] + delay][target]
        yield samples, targets


def jena_dense(train_gen: Iterator[Any], shape: tuple[int, int], steps: int, epochs: int) -> Any:
    """Listing 6.37, for windows of `shape`."""
    model = models.Sequential()
    model.add(keras.Input(shape))
    model.add(layers.Flatten())
    model.add(layers.Dense(32, activation="relu"))
    model.add(layers.Dense(1))
    model.compile(optimizer=optimizers.RMSprop(), loss="mae")
    model.fit(train_gen, steps_per_epoch=steps, epochs=epochs, verbose=0)
    return model


def cats_augmented(train_dir: Path, steps: int, epochs: int) -> Any:
    """Listings 5.13 and 5.14, without their validation."""
    model = models.Sequential()
    model.add(keras.Input((150, 150, 3)))
    for filters in (32, 64, 128, 128):
        model.add(layers.Conv2D(filters, (3, 3), activation="relu"))
        model.add(layers.MaxPooling2D((2, 2)))
    model.add(layers.Flatten())
    model.add(layers.Dropout(0.5))
    model.add(layers.Dense(512, activation="relu"))
    model.add(layers.Dense(1, activation="sigmoid"))
    model.compile(loss="binary_crossentropy", optimizer=optimizers.RMSprop(learning_rate=1e-4), metrics=["acc"])
    train_datagen = tf.keras.preprocessing.image.ImageDataGenerator(
        rescale=1.0 / 255, rotation_range=40, width_shift_range=0.2, height_shift_range=0.2, shear_range=0.2,
        zoom_range=0.2, horizontal_flip=True,
    )  # fmt: skip
    train_generator = train_datagen.flow_from_directory(
        train_dir, target_size=(150, 150), batch_size=32, class_mode="binary"
    )
    model.fit(train_generator, steps_per_epoch=steps, epochs=epochs, verbose=0)
    return model
