"""Questionnaires, lowest first: match, questions, bank · journal, schedule · show, anki · widget."""

from utils.quiz.bank import load_bank

__all__ = ["load_bank"]
