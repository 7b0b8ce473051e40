"""The training loop: `trainer.Trainer` of a run, `ensemble_trainer.EnsembleTrainer` takes the steps."""
