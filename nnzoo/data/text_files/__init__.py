"""Read documents: tables with a column of text, folders of .txt files, files with a line per document."""
