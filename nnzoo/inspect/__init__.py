"""Inspection of a trained network: hidden layers, filters, gates and loss surface, as values and figures."""
