"""Questionnaires: bank → question → feedback → journal → review; the widget is the last layer."""

from utils.quiz.bank import load_bank

__all__ = ["load_bank"]
