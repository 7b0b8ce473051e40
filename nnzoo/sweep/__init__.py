"""A search over values of a config: a study that any number of processes share, each trial a run."""
