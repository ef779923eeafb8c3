"""Nietzsche, character by character: an LSTM that writes on (book 8.1)."""
