"""Reading the time off a clock face from pixels, hand tips or angles: what good features save (book 4.3.2)."""
