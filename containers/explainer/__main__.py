"""`python -m explainer [ROOT]`"""

import sys
from pathlib import Path

from explainer.program import main

sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else "/opt/ml")))
