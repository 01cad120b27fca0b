"""Where a request may be answered from what was answered before."""
