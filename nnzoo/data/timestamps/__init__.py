"""The time of rows: `time_columns.find_time`, `parse.read_dates`, and `axis.TimeAxis` of one or several series."""
