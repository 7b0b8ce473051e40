"""Models beside which a network is judged: fitted to training rows, cheap, and compared on the same rows."""
