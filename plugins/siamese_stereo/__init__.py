"""How far away is it? One convolutional base sees through two cameras (book 7.1.6)."""
