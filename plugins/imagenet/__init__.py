"""A thousand kinds of things, recognised by networks that were trained elsewhere (book 5.4.3)."""
