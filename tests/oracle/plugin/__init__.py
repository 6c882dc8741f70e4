"""APISIX plugins that answer in the access phase, as the model of a node runs them."""
