"""Stateful side: xDS resources in, units out."""
