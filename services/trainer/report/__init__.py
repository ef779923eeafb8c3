"""What a run leaves for people: the page and its pictures."""
