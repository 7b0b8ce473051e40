"""Thresholds of diagnoses, observations and verdicts, which `nnzoo explain` prints. No torch in here.

Those of gradients are far from what runs that learn show. Over the bundled configs the layer with the
smallest gradient has at least 0.06 of the gradient of the layers above it, the first time step 0.05 of the
largest; no step has a gradient norm above 28, and no layer more than 5 % dead units. A sigmoid network
of ten layers has 2e-6 in its first one.
"""

from __future__ import annotations

VANISHING = 1e-3
VANISHING_IN_TIME = 1e-4
EXPLODING = 100.0
# Growth over the initial loss, or over the baseline's loss if that is larger.
LOSS_GROWTH = 5.0
DEAD_FRACTION = 1 / 3
# Slowdown of an epoch against its timed steps; epochs of less than a second do not matter.
SLOWDOWN, SLOW_SECONDS = 4.0, 1.0
STATS_SAMPLES = 64
# Layer statistics cost about a step and a half.
STEPS_BETWEEN = 400

# Curves: rise of the validation loss over its minimum, and the fraction that a loss that still falls goes below,
# over the last tenth of the epochs; below the last fraction of the largest loss there is nothing more to gain.
MIN_CURVE = 3
OVERFIT_RISE = 0.1
STILL_FALLING = 0.95
NEGLIGIBLE_LOSS = 0.01

# p-value of the difference between a network and a baseline.
SIGNIFICANCE = 0.05

# First batch, before training.
# Standard deviation of outputs above which a network is confident before it has learned anything: it adds 2 nats
# to the loss of classes, as much as a network that knows nothing loses on seven.
MAX_OUTPUT_STD = 2.0
# Scaled inputs have a root mean square of about 1; weights are initialized for that.
MIN_INPUT_RMS, MAX_INPUT_RMS = 0.1, 10.0
# Rows (of a text, as many as have OVERFIT_TARGETS tokens), seconds and steps of over-fitting, and the fraction of the
# first loss that counts as memorized. Fewer than ENOUGH_STEPS are too few to say that it cannot be.
OVERFIT_ROWS, OVERFIT_TARGETS = 32, 512
OVERFIT_SECONDS, OVERFIT_STEPS, ENOUGH_STEPS, LEARNED = 2.0, 2000, 200, 0.1
