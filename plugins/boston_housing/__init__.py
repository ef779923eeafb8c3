"""House prices in the suburbs of Boston, 1978 (book 3.6)."""
