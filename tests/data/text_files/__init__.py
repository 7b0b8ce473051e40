"""Tests of nnzoo/data/text_files."""
