"""docs/results.md: figures measured through the gateway, kept and written."""
