"""The replicated state: image, history, watch. No I/O and no clock."""
