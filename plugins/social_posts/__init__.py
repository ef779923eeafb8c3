"""Three answers from one text: age, income and gender of a post's made-up author (book 7.1.3)."""
