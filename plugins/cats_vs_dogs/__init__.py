"""Cats and dogs from 2,000 photographs: from scratch, and on what a network learned from others (book 5.2, 5.3)."""
