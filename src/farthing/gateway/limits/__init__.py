"""Hard limits on the request path: worst cases, accounts of a worker, and who may spend what."""
