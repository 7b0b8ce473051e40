"""Read files of columns: CSV, Excel, JSON, Parquet and Arrow, compressed or not, in any encoding.

- `table_io.read_table` and `read_chunks` read a file as a frame with notes; `without_stray_rows`
  leaves out units and totals.
- `file_format` finds the format, `text_encoding` the encoding, `csv_layout` delimiter and header.
- `csv_reader`, `excel`, `json`, `parquet` and `arrow` read one format each, within `limits`.
- `preview` describes a file for `nnzoo check`.
"""
