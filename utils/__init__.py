"""What the notebooks of the course share; each module's first line says what it is for."""

import os
import warnings

# Threads that wait must sleep: with another program on a core (a browser, a second notebook) they
# would spin in place of the one they wait for. OpenMP reads this once, when PyTorch is loaded, so
# `utils` is imported first. The second is for the OpenMP of Macs.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("KMP_BLOCKTIME", "0")
# Linux then gives a tensor its memory in pages of 2 MB and not of 4 KB. Training on a processor
# asks for so much afresh in every step that a third of it was spent on small pages.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")

# torch warns about its own old compiler, which a library below us still uses at import time.
# A learner can do nothing about it, and it would be the first thing they read.
warnings.filterwarnings("ignore", message=".*torch.jit.script.*", category=FutureWarning)

# The kind of output that shows a live widget; it says nothing once its kernel is gone.
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
