"""Where datasets come from: cache, mirror, public source, package registry."""
