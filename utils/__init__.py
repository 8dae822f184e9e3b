"""What the notebooks of the course share; each module's first line says what it is for."""

import ctypes
import os
import warnings
from contextlib import suppress

# Threads that wait must sleep: with another program on a core (a browser, a second notebook) they
# would spin in place of the one they wait for. Only for a blink they stay awake (some 30 millionths
# of a second), since the next piece of work often comes at once: a tenth of a training. OpenMP
# reads this once, when PyTorch is loaded, so `utils` is imported first. The last is for Macs.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "1000")
os.environ.setdefault("KMP_BLOCKTIME", "0")

# What a step of training lets go, the C library of Linux (glibc) returns to the system, which fills
# each page with zeros before it hands it out again in the next step: a third of the time. Told so,
# it keeps blocks of up to 64 MB (32 before glibc 2.35), and 256 MB that nobody needs just now.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # as in malloc.h
with suppress(AttributeError, OSError, TypeError):  # another system, or another C library
    mallopt = ctypes.CDLL(None).mallopt
    if mallopt(M_MMAP_THRESHOLD, 2**26) or mallopt(M_MMAP_THRESHOLD, 2**25):
        mallopt(M_TRIM_THRESHOLD, 2**28)

# torch warns about its own old compiler, which a library below us still uses at import time.
# A learner can do nothing about it, and it would be the first thing they read.
warnings.filterwarnings("ignore", message=".*torch.jit.script.*", category=FutureWarning)

# The kind of output that shows a live widget; it says nothing once its kernel is gone.
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
