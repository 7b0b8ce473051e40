"""nnzoo trains the classic neural networks on your images, tables and series from one YAML file."""

__version__ = "0.1.0"
