"""Decide what columns hold: numbers in any format, dates, categories, ids or text.

- `description.describe_columns` describes each column by its values.
- `inputs.infer_columns` and `target.infer_target` choose what a network reads and predicts.
- `values.parse_numbers` reads a column by its `NumberFormat`; `labels` merges spellings of a category.
- `number_text` takes one number apart, `number_format` finds the format of a column.
- `checks` finds ids, codes for missing values, copies of the target and repeated rows.
"""
