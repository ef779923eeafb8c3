"""Frogs that never lived: two networks that play against each other (book 8.5)."""
