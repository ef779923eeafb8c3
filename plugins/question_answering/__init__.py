"""Where is Mary? A question about a story, answered by one word (book 7.1.2)."""
