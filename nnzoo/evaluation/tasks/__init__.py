"""Tasks: what the outputs of a network mean, one module for each."""
