"""Predictions for new data: pictures, rows of a table, sequences, and the future of a series.

Everything here yields `Predictions`, some inputs at a time, so that a million rows or pictures take no
more memory than a few.
"""
