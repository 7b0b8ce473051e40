"""Native layers, losses and Adam in C: `ops` for autograd, `step` outside of it, `build.available`; see README.md."""
