"""Cleaning a set of pictures: what looks wrong, what to do about it, and how to undo that."""

from utils.cleaner.cleaner import Cleaner
from utils.cleaner.folder import CleanerError

__all__ = ["Cleaner", "CleanerError"]
