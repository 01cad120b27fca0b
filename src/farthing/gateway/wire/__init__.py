"""The client's side of the wire: paths, strict reading, errors and answers in the client's own dialect."""
