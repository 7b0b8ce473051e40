"""What a network learned: its hidden layers, filters, gates and loss surface, as numbers and figures."""
