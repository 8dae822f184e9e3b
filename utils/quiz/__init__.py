"""Questionnaires: match, questions, bank · journal, schedule · show, anki · widget, lowest first."""

from utils.quiz.bank import load_bank

__all__ = ["load_bank"]
