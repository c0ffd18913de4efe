"""Training of the prompt classifier: our own prompts, the heads and their card."""
