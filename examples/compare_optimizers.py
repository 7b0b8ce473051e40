"""Train one config with several optimizers and compare their validation curves."""

import nnzoo

for optimizer in ("sgd", "adam", "adamw"):
    sets = [f"optim.name={optimizer}", f"name=digits-{optimizer}", "train.epochs=5"]
    training = nnzoo.train("mlp", sets=sets).fit()
    losses = [f"{row['val_loss']:.3f}" for row in training.history]
    print(f"{optimizer:6}", *losses)
