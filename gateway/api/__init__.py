"""The HTTP API: routes that translate, and nothing that decides."""
