"""What everything with a page side rests on: ask, answer, keyboard, a twin without a kernel."""
