"""A condition's cells beside the law fitted to them."""

import pandas as pd

from memlaw_analysis.law.fit import LawFit


def points(fit: LawFit) -> pd.DataFrame:
    """Return every cell with the law's prediction, `law_nats`, and whether it is `saturated` and so not fitted."""
    cells = pd.concat([fit.used.assign(saturated=False), fit.excluded.assign(saturated=True)])
    cells["law_nats"] = fit.predict_cells(cells)
    names = ["cell", "lora.rank", "target_tokens", "seed", "delta_loss_nats", "law_nats", "saturated"]
    return cells[[name for name in names if name in cells]]
