"""A first configuration for a file or a folder of one's own (`nnzoo init FILE`)."""
