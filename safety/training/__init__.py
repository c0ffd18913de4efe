"""Training and conversion: how the weights of the judges were made."""
