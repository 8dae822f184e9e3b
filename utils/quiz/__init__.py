"""Questionnaires, lowest first: match, questions, bank · journal, schedule · show · widget."""

from utils.quiz.bank import load_bank

__all__ = ["load_bank"]
