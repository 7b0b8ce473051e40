"""Train a network on a bundled data set and predict new samples."""

import nnzoo

config = {
    "name": "flowers",
    "data": {"name": "iris"},
    "model": {"name": "mlp", "hidden": [16]},
    "train": {"epochs": 30},
}
training = nnzoo.train(config)
training.fit()
result = training.result()  # None if the split has no rows
if result:
    print("accuracy:", result["accuracy"])

model = nnzoo.load("checkpoints/flowers")
predictions = model.predict([[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]])
print(predictions.labels)
