"""`python -m nnzoo`."""

from nnzoo.cli import main

main()
