"""What the notebooks of the course share; each module's first line says what it is for."""

import warnings

# torch warns about its own old compiler, which a library below us still uses at import time.
# A learner can do nothing about it, and it would be the first thing they read.
warnings.filterwarnings("ignore", message=".*torch.jit.script.*", category=FutureWarning)

# The kind of output that shows a live widget; it says nothing once its kernel is gone.
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
