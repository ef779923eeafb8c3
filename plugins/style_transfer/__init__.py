"""A photograph in the style of another picture (book 8.3)."""
