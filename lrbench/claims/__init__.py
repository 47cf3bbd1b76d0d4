"""Parts -> verdicts: what introductions to the learning rate say, and whether it was measured to be so. No JAX."""

from lrbench.claims.judging import CLAIMS, Claim, Judged, judge, pictures, table
from lrbench.claims.limits import LIMITS, Limits
from lrbench.claims.page import page

__all__ = ["CLAIMS", "LIMITS", "Claim", "Judged", "Limits", "judge", "page", "pictures", "table"]
