"""The training loop: `trainer.Trainer` of a run, `train_step.TrainerStack` takes the steps."""
