"""gRPC on the event loop itself: a server and a client, without the threads of gRPC's own library.

A call there costs some 250 us of Python, threads waking each other; here a fifth of that. What is needed of HTTP/2
(RFC 9113) is little: frames, flow control, and header blocks, which the `hpack` library reads.
"""
