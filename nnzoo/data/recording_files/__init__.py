"""Files of recordings: a reader per form, each of which yields the same `Recordings`."""
