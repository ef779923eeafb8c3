"""Digits drawn from a plane: a variational autoencoder (book 8.4)."""
