"""The page of `nnzoo watch`: a local server, the state of run folders, and what networks did at each epoch."""
