"""Evaluation of outputs: `tasks.build_task`, `evaluate.evaluate_split`, and `diagnostics` of training."""
