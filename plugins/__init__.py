"""Training plugins: one folder a problem, one shape."""
