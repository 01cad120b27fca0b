"""The OpenAI- and Anthropic-compatible gateway: one request, parsed, routed, metered, journaled."""
