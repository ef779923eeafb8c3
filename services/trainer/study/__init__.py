"""Searching hyper-parameters: trials here or on Ray."""
