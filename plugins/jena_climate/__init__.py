"""The temperature a day ahead, from ten days of weather (book 6.3 and 6.4)."""
