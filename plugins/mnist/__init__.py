"""Handwritten digits: a dense network (book 2.1) and a small convnet (book 5.1), and two of 7.3.1."""
