"""Draw the sum over all channels of each hidden layer of a CNN, for one digit."""

import matplotlib.pyplot as plt
import torch

import nnzoo
from nnzoo.inspect.internals import channel_sums, hidden_outputs

nnzoo.train("cnn", sets=["train.epochs=3"]).fit()
model = nnzoo.load("checkpoints/cnn")
images, labels = model.dataset.splits["test"].batch(torch.tensor([0]))
sums = channel_sums(hidden_outputs(model.network, model.network.preprocess(images)))

figure, axes = plt.subplots(1, len(sums) + 1, figsize=(2 * len(sums) + 2, 2.4))
axes[0].imshow(images[0, 0].numpy(), cmap="gray")
axes[0].set_title(f"digit {int(labels[0])}")
for axis, (name, image) in zip(axes[1:], sums.items(), strict=True):
    axis.imshow(image[0].numpy(), cmap="gray")
    axis.set_title(name, fontsize=8)
figure.savefig("channel_sums.png")
