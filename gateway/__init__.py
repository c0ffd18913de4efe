"""The service: identity, order, evidence and record of every clip."""
