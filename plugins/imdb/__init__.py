"""Is a film review positive or negative? Bags of words, word vectors, recurrent networks (book 3.4, 4.4, 6.1-6.4)."""
