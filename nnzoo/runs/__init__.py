"""Runs in their folders: `run.open_run`, `train.train_runs`, and `loaded_run.LoadedRun` for what does not train."""
