"""Networks: `network.build_network` of a configuration and a data set, and the models that it builds."""
