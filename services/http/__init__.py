"""HTTP/1.1 on the event loop itself (RFC 9112): a server for ASGI applications.

The `httptools` library reads what comes. What is around it here is what a request costs least with: an answer leaves in
one piece, one timer watches a connection, and work that nobody waits for stops.
"""
