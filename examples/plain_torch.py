"""Open a checkpoint with PyTorch alone: the weights fit an ordinary nn.Sequential."""

import torch
from torch import nn

import nnzoo

nnzoo.train(
    "mlp", sets=["train.epochs=1", "model.hidden=[32]", "model.dropout=0", "name=plain"]
).fit()

checkpoint = torch.load("checkpoints/plain/best.pt", weights_only=True)
model = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
model.load_state_dict(checkpoint["model"])
print({name: tuple(weight.shape) for name, weight in model.state_dict().items()})
