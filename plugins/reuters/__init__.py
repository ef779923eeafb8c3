"""What is a newswire about? 46 topics (book 3.5)."""
