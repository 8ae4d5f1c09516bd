"""`python -m evaluator [ROOT]`: ROOT is /opt/ml on SageMaker."""

import sys
from pathlib import Path

from evaluator.program import main

sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else "/opt/ml")))
