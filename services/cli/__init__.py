"""The tensorgate command."""
