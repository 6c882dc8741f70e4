"""Stateless side: `translate` turns one unit into one bundle and is the only public name (architecture.md section 5)."""

from translators.translate import translate

__all__ = ["translate"]
