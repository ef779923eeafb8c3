"""Faces that learn to smile: a variational autoencoder and its concept vector (book 8.4.2)."""
