"""ADS control planes as a source."""
