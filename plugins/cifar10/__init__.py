"""Photographs of ten things: inception modules, residual connections, separable convolutions (book 7.1.4, 7.3.1)."""
