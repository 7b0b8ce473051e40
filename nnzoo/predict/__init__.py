"""Predictions for new data: images, rows of a table, sequences, and forecasts of series.

Everything here yields `Predictions` in batches, so that a million inputs take no more memory than a few.
"""
