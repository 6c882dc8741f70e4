"""Other places the same state can be pushed to; none in this release."""
