"""Tensorgate's services: each folder is one room, described in docs/architecture.md."""
