"""Stop a run by a rule of your own, and resume it: the result is bit-identical to an uninterrupted run."""

import nnzoo

CONFIG = ["train.epochs=4", "name=stopped"]

training = nnzoo.train("mlp", sets=CONFIG)
for event in training:
    if isinstance(event, nnzoo.EpochEnd):
        print(f"epoch {event.row['epoch']}: val_loss {event.row['val_loss']:.4f}")
        if event.row["epoch"] == 2:
            break  # leaving the loop saves the run

training = nnzoo.train("mlp", sets=CONFIG)
print(training.notes[-1])
training.fit()
result = training.result()
if result:
    print("accuracy:", result["accuracy"])
