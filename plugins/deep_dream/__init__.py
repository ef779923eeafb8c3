"""What a network dreams of when it looks at a photograph (book 8.2)."""
