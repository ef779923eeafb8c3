"""Keeps a local folder equal to what the labels want and tells the model server."""
