"""Stateless side: `translate`, the only public name, turns one unit into one bundle (architecture.md section 5)."""

from translators.translate import translate

__all__ = ["translate"]
